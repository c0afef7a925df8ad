import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { auditReasons, auditRecordSchema } from '../../../src/observability/audit-record.ts';
import { reasons } from '../../../src/api/reasons.ts';

const page = readFileSync(new URL('../../../docs/reference/audit.md', import.meta.url), 'utf8');

/** The rows of the table below a heading, cell by cell. */
function rowsBelow(heading: string): readonly (readonly string[])[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
}

const unquoted = (text: string): string => text.replaceAll('`', '');

/** Each action with its fields; those that may be missing end in a question mark. */
const fields = new Map(
  auditRecordSchema.options.flatMap(({ shape }) =>
    [...shape.action.values].map(
      (action) =>
        [
          action as string,
          Object.entries(shape).map(([name, schema]) => (schema.safeParse(undefined).success ? `${name}?` : name)),
        ] as const,
    ),
  ),
);

it('the reference has every action of the schema, and no other', () => {
  expect(rowsBelow('Actions').map(([, action = '']) => unquoted(action))).toEqual([...fields.keys()]);
});

it('the reference has every field of the schema, and says in which actions it is, and where it may be missing', () => {
  const names = new Set([...fields.values()].flat().map((name) => name.replace('?', '')));
  const places = (name: string): string => {
    const having = [...fields].flatMap(([action, own]) => (own.includes(name) ? [action] : own.includes(`${name}?`) ? [`${action}?`] : []));
    return having.length === fields.size ? 'every line' : having.join(', ');
  };
  const documented = Object.fromEntries(rowsBelow('Fields').map(([, name = '', where = '']) => [unquoted(name), unquoted(where)]));
  expect(documented).toEqual(Object.fromEntries([...names].map((name) => [name, places(name)])));
});

it('the reference has the reasons that no condition has', () => {
  for (const reason of auditReasons.slice(reasons.length)) expect(page).toContain(`\`${reason}\``);
});

it('the example is a record', () => {
  const [, example = ''] = /```json\n(.*?)```/s.exec(page) ?? [];
  expect(auditRecordSchema.parse(JSON.parse(example))).toMatchObject({ action: 'item.retrieve' });
});
