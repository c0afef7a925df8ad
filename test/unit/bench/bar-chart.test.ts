import { expect, test } from 'vitest';
import { barChart } from '../../bench/bar-chart.ts';

const bars = [
  { label: 'half', part: 0.5, note: '1 s (≤ 2 s)' },
  { label: 'far too much', part: 100, note: '200 s (≤ 2 s)' },
];

test('a bar is as long as its part of the target, and ends with the plot', () => {
  const lengths = [...barChart('times', bars).matchAll(/<rect[^>]* width="([^"]+)"/g)].map(([, width]) => Number(width));
  expect(lengths).toStrictEqual([100, 300]);
});

test('the same figures give the same file', () => {
  expect(barChart('times', bars)).toBe(barChart('times', bars));
});

test('texts are escaped', () => {
  expect(barChart('a < b & "c"', [])).toContain('a &lt; b &amp; &quot;c&quot;');
});
