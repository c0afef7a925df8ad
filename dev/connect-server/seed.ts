import { parseDocument } from 'yaml';
import { z } from 'zod';
import { connectIdSchema } from '../../src/connect/schema.ts';
import { idFromName } from './ids.ts';
import { categorySchema, type FileDraft, fieldTypeSchema, type ItemDraft, purposeSchema } from './item.ts';
import type { Store } from './store.ts';

const text = (what: string) => z.string({ error: `${what} has to be text; put it in quotes` });
const name = (what: string) => text(what).min(1, { error: `${what} must not be empty` });

const fieldSeedSchema = z.strictObject({
  id: name('an id').optional(),
  label: text('a label').optional(),
  value: text('a value').optional(),
  type: fieldTypeSchema.optional(),
  section: name('a section').optional(),
  purpose: purposeSchema.optional(),
});

const fileSeedSchema = z
  .strictObject({
    id: connectIdSchema.optional(),
    name: name('a file name'),
    content: text('the content').optional(),
    base64: z.base64({ error: 'this is not base64' }).optional(),
    section: name('a section').optional(),
  })
  .refine((file) => (file.content === undefined) !== (file.base64 === undefined), { error: 'a file needs either content or base64' });

const itemSeedSchema = z.strictObject({
  id: connectIdSchema.optional(),
  title: text('a title'),
  category: categorySchema.optional(),
  favorite: z.boolean().optional(),
  tags: z.array(text('a tag')).optional(),
  urls: z.array(z.strictObject({ label: text('a label').optional(), href: name('a href'), primary: z.boolean().optional() })).optional(),
  sections: z.array(name('a section')).optional(),
  fields: z.array(fieldSeedSchema).optional(),
  files: z.array(fileSeedSchema).optional(),
  state: z.literal('ARCHIVED').optional(),
});

const vaultSeedSchema = z.strictObject({
  id: connectIdSchema.optional(),
  name: name('a vault name'),
  description: text('a description').optional(),
  items: z.array(itemSeedSchema).optional(),
});

const seedSchema = z.strictObject({ vaults: z.array(vaultSeedSchema) });

/**
 * What a server starts with: vaults with items. Sections are named by their labels, and a field or file may name one that `sections` leaves out.
 * Ids are derived from the names when they are absent, so they are the same on every start.
 */
export type Seed = z.input<typeof seedSchema>;
type ItemSeed = NonNullable<Seed['vaults'][number]['items']>[number];

/** A seed that cannot be used: one line for each problem, with its place and its cure. */
export class SeedError extends Error {
  override readonly name = 'SeedError';
}

/**
 * Reads a seed from YAML; `origin` names the file in messages.
 * @throws SeedError
 */
export function parseSeed(yaml: string, origin = 'seed'): Seed {
  const document = parseDocument(yaml, { prettyErrors: true });
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) throw new SeedError(`${origin} is not valid YAML: ${syntaxError.message}`);
  return checkSeed(document.toJS(), origin);
}

/**
 * Creates everything the seed holds.
 * @throws SeedError, StoreError when an id occurs twice
 */
export function plantSeed(store: Store, seed: Seed): void {
  for (const vaultSeed of checkSeed(seed, 'seed').vaults) {
    const vault = store.createVault({
      id: vaultSeed.id ?? idFromName('vault', vaultSeed.name),
      name: vaultSeed.name,
      ...(vaultSeed.description === undefined ? {} : { description: vaultSeed.description }),
    });
    const seen = new Map<string, number>();
    for (const itemSeed of vaultSeed.items ?? []) {
      const occurrence = seen.get(itemSeed.title) ?? 0;
      seen.set(itemSeed.title, occurrence + 1);
      store.createItem(vault.id, itemDraft(itemSeed, itemSeed.id ?? idFromName('item', vault.id, itemSeed.title, String(occurrence))));
    }
  }
}

function checkSeed(value: unknown, origin: string): Seed {
  const parsed = seedSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${origin}: ${z.core.toDotPath(issue.path) || 'the top level'}: ${issue.message}`);
  throw new SeedError(problems.join('\n'));
}

function itemDraft(seed: ItemSeed, id: string): ItemDraft {
  const { sections, fields = [], files = [], ...rest } = seed;
  const labels = new Set([
    ...(sections ?? []),
    ...[...fields, ...files].flatMap(({ section }) => (section === undefined ? [] : [section])),
  ]);
  const sectionId = (label: string) => idFromName('section', id, label);
  return {
    ...rest,
    id,
    sections: Array.from(labels, (label) => ({ id: sectionId(label), label })),
    fields: fields.map(({ section, ...field }, index) => ({
      ...(field.purpose ? {} : { id: idFromName('field', id, field.label ?? '', String(index)) }),
      ...field,
      ...(section === undefined ? {} : { section: { id: sectionId(section) } }),
    })),
    files: files.map((file, index) => ({
      id: file.id ?? idFromName('file', id, file.name, String(index)),
      name: file.name,
      content: fileContent(file),
      ...(file.section === undefined ? {} : { section: { id: sectionId(file.section) } }),
    })),
  };
}

function fileContent(file: NonNullable<ItemSeed['files']>[number]): FileDraft['content'] {
  return file.base64 === undefined ? (file.content ?? '') : Buffer.from(file.base64, 'base64');
}
