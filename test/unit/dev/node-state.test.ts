import { expect, it } from 'vitest';
import { startTimeIn } from '../../../dev/node/state.ts';
import { enabledControllers } from '../../../dev/node/support.ts';

const stat = (name: string): string => `4711 (${name}) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 987654 1 2 3 4 5`;

it.each(['node', 'a (b) c)'])('the time a process started at is told whatever its program is called: %s', (name) => {
  expect(startTimeIn(stat(name))).toBe('987654');
});

it('the controllers of cgroups are those that the kernel has enabled', () => {
  const text = '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t1\t4\t1\nmemory\t0\t4\t0\npids\t3\t9\t1\n';
  expect(enabledControllers(text)).toEqual(['cpuset', 'pids']);
});
