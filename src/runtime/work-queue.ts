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
  readonly observer?: WorkQueueObserver;
}

/** Told of what goes through a queue, as client-go counts it; times in milliseconds. */
export interface WorkQueueObserver {
  /** A key that was not due became due. */
  added(): void;
  /** A key was put off until a later time: a look after a while, or another attempt. */
  putOff(): void;
  /** A worker took a key that had been due for so long. */
  taken(waited: number): void;
  /** The work on a key took so long. */
  done(took: number): void;
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
  /** The same with those that come again when the work on them is done: what client-go calls the depth. */
  readonly due: number;
  /** What is worked on: how many keys, for how long the first of them, and all of them together, in milliseconds. */
  readonly work: { readonly keys: number; readonly longest: number; readonly total: number };
  /** True when nothing is due or worked on; keys that wait for a later time do not count. */
  readonly idle: boolean;
  close(): void;
}

export function createWorkQueue({ clock, random, backoff, isWorkedOn = () => true, observer }: WorkQueueOptions): WorkQueue {
  /** Since when each key is due, or worked on, by the monotonic clock. */
  const ready = new Map<string, number>();
  const active = new Map<string, number>();
  const again = new Map<string, number>();
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
    if (ready.has(key) || again.has(key)) return;
    observer?.added();
    const now = clock.monotonic();
    if (active.has(key)) again.set(key, now);
    else makeReady(key, now);
  }

  function makeReady(key: string, since: number): void {
    const taker = waiting.shift();
    if (taker === undefined) ready.set(key, since);
    else taker(start(key, since));
  }

  function start(key: string, since: number): string {
    const now = clock.monotonic();
    active.set(key, now);
    observer?.taken(now - since);
    return key;
  }

  function addAfter(key: string, delay: number): void {
    if (closed || !isWorkedOn()) return;
    observer?.putOff();
    if (ready.has(key)) return;
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
      for (const [key, since] of ready) {
        ready.delete(key);
        return Promise.resolve(start(key, since));
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
    done(key) {
      const started = active.get(key);
      if (started !== undefined && active.delete(key)) observer?.done(clock.monotonic() - started);
      const since = again.get(key);
      if (since === undefined) return;
      again.delete(key);
      cancelLater(key);
      if (!closed) makeReady(key, since);
    },
    get depth() {
      return ready.size;
    },
    get due() {
      return ready.size + again.size;
    },
    get work() {
      const now = clock.monotonic();
      let longest = 0;
      let total = 0;
      for (const started of active.values()) {
        longest = Math.max(longest, now - started);
        total += now - started;
      }
      return { keys: active.size, longest, total };
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
