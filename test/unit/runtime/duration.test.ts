import { expect, it } from 'vitest';
import { parseDuration } from '../../../src/runtime/duration.ts';

it.each([
  ['0', 0],
  ['0s', 0],
  ['2s', 2_000],
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['1h1m1s1ms', 3_661_001],
  ['1.5h', 5_400_000],
  ['1.s', 1_000],
  ['250ms', 250],
  ['500us', 0.5],
  ['500\u00b5s', 0.5],
  ['1000000ns', 1],
  ['30s1h', 3_630_000],
  ['999999999h', 3_599_999_996_400_000],
])('%s is a duration of %d ms', (text, expected) => {
  expect(parseDuration(text)).toBeCloseTo(expected, 9);
});

it.each(['', ' ', '1', '10', '-5s', '-0', 's', '1 s', ' 1s', '1s ', '1d', '1w', '1e3s', '5S', '1h30', 'h1', '1..5s', '1,5s', '1s\n'])(
  '%j is none',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

it('no text takes long to be read', () => {
  expect(parseDuration('9'.repeat(100_000))).toBeUndefined();
  expect(parseDuration(`${'1s'.repeat(50_000)}x`)).toBeUndefined();
});
