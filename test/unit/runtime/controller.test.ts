import { describe, expect, it, vi } from 'vitest';
import { type ControllerOptions, done, type Outcome, requeue, retry, runController } from '../../../src/runtime/controller.ts';
import { createWorkQueue } from '../../../src/runtime/work-queue.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

function start(reconcile: ControllerOptions['reconcile'], workers = 1) {
  const clock = createFakeClock();
  const queue = createWorkQueue({ clock, random: () => 1, backoff: { base: 1_000, max: 8_000 } });
  const stop = new AbortController();
  const errors: unknown[] = [];
  const results: [result: string, duration: number][] = [];
  const ended = runController(
    {
      queue,
      clock,
      workers,
      reconcile,
      onError: (key, error) => errors.push([key, error]),
      onReconciled: (result, duration) => results.push([result, duration]),
    },
    stop.signal,
  );
  return { clock, queue, stop, errors, results, ended };
}

describe('a controller', () => {
  it('works on no more keys at a time than it has workers, and on all in the end', async () => {
    let running = 0;
    let peak = 0;
    const gates: (() => void)[] = [];
    const reconcile = async (): Promise<Outcome> => {
      running += 1;
      peak = Math.max(peak, running);
      await new Promise<void>((resolve) => gates.push(resolve));
      running -= 1;
      return done;
    };
    const { queue, results, stop, ended } = start(reconcile, 3);
    for (let key = 0; key < 10; key += 1) queue.add(String(key));
    while (results.length < 10) {
      gates.shift()?.();
      await Promise.resolve();
    }
    stop.abort();
    await ended;
    expect(peak).toBe(3);
  });

  it.each<[string, Outcome, readonly number[]]>([
    ['rests after a success', done, []],
    ['looks once more when a reconcile asks for it', requeue(300), [300]],
    ['tries again with backoff when a reconcile asks for it', retry(), [1_000]],
    ['tries again with backoff after the time a reconcile names', retry(700), [1_700]],
  ])('%s', async (_, outcome, timers) => {
    const { clock, queue, results } = start(async () => outcome);
    queue.add('a');
    await vi.waitFor(() => expect(results).toHaveLength(1), { interval: 1 });
    expect(clock.timers).toEqual(timers);
  });

  it('tries a key again with backoff after an error, tells of it, and goes on with others', async () => {
    const failure = new Error('broken');
    let attempts = 0;
    const { clock, queue, results, errors } = start(async (key) => {
      if (key === 'bad' && (attempts += 1) < 3) throw failure;
      return done;
    });
    for (const key of ['bad', 'good']) queue.add(key);
    await vi.waitFor(() => expect(results.map(([result]) => result)).toEqual(['error', 'success']), { interval: 1 });
    for (const wait of [1_000, 2_000]) {
      expect(clock.timers).toEqual([wait]);
      clock.advance(wait);
      await vi.waitFor(() => expect(queue.idle).toBe(true), { interval: 1 });
    }
    expect(results.map(([result]) => result)).toEqual(['error', 'success', 'error', 'success']);
    expect(errors).toEqual([
      ['bad', failure],
      ['bad', failure],
    ]);
    expect(clock.timers).toEqual([]);
  });

  it('tells what each attempt came to and how long it took', async () => {
    const clocks: { advance(ms: number): void }[] = [];
    const outcomes: Outcome[] = [done, requeue(5_000), retry()];
    const { clock, queue, results } = start(async () => {
      clocks[0]?.advance(25);
      return outcomes.shift() ?? done;
    });
    clocks.push(clock);
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await vi.waitFor(() => expect(results).toHaveLength(3), { interval: 1 });
    expect(results).toEqual([
      ['success', 25],
      ['requeue_after', 25],
      ['requeue', 25],
    ]);
  });
});

describe('a controller that is stopped', () => {
  it('ends when the reconcile under way has ended, and begins no other', async () => {
    const reconciled: string[] = [];
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { queue, stop, ended, errors } = start(async (key, signal) => {
      reconciled.push(key);
      await gate;
      signal.throwIfAborted();
      return done;
    });
    queue.add('a');
    queue.add('b');
    await vi.waitFor(() => expect(reconciled).toEqual(['a']), { interval: 1 });
    stop.abort();
    open();
    await ended;
    expect([reconciled, errors]).toEqual([['a'], []]);
  });

  it('ends at once when it was stopped before it began', async () => {
    const clock = createFakeClock();
    const queue = createWorkQueue({ clock, random: () => 1, backoff: { base: 1, max: 1 } });
    queue.add('a');
    const begun: string[] = [];
    const reconcile = async (key: string): Promise<Outcome> => {
      begun.push(key);
      return done;
    };
    await runController({ queue, clock, workers: 2, reconcile, onError: () => {} }, AbortSignal.abort());
    expect(begun).toEqual([]);
  });
});
