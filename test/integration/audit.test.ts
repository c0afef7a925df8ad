import { readFile, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { tokenId } from '../../src/connect/token-id.ts';
import { apiRequestListSchema, type WireApiRequest } from '../../src/connect/schema.ts';
import { collectionPath, secrets, type WireMeta } from '../../src/kube/resource.ts';
import type { AuditRecord } from '../../src/observability/audit-record.ts';
import { version } from '../../src/version.ts';
import { type AuditMemory, auditRecords, createAuditMemory } from '../support/audit.ts';
import { canary, findCanaries } from '../support/canary.ts';
import { createNamespace, type TestNamespace, untilEvent, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { spawnOperator } from '../support/killed-operator.ts';
import { installCrd, type Scenario, startScenario } from '../support/scenario.ts';

/** The faults are told, and nobody looks here. */
const unreadLog = pino({ level: 'silent' });
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';
const fileRoute = `${itemRoute}/files/{file}/content`;

/** Everything Connect has in its own activity log, the oldest first. */
async function activityOf({ url }: ConnectServer, token: string): Promise<readonly WireApiRequest[]> {
  const response = await fetch(`${url}/v1/activity?limit=1000`, { headers: { authorization: `Bearer ${token}` } });
  return apiRequestListSchema.parse(await response.json()).toReversed();
}

/** Reads of one item, or of a file of it, that Connect answered: vault reads and lists have no item. */
function itemReads(activity: readonly WireApiRequest[]): readonly WireApiRequest[] {
  return activity.filter(({ action, result, resource }) => action === 'READ' && result === 'SUCCESS' && resource.item !== undefined);
}

type RecordOf<A extends AuditRecord['action']> = AuditRecord & { readonly action: A };
type RetrievalRecord = RecordOf<'item.retrieve' | 'file.retrieve'>;

function isOf<A extends AuditRecord['action']>(...actions: readonly A[]): (record: AuditRecord) => record is RecordOf<A> {
  return (record): record is RecordOf<A> => (actions as readonly string[]).includes(record.action);
}

/** Each stands for one request that was made. */
function retrievals(records: readonly AuditRecord[]): readonly RetrievalRecord[] {
  return records.filter(isOf('item.retrieve', 'file.retrieve'));
}

/**
 * Pairs each read of Connect's log with one record of ours, of one token: first by the version, then with those that brought nothing that could be read, and
 * at last with those whose answer did not even begin to arrive. What is left has no partner; a request that Connect did not answer has none.
 */
function reconcile(reads: readonly WireApiRequest[], records: readonly RetrievalRecord[]) {
  const free = new Set(records);
  const pair = (fits: (record: RetrievalRecord, read: WireApiRequest) => boolean, left: readonly WireApiRequest[]): WireApiRequest[] =>
    left.filter((read) => {
      const found = free
        .values()
        .find(
          (record) =>
            record.token === read.actor.jti &&
            record.vault === read.resource.vault?.id &&
            record.item === read.resource.item?.id &&
            fits(record, read),
        );
      if (found !== undefined) free.delete(found);
      return found === undefined;
    });
  let left = pair(({ itemVersion }, { resource }) => itemVersion === resource.itemVersion, reads);
  left = pair(({ itemVersion, status }) => itemVersion === undefined && status === 200, left);
  left = pair(({ status, time }, { timestamp }) => status === 0 && Math.abs(Date.parse(time) - Date.parse(timestamp)) < 1_000, left);
  return { reads: left, records: [...free].filter(({ status }) => status === 200) };
}

describe('the audit of an operator beside Connect’s activity log', () => {
  const names = Array.from({ length: 8 }, (_, index) => `item-${index}`);
  const withFile = {
    title: 'with-file',
    fields: [{ label: 'password', value: canary('v') }],
    files: [{ name: 'ca.crt', content: canary('f') }],
  };
  const faults: readonly FaultOrder[] = [
    { kind: 'truncated', route: itemRoute, times: 3 },
    { kind: 'malformed', route: itemRoute, times: 3 },
    { kind: 'reset', route: itemRoute, times: 3 },
    { kind: 'reset', at: 'body', route: itemRoute, times: 3 },
    { kind: 'status', status: 500, route: itemRoute, times: 3 },
    { kind: 'status', status: 403, route: itemRoute, times: 1 },
    { kind: 'content-type', contentType: 'text/html', route: itemRoute, times: 3 },
    { kind: 'huge', bytes: 9_000_000, route: itemRoute, times: 1 },
    { kind: 'stale', route: itemRoute, times: 3 },
    { kind: 'hang', at: 'body', route: itemRoute, times: 1 },
    { kind: 'truncated', route: fileRoute, times: 1 },
  ];
  let scenario: Scenario;
  let memory: AuditMemory;
  let activity: readonly WireApiRequest[];
  let folder: string;
  let newToken: string;

  beforeAll(async () => {
    memory = createAuditMemory();
    folder = await mkdtemp(join(tmpdir(), 'keyturn-audit-'));
    const tokenFile = join(folder, 'token');
    const items = names.map((title) => ({ title, fields: [{ label: 'password', value: canary(`${title}first`) }] }));
    scenario = await startScenario({
      seed: { vaults: [{ name: 'Prod', items: [...items, withFile] }] },
      tokenFile,
      auditSink: memory,
      log: unreadLog,
    });
    const { connect, namespace } = scenario;
    newToken = connect.issueToken({ vaults: ['*'] });
    for (const name of [...names, 'with-file']) await namespace.createItem(name, `vaults/Prod/items/${name}`);
    // Two more that share an item, and one that wants none that is there.
    await namespace.createItem('shared', 'vaults/Prod/items/item-0');
    await namespace.createItem('missing', 'vaults/Prod/items/nowhere');
    await untilLevel();
    for (const order of faults) {
      const fault = connect.faults.order(order);
      for (const name of names) connect.store.setField('Prod', name, 'password', canary(`${name}${performance.now()}`));
      if (order.kind === 'hang') {
        await eventually('a request that hangs', () => (fault.hits > 0 ? true : undefined));
        await writeFile(tokenFile, newToken);
      }
      if (order.route === fileRoute) connect.store.setField('Prod', 'with-file', 'password', canary('second'));
      await untilLevel();
      connect.faults.clear();
    }
    await scenario.stopOperator();
    activity = await activityOf(connect, newToken);
  }, 240_000);

  afterAll(async () => {
    await scenario?.end();
    await rm(folder, { recursive: true });
  });

  /** Waits until each Secret has its item's version. */
  async function untilLevel(): Promise<void> {
    const { connect, namespace } = scenario;
    await eventually(
      'all Secrets to be equal to their items',
      async () => {
        const versions = await Promise.all(
          [...names, 'with-file', 'shared'].map(async (name) => {
            const secret = await namespace.secret(name);
            const { version: wanted } = connect.store.item('Prod', name === 'shared' ? 'item-0' : name);
            return secret?.metadata.annotations?.[annotations.itemVersion] === String(wanted);
          }),
        );
        return versions.every(Boolean) ? true : undefined;
      },
      60_000,
    );
  }

  it('has one record for each read that Connect answered, and none of a success that Connect does not know', () => {
    const reads = itemReads(activity);
    expect(reads.length).toBeGreaterThan(names.length * faults.length);
    expect(reconcile(reads, retrievals(memory.records))).toEqual({ reads: [], records: [] });
  });

  it('would show a read without a record, and a record without a read', () => {
    const reads = itemReads(activity);
    const records = retrievals(memory.records);
    const { id } = scenario.connect.store.item('Prod', 'with-file');
    const read = records.find(({ item, result }) => item === id && result === 'success');
    const lost = reconcile(
      reads,
      records.filter((record) => record !== read),
    );
    const others = reads.filter(({ resource }) => resource !== reads.find((one) => one.resource.item?.id === id)?.resource);
    const madeUp = reconcile(others, records);
    expect([lost.reads.length, madeUp.records.length]).toEqual([1, 1]);
  });

  it('has met each of the faults', () => {
    const results = new Set(retrievals(memory.records).map(({ result, status, reason }) => `${result} ${status} ${reason ?? ''}`.trim()));
    expect([...results].toSorted()).toEqual([
      'denied 403 ConnectForbidden',
      'failed 0 ConnectUnavailable',
      'failed 200 ConnectProtocolError',
      'failed 200 ConnectUnavailable',
      'failed 500 ConnectUnavailable',
      'success 200',
    ]);
  });

  it('names the token as Connect does, and Connect names the operator by its version', () => {
    const ids = [scenario.token, newToken].map(tokenId);
    expect([...new Set(memory.records.map((record) => record.token))]).toEqual(ids);
    const actors = itemReads(activity).map(({ actor }) => `${actor.jti} ${actor.userAgent}`);
    expect([...new Set(actors)]).toEqual(ids.map((id) => `${id} keyturn/${version}`));
    // A request that hung when the token changed.
    const change = memory.records.findIndex(({ action }) => action === 'token.change');
    expect(memory.records.slice(change + 1).filter(({ token }) => token === ids[0])).toMatchObject([{ action: 'item.retrieve' }]);
  });

  it('has all its numbers, from the loading of the token on', () => {
    const { records } = memory;
    expect(records.map(({ seq }) => seq)).toEqual(records.map((_, index) => index + 1));
    expect(records[0]).toMatchObject({ action: 'token.load', connection: scenario.connect.url });
  });

  it('names every resource that got an item, with its uid, and ties each write to the request that brought the values', async () => {
    const { namespace } = scenario;
    const uids = new Map((await namespace.items()).map(({ metadata }) => [metadata.uid, metadata.name]));
    const { records } = memory;
    const asked = new Map<string, Set<string>>();
    for (const record of records.filter(isOf('item.retrieve', 'item.share'))) {
      for (const { uid } of record.requesters) asked.set(record.requestId, (asked.get(record.requestId) ?? new Set()).add(uid));
    }
    const writes = records.filter(isOf('secret.create', 'secret.update'));
    const untied = writes.filter(({ requestId, requesters: [who] }) => who === undefined || !asked.get(requestId)?.has(who.uid));
    expect(untied).toEqual([]);
    const written = new Set(writes.map(({ requesters: [who] }) => uids.get(who?.uid ?? '')));
    expect(written).toEqual(new Set([...names, 'shared', 'with-file']));
  });

  it('holds no value and no token', async () => {
    expect(await findCanaries(scenario.namespace, { audit: memory.text })).toEqual([]);
    expect(memory.text).not.toContain(scenario.token);
    expect(memory.text).not.toContain(scenario.token.split('.')[2]);
  });
});

describe('the audit of what an operator does in the cluster', () => {
  let scenario: Scenario;
  let memory: AuditMemory;

  beforeAll(async () => {
    memory = createAuditMemory();
    const items = ['db', 'other'].map((title) => ({ title, fields: [{ label: 'password', value: 'first' }] }));
    scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] }, auditSink: memory });
  });

  afterAll(() => scenario?.end());

  const found = <A extends AuditRecord['action']>(action: A, name: string): Promise<RecordOf<A>> =>
    eventually(`a record of ${action}`, () =>
      memory.records.filter(isOf(action)).findLast((record) => JSON.stringify(record).includes(`"name":"${name}"`)),
    );

  it('tells of a Secret that is deleted, which item it held, and of its return', async () => {
    const { namespace, connect } = scenario;
    const { metadata } = await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'True');
    const before = await namespace.secret('db');
    await namespace.delete('secrets', 'db');
    const deletion = await found('secret.delete', 'db');
    expect(deletion).toMatchObject({
      secret: { namespace: namespace.name, name: 'db', uid: before?.metadata.uid },
      item: connect.store.item('Prod', 'db').id,
      itemVersion: 1,
      requesters: [{ kind: 'OnePasswordItem', name: 'db', uid: metadata.uid }],
      result: 'success',
    });
    const after = await eventually('the Secret to be back', () => namespace.secret('db'));
    await eventually('a record of that', () =>
      memory.records.find((record) => record.action === 'secret.create' && record.secret.uid === after.metadata.uid),
    );
  });

  it('tells of no deletion when somebody takes our label away', async () => {
    const { namespace } = scenario;
    await namespace.createItem('other', 'vaults/Prod/items/other');
    await untilReadiness(namespace, 'other', 'True');
    await namespace.patchSecret('other', { metadata: { labels: { 'keyturn.dev/managed': null } } });
    await found('secret.update', 'other');
    expect(memory.records.filter((record) => record.action === 'secret.delete' && record.secret.name === 'other')).toEqual([]);
  });

  it('tells of a Secret that is refused', async () => {
    const { namespace } = scenario;
    await namespace.createSecret('foreign', { password: 'theirs' });
    await namespace.createItem('foreign', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'foreign', 'SecretNotOwned');
    expect(await found('secret.refuse', 'foreign')).toMatchObject({ result: 'refused', reason: 'SecretNotOwned' });
  });

  it('tells of a restart: of what, for which version of which item, and whose it was', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    await namespace.createDeployment('web', 'db', { [annotations.autoRestart]: 'true' });
    await untilRolledOut(namespace, 'web');
    await eventually(
      'it to be adopted',
      async () => (await namespace.deployment('web')).metadata.annotations?.[annotations.knownRevisions],
    );
    await namespace.createDeployment('skipped', 'db', { [annotations.autoRestart]: 'true', [annotations.restart]: 'skip' });
    await untilRolledOut(namespace, 'skipped');
    connect.store.setField('Prod', 'db', 'password', 'second');
    await untilEvent(namespace, 'Deployment', 'skipped', 'RestartSkipped');
    expect(await found('workload.restart', 'web')).toMatchObject({
      workload: { kind: 'Deployment', namespace: namespace.name, name: 'web' },
      secrets: [{ name: 'db', item: connect.store.item('Prod', 'db').id, itemVersion: connect.store.item('Prod', 'db').version }],
      requesters: [{ kind: 'OnePasswordItem', name: 'db' }],
    });
    expect(memory.records.filter(isOf('workload.restart')).map(({ workload }) => workload.name)).toEqual(['web']);
  });
});

async function newFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'keyturn-audit-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** Every version of each item that a Secret of a namespace ever had: `ITEM VERSION`. */
async function observeVersions({ kube, name: namespace }: TestNamespace) {
  const seen = new Set<string>();
  const end = new AbortController();
  const path = collectionPath(secrets, namespace);
  const { metadata } = await kube.request<{ metadata: { resourceVersion: string } }>({ method: 'GET', path });

  async function follow(): Promise<void> {
    const query = { watch: 'true', resourceVersion: metadata.resourceVersion };
    for await (const line of kube.watch({ method: 'GET', path, query, signal: end.signal })) {
      const { object } = JSON.parse(line) as { readonly object: { readonly metadata: WireMeta } };
      const { [annotations.itemPath]: item = '', [annotations.itemVersion]: held = '' } = object.metadata.annotations ?? {};
      seen.add(`${item} ${held}`);
    }
  }

  const ended = follow().catch((error: unknown) => (end.signal.aborted ? undefined : error));
  return {
    seen,
    /** @throws whatever ended the observation early */
    async stop(): Promise<void> {
      end.abort();
      const error = await ended;
      if (error !== undefined) throw error;
    },
  };
}

describe('an operator that is killed at random moments while items rotate', () => {
  it('has a record of each version of each item that reached a Secret', async () => {
    const kills = 8;
    const titles = Array.from({ length: 10 }, (_, index) => `item-${index}`);
    const { kubeconfig: admin, accounts } = sharedControlPlane();
    const { kubeconfig } = accounts.namespaced;
    await installCrd();
    const items = titles.map((title) => ({ title, fields: [{ label: 'password', value: canary(`${title}0`) }] }));
    const connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items }] } });
    const token = connect.issueToken({ vaults: ['*'] });
    const namespace = await createNamespace(admin);
    const observed = await observeVersions(namespace);
    onTestFinished(async () => {
      await namespace.kube.close();
      await connect.close();
    });
    for (const title of titles) await namespace.createItem(title, `vaults/Prod/items/${title}`);
    const path = join(await newFolder(), 'audit.log');
    const start = () =>
      spawnOperator({ kubeconfig, connect: connect.url, token, namespaces: [namespace.name], flags: [`--audit-log-path=${path}`] });

    let rotations = 0;
    for (let round = 0; round < kills; round += 1) {
      const operator = start();
      await operator.reconciles;
      const before = observed.seen.size;
      for (const title of titles) connect.store.setField('Prod', title, 'password', canary(`${title}${(rotations += 1)}`));
      // In the middle of the writes: some of them have been seen, and others are to come.
      const passed = Math.floor(Math.random() * titles.length);
      await eventually('some Secrets to be written', () => (observed.seen.size >= before + passed ? true : undefined));
      await operator.kill();
      expect(operator.output()).not.toContain('"log":"audit"');
    }
    const last = start();
    await last.reconciles;
    await eventually('all to be level', async () => {
      const held = await Promise.all(titles.map(async (title) => (await namespace.secret(title))?.values['password']));
      return held.every((value, index) => value === fieldOf(connect, titles[index] ?? '')) ? true : undefined;
    });
    await last.kill();
    await observed.stop();

    const text = await readFile(path, 'utf8');
    const records = auditRecords(text);
    const recorded = new Set(
      retrievals(records)
        .filter(({ result }) => result === 'success')
        .map(({ vault, item, itemVersion }) => `vaults/${vault}/items/${item} ${itemVersion}`),
    );
    expect(observed.seen.size).toBeGreaterThan(titles.length * 2);
    expect([...observed.seen].filter((each) => !recorded.has(each))).toEqual([]);
    expect(await findCanaries(namespace, { audit: text })).toEqual([]);
    expect(gaps(records)).toEqual([]);
    expect(new Set(records.map((record) => record.process)).size).toBe(kills + 1);
  }, 180_000);
});

function fieldOf(connect: ConnectServer, title: string): string | undefined {
  return connect.store.item('Prod', title).fields[0]?.value;
}

/** Numbers that are missing, by process. */
function gaps(records: readonly AuditRecord[]): readonly string[] {
  const last = new Map<string, number>();
  return records.flatMap(({ process: id, seq }) => {
    const expected = (last.get(id) ?? 0) + 1;
    last.set(id, seq);
    return seq === expected ? [] : [`${id} ${expected}`];
  });
}

describe('an audit log that cannot be written', () => {
  const seed = { vaults: [{ name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'first' }] }] }] };

  /** A scenario in sync, whose audit log then cannot be written any more. */
  async function broken(flags: readonly string[]) {
    const memory = createAuditMemory();
    const told: string[] = [];
    const log = pino({ level: 'warn', base: null, timestamp: false }, { write: (line: string) => void told.push(line) });
    const scenario = await startScenario({ seed, flags, auditSink: memory, log });
    onTestFinished(() => scenario.end());
    const { namespace, connect } = scenario;
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'True');
    // Of the start.
    told.length = 0;
    // That every namespace may read every vault is told at the start.
    told.length = 0;
    memory.failWith('ENOSPC');
    connect.requests.reset();
    connect.store.setField('Prod', 'db', 'password', 'second');
    return { ...scenario, memory, told };
  }

  it('keeps no value from its Secret', async () => {
    const { namespace, memory, told } = await broken([]);
    await eventually('the new value', async () => ((await namespace.secret('db'))?.values['password'] === 'second' ? true : undefined));
    memory.failWith(undefined);
    await namespace.delete('secrets', 'db');
    const resumed = await eventually('a record of the loss', () => memory.records.find((record) => record.action === 'audit.resume'));
    // The token, the item and the Secret had been recorded.
    expect([resumed.lost, resumed.seq]).toEqual([2, 6]);
    expect(told.map((line) => JSON.parse(line) as unknown)).toEqual([
      { level: 50, path: 'stdout', error: 'ENOSPC', msg: 'audit records are lost' },
      { level: 40, path: 'stdout', lost: 2, msg: 'audit records are written again' },
    ]);
  });

  it('stops the retrieval under --audit-required: the condition says so, the Secret stays, and all goes on by itself when it can be written', async () => {
    const [port = 0] = await freePorts(1);
    const failing = async (): Promise<string | undefined> =>
      /^keyturn_audit_failing (\d)$/m.exec(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())?.[1];
    const { namespace, memory, connect } = await broken(['--audit-required', `--metrics-bind-address=127.0.0.1:${port}`]);
    const item = await untilReadiness(namespace, 'db', 'AuditUnavailable');
    const before = connect.requests.count(itemRoute);
    await namespace.createItem('late', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'late', 'AuditUnavailable');
    expect([(await namespace.secret('db'))?.values['password'], await namespace.secret('late')]).toEqual(['first', undefined]);
    expect([before, connect.requests.count(itemRoute)]).toEqual([1, 1]);
    expect(item.status?.conditions?.[0]?.message).toContain('audit records cannot be written');
    expect(await failing()).toBe('1');
    memory.failWith(undefined);
    await untilReadiness(namespace, 'db', 'True');
    await untilReadiness(namespace, 'late', 'True');
    expect([(await namespace.secret('db'))?.values['password'], await failing()]).toEqual(['second', '0']);
  });

  it('is opened by itself when its path becomes writable', async () => {
    const path = join(await newFolder(), 'audit.log');
    await mkdir(path);
    const scenario = await startScenario({ seed, flags: ['--audit-required', `--audit-log-path=${path}`], log: unreadLog });
    onTestFinished(() => scenario.end());
    const { namespace, connect } = scenario;
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'AuditUnavailable');
    expect([connect.requests.count(itemRoute), (await stat(path)).isDirectory()]).toEqual([0, true]);
    await rm(path, { recursive: true });
    await untilReadiness(namespace, 'db', 'True');
    await scenario.stopOperator();
    const records = auditRecords(await readFile(path, 'utf8'));
    expect(records.map(({ action }) => action)).toEqual(['audit.resume', 'item.retrieve', 'secret.create']);
  });
});
