import type { Clock } from './clock.ts';

/** Spreads what many keys want to do over time: each gets a turn, and no two turns are closer than the interval. */
export interface Pace {
  /** Milliseconds until the turn of a key, which it keeps until it asks again when the time is up; 0 when it is now. */
  waitFor(key: string): number;
  /** Takes back all turns that are still to come: what they were for is over. */
  reset(): void;
}

/** @param interval milliseconds between two turns */
export function createPace(clock: Clock, interval: number): Pace {
  const turns = new Map<string, number>();
  let taken = Number.NEGATIVE_INFINITY;
  let last = taken;

  return {
    waitFor(key) {
      const now = clock.monotonic();
      const planned = turns.get(key);
      // Timers that come late come together: whoever is not the first of them goes to the end of the line.
      const turn =
        planned === undefined || (planned <= now && now < taken + interval) ? Math.max(now, last + interval, taken + interval) : planned;
      last = Math.max(last, turn);
      if (turn > now) {
        turns.set(key, turn);
        return turn - now;
      }
      turns.delete(key);
      taken = now;
      return 0;
    },
    reset() {
      turns.clear();
      last = taken;
    },
  };
}
