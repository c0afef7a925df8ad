import { generateValue } from './generate.ts';
import { randomId } from './ids.ts';
import {
  type Field,
  type FieldDraft,
  type FileDraft,
  type Item,
  type ItemDraft,
  type Section,
  type SectionDraft,
  type StoredFile,
  type Url,
  type UrlDraft,
  wireFieldType,
} from './item.ts';
import type { PatchDocument } from './patch.ts';

/** The part of an item that an edit decides; ids, version and times are the store's. */
export type ItemContent = Pick<Item, 'title' | 'category' | 'favorite' | 'tags' | 'urls' | 'sections' | 'fields' | 'files'>;

/** An item that contradicts itself; the message quotes no value. */
export class ItemError extends Error {
  override readonly name = 'ItemError';
}

/**
 * Completes a draft: ids for what has none, values for what is to be generated, types and lists by their defaults.
 * @throws ItemError when two fields share an id, or a recipe leaves no characters
 */
export function completeContent(draft: ItemDraft): ItemContent {
  return {
    title: draft.title,
    category: draft.category ?? 'LOGIN',
    favorite: draft.favorite ?? false,
    tags: draft.tags ?? [],
    urls: (draft.urls ?? []).map(completeUrl),
    sections: (draft.sections ?? []).map(completeSection),
    fields: completeFields(draft.fields ?? []),
    files: (draft.files ?? []).map(completeFile),
  };
}

/** What a patch is applied to. */
export function patchDocument(item: Item): PatchDocument {
  const { files: _, ...editable } = contentOf(item);
  return { ...editable };
}

/** The content of an item as it is. */
export function contentOf(item: Item): ItemContent {
  const { title, category, favorite, tags, urls, sections, fields, files } = item;
  return { title, category, favorite, tags, urls, sections, fields, files };
}

function completeUrl(url: UrlDraft): Url {
  return { href: url.href, ...(url.label ? { label: url.label } : {}), ...(url.primary ? { primary: true } : {}) };
}

function completeSection(section: SectionDraft): Section {
  return { id: section.id || randomId(), ...(section.label ? { label: section.label } : {}) };
}

function completeFile(file: FileDraft): StoredFile {
  const content = typeof file.content === 'string' ? Buffer.from(file.content, 'utf8') : Buffer.from(file.content);
  return { id: file.id ?? randomId(), name: file.name, content, ...(file.section ? { section: { id: file.section.id } } : {}) };
}

function completeFields(drafts: readonly FieldDraft[]): Field[] {
  const taken = new Set(drafts.flatMap((draft) => (draft.id ? [draft.id] : [])));
  const fields = drafts.map((draft) => completeField(draft, draft.id || freshFieldId(draft, taken)));
  if (new Set(fields.map((field) => field.id)).size < fields.length) throw new ItemError('two fields have the same id');
  return fields;
}

const idOfPurpose: Readonly<Record<string, string>> = { USERNAME: 'username', PASSWORD: 'password', NOTES: 'notesPlain' };

/** The fields that autofill uses have names for ids, as far as these are free. */
function freshFieldId(draft: FieldDraft, taken: Set<string>): string {
  const named = idOfPurpose[draft.purpose ?? ''];
  const id = named !== undefined && !taken.has(named) ? named : randomId();
  taken.add(id);
  return id;
}

function completeField(draft: FieldDraft, id: string): Field {
  const value = draft.generate && !draft.value ? generate(draft) : draft.value;
  return {
    id,
    type: draft.type ? wireFieldType(draft.type) : draft.purpose === 'PASSWORD' ? 'CONCEALED' : 'STRING',
    ...(draft.section?.id ? { section: { id: draft.section.id } } : {}),
    ...(draft.purpose ? { purpose: draft.purpose } : {}),
    ...(typeof draft.label === 'string' ? { label: draft.label } : {}),
    ...(typeof value === 'string' ? { value } : {}),
  };
}

function generate(draft: FieldDraft): string {
  try {
    return generateValue(draft.recipe ?? {});
  } catch (error) {
    throw new ItemError(`a value cannot be generated: ${error instanceof RangeError ? error.message : 'the recipe is not valid'}`);
  }
}
