import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ObjectMeta } from '../../../src/domain/object.ts';
import { createKubeClient, type KubeError } from '../../../src/kube/client.ts';
import { type ReflectorOptions, runReflector } from '../../../src/kube/reflector.ts';
import { reduceMeta, type WireObject } from '../../../src/kube/resource.ts';
import { createStore } from '../../../src/kube/store.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, createInbox, startApiServer } from './api-server.ts';

const object = (name: string, resourceVersion: number): WireObject => ({
  metadata: { namespace: 'ns', name, uid: name, resourceVersion: String(resourceVersion) },
});
const list = (resourceVersion: number, items: readonly WireObject[], next?: string) => ({
  metadata: { resourceVersion: String(resourceVersion), continue: next },
  items,
});
const event = (type: string, what: object) => ({ type, object: what });
const bookmark = (resourceVersion: number) => event('BOOKMARK', { metadata: { resourceVersion: String(resourceVersion) } });

async function reflect(options: Partial<ReflectorOptions<ObjectMeta>> = {}) {
  const api = await startApiServer();
  const clock = createFakeClock();
  const client = createKubeClient(clientOptions(api, clock));
  const store = createStore<ObjectMeta>();
  const failures = createInbox<{ readonly error: KubeError; readonly count: number; readonly delay: number }>();
  const stop = new AbortController();
  const onSynced = vi.fn<() => void>();
  const ended = runReflector(
    {
      client,
      clock,
      random: () => 0.5,
      path: '/api/v1/things',
      reduce: ({ metadata }) => reduceMeta(metadata),
      store,
      covers: () => true,
      onSynced,
      onFailure: (error, count, delay) => failures.put({ error, count, delay }),
      ...options,
    },
    stop.signal,
  );
  onTestFinished(async () => {
    stop.abort();
    await ended;
    await client.close();
  });
  const held = (): string[] => [...store.values()].map(({ name, resourceVersion }) => `${name}@${resourceVersion}`).toSorted();
  return {
    api,
    clock,
    store,
    stop,
    ended,
    onSynced,
    untilHeld: (...expected: readonly string[]) => vi.waitFor(() => expect(held()).toEqual(expected), { interval: 1 }),
    held,
    /** The next failure; its delay passes. */
    failure: async () => {
      const failed = await failures.next();
      clock.advance(failed.delay);
      return failed;
    },
    /** Answers the next request, a list, and gives the one after it, a watch. */
    listed: async (resourceVersion: number, ...items: readonly WireObject[]) => {
      (await api.next()).answer(200, list(resourceVersion, items));
      return api.next();
    },
  };
}

describe('a list', () => {
  it('is read in pages, and known only when the last one is in', async () => {
    const { api, held, onSynced, untilHeld } = await reflect();
    const first = await api.next();
    expect([...first.query]).toEqual([['limit', '500']]);
    first.answer(200, list(9, [object('a', 1)], 'page 2'));
    const second = await api.next();
    expect([held(), onSynced.mock.calls.length, second.query.get('continue')]).toEqual([[], 0, 'page 2']);
    second.answer(200, list(9, [object('b', 2)], ''));
    const watch = await api.next();
    await untilHeld('a@1', 'b@2');
    expect(onSynced).toHaveBeenCalledTimes(1);
    expect(Object.fromEntries(watch.query)).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '9',
      timeoutSeconds: '450',
    });
  });

  it('of metadata alone asks for nothing else, by label', async () => {
    const { api, listed } = await reflect({ metadataOnly: true, labelSelector: 'a=b' });
    const watch = await listed(1);
    expect([watch.query.get('labelSelector'), watch.headers.accept]).toEqual([
      'a=b',
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    ]);
    expect(api.count).toBe(2);
  });

  it('begins anew when its pages have expired', async () => {
    const { api, failure, untilHeld } = await reflect();
    (await api.next()).answer(200, list(1, [object('a', 1)], 'page 2'));
    (await api.next()).answer(410, { reason: 'Expired' });
    expect((await failure()).error.status).toBe(410);
    const again = await api.next();
    expect(again.query.has('continue')).toBe(false);
    again.answer(200, list(3, [object('b', 2)]));
    await untilHeld('b@2');
  });

  it.each<[string, number, object | string]>([
    ['a refusal', 403, { reason: 'Forbidden' }],
    ['text', 200, '<html>'],
    ['no list', 200, {}],
    ['null', 200, 'null'],
    ['a list of nothing that could be listed', 200, { ...list(1, []), items: 5 }],
    ['an object without metadata', 200, { ...list(1, []), items: [{}] }],
    ['an object without a name', 200, { ...list(1, []), items: [{ metadata: { resourceVersion: '1' } }] }],
  ])('is tried again after %s', async (_, status, body) => {
    const { api, failure, untilHeld, onSynced } = await reflect();
    (await api.next()).answer(status, body);
    expect((await failure()).count).toBe(1);
    (await api.next()).answer(200, list(3, [object('a', 1)]));
    await untilHeld('a@1');
    expect(onSynced).toHaveBeenCalledTimes(1);
  });
});

/** Finds that an object named `odd` is of another form. */
function reduceUnlessOdd({ metadata }: WireObject): ObjectMeta {
  if (metadata.name === 'odd') throw new TypeError('parts is not iterable');
  return reduceMeta(metadata);
}

it('an object that cannot be read is a malformed answer, wherever it stands', async () => {
  const { api, failure, listed, untilHeld } = await reflect({ reduce: reduceUnlessOdd });
  (await api.next()).answer(200, list(1, [object('odd', 1)]));
  expect((await failure()).error.reason).toBe('MalformedAnswer');
  const watch = await listed(5, object('a', 1));
  watch.write(event('MODIFIED', object('odd', 6)));
  expect((await failure()).error.reason).toBe('MalformedAnswer');
  await untilHeld('a@1');
});

it('an error of a watch tells nothing of what the server put in the place of its code', async () => {
  const { listed, failure } = await reflect();
  (await listed(5)).write(event('ERROR', { code: 'hunter2' }));
  expect((await failure()).error).toMatchObject({ status: 500, message: 'WATCH /api/v1/things: 500 WatchError' });
});

describe('a watch', () => {
  it('brings what comes, changes and goes', async () => {
    const { listed, held } = await reflect();
    const watch = await listed(5, object('a', 1), object('b', 2));
    watch.write(event('ADDED', object('c', 6)), event('MODIFIED', object('a', 7)), event('DELETED', object('b', 8)));
    await vi.waitFor(() => expect(held()).toEqual(['a@7', 'c@6']), { interval: 1 });
  });

  it.each([
    ['the last object', [event('ADDED', object('b', 7))], '7'],
    ['the last bookmark', [event('ADDED', object('b', 7)), bookmark(20)], '20'],
  ])('that the server ends is taken up from %s, without a new list and without a pause', async (_, events, position) => {
    const { api, clock, listed } = await reflect();
    const watch = await listed(5, object('a', 1));
    watch.write('', ...events);
    clock.advance(300_000);
    watch.end();
    const next = await api.next();
    expect([next.query.get('watch'), next.query.get('resourceVersion')]).toEqual(['true', position]);
    expect(clock.timers).toEqual([]);
  });

  it('that brought nothing, not even a bookmark, is followed by a list: etcd may have been restored, and then the list is believed', async () => {
    const { api, clock, listed, untilHeld } = await reflect();
    const watch = await listed(50, object('a', 10), object('b', 40));
    watch.write('');
    await untilHeld('a@10', 'b@40');
    clock.advance(300_000);
    watch.end();
    const again = await api.next();
    expect(again.query.has('watch')).toBe(false);
    again.answer(200, list(20, [object('a', 9), object('c', 15)]));
    await untilHeld('a@9', 'c@15');
  });

  it('that ends as soon as it began is no hot loop', async () => {
    const { api, listed, failure } = await reflect();
    (await listed(5)).end();
    const first = await failure();
    (await api.next()).end();
    const second = await failure();
    expect([first.error.reason, first.count, second.count]).toEqual(['WatchEndedEarly', 1, 2]);
    expect(second.delay).toBe(2 * first.delay);
  });

  it('that breaks is taken up from where it was', async () => {
    const { api, listed, failure, untilHeld } = await reflect();
    const watch = await listed(5);
    watch.write(event('ADDED', object('a', 6)), '{"type":"ADDED","obj');
    await untilHeld('a@6');
    watch.reset();
    await failure();
    expect((await api.next()).query.get('resourceVersion')).toBe('6');
  });

  it.each<[string, object | string]>([
    ['a line that is no JSON', 'nonsense\n'],
    ['an empty line', '\n'],
    ['a line that is no event', 'null\n'],
    ['an event without an object', '{"type":"ADDED"}\n'],
    ['an object without metadata', event('ADDED', {})],
    ['an object without a version', event('MODIFIED', { metadata: { name: 'x' } })],
    ['a version that no URL can hold', event('BOOKMARK', { metadata: { resourceVersion: '\ud800' } })],
    ['an error of the server', event('ERROR', { code: 500, reason: 'InternalError', metadata: {} })],
    ['an error without a code', event('ERROR', {})],
  ])('goes on from where it was after %s', async (_, line) => {
    const { api, listed, failure, untilHeld } = await reflect();
    (await listed(5)).write(event('ADDED', object('a', 6)), line);
    expect((await failure()).count).toBe(1);
    const next = await api.next();
    expect(next.query.get('resourceVersion')).toBe('6');
    next.write(event('ADDED', object('b', 7)));
    await untilHeld('a@6', 'b@7');
  });

  it.each<[string, (watch: { answer(status: number, body: object): void; write(part: object): void }) => void]>([
    ['as its answer', (watch) => watch.answer(410, { reason: 'Expired' })],
    ['as an event', (watch) => watch.write(event('ERROR', { code: 410, reason: 'Expired' }))],
  ])('that is too old, %s, lists anew, and the old store stands until that is complete', async (_, expire) => {
    const { api, listed, failure, held, untilHeld, onSynced } = await reflect();
    expire(await listed(5, object('a', 1), object('b', 2)));
    expect((await failure()).error.status).toBe(410);
    const first = await api.next();
    expect(first.query.has('watch')).toBe(false);
    first.answer(200, list(30, [object('b', 20)], 'page 2'));
    const second = await api.next();
    expect(held()).toEqual(['a@1', 'b@2']);
    second.answer(200, list(30, [object('c', 21)]));
    await untilHeld('b@20', 'c@21');
    expect((await api.next()).query.get('resourceVersion')).toBe('30');
    expect(onSynced).toHaveBeenCalledTimes(1);
  });

  it.each([400, 414, 431])('that is refused where it begins, with %i, lists anew', async (status) => {
    const { api, listed, failure, untilHeld } = await reflect();
    (await listed(5, object('a', 1))).answer(status, {});
    expect((await failure()).error.status).toBe(status);
    (await api.next()).answer(200, list(30, [object('b', 20)]));
    await untilHeld('b@20');
    expect((await api.next()).query.get('resourceVersion')).toBe('30');
  });

  it.each([401, 429, 500])('that is refused for now, with %i, goes on from where it was', async (status) => {
    const { api, listed, failure } = await reflect();
    const watch = await listed(5);
    watch.answer(status, {});
    if (status === 401) (await api.next()).answer(status, {});
    await failure();
    expect((await api.next()).query.get('resourceVersion')).toBe('5');
  });
});

describe('failures in a row', () => {
  it('wait longer each time, up to five seconds, and begin anew when something comes', async () => {
    const { api, listed, failure } = await reflect();
    (await listed(5)).answer(500, {});
    const delays = [(await failure()).delay];
    for (let count = 0; count < 6; count += 1) {
      (await api.next()).answer(500, {});
      delays.push((await failure()).delay);
    }
    expect(delays.map((delay) => Math.round(delay / 0.55))).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    const watch = await api.next();
    watch.write(bookmark(6), 'nonsense\n');
    expect(await failure()).toMatchObject({ count: 1 });
  });

  it('wait as long as the server asks', async () => {
    const { api, failure } = await reflect();
    (await api.next()).answer(429, 'busy', { 'retry-after': '30' });
    expect((await failure()).delay).toBe(30_000);
  });
});

describe('a reflector that is stopped', () => {
  it.each([
    ['while it lists', 0],
    ['while it watches', 1],
  ])('ends %s', async (_, lists) => {
    const { api, listed, stop, ended } = await reflect();
    await (lists === 0 ? api.next() : listed(5));
    stop.abort();
    await ended;
    expect(api.count).toBe(lists + 1);
  });

  it('ends while it waits after a failure', async () => {
    const { api, clock, stop, ended } = await reflect();
    (await api.next()).answer(500, {});
    await vi.waitFor(() => expect(clock.timers).toHaveLength(1), { interval: 1 });
    stop.abort();
    await ended;
  });
});

describe('a collection that need not be there', () => {
  const absent = [
    ['is unknown to the cluster', 404],
    ['may not be read', 403],
  ] as const;
  const optional = { optional: true } as const;
  const pause = 30_000;

  it.each(absent)('is empty, and known at once, when it %s', async (_, status) => {
    const { api, failure, held, onSynced } = await reflect(optional);
    (await api.next()).answer(status, {});
    expect((await failure()).error.status).toBe(status);
    expect([held(), onSynced.mock.calls.length]).toEqual([[], 1]);
  });

  it('is looked for again every half a minute while it is unknown to the cluster, and no sooner', async () => {
    const { api, failure, clock } = await reflect(optional);
    const delays: number[] = [];
    for (let count = 0; count < 3; count += 1) {
      (await api.next()).answer(404, {});
      await vi.waitFor(() => expect(clock.timers).toEqual([pause]), { interval: 1 });
      delays.push((await failure()).delay);
    }
    const { query } = await api.next();
    expect([delays, query.has('watch')]).toEqual([[pause, pause, pause], false]);
  });

  it('is looked for soon when it may not be read, and then ever more seldom: an API server that has just started refuses for a moment', async () => {
    const { api, failure, listed } = await reflect(optional);
    const delays: number[] = [];
    for (let count = 0; count < 8; count += 1) {
      (await api.next()).answer(403, {});
      delays.push((await failure()).delay);
    }
    expect(delays).toEqual([550, 1_100, 2_200, 4_400, 8_800, 16_500, 16_500, 16_500]);
    (await listed(5, object('a', 1))).answer(403, {});
    expect((await failure()).delay).toBe(550);
  });

  it('is counted as one failure, however often it is not there', async () => {
    const { api, failure } = await reflect(optional);
    const counts: number[] = [];
    for (let times = 0; times < 3; times += 1) {
      (await api.next()).answer(404, {});
      counts.push((await failure()).count);
    }
    expect(counts).toEqual([1, 1, 1]);
  });

  it('is read and watched when it is installed later, and not told of as known once more', async () => {
    const { api, failure, listed, untilHeld, onSynced } = await reflect(optional);
    (await api.next()).answer(404, {});
    await failure();
    const watch = await listed(5, object('a', 1));
    watch.write(event('ADDED', object('b', 6)));
    await untilHeld('a@1', 'b@6');
    expect([watch.query.get('resourceVersion'), onSynced.mock.calls.length]).toEqual(['5', 1]);
  });

  it.each(absent)('is empty as soon as it %s, after it was there', async (_, status) => {
    const { api, failure, listed, untilHeld } = await reflect(optional);
    const watch = await listed(5, object('a', 1));
    watch.reset();
    await failure();
    (await api.next()).answer(status, {});
    await untilHeld();
    expect((await failure()).delay).toBe(status === 404 ? pause : 550);
  });

  it('takes nothing from the store that is not its own when it is removed', async () => {
    const { api, failure, listed, store, untilHeld } = await reflect({ ...optional, covers: ({ name }) => name !== 'other' });
    store.put({ namespace: 'ns', name: 'other', uid: 'o', resourceVersion: '1' });
    const watch = await listed(5, object('a', 1));
    watch.answer(404, {});
    await failure();
    await untilHeld('other@1');
    expect((await api.next()).query.has('watch')).toBe(false);
  });

  it('is read anew when it is installed once more', async () => {
    const { failure, listed, held } = await reflect(optional);
    const watch = await listed(50, object('a', 40));
    watch.answer(404, {});
    await failure();
    await listed(70, object('a', 60));
    expect(held()).toEqual(['a@60']);
  });

  it.each(absent)('is told of as back, once, after it %s', async (_, status) => {
    const onReturned = vi.fn<() => void>();
    const { failure, listed } = await reflect({ ...optional, onReturned });
    const watch = await listed(50, object('a', 40));
    const before = onReturned.mock.calls.length;
    watch.answer(status, {});
    await failure();
    await listed(70, object('a', 40));
    await vi.waitFor(() => expect([before, onReturned.mock.calls.length]).toEqual([0, 1]), { interval: 1 });
  });

  it.each(absent)('holds what has not changed meanwhile, when for a while it %s', async (_, status) => {
    const { failure, listed, held } = await reflect(optional);
    const watch = await listed(50, object('a', 40));
    watch.answer(status, {});
    await failure();
    await listed(70, object('a', 40));
    expect(held()).toEqual(['a@40']);
  });

  it('that fails for another reason is tried again like any other, and not known', async () => {
    const { api, failure, onSynced } = await reflect(optional);
    (await api.next()).answer(500, {});
    expect([(await failure()).delay < 1_000, onSynced.mock.calls.length]).toEqual([true, 0]);
  });

  it.each(absent)('is not known while it %s, unless it is said that it need not be there', async (_, status) => {
    const { api, failure, onSynced } = await reflect();
    (await api.next()).answer(status, {});
    expect([(await failure()).delay < 1_000, onSynced.mock.calls.length]).toEqual([true, 0]);
  });

  it('ends while it waits to be looked for', async () => {
    const { api, clock, stop, ended } = await reflect(optional);
    (await api.next()).answer(404, {});
    await vi.waitFor(() => expect(clock.timers).toEqual([pause]), { interval: 1 });
    stop.abort();
    await ended;
    expect(clock.timers).toEqual([]);
  });
});
