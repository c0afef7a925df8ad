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
 * Work that does not heed the signal is left to itself. Unlike AbortSignal.timeout and AbortSignal.any it leaves nothing behind when the work is done early.
 */
export async function withDeadline<T>(
  clock: Clock,
  limit: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
  aborted.catch(() => {});
  const abort = (): void => controller.abort(signal?.reason);
  const cancel = clock.after(limit, () => controller.abort(new DeadlineExceeded(limit)));
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  try {
    return await Promise.race([work(controller.signal), aborted]);
  } finally {
    cancel();
    signal?.removeEventListener('abort', abort);
  }
}

/**
 * A signal that is aborted `delay` milliseconds after `signal` is: for what had better come to its end by itself.
 * @returns with `end`, which has to be called when nothing depends on the signal any more
 */
export function lateAbort(
  clock: Clock,
  delay: number,
  signal: AbortSignal | undefined,
): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController();
  let cancel: (() => void) | undefined;
  const plan = (): void => void (cancel = clock.after(delay, () => controller.abort(signal?.reason)));
  signal?.addEventListener('abort', plan, { once: true });
  return {
    signal: controller.signal,
    end() {
      cancel?.();
      signal?.removeEventListener('abort', plan);
    },
  };
}
