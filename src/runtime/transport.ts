/** The longest pause that a server can ask for, in milliseconds. */
const maxAskedDelay = 60_000;

/** The code of a transport error, for instance `ECONNREFUSED`; its text may quote input and goes nowhere. */
export function transportCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/**
 * The pause that a `Retry-After` header asks for, in seconds or as a date, in milliseconds and bounded; undefined when it asks for none. No
 * pause at all would be a hot loop: the caller's own backoff decides then.
 * @param now milliseconds since the epoch
 */
export function askedDelay(retryAfter: string | string[] | undefined, now: number): number | undefined {
  if (typeof retryAfter !== 'string') return undefined;
  const delay = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - now;
  return delay > 0 ? Math.min(delay, maxAskedDelay) : undefined;
}
