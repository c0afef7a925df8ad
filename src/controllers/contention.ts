import type { Clock } from '../runtime/clock.ts';

/** Tells when somebody keeps undoing what we write to an object, and slows our attempts at it down. */
export interface Contention {
  /** What we had written to an object was undone, once more. */
  undone(key: string): void;
  /** Milliseconds until the object may be tried again; 0 when it may be now, which counts as the attempt. */
  pauseBeforeAttempt(key: string): number;
  isContended(key: string): boolean;
  /** True once after an object has become contended: somebody should be told before it rests. */
  isNews(key: string): boolean;
  forget(key: string): void;
}

interface ContendedObject {
  times: number[];
  contended: boolean;
  news: boolean;
  attemptedAt: number;
}

/** So many times within `window` milliseconds are no accident. */
const limit = 5;
const window = 180_000;
/** Between attempts at a contended object, in milliseconds. */
export const contendedPause = 60_000;

export function createContention(clock: Clock): Contention {
  const objects = new Map<string, ContendedObject>();

  function current(key: string): ContendedObject | undefined {
    const object = objects.get(key);
    if (object === undefined) return undefined;
    object.times = object.times.filter((time) => clock.monotonic() - time < window);
    if (object.times.length > 0) return object;
    objects.delete(key);
    return undefined;
  }

  return {
    undone(key) {
      const now = clock.monotonic();
      const object = current(key) ?? { times: [], contended: false, news: false, attemptedAt: now };
      object.times = [...object.times.slice(1 - limit), now];
      objects.set(key, object);
      if (object.contended || object.times.length < limit) return;
      object.contended = true;
      object.news = true;
      object.attemptedAt = now;
    },
    pauseBeforeAttempt(key) {
      const object = current(key);
      if (object === undefined || !object.contended) return 0;
      const now = clock.monotonic();
      const wait = object.attemptedAt + contendedPause - now;
      if (wait > 0) return wait;
      object.attemptedAt = now;
      return 0;
    },
    isNews(key) {
      const object = current(key);
      const news = object?.news ?? false;
      if (object !== undefined) object.news = false;
      return news;
    },
    isContended: (key) => current(key)?.contended ?? false,
    forget: (key) => void objects.delete(key),
  };
}
