import { setTimeout as sleep } from 'node:timers/promises';

/** Bounds of a wait. */
export interface WaitOptions {
  readonly deadlineMs: number;
  /** Pause between two attempts; 50 ms unless told. */
  readonly intervalMs?: number;
  /** Called before each attempt; what it rejects with ends the wait at once. */
  readonly abortIf?: () => Promise<void>;
}

/**
 * Repeats `attempt` until it returns something other than undefined. An attempt that throws counts as "not yet".
 *
 * @throws Error at the deadline, naming `what` and the last attempt's error.
 */
export async function waitFor<T>(what: string, attempt: () => Promise<T | undefined>, options: WaitOptions): Promise<T> {
  const end = performance.now() + options.deadlineMs;
  let last: unknown;
  for (;;) {
    await options.abortIf?.();
    try {
      const result = await attempt();
      if (result !== undefined) return result;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= end) {
      throw new Error(`waited ${options.deadlineMs / 1000} s for ${what}`, last === undefined ? undefined : { cause: last });
    }
    await sleep(options.intervalMs ?? 50);
  }
}
