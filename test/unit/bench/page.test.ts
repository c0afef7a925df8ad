import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { format, resolveConfig } from 'prettier';
import { ROOT } from '../../../dev/tools/command.ts';
import { benchmarkFiles } from '../../bench/page.ts';
import type { Result } from '../../bench/result.ts';

const machine: Result = {
  name: 'machine',
  value: 2,
  unit: 'processors',
  target: null,
  met: null,
  raw: {
    form: 'quick',
    date: '2026-01-01',
    minutes: 4.5,
    processor: 'one',
    memoryGB: 8,
    platform: 'linux x64',
    node: 'v26',
    kubernetes: 'v1.36',
    loadBefore: [0, 0, 0],
    loadAfter: [1, 1, 1],
  },
};
const missed: Result = { name: 'fan-out', value: 1.5, unit: '×', target: 1.3, met: false, raw: { seconds: 3, rounds: [2.99999, 3] } };

test('the page and the charts in docs/benchmarks are made of the results that lie beside them', async () => {
  const folder = resolve(ROOT, 'docs/benchmarks');
  const results = JSON.parse(readFileSync(resolve(folder, 'results.json'), 'utf8')) as readonly Result[];
  for (const [name, content] of benchmarkFiles(results)) {
    const file = resolve(folder, name);
    const expected = name.endsWith('.md') ? await format(content, { ...(await resolveConfig(file)), filepath: file }) : content;
    expect(readFileSync(file, 'utf8'), name).toBe(expected);
  }
});

test('a figure stands in table, chart and raw figures, and a missed target says so', () => {
  const files = benchmarkFiles([machine, missed], { 'fan-out': 'one patch waits for another.' });
  const page = files.get('README.md');
  expect(page).toContain('1.50 × | ≤ 1.30 × | **no**');
  expect(page).toContain('`fan-out`: seconds 3, rounds 3 / 3.');
  expect(page).toContain('`fan-out`: one patch waits for another.');
  expect(files.get('ratios.svg')).toContain('class="missed"');
  expect(files.get('counts.svg')).not.toContain('<rect');
});

test('a figure without a target is in the table and in no chart', () => {
  const informative: Result = { name: 'scale-rss', value: 150, unit: 'MB', target: null, met: null, raw: {} };
  const files = benchmarkFiles([machine, informative]);
  expect(files.get('README.md')).toMatch(/\| 150 MB \| +\| +\|/);
  expect(files.get('limits.svg')).not.toContain('<rect');
});

test('the figures of a peer get a column', () => {
  const page = benchmarkFiles([machine, { ...missed, met: true, peer: { value: 7, raw: {} } }]).get('README.md');
  expect(page).toContain('| figure | peer | target |');
  expect(page).toContain('| 7.00 × |');
});

test('a missed target without a remark makes no page', () => {
  expect(() => benchmarkFiles([machine, missed], {})).toThrow('fan-out misses its target');
});

test('results without the machine that they are of make no page', () => {
  expect(() => benchmarkFiles([missed])).toThrow('no entry "machine"');
});
