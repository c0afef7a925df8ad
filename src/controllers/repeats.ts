import type { Clock } from '../runtime/clock.ts';

/** How often a workload was rolled for one and the same change: more than twice only when somebody undoes it. */
export interface Repeats {
  /** A workload was rolled for a change. */
  add(key: string, change: string): void;
  /** Milliseconds until it may be rolled for the change once more; 0 when it may be now. */
  pause(key: string, change: string): number;
  /** When it was first rolled for the change, by the monotonic clock; undefined when it was not. */
  since(key: string, change: string): number | undefined;
  forget(key: string): void;
}

/** Rolled once more at once, and then after pauses that double, in milliseconds. */
const limit = 2;
const pauses = { first: 60_000, longest: 3_600_000 };

export function createRepeats(clock: Clock): Repeats {
  const rolled = new Map<string, { readonly change: string; readonly count: number; readonly first: number; readonly at: number }>();

  return {
    add(key, change) {
      const before = rolled.get(key);
      const at = clock.monotonic();
      rolled.set(key, before?.change === change ? { ...before, count: before.count + 1, at } : { change, count: 1, first: at, at });
    },
    pause(key, change) {
      const before = rolled.get(key);
      if (before?.change !== change || before.count < limit) return 0;
      const pause = Math.min(pauses.longest, pauses.first * 2 ** (before.count - limit));
      return Math.max(0, before.at + pause - clock.monotonic());
    },
    since(key, change) {
      const before = rolled.get(key);
      return before?.change === change ? before.first : undefined;
    },
    forget: (key) => void rolled.delete(key),
  };
}
