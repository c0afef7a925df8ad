import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations, legacyFinalizer, managedLabel } from '../../src/api/names.ts';
import { KubeError } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import {
  collectionPath,
  deployments,
  events,
  objectPath,
  replicaSets,
  type ResourceType,
  secrets,
  type WireObject,
} from '../../src/kube/resource.ts';
import { type ApiServerProxy, type ProxiedRequest, startApiServerProxy } from '../support/api-server-proxy.ts';
import { createNamespace, type ReadDeployment, type ReadItem, type TestNamespace, untilRolledOut } from '../support/cluster.ts';
import { type OwnControlPlane, ownControlPlane, requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { oldCrd } from '../support/old-crd.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';

/** The prefix under which the old operator takes annotations of a Deployment for instructions. */
const oldPrefix = 'operator.1password.io/';
const oldManager = 'manager';
const resources = ['database', 'by-id'];
const secretNames = [...resources, 'annotated'];
const workloads = ['web', 'annotated'];

let controlPlane: OwnControlPlane;
let connect: ConnectServer;
let proxy: ApiServerProxy;
let operator: TestOperator | undefined;
let namespace: TestNamespace;
let old: OldOperator;

beforeAll(async () => {
  controlPlane = await ownControlPlane();
  await applyCrd(oldCrd);
  proxy = await startApiServerProxy({ controlPlane, user: controlPlane.accounts.clusterWide });
  const fields = ['password', 'user'].map((label) => ({ label, value: `first ${label}` }));
  connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items: secretNames.map((title) => ({ title, fields })) }] } });
});

afterAll(async () => {
  await connect?.close();
  await proxy?.close();
  await controlPlane?.stop();
});

beforeEach(async (context) => {
  requireFeature(context, 'pods');
  namespace = await createNamespace(controlPlane.kubeconfig, { [annotations.autoRestart]: 'true' });
  old = createOldOperator(namespace);
  await layDown();
});

afterEach(async () => {
  await operator?.stop();
  operator = undefined;
  if (namespace === undefined) return;
  // The next test starts an operator for all namespaces: nothing may be left for it to do here.
  for (const name of resources) await namespace.delete('items', name);
  for (const name of workloads) await namespace.delete('deployments', name);
  for (const name of resources) await namespace.patchItem(name, { metadata: { finalizers: null } }).catch(ignoreMissing);
  for (const name of workloads) await namespace.patchDeployment(name, { metadata: { finalizers: null } }).catch(ignoreMissing);
  await namespace.kube.close();
});

// In the order of a migration: the first finds the old CRD, which the second replaces.
describe('Keyturn in the place of the old operator', () => {
  it('changes no value and no pod while the old CRD stays', async () => {
    const { before, after } = await migrate();
    expect(after).toEqual(before);
  });

  it('changes no value and no pod once its CRD is applied', async () => {
    await applyOurCrd();
    const { before, after } = await migrate();
    expect(after).toEqual(before);
    for (const name of resources)
      expect((await namespace.item(name))?.status?.item).toMatchObject({ id: connect.store.item('Prod', name).id });
  });

  it('takes the new value of an item that changed while neither ran, and rolls who consumes it', async () => {
    await applyOurCrd();
    const before = await state();
    connect.store.setField('Prod', 'database', 'password', `changed for ${namespace.name}`);
    await takeOver();
    await eventually('the rollout', async () =>
      (await state()).replicaSets['web']?.length === (before.replicaSets['web']?.length ?? 0) + 1 ? true : undefined,
    );
    expect((await secret('database')).values).toEqual(valuesOf('database'));
    expect((await state()).replicaSets['annotated']).toEqual(before.replicaSets['annotated']);
  });
});

describe('the old operator in the place of Keyturn', () => {
  beforeEach(async () => {
    await applyOurCrd();
    await takeOver();
    await rotate('database', 'web');
    await rotate('annotated', 'annotated');
    await untilQuiet();
    await operator?.stop();
  });

  it('finds its annotations on every Secret, and true', async () => {
    for (const name of secretNames) {
      const { metadata } = await secret(name);
      expect(metadata.annotations, name).toMatchObject(old.notesOf(name));
    }
  });

  it('finds no instruction on a Deployment but those of its user', async () => {
    expect(await instructions('web')).toEqual([]);
    expect((await instructions('annotated')).toSorted()).toEqual([annotations.itemName, annotations.itemPath]);
  });

  it('may write its status over ours', async () => {
    await old.syncItem('database');
    expect((await namespace.item('database'))?.status).toEqual({
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: expect.any(String) as string }],
    });
  });

  it('may put its finalizer back', async () => {
    await old.syncAll();
    for (const name of resources) expect((await namespace.item(name))?.metadata.finalizers, name).toEqual([legacyFinalizer]);
    expect((await namespace.deployment('annotated')).metadata.finalizers).toEqual([legacyFinalizer]);
  });

  it('hands over once more after a rotation of its own, and no pod restarts', async () => {
    connect.store.setField('Prod', 'database', 'password', `by the old operator for ${namespace.name}`);
    await old.syncAll();
    const { before, after } = await migrate();
    expect(after).toEqual(before);
  });
});

describe('the old operator that runs beside Keyturn', () => {
  /** For one object: five rounds and an attempt in the minute after them, each of the finalizer, the Secret, the record and an event. */
  const mostWrites = 6 * 4;
  let follower: Follower;

  beforeEach(async () => {
    await applyOurCrd();
    follower = old.follow();
    await start();
  });
  afterEach(() => follower?.stop());

  it('is named by a warning on everything that it fights for', async () => {
    const expected = secretNames.toSorted().join();
    await eventually('a warning on everything', async () => ((await contested()).join() === expected ? true : undefined), 20_000);
  });

  it('is answered with one attempt a minute', async () => {
    await polls(20);
    const writes = stateWrites().filter(({ path }) => path.includes(`/namespaces/${namespace.name}/`));
    expect(writes.length, JSON.stringify(tally(writes))).toBeLessThanOrEqual(secretNames.length * mostWrites);
    expect((await namespace.item('database'))?.metadata.finalizers).toEqual([legacyFinalizer]);
  });

  it('gets no value changed by the quarrel, nor a pod', async () => {
    const before = await state();
    await untilQuiet();
    await follower.stop();
    const after = await state();
    expect(after.secrets.map(({ values, uid }) => ({ values, uid }))).toEqual(before.secrets.map(({ values, uid }) => ({ values, uid })));
    expect({ ...after, secrets: [] }).toEqual({ ...before, secrets: [] });
  });
});

/** Names of the objects with a warning of another operator, in order. */
async function contested(): Promise<readonly string[]> {
  interface WireEvent {
    readonly type: string;
    readonly reason: string;
    readonly involvedObject: { readonly name: string };
  }
  const path = collectionPath(events, namespace.name);
  const { items } = await namespace.kube.request<{ items: readonly WireEvent[] }>({ method: 'GET', path });
  const warnings = items.filter(({ type, reason }) => type === 'Warning' && reason === 'AnotherOperatorActive');
  return [...new Set(warnings.map(({ involvedObject }) => involvedObject.name))].toSorted();
}

/** How many requests of each method there were to each kind of object. */
function tally(requests: readonly ProxiedRequest[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { method, path } of requests) {
    const key = `${method} ${/\/namespaces\/[^/]+\/([^/]+)/.exec(path)?.[1]}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** What a team has after a year with the old operator: two resources and an annotated Deployment, all of which it has restarted once. */
async function layDown(): Promise<void> {
  const { id } = connect.store.item('Prod', 'by-id');
  const labels = { team: 'payments', 'app.kubernetes.io/instance': 'argo' };
  await namespace.createItem('database', 'vaults/Prod/items/database', { labels });
  await namespace.createItem('by-id', `vaults/${connect.store.vault('Prod').id}/items/${id}`, {
    annotations: { [annotations.autoRestart]: 'true' },
  });
  await namespace.createDeployment('web', 'database');
  const asked = { [annotations.itemPath]: 'vaults/Prod/items/annotated', [annotations.itemName]: 'annotated' };
  await namespace.createDeployment('annotated', 'annotated', asked);
  await old.syncAll();
  const restarted = { [annotations.lastRestarted]: '2026-01-01T00:00:00Z' };
  for (const name of workloads) {
    await untilRolledOut(namespace, name);
    await namespace.patchDeployment(name, { spec: { template: { metadata: { annotations: restarted } } } });
    await eventually('the restart', async () => ((await namespace.replicaSets(name)) === 2 ? true : undefined));
    await untilRolledOut(namespace, name);
  }
}

async function start(): Promise<void> {
  proxy.requests.reset();
  const token = connect.issueToken({ vaults: ['Prod'] });
  operator = await startOperator({ kubeconfig: proxy.kubeconfig, connect: connect.url, token, namespaces: [] });
}

/** Starts Keyturn and waits until it has made everything its own. */
async function takeOver(): Promise<void> {
  await start();
  await eventually('Keyturn to have taken over', async () => {
    const [items, found, consumers] = await Promise.all([
      namespace.items(),
      Promise.all(secretNames.map(secret)),
      Promise.all(workloads.map((name) => namespace.deployment(name))),
    ]);
    const done =
      items.every(({ metadata, status }) => metadata.finalizers === undefined && status?.conditions?.[0]?.message?.startsWith('version')) &&
      found.every(({ metadata }) => metadata.labels?.[managedLabel] === 'true') &&
      consumers.every(({ metadata }) => metadata.finalizers === undefined && metadata.annotations?.[annotations.knownRevisions]);
    return done ? true : undefined;
  });
}

/** Starts Keyturn upon what the old operator left: what it must leave alone, before and after. It may write each Secret once, and then nothing. */
async function migrate(): Promise<{ readonly before: ClusterState; readonly after: ClusterState }> {
  const before = await state();
  await takeOver();
  await untilQuiet();
  const writes = stateWrites();
  const toSecrets = writes.filter(({ path, status = 0 }) => /\/secrets(?:\/|$)/.test(path) && status < 300);
  expect(toSecrets.map(({ method }) => method)).toEqual(secretNames.map(() => 'PUT'));
  await polls(3);
  expect(tally(stateWrites())).toEqual(tally(writes));
  for (const { status } of await namespace.items()) expect(status?.conditions).toMatchObject([{ type: 'Ready', status: 'True' }]);
  return { before: withoutOurs(before), after: withoutOurs(await state()) };
}

/** All writes but those of the counts of consumers, which come when the counts have settled. */
function stateWrites(): readonly ProxiedRequest[] {
  return proxy.requests.writes().filter(({ countsConsumers }) => !countsConsumers);
}

/** Gives an item a new value and waits until its Secret has it and its consumer is rolled. */
async function rotate(title: string, consumer: string): Promise<void> {
  const before = await namespace.replicaSets(consumer);
  connect.store.setField('Prod', title, 'password', `rotated for ${namespace.name}`);
  await eventually('the rollout', async () => ((await namespace.replicaSets(consumer)) === before + 1 ? true : undefined));
  await untilRolledOut(namespace, consumer);
  expect((await secret(title)).values).toEqual(valuesOf(title));
}

/** Waits until `count` more polls of Connect have come. */
async function polls(count: number): Promise<void> {
  connect.requests.reset();
  await eventually(`${count} polls`, () => (connect.requests.count('GET /v1/vaults') >= count ? true : undefined), 40_000);
}

/** Waits until three polls pass without a write. */
async function untilQuiet(): Promise<void> {
  await eventually('Keyturn to be quiet', async () => {
    const { length } = proxy.requests.writes();
    await polls(3);
    return proxy.requests.writes().length === length ? true : undefined;
  });
}

interface SecretState {
  readonly uid: string;
  readonly type: string;
  readonly values: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: unknown;
  /** Who has written which value. */
  readonly writers: readonly (readonly [string | undefined, object | undefined])[];
}

interface ClusterState {
  readonly secrets: readonly SecretState[];
  readonly templates: readonly unknown[];
  /** By Deployment, their uids. */
  readonly replicaSets: Readonly<Record<string, readonly string[]>>;
  readonly pods: Readonly<Record<string, readonly string[]>>;
}

/** Everything that a migration must leave alone, as it is now. */
async function state(): Promise<ClusterState> {
  const [found, consumers, sets, pods] = await Promise.all([
    Promise.all(secretNames.map(secret)),
    Promise.all(workloads.map((name) => namespace.deployment(name))),
    Promise.all(workloads.map((name) => uidsOf(replicaSets, name))),
    Promise.all(workloads.map((name) => uidsOf({ root: '/api/v1', plural: 'pods' }, name))),
  ]);
  return {
    secrets: found.map(({ metadata, type, values }) => ({
      uid: metadata.uid,
      type,
      values,
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
      ownerReferences: metadata.ownerReferences,
      writers: (metadata.managedFields ?? []).flatMap(({ manager, fieldsV1 }) => {
        const data = fieldsV1?.['f:data'];
        return data === undefined ? [] : [[manager, data] as const];
      }),
    })),
    templates: consumers.map(({ spec }) => spec.template),
    replicaSets: Object.fromEntries(workloads.map((name, i) => [name, sets[i] ?? []])),
    pods: Object.fromEntries(workloads.map((name, i) => [name, pods[i] ?? []])),
  };
}

async function uidsOf(type: ResourceType, app: string): Promise<readonly string[]> {
  const path = collectionPath(type, namespace.name);
  const query = { labelSelector: `app=${app}` };
  const { items } = await namespace.kube.request<{ items: readonly WireObject[] }>({ method: 'GET', path, query });
  return items.map(({ metadata }) => metadata.uid).toSorted();
}

/** Annotations of a Deployment that the old operator acts upon. */
async function instructions(name: string): Promise<readonly string[]> {
  return Object.keys((await namespace.deployment(name)).metadata.annotations ?? {}).filter((key) => key.startsWith(oldPrefix));
}

function others(map: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(map).filter(([key]) => !key.startsWith('keyturn.dev/')));
}

/** A state without what Keyturn may add to Secrets. */
function withoutOurs({ secrets: found, ...rest }: ClusterState): ClusterState {
  return { ...rest, secrets: found.map((one) => ({ ...one, labels: others(one.labels), annotations: others(one.annotations) })) };
}

type Secret = NonNullable<Awaited<ReturnType<TestNamespace['secret']>>>;

async function secret(name: string): Promise<Secret> {
  const found = await namespace.secret(name);
  if (found === undefined) throw new Error(`no Secret ${name}`);
  return found;
}

function valuesOf(title: string): Readonly<Record<string, string>> {
  return Object.fromEntries(connect.store.item('Prod', title).fields.map(({ label = '', value = '' }) => [label, value]));
}

async function applyCrd(manifest: string): Promise<void> {
  const { code, stderr } = await controlPlane.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], manifest);
  expect(code, stderr).toBe(0);
  await controlPlane.kubectl(['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s']);
}

async function applyOurCrd(): Promise<void> {
  await applyCrd(await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8'));
}

interface Follower {
  stop(): Promise<void>;
}

/** What the old operator does to a namespace, by its own field manager. */
interface OldOperator {
  syncItem(name: string): Promise<void>;
  syncDeployment(name: string): Promise<void>;
  syncAll(): Promise<void>;
  /** Does it again whenever a resource or an annotated Deployment changes. */
  follow(): Follower;
  /** The annotations it gives to the Secret of the item of that title. */
  notesOf(title: string): Readonly<Record<string, string>>;
}

function notesOf(title: string): Readonly<Record<string, string>> {
  const { id, version, vault } = connect.store.item('Prod', title);
  return { [annotations.itemPath]: `vaults/${vault.id}/items/${id}`, [annotations.itemVersion]: String(version) };
}

/** Until no other writer comes between. */
async function insistently(sync: () => Promise<void>): Promise<void> {
  await eventually('the old operator to have its way', async () => {
    await sync();
    return true;
  });
}

function createOldOperator({ kube, name: of }: TestNamespace): OldOperator {
  interface WireItem extends ReadItem {
    readonly spec: { readonly itemPath: string };
  }

  const query = { fieldManager: oldManager };
  const put = <T>(path: string, body: T): Promise<T> => kube.request<T>({ method: 'PUT', path, query, body });
  const read = <T>(path: string): Promise<T> => kube.request<T>({ method: 'GET', path });

  /** It knows the type, the status, the time and the message of a condition, and nothing else of a status. */
  function statusAfter({ status }: WireItem): object {
    const before = status?.conditions?.[0];
    const lastTransitionTime = before?.status === 'True' ? before.lastTransitionTime : '2026-01-01T00:00:00Z';
    return { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }] };
  }

  async function withFinalizer<T extends WireObject>(path: string): Promise<T> {
    const object = await read<T>(path);
    const { finalizers = [] } = object.metadata;
    if (finalizers.includes(legacyFinalizer)) return object;
    return await put(path, { ...object, metadata: { ...object.metadata, finalizers: [...finalizers, legacyFinalizer] } });
  }

  async function writeSecret(
    name: string,
    owner: object,
    labels: WireObject['metadata']['labels'],
    autoRestart: string | undefined,
  ): Promise<void> {
    const notes = { ...notesOf(name), ...(autoRestart !== undefined && { [annotations.autoRestart]: autoRestart }) };
    const data = Object.fromEntries(Object.entries(valuesOf(name)).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
    const path = objectPath(secrets, { namespace: of, name });
    const existing = await read<WireObject>(path).catch(ignoreMissing);
    if (existing === undefined) {
      const metadata = { name, labels, annotations: notes, ownerReferences: [owner] };
      await kube.request({ method: 'POST', path: collectionPath(secrets, of), query, body: { metadata, type: 'Opaque', data } });
      return;
    }
    const { metadata } = existing;
    if (sameMap(metadata.labels, labels) && sameMap(metadata.annotations, notes)) return;
    await put(path, { ...existing, metadata: { ...metadata, labels, annotations: notes }, data });
  }

  async function syncItem(name: string): Promise<void> {
    const path = objectPath(onePasswordItems, { namespace: of, name });
    const item = await withFinalizer<WireItem>(path);
    const { uid, labels, annotations: notes } = item.metadata;
    const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name, uid };
    await writeSecret(name, owner, labels, notes?.[annotations.autoRestart]);
    await put(`${path}/status`, { ...item, status: statusAfter(item) });
  }

  async function syncDeployment(name: string): Promise<void> {
    const path = objectPath(deployments, { namespace: of, name });
    const { uid, annotations: notes } = (await read<ReadDeployment>(path)).metadata;
    const secretName = notes?.[annotations.itemName];
    if (secretName === undefined) return;
    await withFinalizer(path);
    await writeSecret(secretName, { apiVersion: 'apps/v1', kind: 'Deployment', name, uid }, undefined, notes?.[annotations.autoRestart]);
  }

  return {
    notesOf,
    syncItem,
    syncDeployment,
    async syncAll() {
      for (const name of resources) await insistently(() => syncItem(name));
      for (const name of workloads) await insistently(() => syncDeployment(name));
    },
    follow() {
      const end = new AbortController();
      const follow = async (type: ResourceType, sync: (name: string) => Promise<void>): Promise<void> => {
        const path = collectionPath(type, of);
        for await (const line of kube.watch({ method: 'GET', path, query: { watch: 'true' }, signal: end.signal })) {
          const { object } = JSON.parse(line) as { readonly object: WireObject };
          await insistently(() => sync(object.metadata.name));
        }
      };
      const untilStopped = async (type: ResourceType, sync: (name: string) => Promise<void>): Promise<void> => {
        // A CRD that was just replaced refuses watches for a second.
        await eventually(
          'the end of the test',
          async () => {
            await follow(type, sync).catch(ignoreRefusal);
            return end.signal.aborted ? true : undefined;
          },
          60_000,
        );
      };
      const followed = Promise.allSettled([untilStopped(onePasswordItems, syncItem), untilStopped(deployments, syncDeployment)]);
      return {
        async stop() {
          end.abort();
          await followed;
        },
      };
    },
  };
}

function sameMap(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof KubeError)) throw error;
}

function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof KubeError) || error.status !== 404) throw error;
}
