import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ItemStatus } from '../../../src/api/onepassword-item.ts';
import { Failure } from '../../../src/api/reasons.ts';
import { createVaultIndex, type ItemLocation } from '../../../src/connect/vault-index.ts';
import { createItemSource } from '../../../src/controllers/item-source.ts';
import { createVaultAccess } from '../../../src/controllers/vault-access.ts';
import type { SecretClaim } from '../../../src/domain/secret-plan.ts';
import type { VaultPolicy } from '../../../src/domain/vault-policy.ts';
import { connect } from '../connect/connect-server.ts';
import { unreadAudit } from '../../support/audit.ts';
import { eventually } from '../../support/eventually.ts';

const signal = new AbortController().signal;
const prod = 'p'.repeat(26);
const twin = 't'.repeat(26);
const secret = 's'.repeat(26);
const none = 'n'.repeat(26);
const seed = {
  vaults: [
    { id: twin, name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'twin' }] }] },
    { id: prod, name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'prod' }] }] },
    { id: secret, name: 'Secret', items: [{ title: 'db', fields: [{ label: 'password', value: 'secret' }] }] },
  ],
};

const claim = (itemPath: string, item?: Omit<ItemStatus, 'path' | 'version'>, namespace = 'shop'): SecretClaim => ({
  namespace,
  name: 'db',
  owner: { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'u' },
  generation: 1,
  type: undefined,
  itemPath,
  copied: { labels: {}, annotations: {} },
  record: item === undefined ? {} : { item: { path: itemPath, version: 1, ...item } },
});

async function setUp(vaults: readonly string[] | undefined, read = true) {
  const { server, client, clock } = await connect(seed);
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  if (read) await index.refresh(signal);
  const rules = new Map<string, readonly string[]>();
  if (vaults !== undefined) rules.set('shop', vaults);
  const policy = (): VaultPolicy => [...rules].map(([namespace, allowed]) => ({ namespaces: [namespace], vaults: allowed }));
  const refusals: string[] = [];
  const access = createVaultAccess({ index, policy, onRefusal: ({ itemPath = '' }) => refusals.push(itemPath) });
  const source = createItemSource({ connect: client, index, access, settings: { allowEmptyValues: false }, audit: unreadAudit });
  server.requests.reset();
  return {
    server,
    client,
    source,
    refusals,
    idOf: (vault: string): string => server.store.item(vault, 'db').id,
    allow: (names: readonly string[], namespace = 'shop') => void rules.set(namespace, names),
    refresh: () => index.refresh(signal),
    /** The version of an item that a claim gets, or the failure. */
    fetch: async (of: SecretClaim, location: ItemLocation): Promise<number | Failure> => {
      try {
        return (await source.fetch(of, location, signal)).version;
      } catch (error) {
        if (error instanceof Failure) return error;
        throw error;
      }
    },
    /** The vault that an item is found in, or the failure. */
    locate: async (of: SecretClaim): Promise<string | Failure> => {
      try {
        return (await source.locate(of, signal)).vaultId;
      } catch (error) {
        if (error instanceof Failure) return error;
        throw error;
      }
    },
  };
}

const denied = { reason: 'VaultNotAllowed' };

describe('a vault that the policy allows', () => {
  it.each([
    ['by name', ['secret'], 'vaults/Secret/items/db', secret],
    ['by name, asked for by id', ['secret'], `vaults/${secret}/items/db`, secret],
    ['by id', [secret], `vaults/${secret}/items/db`, secret],
    ['by id, asked for by name', [secret], 'vaults/SECRET/items/db', secret],
    ['by id, beside another of its name', [prod], 'vaults/Prod/items/db', prod],
    ['by id, beside another of its name that is not allowed', [twin], 'vaults/Prod/items/db', twin],
  ])('%s is read', async (_, vaults, path, expected) => {
    const { locate } = await setUp(vaults);
    expect(await locate(claim(path))).toBe(expected);
  });

  it('is found before anything has been read of Connect', async () => {
    const { locate } = await setUp([secret], false);
    expect(await locate(claim('vaults/Secret/items/db'))).toBe(secret);
  });

  it('may be said not to be there', async () => {
    const { locate } = await setUp(['Gone']);
    expect(await locate(claim('vaults/gone/items/db'))).toMatchObject({ reason: 'VaultNotFound' });
  });
});

describe('a namespace that may read something else', () => {
  it('gets one and the same answer for what is there and what is not, by name and by id, and nothing is asked for it', async () => {
    const { server, source, locate, idOf } = await setUp(['Prod']);
    const paths = ['Secret', 'secret', 'Secrets', 'Nothing', secret, none].flatMap((vault) =>
      ['db', 'nothing', idOf('Secret'), none].map((item) => `vaults/${vault}/items/${item}`),
    );
    const answers = await Promise.all(paths.map((path) => locate(claim(path))));
    const said = new Set(answers.map((answer) => (answer instanceof Failure ? inspect(answer).split('\n    at ')[0] : answer)));
    expect(said.size).toBe(1);
    expect(answers[0]).toMatchObject(denied);
    expect(server.requests.total).toBe(0);
    expect(paths.map((path) => source.listed(claim(path)))).toEqual(paths.map(() => undefined));
  });

  it('gets it for the other vault of a name, by its id', async () => {
    const { locate } = await setUp([prod]);
    expect(await locate(claim(`vaults/${twin}/items/db`))).toMatchObject(denied);
  });

  it('gets nothing by ids in a status, whoever wrote them', async () => {
    const { server, locate, source, idOf } = await setUp(['Prod']);
    const pins = [
      { vaultId: secret, id: idOf('Secret') },
      { vaultId: secret, id: none },
      { vaultId: none, id: none },
    ];
    for (const pin of pins) {
      const of = claim('vaults/Elsewhere/items/db', pin);
      expect(await locate(of)).toMatchObject(denied);
      expect(source.listed(of)).toBeUndefined();
    }
    expect(server.requests.total).toBe(0);
  });

  it('learns nothing of an outage, of all or of the vault', async () => {
    const { server, client, locate, source } = await setUp(['Prod']);
    server.faults.order({ kind: 'status', status: 403, times: 1 });
    await client.listItems(secret, signal).catch(() => {});
    expect(client.outage(secret)).toBeDefined();
    expect(source.outage(claim('vaults/Secret/items/db', { vaultId: secret, id: none }))).toBeUndefined();
    server.faults.order({ kind: 'status', status: 401 });
    await client.listVaults(signal).catch(() => {});
    expect(source.outage(claim('vaults/Secret/items/db'))).toBeUndefined();
    expect(await locate(claim('vaults/Secret/items/db'))).toMatchObject(denied);
  });

  it('waits for the list of vaults like everybody else, whatever it asks for', async () => {
    const { server, locate } = await setUp(['Prod'], false);
    server.faults.order({ kind: 'status', status: 401 });
    const answers = [await locate(claim('vaults/Secret/items/db')), await locate(claim('vaults/Nothing/items/db'))];
    expect(answers.map((answer) => (answer instanceof Failure ? answer.message : answer))).toEqual([
      expect.stringContaining('401'),
      (answers[0] as Failure).message,
    ]);
  });

  it('is told of names that look alike among its own vaults alone', async () => {
    const { locate } = await setUp(['Secre', 'Prod', 'Prodd']);
    expect(await locate(claim('vaults/Secre/items/db'))).toMatchObject({ message: expect.not.stringContaining('Secret') as string });
    expect(await locate(claim('vaults/Prodd/items/db'))).toMatchObject({ message: expect.stringContaining('"Prod"') as string });
  });
});

describe('a namespace that may read nothing', () => {
  it('is told so without a look at Connect', async () => {
    const { server, locate } = await setUp(undefined, false);
    expect(await locate(claim('vaults/Secret/items/db'))).toMatchObject(denied);
    expect(server.requests.total).toBe(0);
  });

  it('is told first of a path that has another form', async () => {
    const { locate } = await setUp(undefined);
    expect(await locate(claim('Secret/db'))).toMatchObject({ reason: 'InvalidItemPath' });
  });
});

describe('a vault that is no longer allowed', () => {
  it('is refused from then on, though the status names it', async () => {
    const { locate, allow, idOf } = await setUp(['Secret']);
    const of = claim('vaults/Secret/items/db', { vaultId: secret, id: idOf('Secret') });
    expect(await locate(of)).toBe(secret);
    allow(['Prod']);
    expect(await locate(of)).toMatchObject(denied);
  });

  it('since it has another name now, is not read by the ids in the status', async () => {
    const { server, locate, refresh, idOf } = await setUp(['Secret']);
    const of = claim('vaults/Secret/items/db', { vaultId: secret, id: idOf('Secret') });
    server.store.renameVault(secret, 'Elsewhere');
    await refresh();
    expect(await locate(of)).toMatchObject(denied);
  });

  it('does not give way to an allowed one of its name', async () => {
    const { locate, idOf } = await setUp([twin]);
    expect(await locate(claim('vaults/Prod/items/db', { vaultId: prod, id: idOf(prod) }))).toMatchObject(denied);
  });
});

describe('a policy that changes between the look at an item and its use', () => {
  const path = 'vaults/Secret/items/db';
  const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';

  async function located() {
    const setting = await setUp(['Secret']);
    const location = await setting.source.locate(claim(path), signal);
    setting.server.requests.reset();
    return { ...setting, location };
  }

  it('keeps the item from being asked for', async () => {
    const { server, fetch, allow, location } = await located();
    allow(['Prod']);
    expect(await fetch(claim(path), location)).toMatchObject(denied);
    expect(server.requests.total).toBe(0);
  });

  it.each([
    ['an answer', { kind: 'latency', ms: 200 }, 'version 1'],
    ['a failure', { kind: 'status', status: 404 }, 'ItemNotFound'],
  ] as const)('keeps %s that is under way from whom it denies, and from nobody else', async (_, fault, expected) => {
    const { server, fetch, allow, location, refusals } = await located();
    server.faults.order({ kind: 'latency', ms: 200, route: itemRoute });
    server.faults.order({ ...fault, route: itemRoute });
    const other = { ...claim(path, undefined, 'office'), owner: { ...claim(path).owner, uid: 'other' } };
    allow(['Secret'], 'office');
    const answers = [fetch(claim(path), location), fetch(other, location)];
    await eventually('the item to be asked for', () => (server.requests.count(itemRoute) === 1 ? true : undefined));
    allow(['Prod']);
    const [refused, served] = await Promise.all(answers);
    expect(refused).toMatchObject(denied);
    expect(served instanceof Failure ? served.reason : `version ${served}`).toBe(expected);
    expect(refusals).toEqual([path]);
    expect(server.requests.count(itemRoute)).toBe(1);
  });
});

describe('an item that was renamed, while another one has its title', () => {
  const path = 'vaults/Secret/items/db';

  async function renamed(read: boolean) {
    const setting = await setUp(['Secret'], read);
    const id = setting.idOf('Secret');
    const { store } = setting.server;
    store.renameItem('Secret', 'db', 'db-legacy');
    store.createItem('Secret', { title: 'db' });
    const locateItem = async (): Promise<string> => (await setting.source.locate(claim(path, { vaultId: secret, id }), signal)).itemId;
    return { ...setting, id, locateItem };
  }

  it('is the one that is read by a policy that names its vault, before anything has been read of Connect', async () => {
    const { id, locateItem } = await renamed(false);
    expect(await locateItem()).toBe(id);
  });

  it('is the one that is read while a list lacks its vault', async () => {
    const { server, refresh, id, locateItem } = await renamed(true);
    server.faults.order({ kind: 'status', status: 200, body: [], route: 'GET /v1/vaults', times: 1 });
    await refresh();
    expect(await locateItem()).toBe(id);
  });
});

describe('a refusal', () => {
  it('is told once, again for another path, and again after it was allowed', async () => {
    const { locate, refusals, allow } = await setUp(['Prod']);
    for (const path of ['vaults/Secret/items/db', 'vaults/Secret/items/db', 'vaults/None/items/db']) await locate(claim(path));
    expect(refusals).toEqual(['vaults/Secret/items/db', 'vaults/None/items/db']);
    allow(['Secret']);
    await locate(claim('vaults/Secret/items/db'));
    allow(['Prod']);
    await locate(claim('vaults/Secret/items/db'));
    expect(refusals).toHaveLength(3);
  });

  it('is told once when the item that the status names is gone and the path is denied', async () => {
    const { server, locate, source, refusals, idOf } = await setUp([secret]);
    const of = claim('vaults/Prod/items/db', { vaultId: secret, id: idOf('Secret') });
    server.store.deleteItem('Secret', 'db');
    await source.fetch(of, { ...(await source.locate(of, signal)), absences: 2 }, signal).catch(() => {});
    for (let attempt = 0; attempt < 2; attempt += 1) expect(await locate(of)).toMatchObject(denied);
    expect(refusals).toHaveLength(1);
  });

  it('is forgotten with its owner', async () => {
    const { locate, refusals, source } = await setUp(['Prod']);
    await locate(claim('vaults/Secret/items/db'));
    source.forget('u');
    await locate(claim('vaults/Secret/items/db'));
    expect(refusals).toHaveLength(2);
  });
});
