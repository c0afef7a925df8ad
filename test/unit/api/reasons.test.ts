import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { readSources } from '../../../dev/tools/boundaries.ts';
import { appearances } from '../../../dev/tools/reasons-table.ts';
import { connectReasons, reasons } from '../../../src/api/reasons.ts';

const page = readFileSync(new URL('../../../docs/reference/reasons.md', import.meta.url), 'utf8');

it('every reason stands in the reference, with its meaning and cure, and no other does', () => {
  const sections = page.split(/^## /m).slice(1);
  const headings = sections.map((section) => section.slice(0, section.indexOf('\n')));
  expect(headings).toEqual([...reasons]);
  for (const section of sections) expect(section.length).toBeGreaterThan(100);
});

/** What is told of beside the conditions. */
const tellers = new Set(['src/controllers/restart-news.ts', 'src/controllers/announcer.ts', 'src/operator.ts']);

it('the reference says of those reasons that conditions have them which are thrown or reported, and of the others that they have an event', async () => {
  const sources = await readSources(resolve(import.meta.dirname, '../../..'));
  const named = (wanted: (file: string) => boolean): readonly string[] => {
    const texts = [...sources].filter(([file]) => file !== 'src/api/reasons.ts' && wanted(file)).map(([, text]) => text);
    return reasons.filter((reason) => texts.some((text) => text.includes(`'${reason}'`)));
  };
  expect(reasons.filter((reason) => appearances[reason].ready !== undefined)).toEqual(named((file) => !tellers.has(file)));
  const told = reasons.filter((reason) => appearances[reason].ready === undefined && appearances[reason].event !== undefined);
  expect(named((file) => tellers.has(file))).toEqual(expect.arrayContaining(told));
  expect(reasons.filter((reason) => appearances[reason].ready === undefined && !told.includes(reason))).toEqual(['CRDOutdated']);
});

it('the reference gives the metric of the gate to the reasons that shut it', () => {
  expect(reasons.filter((reason) => appearances[reason].metric?.includes('gate_closed'))).toEqual([...connectReasons]);
});
