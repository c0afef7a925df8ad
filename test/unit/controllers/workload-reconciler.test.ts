import { describe, expect, it, onTestFinished } from 'vitest';
import { createConsumers } from '../../../src/controllers/consumers.ts';
import { createWorkloadReconciler, isConflict } from '../../../src/controllers/workload-reconciler.ts';
import { createOwners } from '../../../src/controllers/owners.ts';
import type { RestartNews } from '../../../src/controllers/restart-news.ts';
import { createRollouts } from '../../../src/controllers/rollouts.ts';
import { createKubeClient, type KubeError } from '../../../src/kube/client.ts';
import type { ManagedSecret, Namespace, OnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';
import { done, type Outcome, requeue } from '../../../src/runtime/controller.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type Exchange, startApiServer } from '../kube/api-server.ts';

const signal = new AbortController().signal;
const knownRevisions = 'keyturn.dev/known-revisions';
const minute = 60_000;
/** The time of the API server when a test begins. */
const now = Date.UTC(2026, 0, 1);
const rotation = now - minute;

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
}

/** Writes down who is told what: the names of the calls, and of the Secrets that restarted. */
function newsTo(told: string[], restarted: string[]): RestartNews {
  const call = (name: string) => () => void told.push(name);
  return {
    restarted: (_, { changed }) => void restarted.push(...changed.map(({ secret }) => secret)),
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

function deployment({ adopted, rolled, paused = false, observed = true, annotations = {} }: Given) {
  const metadata = {
    namespace: 'ns',
    name: 'shop',
    uid: 'shop',
    resourceVersion: '7',
    generation: 2,
    annotations: { ...entry(adopted), ...annotations },
  };
  const containers = [{ envFrom: [{ secretRef: { name: 'db' } }] }];
  const template = { metadata: { annotations: entry(rolled) }, spec: { containers } };
  return {
    metadata,
    spec: { paused, selector: { matchLabels: { app: 'shop' } }, template },
    status: { observedGeneration: observed ? 2 : 1 },
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
  const consumers = createConsumers({ ...stores, autoRestart: true });
  const restarted: string[] = [];
  const told: string[] = [];
  const reconcilerOptions = {
    ...stores,
    consumers,
    owners: createOwners(stores),
    rollouts: createRollouts({
      clock,
      budget: { inAll: 0, perNamespace: 0 },
      onTurn: () => {},
      onHeld: () => {},
      onEnd: () => {},
    }),
    kube,
    clock,
    news: newsTo(told, restarted),
    debounce: 2_000,
    reportOnly: given.reportOnly ?? false,
    onWaiting: () => {},
  };
  const secret: ManagedSecret = {
    namespace: 'ns',
    name: 'db',
    uid: 'db',
    resourceVersion: '5',
    labels: {},
    annotations: { 'keyturn.dev/revisions': JSON.stringify({ password: given.revision ?? rotation }) },
    ownerReferences: [],
    dataWriters: undefined,
    writtenByUs: false,
  };
  const reconciler = createWorkloadReconciler(reconcilerOptions);
  stores.workloads.put(reduceWorkload('Deployment')(deployment(given)));
  stores.secrets.put(secret);
  return {
    ...reconciler,
    api,
    restarted,
    told,
    secret,
    workloads: stores.workloads,
    /** Reconciles while `answers` answer the requests, in order; gives the outcome and the requests. */
    run: async (...answers: readonly object[]): Promise<{ readonly outcome: Outcome; readonly requests: readonly Exchange[] }> => {
      const outcome = reconciler.reconcile('ns/Deployment/shop', signal);
      const requests: Exchange[] = [];
      for (const body of answers) {
        const exchange = await api.next();
        exchange.answer(200, body, { date: '' });
        requests.push(exchange);
      }
      return { outcome: await outcome, requests };
    },
  };
}

const written = deployment({});
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

  it('is adopted when the template of its highest revision is younger than the change', async () => {
    const { run, restarted } = await setUp({ adopted: 1 });
    const { requests } = await run(birth(rotation + 10_000), written);
    expect(JSON.parse(requests[1]?.body ?? '')).toHaveProperty('metadata.annotations');
    expect(restarted).toEqual([]);
  });

  it('asks for nothing when it knows the revision', async () => {
    const { run, api } = await setUp({ adopted: rotation });
    expect((await run()).outcome).toEqual(done);
    expect(api.count).toBe(0);
  });

  it.each<[string, Given, Outcome]>([
    ['for the debounce to pass', { adopted: 1, revision: now - 500 }, requeue(1_500)],
    ['no longer than the debounce, when the change is ahead of the clock', { adopted: 1, revision: now + 500 }, requeue(2_000)],
    ['for its ReplicaSet, which is yet to be made', { adopted: 1, observed: false }, requeue(1_000)],
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

  it('a consumer that admission refuses holds nothing up, and is told of', async () => {
    const { adoptConsumers, secret, api, told } = await setUp({ revision: 0 });
    const adopted = adoptConsumers(secret, signal);
    (await api.next()).answer(403, { reason: 'Forbidden' });
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
