import { expect, test } from 'vitest';
import { progressLine } from '../../../dev/tools/progress.ts';

test.each([
  [0, 0, 5_000, 'compiling: 0:05'],
  [7, 2_780, 65_000, 'compiling: 7/2780 (0%), 1:05'],
  [2_779, 2_780, 600_000, 'compiling: 2779/2780 (99%), 10:00'],
  [2_781, 2_780, 600_000, 'compiling: 2780/2780 (100%), 10:00'],
])('%i of %i after %i ms reads %j', (done, total, elapsed, line) => {
  expect(progressLine('compiling', done, total, elapsed)).toBe(line);
});
