import { describe, expect, it, onTestFinished } from 'vitest';
import type { WorkloadKind } from '../../../src/api/names.ts';
import { createConsumers } from '../../../src/controllers/consumers.ts';
import { createWorkloadReconciler } from '../../../src/controllers/workload-reconciler.ts';
import { createOwners } from '../../../src/controllers/owners.ts';
import type { RestartNews } from '../../../src/controllers/restart-news.ts';
import { type Cause, createRollouts, type RolloutBudget } from '../../../src/controllers/rollouts.ts';
import { createKubeClient, isConflict, type KubeError } from '../../../src/kube/client.ts';
import { type ManagedSecret, type Namespace, type OnePasswordItem, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import type { WireObject } from '../../../src/kube/resource.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';
import { done, type Outcome, requeue, retry } from '../../../src/runtime/controller.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type Exchange, startApiServer } from '../kube/api-server.ts';

const signal = new AbortController().signal;
const knownRevisions = 'keyturn.dev/known-revisions';
const restartedRevisions = 'keyturn.dev/restarted-revisions';
const lastRestarted = 'operator.1password.io/last-restarted';
const second = 1_000;
const minute = 60_000;
/** The time of the API server when a test begins. */
const now = Date.UTC(2026, 0, 1);
const rotation = now - minute;
const item = 'vaults/v/items/i';

interface Given {
  /** Of the Secret `db`. */
  readonly revision?: number;
  /** What the Deployment's annotation says of `db`, and its template's. */
  readonly adopted?: number;
  readonly rolled?: number;
  readonly paused?: boolean;
  readonly observed?: boolean;
  readonly reportOnly?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly kind?: WorkloadKind;
  readonly resourceVersion?: string;
  /** When it was restarted by us, before now. */
  readonly restartedBefore?: number;
  /** Its pods are new, and there are enough of them. */
  readonly complete?: boolean;
  readonly onDelete?: boolean;
  readonly deleting?: boolean;
  /** It names the key `password`, and not the whole Secret. */
  readonly byKey?: boolean;
  /** Secrets that it consumes whole, beside `db`. */
  readonly more?: readonly string[];
  readonly generation?: number;
  /** Of a Rollout: the Deployment whose template it runs. */
  readonly templateOf?: string;
  readonly budget?: RolloutBudget;
}

/** Writes down who is told what: the names of the calls, and of restarts the Secrets and what tells one from the next. */
function newsTo(told: string[], restarted: string[], restarts: string[]): RestartNews {
  const call = (name: string) => () => void told.push(name);
  return {
    restarted(_, { changed, revision }) {
      restarted.push(...changed.map(({ secret }) => secret));
      restarts.push(revision);
    },
    wouldRestart: call('wouldRestart'),
    skipped: call('skipped'),
    queued: (_, __, wait) => void told.push(`queued ${wait}`),
    held: call('held'),
    reverted: call('reverted'),
    refused: call('refused'),
    blocked: call('blocked'),
    adoptionRefused: call('adoptionRefused'),
    invalid: (_, message) => void told.push(message),
  };
}

const entry = (revision: number | undefined) => (revision === undefined ? {} : { [knownRevisions]: JSON.stringify({ db: revision }) });

function deployment(given: Given) {
  const { kind = 'Deployment', adopted, rolled, paused = false, observed = true, annotations = {}, complete = true } = given;
  const { resourceVersion = '7', restartedBefore, onDelete = false, deleting = false, byKey = false, more = [], generation = 2 } = given;
  const restarted = restartedBefore === undefined ? undefined : new Date(now - restartedBefore).toISOString();
  const metadata = {
    namespace: 'ns',
    name: 'shop',
    uid: 'shop',
    resourceVersion,
    generation,
    annotations: {
      ...entry(adopted),
      ...(kind === 'Rollout' &&
        rolled !== undefined && { [restartedRevisions]: JSON.stringify({ db: rolled, '*': now - (restartedBefore ?? 0) }) }),
      ...annotations,
    },
    ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
  };
  const secretKeyRef = { name: 'db', key: 'password' };
  const env = byKey ? [{ valueFrom: { secretKeyRef } }] : [];
  const envFrom = [...(byKey ? [] : ['db']), ...more].map((name) => ({ secretRef: { name } }));
  const containers = [{ env, envFrom }];
  const notes = { ...entry(rolled), ...(restarted !== undefined && kind !== 'Rollout' && { [lastRestarted]: restarted }) };
  const template = { metadata: { annotations: notes }, spec: { containers } };
  const counts = { replicas: 1, updatedReplicas: complete ? 1 : 0, availableReplicas: 1 };
  return {
    metadata,
    spec: {
      paused,
      selector: { matchLabels: { app: 'shop' } },
      template,
      ...(onDelete && { updateStrategy: { type: 'OnDelete' } }),
      ...(kind === 'Rollout' && { restartAt: restarted }),
      ...(given.templateOf !== undefined && { workloadRef: { kind: 'Deployment', name: given.templateOf } }),
    },
    status: { observedGeneration: observed ? generation : generation - 1, restartedAt: complete ? restarted : undefined, ...counts },
  };
}

const replicaSet = (revision: number, created: number, owner = 'shop') => ({
  metadata: {
    annotations: { 'deployment.kubernetes.io/revision': String(revision) },
    creationTimestamp: new Date(created).toISOString(),
    ownerReferences: [{ uid: owner }],
  },
});

async function setUp(given: Given) {
  const api = await startApiServer();
  const clock = createFakeClock(now);
  const kube = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => kube.close());
  const stores = {
    items: createStore<OnePasswordItem>(),
    workloads: createStore<Workload>(workloadKey),
    secrets: createStore<ManagedSecret>(),
    namespaces: createStore<Namespace>(),
  };
  const consumers = createConsumers({ ...stores, owners: createOwners(stores), autoRestart: true });
  const restarted: string[] = [];
  const restarts: string[] = [];
  const told: string[] = [];
  const turns: string[] = [];
  let waitingChanges = 0;
  const rollouts = createRollouts({
    clock,
    budget: given.budget ?? { inAll: 0, perNamespace: 0 },
    onTurn: (turn) => turns.push(turn),
    onHeld: () => {},
    onEnd: () => {},
  });
  const reconcilerOptions = {
    ...stores,
    consumers,
    owners: createOwners(stores),
    rollouts,
    kube,
    clock,
    news: newsTo(told, restarted, restarts),
    debounce: 2_000,
    reportOnly: given.reportOnly ?? false,
    onWaiting: () => void (waitingChanges += 1),
  };
  const secret: ManagedSecret = {
    namespace: 'ns',
    name: 'db',
    uid: 'db',
    resourceVersion: '5',
    labels: {},
    annotations: {
      'keyturn.dev/revisions': JSON.stringify({ password: given.revision ?? rotation }),
      'operator.1password.io/item-path': item,
      'operator.1password.io/item-version': '7',
    },
    ownerReferences: [],
    dataWriters: undefined,
    writtenByUs: false,
    writtenAt: undefined,
  };
  const reconciler = createWorkloadReconciler(reconcilerOptions);
  const kind = given.kind ?? 'Deployment';
  const key = `ns/${kind}/shop`;
  let secretVersion = 5;
  const put = (state: Given): void => stores.workloads.put(reduceWorkload(kind)(deployment(state)));
  put(given);
  stores.secrets.put(secret);
  return {
    ...reconciler,
    api,
    clock,
    rollouts,
    restarted,
    restarts,
    told,
    turns,
    secret,
    key,
    ...stores,
    /** The cluster tells of another state of the workload. */
    put,
    /** A value in the Secret changes now. */
    rotate: () => {
      secretVersion += 1;
      const notes = { ...secret.annotations, 'keyturn.dev/revisions': JSON.stringify({ password: clock.now() }) };
      stores.secrets.put({ ...secret, resourceVersion: String(secretVersion), annotations: notes });
    },
    waitingChanges: () => waitingChanges,
    waiting: () => {
      const all = [...reconciler.waiting()];
      return { count: all.length, since: all[0]?.since, reason: all[0]?.reason };
    },
    /** The outcome of a reconcile whose one request is refused, or the error. */
    refused: async (status: number): Promise<unknown> => {
      const outcome = reconciler.reconcile(key, signal).catch((error: unknown) => error);
      (await api.next()).answer(status, { reason: 'No' }, { date: '' });
      return outcome;
    },
    /** Reconciles while `answers` answer the requests, in order; gives the outcome and the requests. */
    run: async (...answers: readonly object[]): Promise<{ readonly outcome: Outcome; readonly requests: readonly Exchange[] }> => {
      const outcome = reconciler.reconcile(key, signal);
      const requests: Exchange[] = [];
      for (const body of answers) {
        const exchange = await api.next();
        exchange.answer(200, exchange.method === 'PATCH' ? carriedOut(exchange, body) : body, { date: '' });
        requests.push(exchange);
      }
      return { outcome: await outcome, requests };
    },
  };
}

interface Annotated {
  readonly metadata?: { readonly annotations?: object };
}

/** An object after a patch: as the answer says, and with what the patch writes. */
function carriedOut({ body }: Exchange, answer: object): object {
  const { metadata, spec } = JSON.parse(body) as Annotated & {
    readonly spec?: { readonly restartAt?: string; readonly template?: Annotated };
  };
  const { metadata: before, spec: specBefore = {} } = answer as Annotated & { readonly spec?: { readonly template?: Annotated } };
  const annotated = (one: Annotated | undefined, other: Annotated | undefined) => ({
    ...one,
    metadata: { ...one?.metadata, annotations: { ...one?.metadata?.annotations, ...other?.metadata?.annotations } },
  });
  const template = annotated(specBefore.template, spec?.template);
  const restartAt = spec?.restartAt;
  return {
    ...answer,
    ...annotated({ metadata: { ...before } }, { metadata: { ...metadata } }),
    spec: { ...specBefore, template, ...(restartAt && { restartAt }) },
  };
}

/** A workload that has to be rolled: its template has been the same since before the change, so that its birth need not be read. */
async function dueRoll(given: Given = {}) {
  const setting = await setUp({ adopted: 1, revision: now, ...given });
  setting.clock.advance(2 * second);
  return setting;
}

/** What the API server answers to a patch: its controller has not seen it yet. */
const written = { ...deployment({}), metadata: { ...deployment({}).metadata, generation: 3, resourceVersion: '8' } };
const birth = (created: number) => ({
  items: [replicaSet(1, created - minute), replicaSet(3, created), replicaSet(2, now), replicaSet(9, now, 'other')],
});

describe('a Deployment that consumes a Secret', () => {
  it('without an entry is given one, guarded by what was read, and does not roll', async () => {
    const { run, restarted } = await setUp({ revision: 0 });
    const { outcome, requests } = await run(written);
    expect(requests.map(({ method, path, body }) => [method, path, JSON.parse(body) as unknown])).toEqual([
      [
        'PATCH',
        '/apis/apps/v1/namespaces/ns/deployments/shop',
        { metadata: { resourceVersion: '7', annotations: { [knownRevisions]: '{"db":0}' } } },
      ],
    ]);
    expect([outcome, restarted]).toEqual([done, []]);
  });

  it('rolls for a newer revision: the entry and the time of the restart in one guarded write', async () => {
    const { run, restarted } = await setUp({ adopted: 1 });
    const { outcome, requests } = await run(birth(rotation - minute), written);
    expect(requests[0]?.query.get('labelSelector')).toBe('app=shop');
    expect(JSON.parse(requests[1]?.body ?? '')).toEqual({
      metadata: { resourceVersion: '7' },
      spec: {
        template: {
          metadata: {
            annotations: {
              [knownRevisions]: JSON.stringify({ db: rotation }),
              'operator.1password.io/last-restarted': '2026-01-01T00:00:00Z',
            },
          },
        },
      },
    });
    expect([outcome, restarted]).toEqual([done, ['db']]);
  });

  it('is left alone when the template of its highest revision is younger than the change, which is read once', async () => {
    const { run, restarted, api } = await setUp({ adopted: 1 });
    await run(birth(rotation + 10_000));
    expect([(await run()).outcome, restarted, api.count]).toEqual([done, [], 1]);
  });

  it('asks for nothing when it knows the revision', async () => {
    const { run, api } = await setUp({ adopted: rotation });
    expect((await run()).outcome).toEqual(done);
    expect(api.count).toBe(0);
  });

  it.each<[string, Given, Outcome]>([
    ['for the debounce to pass', { adopted: 1, revision: now - 500 }, requeue(1_500)],
    ['no longer than the debounce, when the change is ahead of the clock', { adopted: 1, revision: now + 500 }, requeue(2_000)],
    ['for its ReplicaSet, which is yet to be made', { adopted: 1, observed: false }, retry(1_000)],
  ])('waits %s', async (_, given, expected) => {
    const { run, api } = await setUp(given);
    expect((await run()).outcome).toEqual(expected);
    expect(api.count).toBe(0);
  });

  it('does not wait for a revision that a wrong clock put far ahead', async () => {
    const { run, restarted } = await setUp({ adopted: 1, revision: now + 60 * minute });
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it('without a ReplicaSet, though its controller has seen it, is looked at again with backoff', async () => {
    const { run } = await setUp({ adopted: 1 });
    expect((await run({ items: [] })).outcome).toEqual(retry(second));
  });

  it('that has been paused since before its first ReplicaSet is not looked at by the clock', async () => {
    const { run, restarted } = await setUp({ adopted: 1, paused: true });
    expect([(await run({ items: [] })).outcome, restarted]).toEqual([done, []]);
  });

  it('whose new template has no history yet gives its place away', async () => {
    const { refused, run, put, rollouts } = await dueRoll({ budget: { inAll: 1, perNamespace: 1 } });
    await refused(409);
    const before = rollouts.size;
    put({ adopted: 1, generation: 3, observed: false, resourceVersion: '8' });
    expect([before, (await run()).outcome, rollouts.size]).toEqual([1, retry(second), 0]);
  });

  it('waits for its resume when it is paused', async () => {
    const { run, restarted, told } = await setUp({ adopted: 1, paused: true });
    expect((await run(birth(rotation - minute))).outcome).toEqual(done);
    expect([restarted, told]).toEqual([[], ['queued until it is resumed']]);
  });

  it('that changed meanwhile is planned anew: the conflict is known as one', async () => {
    const { reconcile, api } = await setUp({ revision: 0 });
    const failed = reconcile('ns/Deployment/shop', signal).catch((error: unknown) => error);
    (await api.next()).answer(409, { reason: 'Conflict' });
    expect(isConflict(await failed)).toBe(true);
  });

  it('that is gone needs nothing', async () => {
    const { reconcile } = await setUp({});
    expect(await reconcile('ns/Deployment/other', signal)).toEqual(done);
  });
});

describe('before the data of a Secret change', () => {
  it('a consumer without an entry is given one', async () => {
    const { adoptConsumers, secret, api } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    const { body, answer } = await api.next();
    answer(200, written);
    await adopted;
    expect(JSON.parse(body)).toHaveProperty(['metadata', 'annotations', knownRevisions], JSON.stringify({ db: 0 }));
  });

  it('a consumer that may still have to be rolled for the change before is given an entry below it', async () => {
    const { adoptConsumers, secret, api } = await setUp({});
    const adopted = adoptConsumers(secret, signal);
    const replicaSets = await api.next();
    replicaSets.answer(200, { items: [replicaSet(1, rotation - minute)] }, { date: '' });
    const { body, answer } = await api.next();
    answer(200, written);
    await adopted;
    expect(JSON.parse(body)).toHaveProperty(['metadata', 'annotations', knownRevisions], JSON.stringify({ db: rotation - 1 }));
  });

  it.each([400, 403, 422, 500])('a consumer that admission refuses (%i) holds nothing up, and is told of', async (status) => {
    const { adoptConsumers, secret, api, told } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    (await api.next()).answer(status, { reason: 'No' });
    await adopted;
    expect(told).toEqual(['adoptionRefused']);
  });

  it('a consumer that changed at that moment is read again, and given its entry', async () => {
    const { adoptConsumers, secret, api } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    (await api.next()).answer(409, { reason: 'Conflict' });
    const read = await api.next();
    read.answer(200, { ...written, metadata: { ...written.metadata, resourceVersion: '8' } });
    const { body, answer } = await api.next();
    answer(200, written);
    await adopted;
    expect([read.method, JSON.parse(body)]).toEqual([
      'GET',
      { metadata: { resourceVersion: '8', annotations: { [knownRevisions]: '{"db":0}' } } },
    ]);
  });

  it('a consumer that changes whenever it is read is left to the next attempt', async () => {
    const { adoptConsumers, secret, api } = await setUp({ revision: 0 });
    const failed = adoptConsumers(secret, signal).catch((error: unknown) => error);
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      (await api.next()).answer(409, { reason: 'Conflict' });
      if (attempt < 5) (await api.next()).answer(200, written);
    }
    expect((await failed) as KubeError).toMatchObject({ status: 409 });
  });

  it('a consumer that has one is left alone', async () => {
    const { adoptConsumers, secret, api } = await setUp({ rolled: 1 });
    await adoptConsumers(secret, signal);
    expect(api.count).toBe(0);
  });
});

const bodyOf = ({ body }: Exchange): unknown => JSON.parse(body);

describe('a workload that has to be rolled', () => {
  it.each<[WorkloadKind, string]>([
    ['StatefulSet', '/apis/apps/v1/namespaces/ns/statefulsets/shop'],
    ['DaemonSet', '/apis/apps/v1/namespaces/ns/daemonsets/shop'],
  ])('is rolled by its pod template: %s', async (kind, path) => {
    const { run, restarted } = await dueRoll({ kind });
    const { requests } = await run(written);
    const notes = { [knownRevisions]: JSON.stringify({ db: now }), [lastRestarted]: '2026-01-01T00:00:02Z' };
    const body = { metadata: { resourceVersion: '7' }, spec: { template: { metadata: { annotations: notes } } } };
    expect([requests.map((request) => [request.path, bodyOf(request)]), restarted]).toEqual([[[path, body]], ['db']]);
  });

  it('is restarted, when it is a Rollout, from the next whole second on, with its entry beside that', async () => {
    const { run, restarted, clock } = await dueRoll({ kind: 'Rollout' });
    clock.advance(1);
    const { requests } = await run(written);
    const annotations = { [restartedRevisions]: JSON.stringify({ db: now, '*': now + 3 * second }) };
    expect(requests.map((request) => [request.path, bodyOf(request)])).toEqual([
      [
        '/apis/argoproj.io/v1alpha1/namespaces/ns/rollouts/shop',
        { metadata: { annotations, resourceVersion: '7' }, spec: { restartAt: '2026-01-01T00:00:03Z' } },
      ],
    ]);
    expect(restarted).toEqual(['db']);
  });

  it('is followed: it is under way, and waits no more', async () => {
    const { run, rollouts, key, waiting, isWaiting, waitingChanges } = await dueRoll();
    await run(written);
    expect([rollouts.isUnderway(key), rollouts.size, waiting().count, isWaiting(key, 'db'), waitingChanges()]).toEqual([
      true,
      1,
      0,
      false,
      2,
    ]);
  });

  it('is left as it is while it is being deleted, and gives its turn away', async () => {
    const { run, put, rollouts, refused, api } = await dueRoll();
    await refused(409);
    put({ deleting: true, resourceVersion: '8' });
    expect([(await run()).outcome, rollouts.size, api.count]).toEqual([done, 0, 1]);
  });

  it('ceases to wait while it is being deleted', async () => {
    const { run, put, waiting } = await dueRoll({ paused: true });
    await run();
    const before = waiting().reason;
    put({ adopted: 1, paused: true, deleting: true, resourceVersion: '8' });
    await run();
    expect([before, waiting().count]).toEqual(['paused', 0]);
  });

  it('ceases to wait when it went while its history was read', async () => {
    const { key, reconcile, run, api, workloads, waiting } = await setUp({ adopted: 1 });
    const outcome = reconcile(key, signal);
    const history = await api.next();
    workloads.remove({ ...(workloads.get(key) as Workload), resourceVersion: '9' });
    history.answer(200, birth(rotation - minute), { date: '' });
    (await api.next()).answer(404, { reason: 'NotFound' }, { date: '' });
    await outcome;
    const before = waiting().count;
    await run();
    expect([before, waiting().count]).toEqual([1, 0]);
  });

  it('is not under way any more when a watch told of its completion before the patch was answered', async () => {
    const { key, reconcile, api, put, rollouts, restarted } = await dueRoll({ budget: { inAll: 1, perNamespace: 1 } });
    const outcome = reconcile(key, signal);
    const request = await api.next();
    put({ adopted: 1, rolled: now, generation: 3, resourceVersion: '9' });
    request.answer(200, carriedOut(request, written), { date: '' });
    await outcome;
    expect([restarted, rollouts.isUnderway(key), rollouts.size]).toEqual([['db'], false, 0]);
  });

  it('is not under way any more when a watch told of its deletion before the patch was answered', async () => {
    const { key, reconcile, api, workloads, rollouts } = await dueRoll({ budget: { inAll: 1, perNamespace: 1 } });
    const outcome = reconcile(key, signal);
    const { answer } = await api.next();
    workloads.remove({ ...(workloads.get(key) as Workload), resourceVersion: '9' });
    answer(200, written, { date: '' });
    await outcome;
    expect([rollouts.isUnderway(key), rollouts.size]).toEqual([false, 0]);
  });

  it('is forgotten when it is gone', async () => {
    const { run, workloads, waiting, key } = await dueRoll({ paused: true });
    await run();
    const before = waiting().count;
    workloads.remove({ ...(workloads.get(key) as Workload), resourceVersion: '9' });
    expect([before, waiting().count]).toEqual([1, 0]);
  });
});

describe('several changes', () => {
  it('that come one after another delay the rollout, until none has come for the debounce', async () => {
    const { run, clock, rotate, restarted } = await setUp({ adopted: 1, revision: 0 });
    rotate();
    const waits = [(await run()).outcome];
    clock.advance(1_500);
    rotate();
    clock.advance(second);
    waits.push((await run()).outcome);
    clock.advance(second);
    await run(written);
    expect([waits, restarted]).toEqual([[requeue(2 * second), requeue(second)], ['db']]);
  });

  it('that do not end delay it by no more than five debounces', async () => {
    const { run, clock, rotate, restarted } = await setUp({ adopted: 1, revision: 0 });
    const waits: Outcome[] = [];
    for (let count = 0; count < 10; count += 1) {
      rotate();
      waits.push((await run()).outcome);
      clock.advance(second);
    }
    rotate();
    await run(written);
    expect([waits.at(-2), waits.at(-1), restarted]).toEqual([requeue(2 * second), requeue(second), ['db']]);
  });

  it('make one rollout of a workload that has waited for long, too', async () => {
    const { run, clock, rotate, put } = await dueRoll({ paused: true });
    rotate();
    await run();
    clock.advance(60 * minute);
    await run();
    put({ adopted: 1, resourceVersion: '8' });
    rotate();
    expect((await run()).outcome).toEqual(requeue(2 * second));
  });

  it('are waited for while the workload is known to wait', async () => {
    const { run, rotate, waiting, isWaiting, key } = await setUp({ adopted: 1, revision: 0 });
    rotate();
    await run();
    expect([waiting().reason, isWaiting(key, 'db'), isWaiting(key, 'tls')]).toEqual(['debounce', true, false]);
  });
});

describe('a workload that is not to be restarted', () => {
  const skip = { 'keyturn.dev/restart': 'skip' };

  it('is given its entry, does not roll, and is told of', async () => {
    const { run, restarted, told, waiting } = await dueRoll({ annotations: skip });
    const { outcome, requests } = await run(written);
    expect(requests.map(bodyOf)).toEqual([
      { metadata: { resourceVersion: '7', annotations: { [knownRevisions]: JSON.stringify({ db: now }) } } },
    ]);
    expect([outcome, restarted, told, waiting().count]).toEqual([done, [], ['skipped'], 0]);
  });

  it('is told of its annotation when that says something else, and is restarted', async () => {
    const { run, restarted, told } = await dueRoll({ annotations: { 'keyturn.dev/restart': 'never' } });
    await run(written);
    expect([told, restarted]).toEqual([['the annotation keyturn.dev/restart must be skip; it is not heeded'], ['db']]);
  });
});

/** The Deployment whose template a Rollout runs. */
const web = (): Workload =>
  reduceWorkload('Deployment')({
    ...deployment({}),
    metadata: { namespace: 'ns', name: 'web', uid: 'web', resourceVersion: '1' },
    spec: { ...deployment({}).spec, replicas: 0 },
  } as object as WireObject);

describe('a Rollout that runs the template of a Deployment', () => {
  it('keeps its entries while the Deployment is away: nothing is written', async () => {
    const { run, api, latestKnown, workloads } = await setUp({ kind: 'Rollout', templateOf: 'web', adopted: 5 });
    expect([(await run()).outcome, api.count]).toEqual([done, 0]);
    workloads.put(web());
    expect(latestKnown('ns/db')).toBe(5);
  });

  it('gives its place away, and does not wait, when the Deployment goes', async () => {
    const { key, reconcile, run, api, workloads, waiting, rollouts } = await setUp({ kind: 'Rollout', templateOf: 'web', adopted: 5 });
    workloads.put(web());
    const failed = reconcile(key, signal).catch((error: unknown) => error);
    (await api.next()).answer(200, { items: [replicaSet(1, rotation - minute)] }, { date: '' });
    (await api.next()).answer(409, { reason: 'Conflict' }, { date: '' });
    await failed;
    const before = [rollouts.size, waiting().count];
    workloads.remove(web());
    expect([before, (await run()).outcome, rollouts.size, waiting().count]).toEqual([[1, 1], done, 0, 0]);
  });
});

describe('an adoption that the API server refuses', () => {
  it.each([400, 403, 422, 500])('for good (%i) is told of once, remembered, and not tried again by the clock', async (status) => {
    const { refused, run, told, api } = await setUp({ revision: 0 });
    expect([await refused(status), (await run()).outcome, told, api.count]).toEqual([done, done, ['adoptionRefused'], 1]);
  });

  it.each([400, 403, 422, 500])('for good (%i), of one that is not to be restarted, is remembered just so', async (status) => {
    const { refused, run, clock, told, api } = await setUp({ rolled: 1, revision: now, annotations: { 'keyturn.dev/restart': 'skip' } });
    clock.advance(2 * second);
    const outcomes = [await refused(status), (await run()).outcome];
    expect([outcomes, told, api.count]).toEqual([[done, done], ['adoptionRefused', 'skipped'], 1]);
  });

  it('of one that states something else is remembered just so, whatever is told of it then', async () => {
    const { refused, run, put, told, api } = await dueRoll({ annotations: { 'keyturn.dev/restart': 'skip' } });
    const outcomes = [await refused(403), (await run()).outcome];
    put({ adopted: 1, annotations: { 'keyturn.dev/restart': 'skip' }, resourceVersion: '8' });
    outcomes.push((await run()).outcome);
    expect([outcomes, told, api.count]).toEqual([[done, done, done], ['adoptionRefused', 'skipped'], 1]);
  });

  it('of a second Secret keeps nobody from being rolled for its next change', async () => {
    const { refused, run, secret, secrets, clock, restarted } = await setUp({ adopted: rotation, more: ['tls'] });
    const tls = { ...secret, name: 'tls', uid: 'tls', resourceVersion: '6' };
    secrets.put({ ...tls, annotations: { ...secret.annotations, 'keyturn.dev/revisions': '{}' } });
    await refused(403);
    const revisions = JSON.stringify({ cert: clock.now() });
    secrets.put({ ...tls, resourceVersion: '7', annotations: { ...secret.annotations, 'keyturn.dev/revisions': revisions } });
    clock.advance(2 * second);
    await run(written);
    expect(restarted).toEqual(['tls']);
  });

  it('for a while is a failure', async () => {
    const { refused, told } = await setUp({ revision: 0 });
    expect([await refused(503), told]).toMatchObject([{ status: 503 }, []]);
  });
});

const interval = (text: string) => ({ annotations: { 'keyturn.dev/min-restart-interval': text } });

const waits = (until: string): string => `queued until ${until}, for keyturn.dev/min-restart-interval`;

describe('a workload with an interval between restarts', () => {
  it.each<WorkloadKind>(['Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'])('waits until it has passed: %s', async (kind) => {
    const { run, told, api, rollouts, waiting } = await dueRoll({ kind, restartedBefore: 10 * minute, ...interval('1h') });
    expect((await run()).outcome).toEqual(requeue(50 * minute - 2 * second));
    expect([told, api.count, rollouts.size, waiting().reason]).toEqual([[waits('2026-01-01T00:50:00Z')], 0, 0, 'interval']);
  });

  it('is rolled when it has passed', async () => {
    const { run, clock, restarted } = await dueRoll({ restartedBefore: 10 * minute, ...interval('1h') });
    const { outcome } = await run();
    clock.advance(outcome.next === 'requeue' ? outcome.after : 0);
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it.each(['1 hour', '-1h', '', '1d', '3600'])('that cannot be read (%j) is told of it, and rolled', async (text) => {
    const { run, restarted, told } = await dueRoll({ restartedBefore: minute, ...interval(text) });
    await run(written);
    const message = 'the annotation keyturn.dev/min-restart-interval must be a duration such as 1h30m; it is not heeded';
    expect([told, restarted]).toEqual([[message], ['db']]);
  });

  it.each(['720h', '999999999h', '999999999h'.repeat(10)])('of a very long time (%s) is looked at again after a day', async (text) => {
    const { run, told } = await dueRoll({ restartedBefore: minute, ...interval(text) });
    expect((await run()).outcome).toEqual(requeue(24 * 60 * minute));
    expect(told).toEqual([expect.stringMatching(/^queued until \S+Z, for /)]);
  });

  it('is rolled when it has not been restarted before, however long that is', async () => {
    const { run, restarted } = await dueRoll(interval('999999h'));
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it.each<WorkloadKind>(['Deployment', 'Rollout'])('waits no longer than that after a restart that lies ahead: %s', async (kind) => {
    const { run, restarted } = await dueRoll({ kind, restartedBefore: -60 * minute, ...interval('10m') });
    expect([(await run()).outcome, restarted]).toEqual([requeue(10 * minute), []]);
  });

  it('is rolled at once when it is 0', async () => {
    const { run, restarted } = await dueRoll({ restartedBefore: 1, ...interval('0') });
    await run(written);
    expect(restarted).toEqual(['db']);
  });
});

it.each<WorkloadKind>(['Deployment', 'Rollout'])(
  'a %s whose last restart lies ahead is rolled at once without an interval',
  async (kind) => {
    const { run, restarted } = await dueRoll({ kind, restartedBefore: -60 * minute });
    await run(written);
    expect(restarted).toEqual(['db']);
  },
);

describe('while restarts are only reported', () => {
  it('a restart is told of once, and nothing is written', async () => {
    const { run, api, told, restarted, waiting, rollouts } = await dueRoll({ reportOnly: true });
    const outcomes = [(await run()).outcome, (await run()).outcome];
    expect([outcomes, told, restarted, api.count, waiting().count, rollouts.size]).toEqual([[done, done], ['wouldRestart'], [], 0, 0, 0]);
  });

  it('the next change is told of again', async () => {
    const { run, clock, rotate, told, api } = await dueRoll({ reportOnly: true });
    await run();
    rotate();
    clock.advance(2 * second);
    await run();
    expect([told, api.count]).toEqual([['wouldRestart', 'wouldRestart'], 0]);
  });

  it('an entry is remembered, and not written', async () => {
    const { run, api, latestKnown } = await setUp({ reportOnly: true, revision: 0 });
    const before = latestKnown('ns/db');
    await run();
    expect([before, latestKnown('ns/db'), api.count, (await run()).outcome]).toEqual([0, 0, 0, done]);
  });

  it('a consumer is adopted in memory alone, before the data of a Secret change', async () => {
    const { adoptConsumers, secret, api, run, rotate, clock, told } = await setUp({ reportOnly: true, revision: 0 });
    await adoptConsumers(secret, signal);
    rotate();
    clock.advance(2 * second);
    await run();
    expect([api.count, told]).toEqual([0, ['wouldRestart']]);
  });

  it('one that is not to be restarted is not reported', async () => {
    const { run, told, api } = await dueRoll({ reportOnly: true, annotations: { 'keyturn.dev/restart': 'skip' } });
    await run();
    await run();
    expect([told, api.count]).toEqual([['skipped'], 0]);
  });
});

describe('a roll that the API server refuses', () => {
  it.each([400, 403, 422, 500])('for good (%i) is told of, tried again after half a minute, and gives its place away', async (status) => {
    const { refused, told, rollouts, waiting, restarted } = await dueRoll({ budget: { inAll: 1, perNamespace: 1 } });
    expect(await refused(status)).toEqual(requeue(30 * second));
    expect([told, rollouts.size, waiting().reason, restarted]).toEqual([['refused'], 0, 'refused', []]);
  });

  it('because the workload is gone is nothing to talk about', async () => {
    const { refused, told, rollouts } = await dueRoll();
    expect([await refused(404), told, rollouts.size]).toEqual([requeue(30 * second), [], 0]);
  });

  it('for a while is a failure, and gives its place away', async () => {
    const { key, reconcile, api, told, rollouts } = await dueRoll();
    const failed = reconcile(key, signal).catch((error: unknown) => error);
    (await api.next()).answer(503, {});
    expect([await failed, told, rollouts.size]).toMatchObject([{ status: 503 }, [], 0]);
  });

  it('in its answer, and has done, is begun like any other when the workload shows it', async () => {
    const { key, reconcile, api, rollouts, restarted, workloads, waiting } = await dueRoll();
    const outcome = reconcile(key, signal).catch((error: unknown) => error);
    const request = await api.next();
    request.answer(503, {});
    const before = [(await outcome) instanceof Error, restarted.length];
    workloads.put(reduceWorkload('Deployment')(carriedOut(request, written) as WireObject));
    await reconcile(key, signal);
    expect([before, restarted, rollouts.isUnderway(key), waiting().count]).toEqual([[true, 0], ['db'], true, 0]);
  });

  it('in its answer, and has not done, is sent once more', async () => {
    const { key, reconcile, api, run, restarted } = await dueRoll();
    const outcome = reconcile(key, signal).catch((error: unknown) => error);
    (await api.next()).answer(503, {});
    await outcome;
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it('without a word, for admission takes our annotations out, is told of and tried at growing intervals', async () => {
    const { key, reconcile, api, clock, told, restarted, rollouts, waiting } = await dueRoll();
    const stripped = async (): Promise<Outcome> => {
      const outcome = reconcile(key, signal);
      (await api.next()).answer(200, deployment({ adopted: 1, resourceVersion: '8' }), { date: '' });
      return outcome;
    };
    const outcomes = [await stripped()];
    clock.advance(minute / 2);
    outcomes.push(await stripped());
    expect(outcomes).toEqual([requeue(minute / 2), requeue(minute)]);
    expect([told, restarted, rollouts.size]).toEqual([['reverted', 'reverted'], [], 0]);
    expect(waiting()).toEqual({ count: 1, since: 2 * second, reason: 'reverted' });
  });

  it('in part, for admission takes our entry out and leaves the rest, is begun, for its pods are replaced', async () => {
    const { key, reconcile, api, told, restarted, rollouts } = await dueRoll();
    const outcome = reconcile(key, signal);
    (await api.next()).answer(200, written, { date: '' });
    expect([await outcome, told, restarted, rollouts.isUnderway(key)]).toEqual([requeue(minute / 2), ['reverted'], ['db'], true]);
  });

  it('with 500, and was carried out, is begun when the workload shows it', async () => {
    const { key, reconcile, api, restarted, rollouts, workloads } = await dueRoll({ budget: { inAll: 1, perNamespace: 1 } });
    const outcome = reconcile(key, signal);
    const request = await api.next();
    request.answer(500, {}, { date: '' });
    await outcome;
    workloads.put(reduceWorkload('Deployment')(carriedOut(request, written) as WireObject));
    await reconcile(key, signal);
    expect([restarted, rollouts.size]).toEqual([['db'], 1]);
  });

  it('because the workload changed is planned anew, and keeps its place', async () => {
    const { refused, run, rollouts, restarted } = await dueRoll({ budget: { inAll: 1, perNamespace: 1 } });
    expect([isConflict(await refused(409)), rollouts.size]).toEqual([true, 1]);
    await run(written);
    expect([restarted, rollouts.size]).toEqual([['db'], 1]);
  });

  it('because the workload changed, and knows the revision then, gives its place away', async () => {
    const { refused, run, put, rollouts } = await dueRoll();
    await refused(409);
    put({ adopted: now, resourceVersion: '8' });
    expect([(await run()).outcome, rollouts.size]).toEqual([done, 0]);
  });
});

/** Rolled so often, and each time put back at once. */
async function putBack(times: number) {
  const setting = await dueRoll();
  let version = 8;
  const next = (): Given => ({ adopted: 1, resourceVersion: String(version++) });
  /** Rolls it once more, and puts its template back. */
  const rollAndPutBack = async (): Promise<void> => {
    await setting.run(deployment(next()));
    setting.put(next());
  };
  for (let count = 0; count < times; count += 1) await rollAndPutBack();
  return { ...setting, rollAndPutBack };
}

describe('a workload whose template somebody puts back', () => {
  it('is rolled once more at once, then after a minute, then after two', async () => {
    const { run, rollAndPutBack, clock, restarted, told, waiting } = await putBack(2);
    const first = (await run()).outcome;
    expect(waiting().reason).toBe('reverted');
    clock.advance(minute);
    await rollAndPutBack();
    const third = (await run()).outcome;
    expect([first, third, restarted.length, told]).toEqual([requeue(minute), requeue(2 * minute), 3, ['reverted', 'reverted']]);
  });

  it('is told of each time, though the change is the same', async () => {
    const { run, put, clock, restarts } = await dueRoll();
    await run(deployment({ adopted: 1, rolled: now, restartedBefore: -2 * second, resourceVersion: '8' }));
    put({ adopted: 1, resourceVersion: '9' });
    clock.advance(second);
    await run(deployment({ adopted: 1, rolled: now, restartedBefore: -3 * second, resourceVersion: '10' }));
    expect([restarts.length, new Set(restarts).size]).toEqual([2, 2]);
  });

  it('waits since the first of its rolls, however often it is rolled', async () => {
    const { run, rollAndPutBack, clock, waiting } = await putBack(2);
    for (const pause of [minute, 2 * minute]) {
      await run();
      clock.advance(pause);
      await rollAndPutBack();
    }
    await run();
    expect(waiting()).toEqual({ count: 1, since: 2 * second, reason: 'reverted' });
  });

  it('is rolled for the next change as ever', async () => {
    const { run, clock, rotate, restarted } = await putBack(2);
    rotate();
    clock.advance(2 * second);
    await run(written);
    expect(restarted).toHaveLength(3);
  });

  it('keeps no place while it waits', async () => {
    const { run, rollouts, put } = await putBack(2);
    await run();
    put({ adopted: 1, resourceVersion: '20' });
    expect([rollouts.size, (await run()).outcome]).toEqual([0, requeue(minute)]);
  });
});

/** Three rollouts of the version that the Secret holds, or that `cause` names, have failed. */
async function heldRoll(given: Given = {}, causes: readonly Cause[] = [{ secret: 'db', item, version: '7' }]) {
  const setting = await dueRoll(given);
  for (const name of ['a', 'b', 'c']) {
    const other = { ...(setting.workloads.get(setting.key) as Workload), name, uid: name };
    const failed = { ...other, rollout: { complete: false, available: false, failed: true, updatedPods: 1, availablePods: 0, oldPods: 0 } };
    setting.rollouts.request(other);
    setting.rollouts.begun(failed, other, causes);
    setting.rollouts.observe(`ns/Deployment/${name}`, failed);
  }
  return setting;
}

const resource = (resume: string, name = 'db'): OnePasswordItem =>
  reduceOnePasswordItem({
    metadata: { namespace: 'ns', name, uid: 'r', resourceVersion: '1', annotations: { 'keyturn.dev/resume': resume } },
  });

describe('a workload whose version of the item failed elsewhere', () => {
  it('is held, and told of', async () => {
    const { run, told, api, waiting, rollouts } = await heldRoll();
    expect([(await run()).outcome, told, api.count, waiting().reason, rollouts.size]).toEqual([done, ['held'], 0, 'held', 0]);
  });

  it.each(['7', 'true'])('is rolled when the resource says to go on: %s', async (resume) => {
    const { run, items, restarted } = await heldRoll();
    items.put(resource(resume));
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it.each(['6', 'false', '', 'True'])('stays held when the resource says something else: %j', async (resume) => {
    const { run, items, told } = await heldRoll();
    items.put(resource(resume));
    await run();
    expect(told).toEqual(['held']);
  });

  it('has waited for its turn since it was let go on', async () => {
    const { run, items, clock, rollouts, workloads, key, waiting } = await heldRoll({ budget: { inAll: 1, perNamespace: 1 } });
    await run();
    const well = workloads.get(key) as Workload;
    rollouts.found({ ...well, name: 'other', uid: 'other', rollout: { ...well.rollout, complete: false } }, []);
    clock.advance(minute);
    items.put(resource('7'));
    await run();
    expect(waiting()).toEqual({ count: 1, since: 2 * second + minute, reason: 'budget' });
  });

  it('is rolled when a Deployment that asks for the Secret says to go on', async () => {
    const { run, workloads, restarted } = await heldRoll();
    const asks = { 'operator.1password.io/item-path': item, 'operator.1password.io/item-name': 'db', 'keyturn.dev/resume': '7' };
    const metadata = { namespace: 'ns', name: 'asking', uid: 'asking', resourceVersion: '1', annotations: asks };
    workloads.put(reduceWorkload('Deployment')({ metadata }));
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it('is rolled for the next version', async () => {
    const { run, secrets, secret, restarted } = await heldRoll();
    secrets.put({ ...secret, resourceVersion: '6', annotations: { ...secret.annotations, 'operator.1password.io/item-version': '8' } });
    await run(written);
    expect(restarted).toEqual(['db']);
  });
});

describe('a workload that two Secrets call for', () => {
  const otherItem = 'vaults/v/items/j';
  const ofDb = { secret: 'db', item, version: '7' };
  const ofTls = { secret: 'tls', item: otherItem, version: '7' };

  /** The versions of `causes` are held. */
  async function heldFor(...causes: readonly Cause[]) {
    const setting = await heldRoll({ more: ['tls'], annotations: { [knownRevisions]: '{"db":1,"tls":1}' } }, causes);
    const annotations = { ...setting.secret.annotations, 'operator.1password.io/item-path': otherItem };
    setting.secrets.put({ ...setting.secret, name: 'tls', uid: 'tls', annotations });
    return setting;
  }

  it('is held as long as one of the versions is, whoever else says to go on', async () => {
    const { run, items, told, restarted } = await heldFor(ofDb, ofTls);
    items.put(resource('7', 'db'));
    expect([(await run()).outcome, told, restarted]).toEqual([done, ['held'], []]);
  });

  it('is held though the resource of the other says to go on, which is not held', async () => {
    const { run, items, told, restarted } = await heldFor(ofTls);
    items.put(resource('7', 'db'));
    expect([(await run()).outcome, told, restarted]).toEqual([done, ['held'], []]);
  });

  it('is rolled when both say to go on', async () => {
    const { run, items, restarted } = await heldFor(ofDb, ofTls);
    for (const name of ['db', 'tls']) items.put(resource('7', name));
    await run(written);
    expect(restarted).toEqual(['db', 'tls']);
  });
});

describe('a workload that finds no place in the budget', () => {
  const other = 'ns/Deployment/other';

  async function crowded(given: Given = {}) {
    const setting = await dueRoll({ budget: { inAll: 1, perNamespace: 1 }, ...given });
    const well = setting.workloads.get(setting.key) as Workload;
    const rolling = { ...well, name: 'other', uid: 'other', rollout: { ...well.rollout, complete: false } };
    setting.rollouts.found(rolling, []);
    return { ...setting, end: () => setting.rollouts.observe(other, undefined) };
  }

  it('waits, and is told of', async () => {
    const { run, told, api, waiting } = await crowded();
    expect([(await run()).outcome, told, api.count, waiting().reason]).toEqual([
      done,
      ['queued until other rollouts have ended'],
      0,
      'budget',
    ]);
  });

  it('is rolled on its turn', async () => {
    const { run, end, turns, key, restarted, rollouts } = await crowded();
    await run();
    end();
    const turn = [...turns];
    await run(written);
    expect([turn, restarted, rollouts.size]).toEqual([[key], ['db'], 1]);
  });

  it('gives its turn to the next when it is paused then', async () => {
    const { run, end, put, rollouts } = await crowded();
    await run();
    end();
    put({ adopted: 1, paused: true, resourceVersion: '8' });
    await run();
    expect(rollouts.size).toBe(0);
  });

  it.each<[string, Given]>([
    ['paused', { paused: true }],
    ['kept to its interval', { annotations: { 'keyturn.dev/min-restart-interval': '1h' }, restartedBefore: minute }],
  ])('has waited for its turn since it was no longer %s', async (_, given) => {
    const { run, put, clock, waiting } = await crowded(given);
    await run();
    clock.advance(minute);
    put({ adopted: 1, resourceVersion: '8' });
    await run();
    expect(waiting()).toEqual({ count: 1, since: 2 * second + minute, reason: 'budget' });
  });

  it('waits since the first of its changes, however long', async () => {
    const { run, clock, rotate, waiting } = await crowded();
    await run();
    clock.advance(minute);
    rotate();
    clock.advance(2 * second);
    await run();
    expect(waiting()).toEqual({ count: 1, since: 2 * second, reason: 'budget' });
  });
});

describe('a workload that names a key that is gone', () => {
  it('is not rolled, waits, and is told of', async () => {
    const { run, told, api, waiting, rollouts } = await dueRoll({ byKey: true, revision: -now });
    expect([(await run()).outcome, told, api.count, waiting().reason, rollouts.size]).toEqual([done, ['blocked'], 0, 'key_missing', 0]);
  });

  it('waits for the Secret that changed, and not for the one that lost the key', async () => {
    const annotations = { [knownRevisions]: JSON.stringify({ db: now, tls: 1 }) };
    const { run, key, secret, secrets, isWaiting, told } = await dueRoll({ byKey: true, more: ['tls'], revision: -now, annotations });
    secrets.put({ ...secret, name: 'tls', uid: 'tls' });
    await run();
    expect([told, isWaiting(key, 'tls'), isWaiting(key, 'db')]).toEqual([['blocked'], true, false]);
  });

  it('gives its place away when the key went after its turn came', async () => {
    const { refused, run, secrets, secret, clock, told, rollouts } = await dueRoll({ byKey: true });
    await refused(409);
    const revisions = JSON.stringify({ password: -clock.now() });
    secrets.put({ ...secret, resourceVersion: '6', annotations: { ...secret.annotations, 'keyturn.dev/revisions': revisions } });
    clock.advance(2 * second);
    await run();
    expect([told, rollouts.size]).toEqual([['blocked'], 0]);
  });

  it('is rolled when the key is back', async () => {
    const { run, rotate, clock, restarted, waiting } = await dueRoll({ byKey: true, revision: -now });
    await run();
    rotate();
    clock.advance(2 * second);
    await run(written);
    expect([restarted, waiting().count]).toEqual([['db'], 0]);
  });
});

describe('rollouts that a process before began', () => {
  const underway: Given = { rolled: rotation, complete: false, restartedBefore: minute };

  it.each<[string, Given]>([
    ['of a Deployment', underway],
    ['of a StatefulSet', { ...underway, kind: 'StatefulSet' }],
    [
      'of a Rollout, whose entry stands beside its restart',
      { kind: 'Rollout', rolled: rotation, complete: false, restartedBefore: minute },
    ],
    ['that is almost 15 minutes old', { ...underway, restartedBefore: 15 * minute }],
    ['of a revision that is not the latest any more', { ...underway, rolled: 1 }],
  ])('take a place: %s', async (_, given) => {
    const { takeOver, rollouts, key } = await setUp(given);
    takeOver(undefined);
    expect([rollouts.size, rollouts.isUnderway(key)]).toEqual([1, true]);
  });

  it.each<[string, Given]>([
    ['is complete', { ...underway, complete: true }],
    ['is older than 15 minutes', { ...underway, restartedBefore: 15 * minute + second }],
    ['was begun by somebody else: it was adopted alone', { complete: false, adopted: rotation }],
    ['was for a Secret that never changed', { ...underway, rolled: 0, revision: 0 }],
  ])('take none when one %s', async (_, given) => {
    const { takeOver, rollouts, key } = await setUp(given);
    takeOver(undefined);
    expect([rollouts.size, rollouts.isUnderway(key)]).toEqual([0, false]);
  });

  it('take none where pods are replaced when somebody deletes them, and are under way until then', async () => {
    const { takeOver, rollouts, key } = await setUp({ ...underway, kind: 'StatefulSet', onDelete: true, restartedBefore: 60 * minute });
    takeOver(undefined);
    expect([rollouts.size, rollouts.isUnderway(key)]).toEqual([0, true]);
  });

  it.each([
    ['ns', 1],
    ['other', 0],
  ])('are looked for in the namespace %s: %i', async (namespace, expected) => {
    const { takeOver, rollouts } = await setUp(underway);
    takeOver(namespace);
    expect(rollouts.size).toBe(expected);
  });

  it('are known with no version when the Secret changed in another key since', async () => {
    const { takeOver, rollouts, workloads, secrets, secret, key } = await heldRoll();
    const revisions = JSON.stringify({ password: rotation, user: now });
    secrets.put({ ...secret, resourceVersion: '6', annotations: { ...secret.annotations, 'keyturn.dev/revisions': revisions } });
    const { secrets: _, ...found } = workloads.get(key) as Workload;
    const consumed = new Map([['db', { whole: false, required: ['password'], optional: [] }]]);
    const rolledThen = { [knownRevisions]: JSON.stringify({ db: rotation }), [lastRestarted]: '2026-01-01T00:00:00Z' };
    workloads.put({ ...found, name: 'found', uid: 'found', resourceVersion: '1', secrets: consumed, templateAnnotations: rolledThen });
    takeOver(undefined);
    expect(rollouts.isHeld({ secret: 'db', item, version: '7' })).toBe(true);
  });

  it('are known with the version that they bring: their failure counts for it', async () => {
    const { takeOver, rollouts, workloads, key } = await heldRoll();
    const found = { ...(workloads.get(key) as Workload), name: 'found', uid: 'found', resourceVersion: '1' };
    const rolledNow = { [knownRevisions]: JSON.stringify({ db: now }), [lastRestarted]: '2026-01-01T00:00:00Z' };
    const state = { complete: false, available: false, failed: false, updatedPods: 1, availablePods: 0, oldPods: 0 };
    workloads.put({ ...found, templateAnnotations: rolledNow, rollout: state });
    takeOver(undefined);
    const before = rollouts.isHeld({ secret: 'db', item, version: '7' });
    const complete = { ...state, complete: true, available: true };
    workloads.put({ ...found, templateAnnotations: rolledNow, rollout: complete, resourceVersion: '2' });
    expect([before, rollouts.isHeld({ secret: 'db', item, version: '7' })]).toEqual([true, false]);
  });
});

describe('the latest revision that anybody is known to have of a Secret', () => {
  it.each<[string, Given, number]>([
    ['is what a workload states', { adopted: 5 }, 5],
    ['is what its template states, when that is later', { adopted: 5, rolled: 9 }, 9],
    ['is 0 when nobody states any', {}, 0],
  ])('%s', async (_, given, expected) => {
    const { latestKnown } = await setUp(given);
    expect(latestKnown('ns/db')).toBe(expected);
  });

  it('is that of this Secret alone, in this namespace', async () => {
    const { latestKnown } = await setUp({ adopted: 5 });
    expect([latestKnown('ns/tls'), latestKnown('other/db')]).toEqual([0, 0]);
  });

  it('is what was remembered, when the workload does not state it any more', async () => {
    const { latestKnown, put } = await setUp({ adopted: 5 });
    put({ resourceVersion: '8' });
    expect(latestKnown('ns/db')).toBe(5);
  });
});

describe('before the data of a Secret change, a consumer', () => {
  it('whose annotation was taken away is given back what it stated', async () => {
    const { adoptConsumers, secret, api, put } = await setUp({ adopted: 5 });
    put({ resourceVersion: '8' });
    const adopted = adoptConsumers(secret, signal);
    const request = await api.next();
    request.answer(200, written);
    await adopted;
    expect(bodyOf(request)).toEqual({ metadata: { resourceVersion: '8', annotations: { [knownRevisions]: '{"db":5}' } } });
  });

  it('that admission refuses is remembered, and rolled for the change as any other', async () => {
    const { adoptConsumers, secret, api, rotate, clock, run, restarted } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    (await api.next()).answer(403, { reason: 'Forbidden' }, { date: '' });
    await adopted;
    rotate();
    clock.advance(2 * second);
    await run(written);
    expect(restarted).toEqual(['db']);
  });

  it.each<[string, Given]>([
    ['that its changes do not restart', { annotations: { 'operator.1password.io/auto-restart': 'false' } }],
    ['that is being deleted', { deleting: true }],
  ])('%s is left alone', async (_, given) => {
    const { adoptConsumers, secret, api } = await setUp({ revision: 0, ...given });
    await adoptConsumers(secret, signal);
    expect(api.count).toBe(0);
  });

  it('that is gone holds nothing up, and is nothing to talk about', async () => {
    const { adoptConsumers, secret, api, told } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    (await api.next()).answer(404, { reason: 'NotFound' });
    await adopted;
    expect(told).toEqual([]);
  });

  it('that went between two attempts holds nothing up', async () => {
    const { adoptConsumers, secret, api } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    (await api.next()).answer(409, { reason: 'Conflict' });
    (await api.next()).answer(404, { reason: 'NotFound' });
    await adopted;
    expect(api.count).toBe(2);
  });

  it('that cannot be written to now holds the change up', async () => {
    const { adoptConsumers, secret, api } = await setUp({ revision: 0 });
    const failed = adoptConsumers(secret, signal).catch((error: unknown) => error);
    (await api.next()).answer(503, {});
    expect(await failed).toMatchObject({ status: 503 });
  });

  it('without a history yet is taken to have what there is, or just before: it may still have to be rolled', async () => {
    const { adoptConsumers, secret, api } = await setUp({ observed: false });
    const adopted = adoptConsumers(secret, signal);
    const request = await api.next();
    request.answer(200, written);
    await adopted;
    expect(bodyOf(request)).toHaveProperty(['metadata', 'annotations', knownRevisions], JSON.stringify({ db: rotation - 1 }));
  });
});
