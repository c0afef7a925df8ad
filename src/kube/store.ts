import { objectKey, type ObjectMeta } from '../domain/object.ts';

/** The objects of one kind, or of several, as the cluster last told them, by key. */
export interface Store<T extends ObjectMeta> {
  get(key: string): T | undefined;
  values(): Iterable<T>;
  readonly size: number;
  /** Takes an object from a watch event or the answer to a write of ours; an older state than the known one is ignored. */
  put(object: T): void;
  /** Takes a deletion, unless a younger object has the name. */
  remove(object: T): void;
  /**
   * Takes a complete list, read at `resourceVersion`, of what `covers` says it covers. Objects that are not in it are gone, but
   * those we know to be younger than the list. Without a version everything is taken as listed: then versions have begun anew.
   */
  replace(objects: readonly T[], resourceVersion: string | undefined, covers: (object: T) => boolean): void;
  /** Forgets what `covers` says it covers: it may not be read, which does not mean that it is gone. */
  forget(covers: (object: T) => boolean): void;
  /** Calls `listener` after every change. */
  onChange(listener: Listener<T>): void;
}

/** Takes a change: an object that came or went has no other side. */
export type Listener<T> = (key: string, before: T | undefined, after: T | undefined) => void;

/** Deletions that are remembered: many more than there can be writes under way. */
const maxDeletions = 1_000;

/** @param keyOf `namespace/name`, unless objects of several kinds share the store */
export function createStore<T extends ObjectMeta>(keyOf: (object: T) => string = objectKey): Store<T> {
  const objects = new Map<string, T>();
  /** The last deletions, by key: a late answer to a write of ours must not bring the object back. */
  const deletions = new Map<string, string>();
  const listeners: Listener<T>[] = [];

  function set(key: string, after: T | undefined): void {
    const before = objects.get(key);
    if (after === undefined) objects.delete(key);
    else objects.set(key, after);
    for (const listener of listeners) listener(key, before, after);
  }

  function put(object: T): void {
    const key = keyOf(object);
    const known = objects.get(key)?.resourceVersion ?? deletions.get(key);
    if (known === undefined || isNewer(object.resourceVersion, known)) set(key, object);
  }

  function drop(key: string, resourceVersion: string): void {
    deletions.delete(key);
    deletions.set(key, resourceVersion);
    for (const oldest of deletions.keys()) {
      if (deletions.size <= maxDeletions) break;
      deletions.delete(oldest);
    }
    set(key, undefined);
  }

  return {
    get: (key) => objects.get(key),
    values: () => objects.values(),
    get size() {
      return objects.size;
    },
    put,
    remove(object) {
      const key = keyOf(object);
      const known = objects.get(key);
      if (known !== undefined && !isNewer(known.resourceVersion, object.resourceVersion)) drop(key, object.resourceVersion);
    },
    replace(list, resourceVersion, covers) {
      const listed = new Set(list.map(keyOf));
      for (const [key, object] of objects) {
        if (!covers(object) || listed.has(key)) continue;
        if (resourceVersion === undefined) set(key, undefined);
        else if (!isNewer(object.resourceVersion, resourceVersion)) drop(key, resourceVersion);
      }
      if (resourceVersion !== undefined) {
        for (const object of list) put(object);
        return;
      }
      deletions.clear();
      for (const object of list) set(keyOf(object), object);
    },
    forget(covers) {
      for (const [key, object] of objects) if (covers(object)) set(key, undefined);
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}

/** Resource versions of one API server can be compared as numbers (guaranteed since Kubernetes 1.35, true since its beginning). */
export function isNewer(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}
