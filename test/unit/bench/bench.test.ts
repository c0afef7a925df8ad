import { expect, test } from 'vitest';
import { type Bench, bySubject } from '../../bench/bench.ts';
import type { Subject } from '../../bench/subject.ts';

const figures = { start: { value: 1, raw: {} } };

/** Of which only the subjects are asked. */
function benchOf(...names: readonly Subject['name'][]): Bench & { readonly told: readonly unknown[] } {
  const told: unknown[] = [];
  const subjects = names.map((name) => ({ name }));
  return { subjects, told, leaveOutPeer: (error: unknown) => void told.push(error) } as unknown as Bench & {
    readonly told: readonly unknown[];
  };
}

test('a peer that fails takes nothing from the figures of ours', async () => {
  const bench = benchOf('keyturn', 'peer');
  const failure = new Error('no such command');
  const measured = await bySubject(bench, async ({ name }) => {
    if (name === 'peer') throw failure;
    return figures;
  });
  expect(measured).toStrictEqual({ keyturn: figures });
  expect(bench.told).toStrictEqual([failure]);
});

test('a failure of ours ends the run', async () => {
  await expect(bySubject(benchOf('keyturn'), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
});
