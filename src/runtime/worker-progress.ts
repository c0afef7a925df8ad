import type { Clock } from './clock.ts';
import type { ControllerOptions } from './controller.ts';
import { DeadlineExceeded } from './deadline.ts';

type Reconcile = ControllerOptions['reconcile'];

/** Whether the workers of controllers get on: none is stuck, and what is due is taken up. */
export interface WorkerProgress {
  /**
   * The same reconcile with a deadline: its signal is aborted then, and when it has ended the key is tried again. Whoever does not heed that
   * is stuck: it is waited for, since two must never work on one key.
   */
  watch(controller: string, queue: ControllerOptions['queue'], reconcile: Reconcile): Reconcile;
  /** What does not get on, in words that name controllers and no keys; undefined when all does. */
  readonly problem: () => string | undefined;
}

export interface WorkerProgressOptions {
  readonly clock: Clock;
  /** How long a reconcile may take, in milliseconds: longer than any that waits for slow servers and succeeds. */
  readonly deadline?: number;
  /** How long after that it may take to end, in milliseconds. */
  readonly grace?: number;
}

interface Watched {
  readonly controller: string;
  readonly queue: ControllerOptions['queue'];
  /** When each reconcile under way began. */
  readonly starts: Set<{ readonly at: number }>;
  lastStart: number;
}

export function createWorkerProgress({ clock, deadline = 300_000, grace = 60_000 }: WorkerProgressOptions): WorkerProgress {
  const watched: Watched[] = [];
  const longest = deadline + grace;

  function problemOf({ controller, queue, starts, lastStart }: Watched): string | undefined {
    const now = clock.monotonic();
    const stuck = [...starts].filter(({ at }) => now - at > longest).length;
    if (stuck > 0) return `${stuck} of controller ${controller} ended at no deadline`;
    // While every worker is busy keys may wait; but no reconcile lasts so long that none begins meanwhile.
    if (queue.depth > 0 && now - lastStart > longest) return `${queue.depth} keys of controller ${controller} are due and none is taken`;
    return undefined;
  }

  return {
    watch(controller, queue, reconcile) {
      const entry: Watched = { controller, queue, starts: new Set(), lastStart: clock.monotonic() };
      watched.push(entry);
      return async (key, signal) => {
        const start = { at: clock.monotonic() };
        const limited = new AbortController();
        const abort = (): void => limited.abort(signal.reason);
        const cancel = clock.after(deadline, () => limited.abort(new DeadlineExceeded(deadline)));
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
        entry.starts.add(start);
        entry.lastStart = start.at;
        try {
          const outcome = await reconcile(key, limited.signal);
          // Cut short it may have taken the end of its time for the end of the process.
          if (limited.signal.aborted && !signal.aborted) throw limited.signal.reason;
          return outcome;
        } finally {
          cancel();
          signal.removeEventListener('abort', abort);
          entry.starts.delete(start);
        }
      };
    },
    problem: () => watched.map(problemOf).find((found) => found !== undefined),
  };
}
