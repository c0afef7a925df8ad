import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const root = new URL('../../../', import.meta.url);
const page = readFileSync(new URL('docs/architecture.md', root), 'utf8');

it('the map of the sources names every part of src/ and dev/', () => {
  const parts = ['src', 'dev'].flatMap((place) =>
    readdirSync(new URL(place, root), { withFileTypes: true }).map((entry) => `${place}/${entry.name}${entry.isDirectory() ? '/' : ''}`),
  );
  expect(parts.filter((part) => !page.includes(`\`${part}\``))).toEqual([]);
});
