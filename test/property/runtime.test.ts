import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffDelay } from '../../src/runtime/backoff.ts';
import { createWorkQueue } from '../../src/runtime/work-queue.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('a backoff', () => {
  const options = fc.record({ base: fc.integer({ min: 1, max: 10_000 }), max: fc.integer({ min: 10_000, max: 1_000_000 }) });
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  it('lies between a tenth of its bound and the bound, which doubles up to the longest', () => {
    fc.assert(
      fc.property(options, fc.integer({ min: 1, max: 100_000 }), chance, (given, failures, random) => {
        const bound = Math.min(given.max, given.base * 2 ** Math.min(failures - 1, 40));
        const delay = backoffDelay(failures, given, () => random);
        expect(delay).toBeGreaterThanOrEqual(bound * 0.1);
        expect(delay).toBeLessThanOrEqual(bound);
      }),
    );
  });

  it('spreads over its whole range', () => {
    const delays = [0, 0.5, 0.999].map((random) => backoffDelay(1, { base: 1_000, max: 5_000 }, () => random));
    expect(delays.map(Math.round)).toEqual([100, 550, 999]);
  });
});

describe('a work queue', () => {
  const key = fc.constantFrom('a', 'b', 'c');
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom('add', 'fail', 'forget', 'done'), key }),
    fc.record({ do: fc.constantFrom('later', 'wait'), key, ms: fc.nat(3_000) }),
    fc.record({ do: fc.constant('take') }),
  );

  it('never loses a key nor gives it to two workers, whatever happens in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = createFakeClock();
        const queue = createWorkQueue({ clock, random: () => 0.5, backoff: { base: 1_000, max: 4_000 } });
        const wanted = new Set<string>();
        const active = new Set<string>();

        const take = async (): Promise<void> => {
          if (queue.depth === 0) return;
          const taken = (await queue.take()) ?? '';
          expect(active.has(taken)).toBe(false);
          expect(wanted.delete(taken)).toBe(true);
          active.add(taken);
        };
        for (const { do: action, key: of = '', ms = 0 } of steps as readonly { do: string; key?: string; ms?: number }[]) {
          if (action === 'add') queue.add(of);
          if (action === 'fail') queue.addFailed(of);
          if (action === 'later') queue.addAfter(of, ms);
          if (['add', 'fail', 'later'].includes(action)) wanted.add(of);
          if (action === 'forget') queue.forget(of);
          if (action === 'wait') clock.advance(ms);
          if (action === 'take') await take();
          if (action === 'done' && active.delete(of)) queue.done(of);
        }
        for (const of of active) queue.done(of);
        active.clear();
        clock.advance(10_000);
        while (queue.depth > 0) await take();
        expect([...wanted]).toEqual([]);
        expect(clock.timers).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});
