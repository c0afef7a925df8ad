import type { Clock } from '../../src/runtime/clock.ts';

/** A clock that moves by hand. */
export interface FakeClock extends Clock {
  /** Moves the time on, calling what falls due on the way, in order of due time. */
  advance(ms: number): void;
  /** The process is stopped for so long: time goes on, and what falls due meanwhile waits for the next `advance`. */
  sleep(ms: number): void;
  /** Moves the wall clock alone, forth or back, as setting it does. */
  set(now: number): void;
  /** What is planned: milliseconds from now, earliest first. */
  readonly timers: readonly number[];
}

export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsed = 0;
  let offset = start;
  const planned = new Set<{ readonly due: number; readonly run: () => void }>();
  const inOrder = () => [...planned].toSorted((a, b) => a.due - b.due);

  return {
    now: () => offset + elapsed,
    monotonic: () => elapsed,
    after(delay, run) {
      const timer = { due: elapsed + delay, run };
      planned.add(timer);
      return () => void planned.delete(timer);
    },
    advance(ms) {
      const end = elapsed + ms;
      for (let [next] = inOrder(); next !== undefined && next.due <= end; [next] = inOrder()) {
        planned.delete(next);
        elapsed = Math.max(elapsed, next.due);
        next.run();
      }
      elapsed = end;
    },
    sleep: (ms) => void (elapsed += ms),
    set: (now) => void (offset = now - elapsed),
    get timers() {
      return inOrder().map(({ due }) => due - elapsed);
    },
  };
}
