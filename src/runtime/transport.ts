/** The longest pause that a server can ask for, in seconds. */
const maxAskedDelay = 60;

/** The code of a transport error, for instance `ECONNREFUSED`; its text may quote input and goes nowhere. */
export function transportCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/**
 * The pause that a `Retry-After` header asks for, in milliseconds and bounded; undefined when it asks for none in seconds. No pause at all
 * would be a hot loop: the caller's own backoff decides then.
 */
export function askedDelay(retryAfter: string | string[] | undefined): number | undefined {
  const seconds = Number(retryAfter);
  return seconds > 0 ? Math.min(seconds, maxAskedDelay) * 1000 : undefined;
}
