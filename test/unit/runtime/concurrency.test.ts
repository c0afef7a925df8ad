import { describe, expect, it, vi } from 'vitest';
import { pause, systemClock } from '../../../src/runtime/clock.ts';
import { createSemaphore } from '../../../src/runtime/semaphore.ts';
import { createSingleFlight } from '../../../src/runtime/single-flight.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a semaphore', () => {
  it('lets no more pieces of work run than its limit, the others in the order they came', async () => {
    const bounded = createSemaphore(2);
    const started: number[] = [];
    const ends: (() => void)[] = [];
    const work = [0, 1, 2, 3, 4].map((index) =>
      bounded(() => {
        started.push(index);
        return new Promise<void>((resolve) => (ends[index] = resolve));
      }),
    );
    await settled();
    expect(started).toEqual([0, 1]);
    ends[1]?.();
    await settled();
    expect(started).toEqual([0, 1, 2]);
    for (const index of [0, 2, 3, 4]) {
      ends[index]?.();
      await settled();
    }
    await Promise.all(work);
    expect(started).toEqual([0, 1, 2, 3, 4]);
  });

  it('gives the place of failed work to the next, and its error to the caller', async () => {
    const bounded = createSemaphore(1);
    const failed = bounded(() => Promise.reject(new Error('broken')));
    const next = bounded(async () => 'next');
    await expect(failed).rejects.toThrow('broken');
    expect(await next).toBe('next');
  });

  it('lets nobody in between, when one ends as another comes', async () => {
    const bounded = createSemaphore(1);
    let running = 0;
    let peak = 0;
    const work = async (): Promise<void> => {
      running += 1;
      peak = Math.max(peak, running);
      await settled();
      running -= 1;
    };
    const first = bounded(work);
    const second = bounded(work);
    await Promise.all([first.then(() => bounded(work)), second, bounded(work)]);
    expect(peak).toBe(1);
  });
});

describe('a single flight', () => {
  it('joins those who ask for one key at a time, with one result', async () => {
    const flight = createSingleFlight<number>();
    let runs = 0;
    const work = async (): Promise<number> => (runs += 1);
    expect(await Promise.all([flight('a', work), flight('a', work), flight('b', work)])).toEqual([1, 1, 2]);
    expect(await flight('a', work)).toBe(3);
  });

  it('gives all of them the one error, and begins anew afterwards', async () => {
    const flight = createSingleFlight<number>();
    const failed = [flight('a', () => Promise.reject(new Error('broken'))), flight('a', async () => 1)];
    expect((await Promise.allSettled(failed)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await flight('a', async () => 2)).toBe(2);
  });
});

describe('a pause', () => {
  it('ends when its time is over', async () => {
    const clock = createFakeClock();
    let over = false;
    const paused = pause(clock, 100, new AbortController().signal).then(() => (over = true));
    clock.advance(99);
    await settled();
    expect(over).toBe(false);
    clock.advance(1);
    await paused;
  });

  it('ends at an abort without an error, and leaves no timer', async () => {
    const clock = createFakeClock();
    const stop = new AbortController();
    const paused = pause(clock, 100, stop.signal);
    stop.abort();
    await paused;
    expect(clock.timers).toEqual([]);
  });

  it('does not begin after an abort', async () => {
    const clock = createFakeClock();
    await pause(clock, 100, AbortSignal.abort());
    expect(clock.timers).toEqual([]);
  });

  it("ends by the process's own clock too, whose timers can be cancelled", async () => {
    const cancelled = vi.fn<() => void>();
    systemClock.after(0, cancelled)();
    const start = systemClock.monotonic();
    await pause(systemClock, 5, new AbortController().signal);
    expect(cancelled).not.toHaveBeenCalled();
    expect(systemClock.monotonic() - start).toBeGreaterThan(3);
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
  });
});
