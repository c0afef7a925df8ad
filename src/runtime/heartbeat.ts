import type { Clock } from './clock.ts';

/** Whether the event loop turns: a beat comes late by as long as something kept it from turning. */
export interface Heartbeat {
  /** By how many milliseconds the present beat is late, or else the last one was. */
  readonly lag: number;
  stop(): void;
}

/** Between two beats, in milliseconds. */
const interval = 1_000;

export function createHeartbeat(clock: Clock): Heartbeat {
  let due = clock.monotonic() + interval;
  let late = 0;
  let cancel = clock.after(interval, beat);

  function beat(): void {
    late = clock.monotonic() - due;
    due = clock.monotonic() + interval;
    cancel = clock.after(interval, beat);
  }

  return {
    get lag() {
      return Math.max(0, late, clock.monotonic() - due);
    },
    stop: () => cancel(),
  };
}
