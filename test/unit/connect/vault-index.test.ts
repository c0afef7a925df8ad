import { describe, expect, it, vi } from 'vitest';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import { Failure } from '../../../src/api/reasons.ts';
import { createVaultIndex } from '../../../src/connect/vault-index.ts';
import { connect } from './connect-server.ts';

const signal = new AbortController().signal;
const second = 1_000;
const listVaults = 'GET /v1/vaults';
const listItems = 'GET /v1/vaults/{vault}/items';

/** An index that has not read anything yet; `requests` tells what it asked since it was asked last: vaults, listings, all. */
async function setUp(
  seed: Seed = {
    vaults: [
      { name: 'Prod', items: [{ title: 'db' }] },
      { name: 'Other', items: [{ title: 'x' }] },
    ],
  },
) {
  const connected = await connect(seed);
  const { server, client, clock } = connected;
  const onChange = vi.fn<() => void>();
  const index = createVaultIndex({ client, clock, onChange });
  return {
    ...connected,
    store: server.store,
    index,
    onChange,
    requests: () => {
      const counts = [server.requests.count(listVaults), server.requests.count(listItems), server.requests.total];
      server.requests.reset();
      return counts;
    },
    /** A refresh after `ms`, and what it asked. */
    refreshAfter: async (ms: number) => {
      clock.advance(ms);
      server.requests.reset();
      await index.refresh(signal);
      return server.requests.count(listItems);
    },
    resolve: (vault: string, item: string) => index.resolve({ vault, item }, signal),
    reasonOf: async (vault: string, item: string) => {
      const error: unknown = await index.resolve({ vault, item }, signal).catch((reason: unknown) => reason);
      return error instanceof Failure ? error.reason : error;
    },
  };
}

describe('finding an item', () => {
  it('asks for the vaults and for one listing, the first time', async () => {
    const { resolve, store, requests, clock } = await setUp();
    const { id } = store.item('Prod', 'db');
    expect(await resolve('Prod', 'db')).toEqual({
      vaultId: store.vault('Prod').id,
      itemId: id,
      absences: 0,
      listed: { version: 1, updatedAt: clock.now(), frozen: false, unchangedFor: 0 },
    });
    expect(requests()).toEqual([1, 1, 2]);
    await resolve('Prod', 'db');
    expect(requests()).toEqual([0, 0, 0]);
  });

  it('makes its vault one of those whose items are counted', async () => {
    const { resolve, index, store } = await setUp();
    const before = index.size;
    await resolve('Prod', 'db');
    store.createItem('Other', { title: 'y' });
    const one = index.size;
    await resolve('Other', 'x');
    expect([before, one, index.size]).toEqual([
      { vaults: 0, items: 0 },
      { vaults: 2, items: 1 },
      { vaults: 2, items: 3 },
    ]);
  });

  it('costs one listing for thousands of titles', async () => {
    const titles = Array.from({ length: 3_000 }, (_, index) => `item ${index}`);
    const { resolve, requests } = await setUp({ vaults: [{ name: 'Prod', items: titles.map((title) => ({ title })) }] });
    const found = await Promise.all(titles.map((title) => resolve('prod', title)));
    expect(new Set(found.map(({ itemId }) => itemId)).size).toBe(3_000);
    expect(requests()).toEqual([1, 1, 2]);
  });

  it('takes vault and item by id or by name, vault names in any case, titles as they are', async () => {
    const { resolve, reasonOf, store } = await setUp();
    const { id: vaultId } = store.vault('Prod');
    const { id } = store.item('Prod', 'db');
    for (const [vault, item] of [
      ['pROD', 'db'],
      [vaultId, 'db'],
      ['Prod', id],
      [vaultId, id],
    ] as const) {
      expect(await resolve(vault, item)).toMatchObject({ vaultId, itemId: id });
    }
    expect(await reasonOf('Prod', 'DB')).toBe('ItemNotFound');
  });

  it('takes the oldest of several vaults of one name, and of several items of one title', async () => {
    const { resolve, store, clock } = await setUp({ vaults: [] });
    const make = <T>(year: number, create: () => T): T => {
      clock.set(Date.UTC(year, 0, 1));
      return create();
    };
    const young = make(2025, () => store.createVault({ name: 'Prod' }));
    const old = make(2020, () => store.createVault({ name: 'PROD' }));
    make(2021, () => store.createItem(young.id, { title: 'db' }));
    const [, oldest] = [2024, 2022, 2023].map((year) => make(year, () => store.createItem(old.id, { title: 'db' })));
    expect(await resolve('prod', 'db')).toMatchObject({ vaultId: old.id, itemId: oldest?.id });
  });

  it('takes an id before a title that looks like it', async () => {
    const id = 'a'.repeat(26);
    const { resolve } = await setUp({ vaults: [{ name: 'Prod', items: [{ title: id }, { id, title: 'db' }] }] });
    expect((await resolve('Prod', id)).itemId).toBe(id);
  });

  it('gives ids that are in no listing as they are: Connect says why they cannot be had', async () => {
    const { resolve, store } = await setUp();
    const [vault, item] = ['v'.repeat(26), 'i'.repeat(26)];
    expect(await resolve(vault, item)).toEqual({ vaultId: vault, itemId: item, listed: undefined, absences: 2 });
    expect(await resolve('Prod', item)).toEqual({ vaultId: store.vault('Prod').id, itemId: item, listed: undefined, absences: 1 });
  });

  it.each([
    ['Nowhere', 'db', 'VaultNotFound'],
    ['Nowhere', 'i'.repeat(26), 'VaultNotFound'],
    ['Prod', 'nothing', 'ItemNotFound'],
    ['Other', 'db', 'ItemNotFound'],
  ])('fails by name for %s/%s: %s', async (vault, item, reason) => {
    const { reasonOf } = await setUp();
    expect(await reasonOf(vault, item)).toBe(reason);
  });

  it('looks for what it misses once more, and then not again for a second', async () => {
    const { resolve, reasonOf, store, clock, requests } = await setUp();
    await resolve('Prod', 'db');
    clock.advance(2 * second);
    store.createItem('Prod', { title: 'new' });
    requests();
    expect(await resolve('Prod', 'new')).toMatchObject({ itemId: store.item('Prod', 'new').id });
    expect(requests()).toEqual([1, 1, 2]);
    for (let count = 0; count < 3; count += 1) expect(await reasonOf('Prod', 'nothing')).toBe('ItemNotFound');
    expect(requests()).toEqual([0, 0, 0]);
  });

  it('does not find an archived item by its title', async () => {
    const { resolve, reasonOf, store, refreshAfter } = await setUp();
    await resolve('Prod', 'db');
    store.archiveItem('Prod', 'db');
    await refreshAfter(10 * second);
    expect(await reasonOf('Prod', 'db')).toBe('ItemNotFound');
  });

  it('says what kept Connect from answering, and recovers', async () => {
    const { resolve, reasonOf, server, clock } = await setUp();
    const fault = server.faults.order({ kind: 'status', status: 401 });
    expect(await reasonOf('Prod', 'db')).toBe('ConnectUnauthorized');
    fault.clear();
    clock.advance(5 * second);
    server.faults.order({ kind: 'status', status: 500, route: listItems, times: 1 });
    expect(await reasonOf('Prod', 'db')).toBe('ConnectUnavailable');
    clock.advance(5 * second);
    expect((await resolve('Prod', 'db')).listed?.version).toBe(1);
  });
});

describe('a refresh', () => {
  it('is one request while nothing changes, however many vaults there are', async () => {
    const { index, resolve, requests, clock, onChange } = await setUp();
    await Promise.all([resolve('Prod', 'db'), resolve('Other', 'x')]);
    onChange.mockClear();
    for (let count = 0; count < 5; count += 1) {
      clock.advance(10 * second);
      requests();
      await index.refresh(signal);
      expect(requests()).toEqual([1, 0, 1]);
    }
    expect(onChange).not.toHaveBeenCalled();
  });

  it('lists the vault that changed and no other, and tells of a version that moved', async () => {
    const { index, resolve, refreshAfter, store, onChange } = await setUp();
    await Promise.all([resolve('Prod', 'db'), resolve('Other', 'x')]);
    onChange.mockClear();
    const { id, vault } = store.setField('Prod', 'db', 'password', 'new');
    expect(await refreshAfter(10 * second)).toBe(1);
    expect(index.listed(vault.id, id)?.version).toBe(2);
    expect(onChange).toHaveBeenCalledTimes(1);
  });

  it('lists a vault whose contentVersion went back, as after a restore', async () => {
    const { server, store, resolve, refreshAfter } = await setUp();
    store.setField('Prod', 'db', 'a', 'b');
    await resolve('Prod', 'db');
    const { id, name, createdAt } = store.vault('Prod');
    server.faults.order({ kind: 'status', status: 200, body: [{ id, name, createdAt, contentVersion: 1 }], route: listVaults, times: 1 });
    expect(await refreshAfter(10 * second)).toBe(1);
  });

  it('does not list a vault of which nothing was asked', async () => {
    const { resolve, refreshAfter, store } = await setUp();
    await resolve('Prod', 'db');
    store.setField('Other', 'x', 'a', 'b');
    expect(await refreshAfter(10 * second)).toBe(0);
  });

  it('lists a vault again for 30 seconds after it changed, since replicas differ', async () => {
    const { resolve, refreshAfter, store } = await setUp();
    await resolve('Prod', 'db');
    store.setField('Prod', 'db', 'a', 'b');
    const listings: number[] = [];
    for (let count = 0; count < 5; count += 1) listings.push(await refreshAfter(10 * second));
    expect(listings).toEqual([1, 1, 1, 0, 0]);
  });

  it('finds what a replica that lagged behind did not list at first', async () => {
    const { index, resolve, refreshAfter, store, server } = await setUp();
    const { vaultId, itemId } = await resolve('Prod', 'db');
    server.faults.order({ kind: 'stale', route: listItems, times: 1 });
    store.setField('Prod', 'db', 'a', 'b');
    await refreshAfter(10 * second);
    expect(index.listed(vaultId, itemId)?.version).toBe(1);
    await refreshAfter(10 * second);
    expect(index.listed(vaultId, itemId)?.version).toBe(2);
  });

  it('lists every vault in use every ten minutes', async () => {
    const { resolve, refreshAfter } = await setUp();
    await Promise.all([resolve('Prod', 'db'), resolve('Other', 'x')]);
    expect(await refreshAfter(599 * second)).toBe(0);
    expect(await refreshAfter(second)).toBe(2);
    expect(await refreshAfter(10 * second)).toBe(0);
  });

  it('tries a listing that failed again, even when nothing changes any more', async () => {
    const { index, resolve, refreshAfter, store, server, clock } = await setUp();
    const { vaultId, itemId } = await resolve('Prod', 'db');
    store.setField('Prod', 'db', 'a', 'b');
    const fault = server.faults.order({ kind: 'status', status: 500, route: listItems });
    await expect(index.refresh(signal)).rejects.toMatchObject({ reason: 'ConnectUnavailable' });
    clock.advance(60 * second);
    await expect(index.refresh(signal)).rejects.toMatchObject({ reason: 'ConnectUnavailable' });
    fault.clear();
    expect(await refreshAfter(10 * second)).toBe(1);
    expect(index.listed(vaultId, itemId)?.version).toBe(2);
  });

  it('brings the other vaults up to date when one cannot be listed', async () => {
    const { index, resolve, store, server, onChange, clock } = await setUp();
    await resolve('Prod', 'db');
    const { vaultId, itemId } = await resolve('Other', 'x');
    store.setField('Prod', 'db', 'a', 'b');
    store.setField('Other', 'x', 'a', 'b');
    store.createVault({ name: 'New' });
    server.faults.order({ kind: 'status', status: 500, path: `/v1/vaults/${store.vault('Prod').id}` });
    clock.advance(10 * second);
    onChange.mockClear();
    await expect(index.refresh(signal)).rejects.toMatchObject({ reason: 'ConnectUnavailable' });
    expect(index.listed(vaultId, itemId)?.version).toBe(2);
    expect(onChange).toHaveBeenCalledTimes(2);
  });

  it('is made once for all who ask for it at a time', async () => {
    const { index, requests } = await setUp();
    await Promise.all([index.refresh(signal), index.refresh(signal), index.refresh(signal)]);
    expect(requests()).toEqual([1, 0, 1]);
  });

  it.each<[string, (store: Awaited<ReturnType<typeof setUp>>['store']) => void, number]>([
    ['a version', (store) => store.setField('Prod', 'db', 'a', 'b'), 1],
    ['a title', (store) => store.updateItem('Prod', 'db', { title: 'renamed', version: 1 }), 1],
    ['an item that came', (store) => store.createItem('Prod', { title: 'new' }), 1],
    ['an item that went', (store) => store.deleteItem('Prod', 'db'), 1],
    ['an item that was archived', (store) => store.archiveItem('Prod', 'db'), 1],
    ['a vault that came', (store) => store.createVault({ name: 'New' }), 1],
    ['a vault that went', (store) => store.deleteVault('Other'), 1],
    ['a vault that was renamed', (store) => store.updateVault('Other', { name: 'Renamed' }), 1],
    ['a description', (store) => store.updateVault('Prod', { description: 'd' }), 0],
  ])('tells of %s, once', async (_, change, calls) => {
    const { resolve, refreshAfter, store, onChange } = await setUp();
    await resolve('Prod', 'db');
    onChange.mockClear();
    change(store);
    await refreshAfter(10 * second);
    await refreshAfter(10 * second);
    expect(onChange).toHaveBeenCalledTimes(calls);
  });
});

it('the version of an item is unknown until its vault is listed, and when the item is gone', async () => {
  const { index, resolve, refreshAfter, store, server } = await setUp();
  const { id, vault } = store.item('Prod', 'db');
  expect(index.listed(vault.id, id)?.version).toBeUndefined();
  await resolve('Prod', 'db');
  expect(index.listed(vault.id, id)?.version).toBe(1);
  const { createdAt, category, title } = store.item('Prod', 'db');
  const archived = { id, title, vault, category, createdAt, version: 1, state: 'ARCHIVED' };
  server.faults.order({ kind: 'status', status: 200, body: [archived], route: listItems });
  store.createItem('Prod', { title: 'another' });
  await refreshAfter(10 * second);
  expect(index.listed(vault.id, id)?.version).toBeUndefined();
});

const locate = async ({ index, store }: Pick<Awaited<ReturnType<typeof setUp>>, 'index' | 'store'>, itemId: string) =>
  (await index.locate(store.vault('Prod').id, itemId, signal)).absences;

/** A vault that was listed, and then lost its item. */
async function lose() {
  const setting = await setUp();
  const { itemId } = await setting.resolve('Prod', 'db');
  setting.store.deleteItem('Prod', 'db');
  return { ...setting, itemId };
}

describe('an item that a listing lacks', () => {
  it('is not looked for again when nobody asks for it', async () => {
    const { refreshAfter } = await lose();
    expect([await refreshAfter(40 * second), await refreshAfter(40 * second)]).toEqual([1, 0]);
  });

  it('is in doubt when somebody asks for it: its vault is listed once more, though nothing changed', async () => {
    const { itemId, refreshAfter, ...setting } = await lose();
    const absences = [await locate(setting, itemId)];
    const listings: number[] = [];
    setting.clock.advance(60 * second);
    for (let count = 0; count < 3; count += 1) {
      listings.push(await refreshAfter(40 * second));
      absences.push(await locate(setting, itemId));
    }
    expect([absences, listings]).toEqual([
      [0, 1, 2, 2],
      [1, 1, 0],
    ]);
  });

  it('is no longer absent when it is back', async () => {
    const { itemId, refreshAfter, ...setting } = await lose();
    await refreshAfter(40 * second);
    expect(await locate(setting, itemId)).toBe(1);
    setting.store.createItem('Prod', { id: itemId, title: 'db' });
    await refreshAfter(40 * second);
    expect(await locate(setting, itemId)).toBe(0);
  });

  it('is absent as can be when the token does not reach its vault', async () => {
    const { index } = await setUp();
    expect(await index.locate('v'.repeat(26), 'i'.repeat(26), signal)).toMatchObject({ listed: undefined, absences: 2 });
  });
});

describe('what is listed of an item', () => {
  it('tells for how long all listings have given its version', async () => {
    const { resolve, refreshAfter, store } = await setUp();
    const unchangedFor = async (): Promise<number | undefined> => (await resolve('Prod', 'db')).listed?.unchangedFor;
    const times = [await unchangedFor()];
    for (const change of ['nothing', 'another', 'it', 'nothing'] as const) {
      if (change === 'another') store.createItem('Prod', { title: 'new' });
      if (change === 'it') store.setField('Prod', 'db', 'a', 'b');
      await refreshAfter(600 * second);
      times.push(await unchangedFor());
    }
    expect(times).toEqual([0, 600 * second, 1_200 * second, 0, 600 * second]);
  });

  it('does not grow older between listings', async () => {
    const { resolve, refreshAfter } = await setUp();
    await resolve('Prod', 'db');
    await refreshAfter(599 * second);
    expect((await resolve('Prod', 'db')).listed?.unchangedFor).toBe(0);
  });

  it('tells that it is frozen by its tag, and that it came and went', async () => {
    const { index, resolve, refreshAfter, store, onChange } = await setUp();
    const { vaultId, itemId } = await resolve('Prod', 'db');
    onChange.mockClear();
    const frozen = [index.listed(vaultId, itemId)?.frozen];
    for (const tags of [['other', 'operator.1password.io:ignore-secret'], ['operator.1password.io:ignore-secret:not'], []]) {
      store.updateItem('Prod', 'db', { tags, version: 1 });
      await refreshAfter(40 * second);
      frozen.push(index.listed(vaultId, itemId)?.frozen);
    }
    expect([frozen, onChange.mock.calls.length]).toEqual([[false, true, false, false], 2]);
  });
});

describe('a vault that is forbidden', () => {
  it('is asked for again at each refresh, though nothing changes, until it may be listed', async () => {
    const { resolve, refreshAfter, store, server, reasonOf } = await setUp();
    await resolve('Prod', 'db');
    store.setField('Prod', 'db', 'a', 'b');
    const fault = server.faults.order({ kind: 'status', status: 403, path: `/v1/vaults/${store.vault('Prod').id}` });
    const listings: number[] = [];
    for (let count = 0; count < 4; count += 1) {
      if (count === 3) fault.clear();
      listings.push(await refreshAfter(40 * second));
    }
    listings.push(await refreshAfter(40 * second));
    expect([listings, await reasonOf('Prod', 'nothing')]).toEqual([[1, 1, 1, 1, 0], 'ItemNotFound']);
  });

  it('is listed at the next refresh when an item of it was refused, though nothing changed', async () => {
    const { client, resolve, refreshAfter, server } = await setUp();
    const { vaultId, itemId } = await resolve('Prod', 'db');
    server.faults.order({ kind: 'status', status: 403, times: 1 });
    await client.getItem(vaultId, itemId, signal).catch(() => {});
    expect([await refreshAfter(5 * second), await refreshAfter(5 * second)]).toEqual([1, 0]);
  });

  it('is listed when it is back in the list, having been refused while it was not there', async () => {
    const { client, resolve, refreshAfter, store, server } = await setUp();
    const { vaultId, itemId } = await resolve('Prod', 'db');
    const { id, name, createdAt } = store.vault('Other');
    server.faults.order({ kind: 'status', status: 200, body: [{ id, name, createdAt, contentVersion: 1 }], route: listVaults, times: 1 });
    await refreshAfter(5 * second);
    server.faults.order({ kind: 'status', status: 403, times: 1 });
    await client.getItem(vaultId, itemId, signal).catch(() => {});
    expect([await refreshAfter(5 * second), await refreshAfter(5 * second)]).toEqual([1, 0]);
    expect(client.vaultOutage(vaultId)).toBe(undefined);
  });

  it('is asked for no more than once in five seconds', async () => {
    const { resolve, refreshAfter, store, server } = await setUp();
    await resolve('Prod', 'db');
    store.setField('Prod', 'db', 'a', 'b');
    server.faults.order({ kind: 'status', status: 403, path: `/v1/vaults/${store.vault('Prod').id}` });
    const listings: number[] = [];
    for (let count = 0; count < 8; count += 1) listings.push(await refreshAfter(2 * second));
    expect(listings).toEqual([1, 0, 0, 1, 0, 0, 1, 0]);
  });

  it('keeps nobody else from being listed', async () => {
    const { index, resolve, refreshAfter, store, server } = await setUp();
    await resolve('Prod', 'db');
    const { vaultId, itemId } = await resolve('Other', 'x');
    store.setField('Prod', 'db', 'a', 'b');
    store.setField('Other', 'x', 'a', 'b');
    server.faults.order({ kind: 'status', status: 403, path: `/v1/vaults/${store.vault('Prod').id}` });
    await refreshAfter(40 * second);
    expect(index.listed(vaultId, itemId)?.version).toBe(2);
  });
});

describe('what is not found', () => {
  const items = ['DB', 'db-main', 'website'].map((title) => ({ title }));
  const messageOf = async (vault: string, item: string): Promise<unknown> => {
    const { index } = await setUp({ vaults: [{ name: 'prod', items }, { name: 'Prod-EU' }] });
    return await index.resolve({ vault, item }, signal).catch((error: unknown) => error instanceof Failure && error.message);
  };

  it.each([
    ['PROD', 'db', 'item "db" not found in vault "prod" (2 similar: "DB", "db-main"); check spec.itemPath'],
    ['prod', 'web site', 'item "web site" not found in vault "prod" (1 similar: "website"); check spec.itemPath'],
    ['prod', 'nothing', 'item "nothing" not found in vault "prod"; check spec.itemPath'],
    ['prd', 'db', `vault "prd" not found among those the token reaches (1 similar: "prod"); check spec.itemPath and the token's vaults`],
    ['nowhere', 'db', `vault "nowhere" not found among those the token reaches; check spec.itemPath and the token's vaults`],
  ])('is said with what is similar: %s/%s', async (vault, item, message) => {
    expect(await messageOf(vault, item)).toBe(message);
  });
});
