import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Item } from '../../dev/connect-server/item.ts';
import { annotations } from '../../src/api/names.ts';
import { type ReadItem, type ReadSecret, readiness, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const optedIn = { [annotations.autoRestart]: 'true' };

/** Titles that a decoder, a filter, a trim or a router would mistake for another one; each has its own item. */
const titles = [
  'db',
  'DB',
  '100%',
  '100%25',
  'a/b',
  'a%2Fb',
  'a+b',
  'a b',
  'padded',
  ' padded',
  'padded ',
  'he said "hi"',
  String.raw`he said \"hi\"`,
  String.raw`C:\new`,
  'C:\new',
  'title eq "db"',
  'ключ 鍵 🔑',
  'caf\u00e9',
  'cafe\u0301',
  'one/items/two',
  'vaults/Prod/items/db',
  '../../../heartbeat',
  'db?filter=x#y',
  '/',
  '__proto__',
  'constructor',
];

let scenario: Scenario;

beforeAll(async () => {
  const items = titles.map((title) => ({ title, fields: [{ label: 'password', value: `of ${title}` }] }));
  scenario = await startScenario({
    seed: { vaults: [{ name: 'Prod', items }, { name: 'Other' }, { name: 'Team/Äpfel "A" 100%25', items: [{ title: 'x' }] }] },
  });
});

afterAll(() => scenario?.end());

/** Makes an item with one value. */
function add(vault: string, title: string, value: string, rest: { id?: string; createdAt?: string; version?: number } = {}): Item {
  return scenario.connect.store.createItem(vault, { title, fields: [{ label: 'password', value }], ...rest });
}

/** Makes a resource for `itemPath`, and waits until it is in sync. */
async function claim(name: string, itemPath: string, extra: { annotations?: object } = {}): Promise<ReadItem> {
  await scenario.namespace.createItem(name, itemPath, extra);
  return untilReadiness(scenario.namespace, name, 'True');
}

async function setPath(name: string, itemPath: string): Promise<void> {
  await scenario.namespace.patchItem(name, { spec: { itemPath } });
}

/** Waits until the Secret holds `value`, and its resource says that it is in sync with the item that has it. */
async function untilValue(name: string, value: string, { id }: Item): Promise<ReadSecret> {
  return eventually(`Secret ${name} to hold ${value}`, async () => {
    const [secret, item] = await Promise.all([scenario.namespace.secret(name), scenario.namespace.item(name)]);
    const inSync =
      readiness(item) === 'True' && item?.status?.item?.id === id && item.status.observedGeneration === item.metadata.generation;
    return secret?.values['password'] === value && inSync ? secret : undefined;
  });
}

async function secretOf(name: string): Promise<ReadSecret> {
  const secret = await scenario.namespace.secret(name);
  if (secret === undefined) throw new Error(`no Secret ${name}`);
  return secret;
}

async function passwordOf(name: string): Promise<string | undefined> {
  return (await secretOf(name)).values['password'];
}

/** When the value of the Secret last changed; undefined while it never has. */
function revisionOf({ metadata }: ReadSecret): number | undefined {
  return (JSON.parse(metadata.annotations?.[annotations.revisions] ?? '{}') as Record<string, number>)['password'];
}

/**
 * Makes a vault, an item in it, a resource for its title, and then an older item of that title with a higher version. `listing` and `path`
 * are where Connect has the vault's items, and the one that was found.
 */
async function claimWithHeir(
  name: string,
): Promise<{ readonly item: Item; readonly heir: Item; readonly listing: string; readonly path: string }> {
  const { id: vault } = scenario.connect.store.createVault({ name: `Vault of ${name}` });
  const item = add(vault, name, 'first');
  await claim(name, `vaults/Vault of ${name}/items/${name}`);
  const heir = add(vault, name, 'of the heir', { createdAt: '2020-01-01T00:00:00Z', version: 9 });
  await untilListed(vault);
  const listing = `/v1/vaults/${vault}/items`;
  return { item, heir, listing, path: `${listing}/${item.id}` };
}

let witnesses = 0;

/** Waits until the operator has listed the vault as it is now, and has acted upon it: a new item in it has become a Secret. */
async function untilListed(vault: string): Promise<void> {
  witnesses += 1;
  const name = `witness-${witnesses}`;
  const { vault: of } = add(vault, name, 'seen');
  await claim(name, `vaults/${of.id}/items/${name}`);
}

describe('an item is named', () => {
  it.each(titles.map((title, index) => [title, index] as const))('by its title as it is: %j', async (title, index) => {
    await claim(`title-${index}`, `vaults/Prod/items/${title}`);
    expect(await passwordOf(`title-${index}`)).toBe(`of ${title}`);
  });

  it('by its id, and a title that looks the same comes after it', async () => {
    const id = 'a'.repeat(26);
    add('Prod', id, 'by title', { createdAt: '2020-01-01T00:00:00Z' });
    add('Prod', 'of that id', 'by id', { id });
    await claim('id-first', `vaults/Prod/items/${id}`);
    expect(await passwordOf('id-first')).toBe('by id');
  });

  it('by a title that looks like an id, when no item has that id', async () => {
    const title = 'b'.repeat(26);
    add('Prod', title, 'by title');
    await claim('id-like', `vaults/Prod/items/${title}`);
    expect(await passwordOf('id-like')).toBe('by title');
  });

  it('by the title of several, and the oldest is meant', async () => {
    for (const year of [2024, 2022, 2023]) add('Prod', 'several', `of ${year}`, { createdAt: `${year}-01-01T00:00:00Z` });
    await claim('several', 'vaults/Prod/items/several');
    expect(await passwordOf('several')).toBe('of 2022');
  });
});

describe('a vault is named', () => {
  it.each([
    ['in any case', 'pROD'],
    ['by its id', undefined],
  ])('%s', async (how, name) => {
    const { id } = scenario.connect.store.vault('Prod');
    const resource = `vault-${how.replaceAll(' ', '-')}`;
    await claim(resource, `vaults/${name ?? id}/items/db`);
    expect(await passwordOf(resource)).toBe('of db');
  });

  it('with slashes, quotes, percent signs and letters beyond ASCII', async () => {
    add('Team/Äpfel "A" 100%25', 'y', 'of the team');
    await claim('vault-odd', 'vaults/team/äPFEL "a" 100%25/items/y');
    expect(await passwordOf('vault-odd')).toBe('of the team');
  });

  it('by its id, and a name that looks the same comes after it', async () => {
    const { store } = scenario.connect;
    const id = 'c'.repeat(26);
    const named = store.createVault({ name: id, createdAt: '2020-01-01T00:00:00Z' });
    store.createVault({ id, name: 'Of that id' });
    add(named.id, 'db', 'by name');
    add(id, 'db', 'by id');
    await claim('vault-id-first', `vaults/${id}/items/db`);
    expect(await passwordOf('vault-id-first')).toBe('by id');
  });

  it('by the name of several, and the oldest is meant', async () => {
    const { store } = scenario.connect;
    for (const [name, year] of [
      ['Twin', 2024],
      ['TWIN', 2022],
      ['twin', 2023],
    ] as const) {
      add(store.createVault({ name, createdAt: `${year}-01-01T00:00:00Z` }).id, 'db', `of ${year}`);
    }
    await claim('vault-twin', 'vaults/Twin/items/db');
    expect(await passwordOf('vault-twin')).toBe('of 2022');
  });
});

describe.concurrent('an item that was found stays the one', () => {
  it('when it is renamed', async () => {
    const { store } = scenario.connect;
    const item = add('Prod', 'renamed', 'first');
    await claim('renamed', 'vaults/Prod/items/renamed');
    const before = await secretOf('renamed');
    store.renameItem('Prod', item.id, 'renamed since');
    store.setField('Prod', item.id, 'password', 'second');
    expect((await untilValue('renamed', 'second', item)).metadata.uid).toBe(before.metadata.uid);
  });

  it('when a new item takes its old title', async () => {
    const { store } = scenario.connect;
    const item = add('Prod', 'reused', 'first');
    await claim('reused', 'vaults/Prod/items/reused');
    store.renameItem('Prod', item.id, 'reused since');
    add('Prod', 'reused', 'of the new item');
    await untilListed('Prod');
    expect(await passwordOf('reused')).toBe('first');
    store.setField('Prod', item.id, 'password', 'second');
    await untilValue('reused', 'second', item);
  });

  it('when an older item of the same title turns up', async () => {
    const { store } = scenario.connect;
    const item = add('Prod', 'overtaken', 'first');
    await claim('overtaken', 'vaults/Prod/items/overtaken');
    add('Prod', 'overtaken', 'of the older item', { createdAt: '2020-01-01T00:00:00Z' });
    await untilListed('Prod');
    expect(await passwordOf('overtaken')).toBe('first');
    store.setField('Prod', item.id, 'password', 'second');
    await untilValue('overtaken', 'second', item);
  });

  it('when its vault is renamed, and another one takes the old name', async () => {
    const { store } = scenario.connect;
    const vault = store.createVault({ name: 'Stage' });
    const item = add(vault.id, 'db', 'first');
    await claim('vault-renamed', 'vaults/Stage/items/db');
    store.renameVault(vault.id, 'Stage since');
    add(store.createVault({ name: 'Stage', createdAt: '2020-01-01T00:00:00Z' }).id, 'db', 'of the new vault');
    await untilListed(vault.id);
    expect(await passwordOf('vault-renamed')).toBe('first');
    store.setField(vault.id, item.id, 'password', 'second');
    await untilValue('vault-renamed', 'second', item);
  });

  it('when Connect answers 404 for it while the listings have it', async () => {
    const { connect } = scenario;
    const { item, path } = await claimWithHeir('flickering');
    const fault = connect.faults.order({ kind: 'status', status: 404, path });
    connect.store.setField(item.vault.id, item.id, 'password', 'second');
    await eventually('the item to be asked for', () => (fault.hits > 0 ? true : undefined));
    await untilListed(item.vault.id);
    expect(await passwordOf('flickering')).toBe('first');
    fault.clear();
    await untilValue('flickering', 'second', item);
  });

  it('when the listings lack it while Connect answers for it', async () => {
    const { connect } = scenario;
    const { item, heir, listing } = await claimWithHeir('unlisted');
    const { id, title, vault, category, version, createdAt } = heir;
    const body = [{ id, title, vault, category, version, createdAt }];
    const fault = connect.faults.order({ kind: 'status', status: 200, body, route: 'GET /v1/vaults/{vault}/items', path: listing });
    for (const hits of [1, 2, 3]) {
      connect.store.setField(vault.id, id, 'unrelated', String(hits));
      await eventually('a listing', () => (fault.hits >= hits ? true : undefined));
    }
    expect(await passwordOf('unlisted')).toBe('first');
    fault.clear();
    connect.store.setField(vault.id, item.id, 'password', 'second');
    await untilValue('unlisted', 'second', item);
  });

  it('when its path is written in another way, and that rotates nothing', async () => {
    const item = add('Prod', 'respelled', 'first');
    await claim('respelled', 'vaults/Prod/items/respelled');
    await setPath('respelled', `vaults/${item.vault.id}/items/${item.id}`);
    expect(revisionOf(await untilValue('respelled', 'first', item))).toBeUndefined();
  });
});

it('an item that was found stays the one for an operator that starts when its title is taken', async () => {
  const { store } = scenario.connect;
  const item = add('Prod', 'remembered', 'first');
  await claim('remembered', 'vaults/Prod/items/remembered');
  await scenario.stopOperator();
  store.renameItem('Prod', item.id, 'remembered since');
  add('Prod', 'remembered', 'of the new item');
  await scenario.restartOperator();
  await untilListed('Prod');
  expect(await passwordOf('remembered')).toBe('first');
  store.setField('Prod', item.id, 'password', 'second');
  await untilValue('remembered', 'second', item);
});

describe.concurrent('an item that is gone', () => {
  it('is followed by the one made under the same title, in the same Secret', async () => {
    const { store } = scenario.connect;
    add('Prod', 'remade', 'first');
    await claim('remade', 'vaults/Prod/items/remade');
    const before = await secretOf('remade');
    store.deleteItem('Prod', 'remade');
    const after = await untilValue('remade', 'second', add('Prod', 'remade', 'second'));
    expect(after.metadata.uid).toBe(before.metadata.uid);
    expect(revisionOf(after)).toBeDefined();
  });

  it('is followed by the next oldest of its title', async () => {
    const { store } = scenario.connect;
    const [oldest, , next] = [2021, 2023, 2022].map((year) => add('Prod', 'heirs', `of ${year}`, { createdAt: `${year}-01-01T00:00:00Z` }));
    if (oldest === undefined || next === undefined) throw new Error('three items were made');
    await claim('heirs', 'vaults/Prod/items/heirs');
    expect(await passwordOf('heirs')).toBe('of 2021');
    store.deleteItem('Prod', oldest.id);
    await untilValue('heirs', 'of 2022', next);
  });

  it('leaves its Secret as it is until there is another one', async () => {
    const { namespace, connect } = scenario;
    add('Prod', 'missed', 'first');
    await claim('missed', 'vaults/Prod/items/missed');
    const before = await secretOf('missed');
    connect.store.deleteItem('Prod', 'missed');
    await untilReadiness(namespace, 'missed', 'ItemNotFound');
    expect((await secretOf('missed')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    const after = await untilValue('missed', 'second', add('Prod', 'missed', 'second'));
    expect(after.metadata.uid).toBe(before.metadata.uid);
  });

  it('is not followed by another of its title when it was named by its id', async () => {
    const { namespace, connect } = scenario;
    const { id, vault } = add('Prod', 'by-id', 'first');
    await claim('by-id', `vaults/${vault.id}/items/${id}`);
    const before = await secretOf('by-id');
    connect.store.deleteItem('Prod', id);
    add('Prod', 'by-id', 'of the new item');
    await untilReadiness(namespace, 'by-id', 'ItemNotFound');
    await untilListed('Prod');
    expect(readiness(await namespace.item('by-id'))).toBe('ItemNotFound');
    expect((await secretOf('by-id')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });

  it('is the same again when it was archived and is restored, and that rotates nothing', async () => {
    const { namespace, connect } = scenario;
    const item = add('Prod', 'archived', 'first');
    await claim('archived', 'vaults/Prod/items/archived');
    const before = await secretOf('archived');
    connect.store.archiveItem('Prod', item.id);
    await untilReadiness(namespace, 'archived', 'ItemNotFound');
    expect((await secretOf('archived')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    connect.store.restoreItem('Prod', item.id);
    const after = await untilValue('archived', 'first', item);
    expect([after.metadata.uid, revisionOf(after)]).toEqual([before.metadata.uid, undefined]);
  });

  it('is found in the vault it was moved to once the path says so, and that rotates nothing', async () => {
    const { namespace, connect } = scenario;
    add('Prod', 'moved', 'first');
    await claim('moved', 'vaults/Prod/items/moved');
    const before = await secretOf('moved');
    const moved = connect.store.moveItem('Prod', 'Other', 'moved');
    await untilReadiness(namespace, 'moved', 'ItemNotFound');
    expect((await secretOf('moved')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    await setPath('moved', 'vaults/Other/items/moved');
    const after = await untilValue('moved', 'first', moved);
    expect([after.metadata.uid, revisionOf(after)]).toEqual([before.metadata.uid, undefined]);
  });
});

describe.concurrent('another spec.itemPath', () => {
  it.each([
    ['item', 'Prod'],
    ['vault', 'Other'],
  ])('brings the values of another %s into the same Secret, in one rotation', async (what, vault) => {
    const name = `another-${what}`;
    add('Prod', `${name} before`, 'first');
    const item = add(vault, `${name} after`, 'second');
    await claim(name, `vaults/Prod/items/${name} before`);
    const before = await secretOf(name);
    await setPath(name, `vaults/${vault}/items/${name} after`);
    const after = await untilValue(name, 'second', item);
    expect(after.metadata.uid).toBe(before.metadata.uid);
    expect(revisionOf(after)).toBeGreaterThan(0);
    await untilListed('Prod');
    await untilListed(vault);
    expect((await secretOf(name)).metadata.resourceVersion).toBe(after.metadata.resourceVersion);
  });

  it('rolls a consumer once', async (context) => {
    requireFeature(context, 'pods');
    const { namespace } = scenario;
    add('Prod', 'rolled before', 'first');
    const item = add('Prod', 'rolled after', 'second');
    await claim('rolled', 'vaults/Prod/items/rolled before', { annotations: optedIn });
    await namespace.createDeployment('rolled', 'rolled');
    await untilRolledOut(namespace, 'rolled');
    await setPath('rolled', 'vaults/Prod/items/rolled after');
    await untilValue('rolled', 'second', item);
    await eventually('a second ReplicaSet', async () => ((await namespace.replicaSets('rolled')) === 2 ? true : undefined));
    await untilRolledOut(namespace, 'rolled');
    await untilListed('Prod');
    expect(await namespace.replicaSets('rolled')).toBe(2);
  });

  it('that leads nowhere leaves the Secret as it is, and going back rotates nothing', async () => {
    const { namespace } = scenario;
    const item = add('Prod', 'astray', 'first');
    await claim('astray', 'vaults/Prod/items/astray');
    const before = await secretOf('astray');
    await setPath('astray', 'vaults/Prod/items/no such title');
    await untilReadiness(namespace, 'astray', 'ItemNotFound');
    await setPath('astray', 'vaults/Prod/items/astray');
    const after = await untilValue('astray', 'first', item);
    expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });

  it('is looked up anew, whatever the item of the path before is called now', async () => {
    const { store } = scenario.connect;
    const item = add('Prod', 'first name', 'first');
    await claim('looked-up', 'vaults/Prod/items/first name');
    store.renameItem('Prod', item.id, 'second name');
    const heir = add('Prod', 'first name', 'of the new item');
    await untilListed('Prod');
    await setPath('looked-up', 'vaults/prod/items/first name');
    await untilValue('looked-up', 'of the new item', heir);
    expect(await passwordOf('looked-up')).toBe('of the new item');
    await setPath('looked-up', 'vaults/prod/items/second name');
    await untilValue('looked-up', 'first', item);
  });
});
