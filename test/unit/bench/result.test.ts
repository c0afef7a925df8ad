import { expect, test } from 'vitest';
import type { Benchmark } from '../../bench/benchmark-table.ts';
import { benchmarks } from '../../bench/benchmark-table.ts';
import { forms } from '../../bench/form.ts';
import { judge, median, percentile } from '../../bench/result.ts';
import { terminalTable } from '../../bench/terminal-table.ts';

const benchmark: Benchmark = {
  name: 'start',
  run: 'restart',
  measured: () => 'start',
  unit: 's',
  target: () => 1,
  of: { names: ['rounds'], unit: 's' },
};

test('a figure meets its target up to the target itself', () => {
  expect(judge(benchmark, forms.quick, { value: 1, raw: {} }, undefined)).toStrictEqual({
    name: 'start',
    value: 1,
    unit: 's',
    target: 1,
    met: true,
    raw: {},
  });
  expect(judge(benchmark, forms.quick, { value: 1.01, raw: {} }, undefined).met).toBe(false);
});

test('a figure without a target is neither met nor missed', () => {
  const { target: _, ...informative } = benchmark;
  const { target, met } = judge(informative, forms.quick, { value: 7, raw: {} }, undefined);
  expect({ target, met }).toStrictEqual({ target: null, met: null });
});

test('what is no number meets nothing', () => {
  expect(judge(benchmark, forms.quick, { value: Number.NaN, raw: {} }, undefined).met).toBe(false);
});

test.each([
  [[3, 1, 2], 2],
  [[4, 1, 2, 3], 2.5],
  [[7], 7],
])('the median of %j is %d', (values, expected) => expect(median(values)).toBe(expected));

test('the 99th of a hundred is not the largest', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  expect(percentile(values, 0.99)).toBe(99);
  expect(percentile([5], 0.99)).toBe(5);
});

test('what was measured beside ours has a column, and so has what a figure was made of', () => {
  const measure = { value: 0.5, raw: { rounds: [0.4, 0.6], other: 7 } };
  const row = { benchmark, result: judge(benchmark, forms.quick, measure, { value: 3, raw: {} }) };
  expect(terminalTable([row], forms.quick)).toMatch(/ok +0\.50 s +≤ 1 s +3 s +0\.40 s \/ 0\.60 s +start \[start\]/);
});

test('each benchmark has a name of its own, and each count that has to hold a target in each form', () => {
  expect(new Set(benchmarks.map(({ name }) => name)).size).toBe(benchmarks.length);
  for (const form of Object.values(forms))
    for (const { target } of (benchmarks as readonly Benchmark[]).filter(({ invariant }) => invariant === true))
      expect(target?.(form)).toBeGreaterThanOrEqual(0);
});
