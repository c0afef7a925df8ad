import { describe, expect, it } from 'vitest';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import type { ItemStatus } from '../../../src/api/onepassword-item.ts';
import { Failure } from '../../../src/api/reasons.ts';
import { createVaultIndex } from '../../../src/connect/vault-index.ts';
import { createItemSource } from '../../../src/controllers/item-source.ts';
import { createVaultAccess } from '../../../src/controllers/vault-access.ts';
import type { SecretClaim } from '../../../src/domain/secret-plan.ts';
import { type Audit } from '../../../src/observability/audit.ts';
import { auditInto, createAuditMemory, unreadAudit } from '../../support/audit.ts';
import { eventually } from '../../support/eventually.ts';
import { connect } from '../connect/connect-server.ts';

const signal = new AbortController().signal;
const second = 1_000;
const itemPath = 'vaults/Prod/items/db';
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';
const fileRoute = 'GET /v1/vaults/{vault}/items/{item}/files/{file}/content';

/** A claim for a Secret, with what its record says of the item. */
const claim = (record?: ItemStatus, path = itemPath, name = 'db'): SecretClaim => ({
  namespace: 'ns',
  name,
  owner: { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name, uid: name },
  generation: 1,
  type: undefined,
  itemPath: path,
  copied: { labels: {}, annotations: {} },
  record: record === undefined ? {} : { item: record },
});

async function setUp(
  items: NonNullable<Seed['vaults'][number]['items']> = [{ title: 'db', fields: [{ label: 'password', value: 'one' }] }],
  audit: Audit = unreadAudit,
) {
  const { server, client, clock, token, changeToken } = await connect({ vaults: [{ name: 'Prod', items }] });
  const { store, requests } = server;
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  const access = createVaultAccess({ index, policy: () => undefined });
  const source = createItemSource({ connect: client, index, access, settings: { allowEmptyValues: false }, audit });
  const idOf = (title: string): string => store.item('Prod', title).id;
  return {
    server,
    client,
    token,
    changeToken,
    store,
    requests,
    clock,
    source,
    idOf,
    /** A record of an item for a path, as a status keeps it. */
    pin: (id: string, path = itemPath): ItemStatus => ({ path, vaultId: store.vault('Prod').id, id, version: 1 }),
    refresh: async () => {
      clock.advance(40 * second);
      await index.refresh(signal);
    },
    locate: async (of: SecretClaim) => (await source.locate(of, signal)).itemId,
    /** The id of the item that a claim gets, or the failure. */
    get: async (of: SecretClaim): Promise<string | Failure> => {
      try {
        return (await source.fetch(of, await source.locate(of, signal), signal)).id;
      } catch (error) {
        if (error instanceof Failure) return error;
        throw error;
      }
    },
  };
}

describe('the ids in a record', () => {
  const two = [{ title: 'db' }, { title: 'other' }];

  it('are good while the path is the one they came from, whatever the title says now', async () => {
    const { locate, pin, idOf } = await setUp(two);
    expect(await locate(claim(pin(idOf('other'))))).toBe(idOf('other'));
  });

  it('are not good for another path', async () => {
    const { locate, pin, idOf } = await setUp(two);
    expect(await locate(claim(pin(idOf('other'), 'vaults/Prod/items/other')))).toBe(idOf('db'));
  });

  it('of another path are not what is asked about an outage, or about listings', async () => {
    const { source, pin, idOf, locate } = await setUp(two);
    await locate(claim());
    expect(source.listed(claim(pin(idOf('db'))))?.version).toBe(1);
    expect(source.listed(claim(pin(idOf('db'), 'vaults/Prod/items/else')))).toBeUndefined();
  });
});

/** A claim for an item that has been deleted, with another one in its place. */
async function replaced() {
  const setting = await setUp();
  const of = claim(setting.pin(setting.idOf('db')));
  await setting.get(of);
  setting.store.deleteItem('Prod', 'db');
  setting.store.createItem('Prod', { title: 'db', fields: [{ label: 'password', value: 'two' }] });
  return { ...setting, of, heir: setting.idOf('db') };
}

describe('an item that was made anew under its title', () => {
  it('does not take its place while a listing still has the old one, or one listing lacks it', async () => {
    const { get, of, refresh } = await replaced();
    const answers = [await get(of)];
    await refresh();
    answers.push(await get(of));
    expect(answers).toMatchObject([
      { reason: 'ItemNotFound', retryAfter: 5 * second },
      { reason: 'ItemNotFound', retryAfter: 5 * second },
    ]);
  });

  it('takes its place when two listings lack the old one and Connect denies it', async () => {
    const { get, of, heir, refresh } = await replaced();
    await refresh();
    await get(of);
    await refresh();
    expect(await get(of)).toBe(heir);
  });

  it('does not take its place while Connect has the old one, whatever the listings say', async () => {
    const { get, pin, idOf, store, refresh } = await setUp();
    const old = idOf('db');
    const of = claim(pin(old));
    await get(of);
    // An item that listings leave out still answers by its id.
    store.archiveItem('Prod', 'db');
    store.createItem('Prod', { title: 'db' });
    await refresh();
    await get(of);
    await refresh();
    store.restoreItem('Prod', old);
    expect(await get(of)).toBe(old);
  });

  it('costs no request to the old one from then on', async () => {
    const { get, of, refresh, requests } = await replaced();
    await refresh();
    await get(of);
    await refresh();
    await get(of);
    requests.reset();
    await get(of);
    expect(requests.total).toBe(1);
  });
});

async function lost() {
  const setting = await setUp();
  const id = setting.idOf('db');
  const of = claim(setting.pin(id));
  await setting.get(of);
  setting.store.deleteItem('Prod', 'db');
  await setting.refresh();
  await setting.get(of);
  await setting.refresh();
  await setting.get(of);
  setting.requests.reset();
  return { ...setting, of, id };
}

describe('an item that is gone', () => {
  it('costs no further request', async () => {
    const { get, of, requests } = await lost();
    for (let count = 0; count < 5; count += 1) expect(await get(of)).toMatchObject({ reason: 'ItemNotFound', retryAfter: undefined });
    expect(requests.count(itemRoute)).toBe(0);
  });

  it('is fetched again when a listing has it', async () => {
    const { get, of, id, store, refresh } = await lost();
    store.createItem('Prod', { id, title: 'db', fields: [{ label: 'password', value: 'back' }] });
    await refresh();
    expect(await get(of)).toBe(id);
  });

  it('costs no further request when it is named by its id, either', async () => {
    const { get, pin, id, store, requests } = await lost();
    const path = `vaults/${store.vault('Prod').id}/items/${id}`;
    const answers = [await get(claim(undefined, path)), await get(claim(pin(id, path), path))];
    expect([answers, requests.count(itemRoute)]).toMatchObject([[{ reason: 'ItemNotFound' }, { reason: 'ItemNotFound' }], 0]);
  });
});

const file = (name: string, size: number) => ({ name, content: 'x'.repeat(size) });

describe('files', () => {
  it('that are together too large for a Secret are not downloaded', async () => {
    const { get, requests } = await setUp([{ title: 'db', files: [file('a', 600_000), file('b', 600_000)] }]);
    expect(await get(claim())).toMatchObject({ reason: 'SecretTooLarge' });
    expect(requests.count(fileRoute)).toBe(0);
  });

  it('that get no key do not count', async () => {
    const { get, idOf } = await setUp([
      { title: 'db', fields: [{ label: 'a', value: 'v' }], files: [file('a', 600_000), file('b', 600_000), file('b', 600_000)] },
    ]);
    expect(await get(claim())).toBe(idOf('db'));
  });
});

describe('claims that want one item at a time', () => {
  it('share one request for it, and one for each of its files', async () => {
    const files = [
      { name: 'ca.crt', content: 'a' },
      { name: 'tls.crt', content: 'b' },
    ];
    const { get, idOf, requests } = await setUp([{ title: 'db', files }]);
    const claims = Array.from({ length: 10 }, (_, index) => claim(undefined, itemPath, `db-${index}`));
    const answers = await Promise.all(claims.map(get));
    expect(answers).toEqual(claims.map(() => idOf('db')));
    expect([requests.count(itemRoute), requests.count(fileRoute)]).toEqual([1, 2]);
  });

  it('each ask for it when they come one after the other', async () => {
    const { get, requests } = await setUp();
    await get(claim());
    await get(claim());
    expect(requests.count(itemRoute)).toBe(2);
  });

  it('share its failure', async () => {
    const { server, get, requests, locate } = await setUp();
    await locate(claim());
    server.faults.order({ kind: 'status', status: 500, route: itemRoute, times: 1 });
    const answers = await Promise.all([get(claim()), get(claim())]);
    expect([answers, requests.count(itemRoute)]).toMatchObject([[{ reason: 'ConnectUnavailable' }, { reason: 'ConnectUnavailable' }], 1]);
  });
});

/** Claims `db-0`, `db-1` and so on. */
const several = (count: number): readonly SecretClaim[] =>
  Array.from({ length: count }, (_, index) => claim(undefined, itemPath, `db-${index}`));

async function audited(items?: Parameters<typeof setUp>[0], required = false) {
  const memory = createAuditMemory();
  const setting = await setUp(items, auditInto(memory, { required }));
  return {
    ...setting,
    memory,
    /** What was recorded: the action, its result and status, and the names of those who asked. */
    told: () =>
      memory.records.map((record) =>
        'requesters' in record
          ? [record.action, record.result, 'status' in record ? record.status : '', ...record.requesters.map(({ name }) => name)].join(' ')
          : record.action,
      ),
  };
}

describe('the audit of retrievals', () => {
  const files = [{ name: 'ca.crt', content: 'a' }];
  const plain = { title: 'db', fields: [{ label: 'password', value: 'one' }] };

  it('names the item, its version, and who asked, with the generation', async () => {
    const { get, memory, idOf, store } = await audited();
    store.setField('Prod', 'db', 'password', 'two');
    await get(claim());
    expect(memory.records).toMatchObject([
      {
        action: 'item.retrieve',
        vault: store.vault('Prod').id,
        item: idOf('db'),
        itemVersion: 2,
        requesters: [{ kind: 'OnePasswordItem', namespace: 'ns', name: 'db', uid: 'db', generation: 1 }],
        status: 200,
        result: 'success',
      },
    ]);
  });

  it('has one record for each request, with all who share it', async () => {
    const { get, told } = await audited([{ title: 'db', files }]);
    await Promise.all(several(3).map(get));
    expect(told()).toEqual(['item.retrieve success 200 db-0 db-1 db-2', 'file.retrieve success 200 db-0 db-1 db-2']);
  });

  it('has a record of its own for who joins when the item is on record, by the id of that request', async () => {
    const { get, told, memory, server, requests } = await audited([{ title: 'db', files }]);
    server.faults.order({ kind: 'latency', ms: 300, route: fileRoute });
    const [first = claim(), late = claim()] = several(2);
    const early = get(first);
    await eventually('the file to be asked for', () => (requests.count(fileRoute) === 1 ? true : undefined));
    await Promise.all([early, get(late)]);
    expect(told()).toEqual(['item.retrieve success 200 db-0', 'item.share success 200 db-1', 'file.retrieve success 200 db-0 db-1']);
    const ids = memory.records.map((record) => ('requestId' in record ? record.requestId : undefined));
    expect(ids[1]).toBe(ids[0]);
  });

  it('tells what was denied, failed, or could not be read', async () => {
    const { get, told, server, locate, clock } = await audited();
    await locate(claim());
    for (const order of [
      { kind: 'status', status: 403 },
      { kind: 'status', status: 404 },
      { kind: 'malformed' },
      { kind: 'truncated' },
    ] as const) {
      server.faults.order({ ...order, route: itemRoute, times: 1 });
      await get(claim());
      clock.advance(6 * second);
    }
    expect(told()).toEqual([
      'item.retrieve denied 403 db',
      'item.retrieve failed 404 db',
      'item.retrieve failed 200 db',
      'item.retrieve failed 200 db',
    ]);
  });

  it('tells the version of an item that is archived, though nobody gets it', async () => {
    const { get, memory, store, locate } = await audited();
    await locate(claim());
    store.archiveItem('Prod', 'db');
    await get(claim());
    expect(memory.records).toMatchObject([{ result: 'failed', reason: 'ItemNotFound', status: 200, itemVersion: expect.any(Number) }]);
  });

  it('tells nothing of what a gate kept from being asked', async () => {
    const { get, told, server, locate } = await audited();
    await locate(claim());
    server.faults.order({ kind: 'status', status: 401 });
    await get(claim());
    await get(claim());
    expect(told()).toEqual(['item.retrieve denied 401 db']);
  });

  it('has a record for each of two requests when a connection was stale', async () => {
    const { get, told, server, locate, memory } = await audited();
    await locate(claim());
    server.faults.order({ kind: 'reset', route: itemRoute, times: 1 });
    await get(claim());
    expect(told()).toEqual(['item.retrieve failed 0 db', 'item.retrieve success 200 db']);
    expect(new Set(memory.records.map((record) => ('requestId' in record ? record.requestId : ''))).size).toBe(2);
  });

  it('names the token that a request was made with, though there is another one by the time of its answer', async () => {
    const { get, memory, server, requests, token, changeToken, client } = await audited();
    const before = token.id();
    server.faults.order({ kind: 'latency', ms: 200, route: itemRoute });
    const got = get(claim());
    await eventually('the item to be asked for', () => (requests.count(itemRoute) === 1 ? true : undefined));
    await changeToken();
    for (let look = 0; look < 2; look += 1) client.reloadToken();
    await got;
    await get(claim());
    expect(token.id()).not.toBe(before);
    expect(memory.records.map((record) => record.token)).toEqual([before, token.id()]);
  });

  it('is flushed before anybody has the item', async () => {
    const flushed = Promise.withResolvers<void>();
    let given = '';
    const write = (lines: string): Promise<void> => {
      given += lines;
      return flushed.promise;
    };
    const setting = await setUp([plain], auditInto({ write, close: async () => {} }));
    let had = false;
    const got = setting.get(claim()).then(() => (had = true));
    await eventually('the record to be on its way', () => (given.includes('item.retrieve') ? true : undefined));
    await new Promise(setImmediate);
    expect(had).toBe(false);
    flushed.resolve();
    expect(await got).toBe(true);
  });

  it('keeps nobody from an item when it fails', async () => {
    const { get, memory, idOf } = await audited();
    memory.failWith('ENOSPC');
    expect(await get(claim())).toBe(idOf('db'));
  });

  it('where it is required keeps what it cannot record from all who asked, and asks no more', async () => {
    const { get, memory, requests } = await audited([plain], true);
    memory.failWith('ENOSPC');
    const answers = await Promise.all(several(2).map(get));
    answers.push(await get(claim()));
    expect(answers).toMatchObject(answers.map(() => ({ reason: 'AuditUnavailable', retryAfter: 5 * second })));
    expect(requests.count(itemRoute)).toBe(1);
  });
});
