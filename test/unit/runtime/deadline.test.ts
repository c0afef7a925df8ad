import { describe, expect, it } from 'vitest';
import { DeadlineExceeded, withDeadline } from '../../../src/runtime/deadline.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

/** Work that ends only when its signal is aborted, with the reason. */
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

describe('a deadline', () => {
  it('ends work that takes too long', async () => {
    const clock = createFakeClock();
    const work = withDeadline(clock, 1_000, undefined, untilAborted);
    clock.advance(1_000);
    await expect(work).rejects.toThrow(DeadlineExceeded);
  });

  it('leaves work alone that is done in time, and no timer behind', async () => {
    const clock = createFakeClock();
    expect(await withDeadline(clock, 1_000, undefined, async () => 'done')).toBe('done');
    expect(clock.timers).toEqual([]);
  });

  it('ends work when its caller gives up, before or after its start', async () => {
    const caller = new AbortController();
    const work = withDeadline(createFakeClock(), 1_000, caller.signal, untilAborted);
    caller.abort(new Error('given up'));
    await expect(work).rejects.toThrow('given up');
    const late = withDeadline(createFakeClock(), 1_000, caller.signal, async (signal) => signal.aborted);
    expect(await late).toBe(true);
  });
});
