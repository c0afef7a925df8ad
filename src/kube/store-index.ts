import type { ObjectMeta } from '../domain/object.ts';
import type { Store } from './store.ts';

/** Finds the objects of a store by something they name, and follows the store's changes. */
export function createStoreIndex<T extends ObjectMeta>(
  store: Store<T>,
  namesOf: (object: T) => Iterable<string>,
): (name: string) => readonly T[] {
  const keysByName = new Map<string, Set<string>>();

  store.onChange((key, before, after) => {
    for (const name of before === undefined ? [] : namesOf(before)) {
      const keys = keysByName.get(name);
      keys?.delete(key);
      if (keys?.size === 0) keysByName.delete(name);
    }
    for (const name of after === undefined ? [] : namesOf(after)) {
      const keys = keysByName.get(name);
      if (keys === undefined) keysByName.set(name, new Set([key]));
      else keys.add(key);
    }
  });

  return (name) => [...(keysByName.get(name) ?? [])].map((key) => store.get(key)).filter((object) => object !== undefined);
}
