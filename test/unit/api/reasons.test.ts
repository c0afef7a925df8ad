import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { reasons } from '../../../src/api/reasons.ts';

const page = readFileSync(new URL('../../../docs/reference/reasons.md', import.meta.url), 'utf8');

it('every reason stands in the reference, with its meaning and cure, and no other does', () => {
  const sections = page.split(/^## /m).slice(1);
  const headings = sections.map((section) => section.slice(0, section.indexOf('\n')));
  expect(headings).toEqual([...reasons]);
  for (const section of sections) expect(section.length).toBeGreaterThan(100);
});
