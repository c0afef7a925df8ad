import type { Clock } from './clock.ts';

/** What was done under a deadline was not done in time. */
export class DeadlineExceeded extends Error {
  readonly code = 'DEADLINE_EXCEEDED';

  constructor(limit: number) {
    super(`not done within ${limit} ms`);
    this.name = 'DeadlineExceeded';
  }
}

/**
 * Gives `work` a signal that is aborted after `limit` milliseconds with DeadlineExceeded as its reason, or together with `signal`.
 * Unlike AbortSignal.timeout and AbortSignal.any it leaves nothing behind when the work is done early.
 */
export async function withDeadline<T>(
  clock: Clock,
  limit: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  const cancel = clock.after(limit, () => controller.abort(new DeadlineExceeded(limit)));
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    cancel();
    signal?.removeEventListener('abort', abort);
  }
}
