import type { Random } from './random.ts';

/** Delays in milliseconds: the bound doubles from `base` up to `max`. */
export interface BackoffOptions {
  readonly base: number;
  readonly max: number;
}

/**
 * The delay before attempt `failures + 1`, with full jitter: anywhere up to the bound, so that many who failed together
 * do not come back together. At least a tenth of the bound, so that a streak of small numbers is no hot loop.
 */
export function backoffDelay(failures: number, { base, max }: BackoffOptions, random: Random): number {
  const bound = Math.min(max, base * 2 ** Math.min(failures - 1, 30));
  return bound * (0.1 + 0.9 * random());
}
