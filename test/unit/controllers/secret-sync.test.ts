import { describe, expect, it, onTestFinished } from 'vitest';
import { annotations } from '../../../src/api/names.ts';
import type { SecretRecord } from '../../../src/api/onepassword-item.ts';
import { Failure } from '../../../src/api/reasons.ts';
import { createVaultIndex } from '../../../src/connect/vault-index.ts';
import { createItemSource } from '../../../src/controllers/item-source.ts';
import { createVaultAccess } from '../../../src/controllers/vault-access.ts';
import { createSecretSync, type SyncResult } from '../../../src/controllers/secret-sync.ts';
import type { VaultPolicy } from '../../../src/domain/vault-policy.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { type ManagedSecret, reduceSecret } from '../../../src/kube/objects.ts';
import type { WireMeta } from '../../../src/kube/resource.ts';
import { createStore } from '../../../src/kube/store.ts';
import { requeue, retry } from '../../../src/runtime/controller.ts';
import { auditInto, createAuditMemory } from '../../support/audit.ts';
import { connect } from '../connect/connect-server.ts';
import { clientOptions, type Exchange, startApiServer } from '../kube/api-server.ts';

const signal = new AbortController().signal;
const second = 1_000;
const minute = 60 * second;
const patience = 10 * minute;
const itemPath = 'vaults/Prod/items/db';
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';

interface WireSecret {
  readonly metadata: WireMeta;
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** An API server that holds one Secret, or none. */
async function startCluster() {
  const api = await startApiServer();
  let secret: WireSecret | undefined;
  let version = 1;
  let refusal: number | undefined;
  const asked: string[] = [];
  const refusals: (number | undefined)[] = [];

  function put({ metadata, ...rest }: WireSecret): void {
    version += 1;
    secret = { ...rest, metadata: { ...metadata, namespace: 'ns', name: 'db', uid: 's', resourceVersion: String(version) } };
  }

  function serve({ method, body, headers, answer }: Exchange): void {
    asked.push(headers.accept?.includes('PartialObjectMetadata') ? `${method} metadata` : method);
    const timeless = { date: '' };
    if (method !== 'GET' && refusal !== undefined) return answer(refusal, {}, timeless);
    const status = refusals.shift();
    if (method !== 'GET' && status !== undefined) return answer(status, { reason: 'No' }, timeless);
    if (method === 'POST' && secret !== undefined) return answer(409, { reason: 'AlreadyExists' }, timeless);
    if (method !== 'GET') put(JSON.parse(body) as WireSecret);
    if (secret === undefined) return answer(404, { reason: 'NotFound' }, timeless);
    answer(200, secret, timeless);
  }

  void (async () => {
    for (;;) serve(await api.next());
  })();
  return {
    api,
    put,
    /** What the next requests are answered, in order, those that read as if nothing were. */
    refuse: (...statuses: readonly (number | undefined)[]) => void refusals.push(...statuses),
    /** What was asked since it was asked last. */
    asked: () => asked.splice(0),
    remove: () => void (secret = undefined),
    /** Writes are answered with a status from now on. */
    refuseWrites: (status: number) => void (refusal = status),
    password: () => Buffer.from(secret?.data?.['password'] ?? '', 'base64').toString(),
    get secret() {
      return secret;
    },
  };
}

/** A claim for an item in version 5. */
async function setUp(password = 'five') {
  const { server, client, clock } = await connect({ vaults: [{ name: 'Prod', items: [{ title: 'db' }] }] });
  const { store, requests } = server;
  const setItem = (version: number, value: string): void => {
    const fields = value === '' ? [] : [{ id: 'p', label: 'password', type: 'CONCEALED' as const, value }];
    store.updateItem('Prod', 'db', { version, fields });
  };
  setItem(5, password);
  /** Who has a record of the Secret already. */
  const holder: { name: string | undefined } = { name: undefined };
  const memory = createAuditMemory();
  const audit = auditInto(memory);
  const cluster = await startCluster();
  const lease = { isHeld: true };
  const kube = createKubeClient({ ...clientOptions(cluster.api, clock), mayWrite: () => lease.isHeld });
  onTestFinished(() => kube.close());
  const stop = new AbortController();
  const secrets = createStore<ManagedSecret>();
  const index = createVaultIndex({ client, clock, onChange: () => {}, fullListingInterval: minute, settleTime: 0 });
  let policy: VaultPolicy | undefined;
  const access = createVaultAccess({ index, policy: () => policy });
  const adoption = { effect: () => {} };
  const source = createItemSource({ connect: client, index, access, settings: { allowEmptyValues: false }, audit });
  /** What consumers are known to have, by the key of the Secret. */
  const known = new Map<string, number>();
  const writes: string[] = [];
  const sync = createSecretSync({
    secrets,
    kube,
    source,
    adoptConsumers: async () => adoption.effect(),
    latestKnown: (key) => known.get(key) ?? 0,
    holderOf: () => holder.name,
    patience,
    audit,
    onWrite: (namespace, result) => writes.push(`${namespace} ${result}`),
  });
  let record: Partial<SecretRecord> = {};
  let asked: Readonly<Record<string, string>> = {};

  /** One attempt, with what the last one left in the record. */
  async function run(): Promise<SyncResult> {
    const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'u' };
    const copied = { labels: {}, annotations: asked };
    const claim = { namespace: 'ns', name: 'db', owner, generation: 1, type: undefined, itemPath, copied, record };
    const result = await sync.run(claim, true, stop.signal);
    if (result.state === 'synced') record = result.record;
    return result;
  }

  return {
    run,
    writes,
    cluster,
    memory,
    holder,
    setItem,
    known,
    /** Somebody wants the item fetched now. */
    ask: (value: string) => void (asked = { [annotations.sync]: value }),
    /** Happens while the consumers of the Secret are adopted. */
    meanwhile: (effect: () => void) => void (adoption.effect = effect),
    denyAll: () => void (policy = []),
    stop,
    lease,
    /** The time of the API server. */
    now: () => clock.now(),
    /** Nothing is left of what was written down about the Secret. */
    loseRecord: () => {
      record = {};
      const { secret } = cluster;
      if (secret === undefined) return;
      const { [annotations.revisions]: _, ...others } = secret.metadata.annotations ?? {};
      cluster.put({ ...secret, metadata: { ...secret.metadata, annotations: others } });
    },
    itemRequests: () => requests.count(itemRoute),
    /** Connect answers for the item once more as it does now. */
    lag: () => void server.faults.order({ kind: 'stale', route: itemRoute, times: 1 }),
    refresh: async (after: number) => {
      clock.advance(after);
      await index.refresh(signal);
    },
    removeSecret: () => {
      const { secret } = cluster;
      cluster.remove();
      if (secret !== undefined) secrets.remove(reduceSecret(secret));
    },
    /** The failure of one attempt. */
    failure: async (): Promise<Failure> => {
      const error: unknown = await run().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error instanceof Failure) return error;
      throw new Error('it did not fail with a Failure', { cause: error });
    },
  };
}

/** A Secret of version 5, of an item that is now listed in version 3. */
async function fallen() {
  const setting = await setUp();
  await setting.run();
  setting.setItem(3, 'three');
  await setting.refresh(second);
  return setting;
}

describe('a write of a Secret', () => {
  it('is counted by what became of it', async () => {
    const { run, failure, refresh, setItem, cluster, writes } = await setUp();
    await run();
    setItem(6, 'six');
    await refresh(second);
    cluster.refuse(undefined, 409, undefined, 500);
    await expect(run()).rejects.toMatchObject({ status: 409 });
    await expect(run()).rejects.toMatchObject({ status: 500 });
    await run();
    setItem(7, 'seven');
    await refresh(second);
    cluster.refuse(undefined, 422);
    await failure();
    expect(writes).toEqual(['ns created', 'ns conflict', 'ns failed', 'ns updated', 'ns refused']);
  });

  it('that meets a Secret nobody knew of is a conflict', async () => {
    const { run, cluster, writes } = await setUp();
    cluster.put({ metadata: {} as WireMeta });
    await run().catch(() => {});
    expect(writes).toEqual(['ns conflict']);
  });
});

describe('a vault that is denied while the consumers of a rotation are adopted', () => {
  it('has nothing of it written into a Secret that is there', async () => {
    const { run, failure, cluster, setItem, refresh, meanwhile, denyAll } = await setUp();
    await run();
    setItem(6, 'six');
    await refresh(second);
    meanwhile(denyAll);
    expect(await failure()).toMatchObject({ reason: 'VaultNotAllowed' });
    expect(cluster.password()).toBe('five');
  });

  it('has nothing of it written into one that comes back', async () => {
    const { run, failure, cluster, setItem, refresh, removeSecret, meanwhile, denyAll } = await setUp();
    await run();
    removeSecret();
    setItem(6, 'six');
    await refresh(second);
    meanwhile(denyAll);
    expect(await failure()).toMatchObject({ reason: 'VaultNotAllowed' });
    expect(cluster.secret).toBeUndefined();
  });
});

describe('when an item changed', () => {
  it('is said of the write that brings its new values, and of no other', async () => {
    const { run, refresh, setItem, now } = await setUp();
    const first = await run();
    await refresh(minute);
    setItem(6, 'six');
    const changedAt = now();
    await refresh(second);
    const rotation = await run();
    await refresh(minute);
    setItem(7, 'six');
    await refresh(second);
    const sameValues = await run();
    expect([first, rotation, sameValues]).toMatchObject([{ rotatedAt: undefined }, { rotatedAt: changedAt }, { rotatedAt: undefined }]);
  });
});

describe('an item whose version falls', () => {
  it('is ignored, without being fetched, until all listings have given that version for long enough', async () => {
    const { run, refresh, itemRequests } = await fallen();
    const results = [await run()];
    for (let passed = 1; passed < 10; passed += 1) {
      await refresh(minute);
      results.push(await run());
    }
    const expected = results.map((_, passed) => ({ state: 'unchanged', next: requeue(patience - passed * minute) }));
    expect([results, itemRequests()]).toEqual([expected, 1]);
  });

  it('is believed then, and said to have fallen', async () => {
    const { run, refresh, cluster } = await fallen();
    for (let passed = 0; passed < 10; passed += 1) await refresh(minute);
    expect(await run()).toMatchObject({ state: 'synced', write: 'updated', lowered: 5, record: { item: { version: 3 } } });
    expect(cluster.password()).toBe('three');
  });

  it('has to be patient anew when its version moves meanwhile', async () => {
    const { run, refresh, setItem } = await fallen();
    for (let passed = 0; passed < 9; passed += 1) await refresh(minute);
    setItem(2, 'two');
    await refresh(minute);
    expect(await run()).toEqual({ state: 'unchanged', next: requeue(patience) });
  });

  it('is nothing to talk about when it rises again', async () => {
    const { run, refresh, setItem } = await fallen();
    setItem(6, 'six');
    await refresh(minute);
    expect(await run()).toMatchObject({ state: 'synced', lowered: undefined, record: { item: { version: 6 } } });
  });

  it('is fetched once for each value that asks for it, and waits as long as ever', async () => {
    const { run, refresh, ask, itemRequests, cluster } = await fallen();
    const before = itemRequests();
    for (const value of ['now', 'again']) {
      ask(value);
      for (let attempt = 0; attempt < 3; attempt += 1) expect(await run()).toEqual({ state: 'unchanged', next: requeue(patience) });
    }
    expect(itemRequests() - before).toBe(2);
    await refresh(patience);
    await run();
    expect(cluster.password()).toBe('three');
    expect(cluster.secret?.metadata.annotations).toMatchObject({ [annotations.sync]: 'again' });
  });

  it('is better than nothing for a Secret that is gone', async () => {
    const { run, removeSecret, cluster } = await fallen();
    removeSecret();
    expect(await run()).toMatchObject({ state: 'synced', write: 'created', lowered: undefined, next: { next: 'retry' } });
    expect(cluster.password()).toBe('three');
  });
});

/** A Secret of version 5, of an item that is now listed in version 6, and comes in version 5 once more. */
async function lagging() {
  const setting = await setUp();
  await setting.run();
  setting.lag();
  setting.setItem(6, 'six');
  await setting.refresh(second);
  return setting;
}

describe('an item that comes in a lower version than was listed', () => {
  it('leaves the Secret as it is, and is asked for again', async () => {
    const { run, cluster } = await lagging();
    const before = cluster.secret;
    expect(await run()).toEqual({ state: 'unchanged', next: retry() });
    expect(cluster.secret).toBe(before);
  });

  it('is written when it comes in the version that was listed', async () => {
    const { run, cluster } = await lagging();
    await run();
    expect(await run()).toMatchObject({ state: 'synced', write: 'updated', record: { item: { version: 6 } } });
    expect(cluster.password()).toBe('six');
  });
});

describe.each([
  ['ItemEmpty', ''],
  ['SecretTooLarge', 'x'.repeat(1_100_000)],
])('an item that can be no Secret: %s', (reason, password) => {
  it('is fetched once for each of its versions', async () => {
    const { failure, itemRequests, refresh, setItem } = await setUp(password);
    const reasons = [(await failure()).reason, (await failure()).reason];
    const requests = [itemRequests()];
    setItem(6, password);
    await refresh(minute);
    reasons.push((await failure()).reason, (await failure()).reason);
    requests.push(itemRequests());
    expect([reasons, requests]).toEqual([
      [reason, reason, reason, reason],
      [1, 2],
    ]);
  });

  it('becomes one as soon as it can', async () => {
    const { run, failure, refresh, setItem, cluster } = await setUp(password);
    await failure();
    setItem(6, 'six');
    await refresh(minute);
    expect(await run()).toMatchObject({ state: 'synced', write: 'created' });
    expect(cluster.password()).toBe('six');
  });

  it('leaves the Secret as it was', async () => {
    const { run, failure, refresh, setItem, cluster } = await setUp();
    await run();
    const before = cluster.secret;
    setItem(6, password);
    await refresh(minute);
    await failure();
    expect(cluster.secret).toBe(before);
  });
});

describe("somebody else's Secret", () => {
  const metadata = { name: 'db', uid: 's', resourceVersion: '' };
  const data = { password: Buffer.from('theirs').toString('base64') };

  async function occupied() {
    const setting = await setUp();
    setting.cluster.put({ metadata, data });
    return setting;
  }

  it('is looked at again after five seconds, and then with growing pauses of up to a minute', async () => {
    const { failure } = await occupied();
    const pauses: (number | undefined)[] = [];
    for (let count = 0; count < 6; count += 1) pauses.push((await failure()).retryAfter);
    expect(pauses).toEqual([5, 10, 20, 40, 60, 60].map((pause) => pause * second));
  });

  it('is looked at without its values, and without asking Connect', async () => {
    const { failure, cluster, itemRequests } = await occupied();
    await failure();
    cluster.asked();
    await failure();
    await failure();
    expect([cluster.asked(), itemRequests()]).toEqual([['GET metadata', 'GET metadata'], 1]);
  });

  it('is refused anew, with pauses that go on, when it changes and is still theirs', async () => {
    const { failure, cluster, itemRequests } = await occupied();
    await failure();
    cluster.put({ metadata, data });
    const { reason, retryAfter } = await failure();
    expect([reason, retryAfter, itemRequests()]).toEqual(['SecretNotOwned', 10 * second, 2]);
  });

  it('is taken over as soon as they allow it', async () => {
    const { run, failure, cluster } = await occupied();
    await failure();
    cluster.put({ metadata: { ...metadata, annotations: { [annotations.adopt]: 'true' } }, data });
    expect(await run()).toMatchObject({ state: 'synced', write: 'updated' });
    expect(cluster.password()).toBe('five');
  });

  it('gives way to ours as soon as it is gone', async () => {
    const { run, failure, cluster } = await occupied();
    await failure();
    cluster.remove();
    expect(await run()).toMatchObject({ state: 'synced', write: 'created' });
  });
});

const revisions = (secret: WireSecret | undefined): unknown => JSON.parse(secret?.metadata.annotations?.[annotations.revisions] ?? '{}');

describe('the revision of a change', () => {
  const day = 24 * 60 * minute;
  /** The revision of a rotation, after now, while consumers are known to have one that lies so far after now, in milliseconds. */
  async function rotate(ahead: number | undefined, lost: boolean): Promise<number> {
    const { run, setItem, refresh, known, now, loseRecord, cluster } = await setUp();
    await run();
    if (lost) loseRecord();
    setItem(6, 'six');
    await refresh(minute);
    if (ahead !== undefined) known.set('ns/db', now() + ahead);
    known.set('ns/other', now() + minute);
    await run();
    return (revisions(cluster.secret) as { readonly password: number }).password - now();
  }

  describe.each([
    ['with its record', false],
    ['whose record was lost', true],
  ])('of a Secret %s', (_, lost) => {
    it.each<[string, number | undefined, number]>([
      ['the time, when nobody has one of this Secret', undefined, 0],
      ['the time, when all have earlier ones', -1, 0],
      ['later than what somebody has of this moment', 0, 1],
      ['later than what somebody has from a clock that was ahead', 5 * minute, 5 * minute + 1],
      ['later than what somebody has from a clock that was ahead by almost a day', day - 1, day],
      ['the time, when somebody has nonsense of a day ahead', day, 0],
      ['the time, when somebody has nonsense far ahead', 1_000 * day, 0],
    ])('is %s', async (__, ahead, expected) => {
      expect(await rotate(ahead, lost)).toBe(expected);
    });
  });

  it('of a Secret that comes back with another version is later than what consumers have', async () => {
    const { run, setItem, refresh, known, now, removeSecret, cluster } = await setUp();
    await run();
    removeSecret();
    setItem(6, 'six');
    await refresh(minute);
    known.set('ns/db', now() + minute);
    await run();
    expect(revisions(cluster.secret)).toEqual({ '*': now() + minute + 1 });
  });
});

const writesIn = ({ records }: Awaited<ReturnType<typeof setUp>>['memory']) => records.filter(({ action }) => action.startsWith('secret.'));

describe('the audit of writes', () => {
  it('says which Secret was created and updated, of which version of which item, for whom, by which request', async () => {
    const { run, setItem, refresh, memory } = await setUp();
    await run();
    setItem(6, 'six');
    await refresh(second);
    await run();
    const about = {
      secret: { namespace: 'ns', name: 'db', uid: 's' },
      requesters: [{ kind: 'OnePasswordItem', namespace: 'ns', name: 'db', uid: 'u', generation: 1 }],
      result: 'success',
    };
    expect(memory.records).toMatchObject([
      { action: 'item.retrieve', itemVersion: 5 },
      { ...about, action: 'secret.create', itemVersion: 5 },
      { action: 'item.retrieve', itemVersion: 6 },
      { ...about, action: 'secret.update', itemVersion: 6 },
    ]);
    const requests = memory.records.map((record) => ('requestId' in record ? record.requestId : undefined));
    expect([requests[1], requests[3]]).toEqual([requests[0], requests[2]]);
  });

  it('says nothing when there is nothing to write', async () => {
    const { run, loseRecord, memory } = await setUp();
    await run();
    loseRecord();
    await run();
    await run();
    expect(writesIn(memory)).toHaveLength(1);
  });

  it.each([
    ['ItemEmpty', ''],
    ['SecretTooLarge', 'x'.repeat(1_100_000)],
  ])('says once for each version that it was refused: %s', async (reason, password) => {
    const { failure, memory } = await setUp(password);
    await failure();
    await failure();
    expect(writesIn(memory)).toMatchObject([{ action: 'secret.refuse', itemVersion: 5, result: 'refused', reason }]);
  });

  it('says once that a Secret is not ours', async () => {
    const { failure, cluster, memory } = await setUp();
    cluster.put({ metadata: { name: 'db' } as WireMeta, data: {} });
    await failure();
    await failure();
    expect(writesIn(memory)).toMatchObject([{ action: 'secret.refuse', reason: 'SecretNotOwned' }]);
  });

  it('says once that a Secret is another resource’s, though nothing was asked for it', async () => {
    const { failure, holder, memory, run } = await setUp();
    holder.name = 'OnePasswordItem other';
    await failure();
    await failure();
    holder.name = undefined;
    await run();
    expect(memory.records.map(({ action }) => action)).toEqual(['secret.refuse', 'item.retrieve', 'secret.create']);
  });

  it.each([
    [403, 'refused', 'KubernetesForbidden'],
    [422, 'refused', 'SecretInvalid'],
    [500, 'failed', 'KubernetesError'],
    [503, 'failed', 'WriteUncertain'],
  ])('says what the API server answered: %i', async (status, result, reason) => {
    const { run, cluster, memory } = await setUp();
    cluster.refuseWrites(status);
    await run().catch(() => {});
    expect(writesIn(memory)).toMatchObject([{ action: 'secret.create', result, reason, itemVersion: 5 }]);
  });

  it.each([
    ['the operator was stopped', 'Cancelled'],
    ['it does not lead any more', 'NotLeader'],
  ])('says nothing of one that was not sent, since %s', async (_, reason) => {
    const { run, setItem, refresh, meanwhile, stop, lease, cluster, memory } = await setUp();
    await run();
    setItem(6, 'six');
    await refresh(second);
    const before = writesIn(memory).length;
    cluster.asked();
    meanwhile(() => (reason === 'Cancelled' ? stop.abort() : void (lease.isHeld = false)));
    await expect(run()).rejects.toThrow(reason);
    expect([writesIn(memory).length - before, cluster.asked()]).toEqual([0, ['GET']]);
  });
});
