import { monitorEventLoopDelay } from 'node:perf_hooks';

/** By how much the event loop came late to what was due, in seconds. */
export interface EventLoopLag {
  readonly mean: number;
  readonly p99: number;
}

/** Between two looks, in milliseconds: each wakes the process, and a hundred in a second cost more than all else that it does at rest. */
const interval = 100;

/** Watches the event loop until the process ends. @returns tells what was seen since it was last asked */
export function watchEventLoop(): () => EventLoopLag {
  const delays = monitorEventLoopDelay({ resolution: interval });
  delays.enable();
  return () => {
    const lag = { mean: lateness(delays.mean), p99: lateness(delays.percentile(99)) };
    delays.reset();
    return lag;
  };
}

/** @param delay between two looks in nanoseconds; not a number when there was none */
function lateness(delay: number): number {
  return Math.max(0, (delay || 0) / 1e9 - interval / 1000);
}
