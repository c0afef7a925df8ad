import { backoffDelay, type BackoffOptions } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Between failed attempts at one key. */
  readonly backoff: BackoffOptions;
  /**
   * False as long as nobody works on the keys: what is added then is dropped, for it would pile up. Whoever begins to work adds all there is.
   * Without it keys are always taken in.
   */
  readonly isWorkedOn?: () => boolean;
}

/**
 * Keys that are due, each at most once. A key added while it is worked on comes again when that work is done, so no change is
 * missed and no key is worked on twice at a time. Of several due times for one key the earliest wins.
 * The queue holds as many entries as there are keys, never more.
 */
export interface WorkQueue {
  /** Due now. */
  add(key: string): void;
  /** Due after `delay` milliseconds, unless it is due earlier already. */
  addAfter(key: string, delay: number): void;
  /** Due after a backoff that grows with each call until `forget`, and after `atLeast` milliseconds, if that is longer. */
  addFailed(key: string, atLeast?: number): void;
  /** Ends the backoff of a key: it succeeded, or is gone. */
  forget(key: string): void;
  /** The next due key, or undefined once the queue is closed. Every key taken must be given back by `done`. */
  take(): Promise<string | undefined>;
  done(key: string): void;
  /** How many keys wait for a worker. */
  readonly depth: number;
  /** True when nothing is due or worked on; keys that wait for a later time do not count. */
  readonly idle: boolean;
  close(): void;
}

export function createWorkQueue({ clock, random, backoff, isWorkedOn = () => true }: WorkQueueOptions): WorkQueue {
  const ready = new Set<string>();
  const active = new Set<string>();
  const again = new Set<string>();
  const later = new Map<string, { due: number; cancel: () => void }>();
  const failures = new Map<string, number>();
  const waiting: Array<(key: string | undefined) => void> = [];
  let closed = false;

  function cancelLater(key: string): void {
    later.get(key)?.cancel();
    later.delete(key);
  }

  function add(key: string): void {
    if (closed || !isWorkedOn()) return;
    cancelLater(key);
    if (active.has(key)) {
      again.add(key);
      return;
    }
    const taker = waiting.shift();
    if (taker === undefined) {
      ready.add(key);
      return;
    }
    active.add(key);
    taker(key);
  }

  function addAfter(key: string, delay: number): void {
    if (closed || !isWorkedOn() || ready.has(key)) return;
    const due = clock.monotonic() + delay;
    const planned = later.get(key);
    if (planned !== undefined && planned.due <= due) return;
    planned?.cancel();
    later.set(key, { due, cancel: clock.after(delay, () => add(key)) });
  }

  return {
    add,
    addAfter,
    addFailed(key, atLeast = 0) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      addAfter(key, atLeast + backoffDelay(count, backoff, random));
    },
    forget(key) {
      failures.delete(key);
    },
    take() {
      if (closed) return Promise.resolve(undefined);
      for (const key of ready) {
        ready.delete(key);
        active.add(key);
        return Promise.resolve(key);
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
    done(key) {
      active.delete(key);
      if (again.delete(key)) add(key);
    },
    get depth() {
      return ready.size;
    },
    get idle() {
      return ready.size === 0 && active.size === 0;
    },
    close() {
      closed = true;
      for (const { cancel } of later.values()) cancel();
      later.clear();
      ready.clear();
      for (const taker of waiting.splice(0)) taker(undefined);
    },
  };
}
