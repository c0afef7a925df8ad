import { expect, test } from 'vitest';
import { requestsOfLooks } from '../../bench/looks.ts';

const arrivals = (...times: readonly number[]): { readonly at: number }[] => times.map((at) => ({ at }));

test('requests belong to one look until half an interval passes without any', () => {
  expect(requestsOfLooks(arrivals(0, 10, 900, 2_000, 4_000, 4_001), 2)).toStrictEqual([3, 1, 2]);
});

test('a look that comes late is still one', () => {
  expect(requestsOfLooks(arrivals(0, 3_900), 2)).toStrictEqual([1, 1]);
});

test('nothing asked, nothing counted', () => {
  expect(requestsOfLooks([], 2)).toStrictEqual([]);
});
