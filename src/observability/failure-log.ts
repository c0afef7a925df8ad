import type { Clock } from '../runtime/clock.ts';
import { describeError, type Log } from './log.ts';

/** After so long without a failure the next one is news; longer than any pause between attempts. In milliseconds. */
const streakGap = 120_000;
/** A streak is told of again this often, in milliseconds. */
const reminder = 3_600_000;
const maxKeys = 10_000;

/** Tells of failed attempts: of the first of a streak, of one that fails otherwise, and once an hour; of the others at debug. */
export interface FailureLog {
  /** @param cause what tells one failure from another, where the message says more than that */
  failed(key: string, error: unknown, fields: Readonly<Record<string, string>>, cause?: string): void;
}

export function createFailureLog(log: Log, clock: Pick<Clock, 'monotonic'>): FailureLog {
  const streaks = new Map<string, { readonly text: string; readonly told: number; readonly last: number }>();

  return {
    failed(key, error, fields, cause) {
      const now = clock.monotonic();
      const described = describeError(error);
      const text = cause ?? described.error;
      const known = streaks.get(key);
      const goesOn = known !== undefined && known.text === text && now - known.last < streakGap && now - known.told < reminder;
      log[goesOn ? 'debug' : 'error']({ ...fields, ...described }, 'reconcile failed; trying again');
      // What failed last is at the end, so that the oldest goes when there are too many.
      streaks.delete(key);
      streaks.set(key, { text, told: goesOn ? known.told : now, last: now });
      const [oldest] = streaks.keys();
      if (streaks.size > maxKeys && oldest !== undefined) streaks.delete(oldest);
    },
  };
}
