import { expect, it } from 'vitest';
import { startTimeIn } from '../../../dev/node/state.ts';

const stat = (name: string): string => `4711 (${name}) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 987654 1 2 3 4 5`;

it.each(['node', 'a (b) c)'])('the time a process started at is told whatever its program is called: %s', (name) => {
  expect(startTimeIn(stat(name))).toBe('987654');
});
