/** Time as a parameter, so that every part can be tested with a clock of its own. All values are milliseconds. */
export interface Clock {
  /** Wall time since the Unix epoch. */
  now(): number;
  /** Time that never jumps: only differences mean something. */
  monotonic(): number;
  /** Calls `run` once after `delay`; the returned function cancels it. */
  after(delay: number, run: () => void): () => void;
}

/** The process's own clock. Its timers keep the process alive: often nothing else does while the API server is away. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delay, run) => {
    const timer = setTimeout(run, delay);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delay`, or at once when `signal` is aborted: the caller looks at the signal, so a shutdown is no error. */
export function pause(clock: Clock, delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(delay, end);
    signal.addEventListener('abort', end, { once: true });
  });
}
