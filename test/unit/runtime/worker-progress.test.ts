import { describe, expect, it } from 'vitest';
import { done, type Outcome } from '../../../src/runtime/controller.ts';
import { DeadlineExceeded } from '../../../src/runtime/deadline.ts';
import { createHeartbeat } from '../../../src/runtime/heartbeat.ts';
import { createWorkQueue } from '../../../src/runtime/work-queue.ts';
import { createWorkerProgress } from '../../../src/runtime/worker-progress.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const never = new AbortController().signal;

function setUp(reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>) {
  const clock = createFakeClock();
  const queue = createWorkQueue({ clock, random: () => 1, backoff: { base: 1_000, max: 8_000 } });
  const progress = createWorkerProgress({ clock, deadline: 300_000, grace: 60_000 });
  return { clock, queue, progress, watched: progress.watch('onepassworditem', queue, reconcile) };
}

/** Ends when it is told to, with whatever it is told. */
const heedful = (_: string, signal: AbortSignal): Promise<Outcome> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(done), { once: true }));

describe('a worker', () => {
  it('is well while its reconciles end', async () => {
    const { clock, progress, watched } = setUp(async () => done);
    expect(await watched('a', never)).toEqual(done);
    clock.advance(3_600_000);
    expect([progress.problem(), clock.timers]).toEqual([undefined, []]);
  });

  it('has its reconcile cut short at the deadline, to be tried again', async () => {
    const { clock, progress, watched } = setUp(heedful);
    const attempt = watched('a', never);
    clock.advance(300_000);
    await expect(attempt).rejects.toThrow(DeadlineExceeded);
    clock.advance(600_000);
    expect(progress.problem()).toBeUndefined();
  });

  it('is stuck in a reconcile that heeds no deadline', async () => {
    const ended = Promise.withResolvers<Outcome>();
    const { clock, progress, watched } = setUp(() => ended.promise);
    const attempt = watched('secret-name', never);
    clock.advance(360_000);
    expect(progress.problem()).toBeUndefined();
    clock.advance(1);
    expect(progress.problem()).toBe('1 of controller onepassworditem ended at no deadline');
    ended.resolve(done);
    await expect(attempt).rejects.toThrow(DeadlineExceeded);
    expect(progress.problem()).toBeUndefined();
  });

  it('ends what it does with the process', async () => {
    const stop = new AbortController();
    const { watched, clock } = setUp(heedful);
    const attempt = watched('a', stop.signal);
    stop.abort();
    expect([await attempt, clock.timers]).toEqual([done, []]);
  });

  it('is missed when keys are due for minutes and nobody takes one', async () => {
    const { clock, queue, progress, watched } = setUp(async () => done);
    await watched('a', never);
    clock.advance(3_600_000);
    queue.add('a');
    queue.add('b');
    expect(progress.problem()).toBe('2 keys of controller onepassworditem are due and none is taken');
    await watched('a', never);
    expect(progress.problem()).toBeUndefined();
  });
});

describe('the event loop', () => {
  it('lags by as long as it was kept from turning, until it turns again', () => {
    const clock = createFakeClock();
    const heartbeat = createHeartbeat(clock);
    clock.advance(3_600_000);
    expect(heartbeat.lag).toBe(0);
    clock.sleep(41_000);
    expect(heartbeat.lag).toBe(40_000);
    clock.advance(0);
    expect(heartbeat.lag).toBe(40_000);
    clock.advance(1_000);
    expect(heartbeat.lag).toBe(0);
    heartbeat.stop();
    expect(clock.timers).toEqual([]);
  });
});
