import { setTimeout as sleep } from 'node:timers/promises';

/** What a look at the world gives: what was waited for, or in words what there is instead. */
export type Look<T> = { readonly found: T } | { readonly seen: string };

/** A wait that came to its end: `what` did not come, `seen` was there. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

const intervalMs = 100;

/**
 * Looks again and again until there is what is waited for. A look that throws counts as one that saw the error.
 *
 * @throws DeadlineError; the signal's reason when it is aborted
 */
export async function until<T>(
  what: string,
  { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal: AbortSignal },
  look: () => Promise<Look<T>>,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    signal.throwIfAborted();
    const result = await look().catch((error: unknown) => ({ seen: error instanceof Error ? error.message : 'an error' }));
    if ('found' in result) return result.found;
    signal.throwIfAborted();
    if (performance.now() >= end) throw new DeadlineError(`waited ${deadlineMs / 1000} s for ${what}; seen last: ${result.seen}`);
    await pause(signal);
  }
}

/** A short while; ends early when the signal is aborted. */
export async function pause(signal: AbortSignal, delayMs = intervalMs): Promise<void> {
  await sleep(delayMs, undefined, { signal }).catch(() => undefined);
}

/** Waits for `work`, or no longer than until the signal is aborted; the work itself goes on. @throws the signal's reason */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
