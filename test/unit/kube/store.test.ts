import { describe, expect, it } from 'vitest';
import type { ObjectMeta } from '../../../src/domain/object.ts';
import { createStore, type Store } from '../../../src/kube/store.ts';

const object = (name: string, resourceVersion: number, namespace = 'ns'): ObjectMeta => ({
  namespace,
  name,
  uid: `${namespace}/${name}`,
  resourceVersion: String(resourceVersion),
});

/** What the store holds, as `name@version`, and a record of what it told. */
function create(...objects: readonly ObjectMeta[]) {
  const store: Store<ObjectMeta> = createStore();
  for (const known of objects) store.put(known);
  const told: string[] = [];
  store.onChange((key, before, after) => told.push(`${key} ${before?.resourceVersion ?? '-'} ${after?.resourceVersion ?? '-'}`));
  return { store, told, held: () => [...store.values()].map(({ name, resourceVersion }) => `${name}@${resourceVersion}`).toSorted() };
}

const all = (): boolean => true;

describe('an object', () => {
  it('is kept by namespace and name, and its coming, change and going are told', () => {
    const { store, told } = create();
    store.put(object('a', 1));
    store.put(object('a', 1, 'other'));
    expect([store.size, store.get('other/a')?.namespace, store.get('ns/b')]).toEqual([2, 'other', undefined]);
    store.put(object('a', 2));
    store.remove(object('a', 3));
    expect(told).toEqual(['ns/a - 1', 'other/a - 1', 'ns/a 1 2', 'ns/a 2 -']);
  });

  it.each([
    ['older', 9, 'a@10'],
    ['the same', 10, 'a@10'],
    ['younger', 11, 'a@11'],
    ['younger by a digit', 100, 'a@100'],
    ['older by a digit', 2, 'a@10'],
  ])('gives way to a younger state only: %s', (_, version, expected) => {
    const { store, told, held } = create(object('a', 10));
    store.put(object('a', version));
    expect(held()).toEqual([expected]);
    expect(told).toHaveLength(version > 10 ? 1 : 0);
  });

  it('stays when the deletion is that of an older one of its name', () => {
    const { store, held } = create(object('a', 10));
    store.remove(object('a', 9));
    store.remove(object('unknown', 99));
    expect(held()).toEqual(['a@10']);
  });

  it('does not come back by a late answer to a write before its deletion, but does when it is made again', () => {
    const { store, held } = create(object('a', 10));
    store.remove(object('a', 12));
    store.put(object('a', 11));
    expect(held()).toEqual([]);
    store.put(object('a', 13));
    expect(held()).toEqual(['a@13']);
  });

  it('does not come back by a late answer after a list without it', () => {
    const { store, held } = create(object('a', 10));
    store.replace([], '12', all);
    store.put(object('a', 11));
    expect(held()).toEqual([]);
  });

  it('is forgotten in the end: the memory of deletions is bounded', () => {
    const { store, held } = create();
    for (let index = 0; index <= 1_000; index += 1) {
      store.put(object(`o${index}`, 10));
      store.remove(object(`o${index}`, 12));
    }
    store.put(object('o0', 11));
    store.put(object('o1000', 11));
    expect(held()).toEqual(['o0@11']);
  });
});

describe('a complete list', () => {
  it('takes the place of what was known, and tells only what changed', () => {
    const { store, told, held } = create(object('gone', 1), object('same', 2), object('changed', 3));
    store.replace([object('same', 2), object('changed', 5), object('new', 4)], '6', all);
    expect(held()).toEqual(['changed@5', 'new@4', 'same@2']);
    expect(told.toSorted()).toEqual(['ns/changed 3 5', 'ns/gone 1 -', 'ns/new - 4']);
  });

  it('leaves what we wrote after it was read', () => {
    const { store, held } = create(object('written', 7), object('made', 8));
    store.replace([object('written', 3)], '6', all);
    expect(held()).toEqual(['made@8', 'written@7']);
  });

  it('leaves what it does not cover', () => {
    const { store, held } = create(object('a', 1), object('b', 1, 'other'));
    store.replace([], '6', ({ namespace }) => namespace === 'ns');
    expect(held()).toEqual(['b@1']);
  });
});
