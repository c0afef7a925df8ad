import { describe, expect, it } from 'vitest';
import type { ObjectMeta } from '../../../src/domain/object.ts';
import { createStore } from '../../../src/kube/store.ts';
import { createStoreIndex } from '../../../src/kube/store-index.ts';

interface Consumer extends ObjectMeta {
  readonly names: readonly string[];
}

let version = 0;

function consumer(name: string, ...names: readonly string[]): Consumer {
  version += 1;
  return { namespace: 'ns', name, uid: name, resourceVersion: String(version), names };
}

/** An index of a store with these objects; `find` gives their names. */
function setUp(...objects: readonly Consumer[]) {
  const store = createStore<Consumer>();
  const index = createStoreIndex(store, ({ names }) => names);
  for (const object of objects) store.put(object);
  return {
    store,
    index,
    find: (name: string) =>
      index(name)
        .map((object) => object.name)
        .toSorted(),
  };
}

describe('objects are found', () => {
  it('by each of their names', () => {
    const { find } = setUp(consumer('web', 'a', 'b'), consumer('job', 'b'));
    expect([find('a'), find('b'), find('c')]).toEqual([['web'], ['job', 'web'], []]);
  });

  it('once, when they have a name twice', () => {
    expect(setUp(consumer('web', 'a', 'a')).find('a')).toEqual(['web']);
  });

  it('as they are now', () => {
    const { store, index } = setUp(consumer('web', 'a'));
    const now = consumer('web', 'a');
    store.put(now);
    expect(index('a')).toEqual([now]);
  });

  it('by the names they have now, and no longer by those they had', () => {
    const { store, find } = setUp(consumer('web', 'a', 'b'), consumer('job', 'a'));
    store.put(consumer('web', 'b', 'c'));
    expect([find('a'), find('b'), find('c')]).toEqual([['job'], ['web'], ['web']]);
  });

  it('no longer when they are gone', () => {
    const { store, find } = setUp(consumer('web', 'a'), consumer('job', 'a'));
    store.remove(consumer('web'));
    expect(find('a')).toEqual(['job']);
  });

  it('again when they come back', () => {
    const { store, find } = setUp(consumer('web', 'a'));
    store.remove(consumer('web'));
    store.put(consumer('web', 'a'));
    expect(find('a')).toEqual(['web']);
  });
});
