import type { Clock } from './clock.ts';
import type { WorkQueue } from './work-queue.ts';

/** What a reconcile wants next: nothing until something changes, one more look after a while, or another attempt with backoff. */
export type Outcome =
  { readonly next: 'done' } | { readonly next: 'requeue'; readonly after: number } | { readonly next: 'retry'; readonly atLeast: number };

export const done: Outcome = { next: 'done' };
/** Another attempt with backoff, and not before `atLeast` milliseconds have passed. */
export const retry = (atLeast = 0): Outcome => ({ next: 'retry', atLeast });
/** One more look after `after` milliseconds. */
export const requeue = (after: number): Outcome => ({ next: 'requeue', after });

export interface ControllerOptions {
  readonly queue: WorkQueue;
  readonly clock: Clock;
  /** How many keys are worked on at a time. */
  readonly workers: number;
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** An error that a reconcile did not turn into an outcome; the key is retried with backoff. */
  readonly onError: (key: string, error: unknown) => void;
  /** The least pause after such an error, in milliseconds. */
  readonly pauseAfter?: (error: unknown) => number;
  /** After every attempt: what it came to and how long it took, in milliseconds. */
  readonly onReconciled?: (result: 'success' | 'requeue_after' | 'requeue' | 'error', duration: number) => void;
}

/** Takes keys from the queue and reconciles them until `signal` is aborted; resolves when the last running reconcile has ended. */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { queue, workers } = options;
  const stop = (): void => queue.close();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  await Promise.all(Array.from({ length: workers }, () => work(options, signal)));
  signal.removeEventListener('abort', stop);
}

async function work({ queue, clock, reconcile, onError, pauseAfter, onReconciled }: ControllerOptions, signal: AbortSignal): Promise<void> {
  for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
    const start = clock.monotonic();
    let result: 'success' | 'requeue_after' | 'requeue' | 'error';
    try {
      const outcome = await reconcile(key, signal);
      result = applyOutcome(queue, key, outcome);
    } catch (error) {
      result = 'error';
      if (!signal.aborted) onError(key, error);
      queue.addFailed(key, pauseAfter?.(error));
    } finally {
      queue.done(key);
    }
    onReconciled?.(result, clock.monotonic() - start);
  }
}

function applyOutcome(queue: WorkQueue, key: string, outcome: Outcome): 'success' | 'requeue_after' | 'requeue' {
  switch (outcome.next) {
    case 'done':
      queue.forget(key);
      return 'success';
    case 'requeue':
      queue.forget(key);
      queue.addAfter(key, outcome.after);
      return 'requeue_after';
    case 'retry':
      queue.addFailed(key, outcome.atLeast);
      return 'requeue';
  }
}
