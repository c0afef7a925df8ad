import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import { collectionPath, events } from '../../src/kube/resource.ts';
import { type ApiServerProxy, type ProxiedRequest, startApiServerProxy } from '../support/api-server-proxy.ts';
import { type AppWatch, createApp, untilAdopted, watchApps } from '../support/apps.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { ownControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';

const count = 500;
const budget = 50;
/**
 * Every so many Deployments have a pod, which is scheduled, started and replaced; each costs the control plane a fifth of a second of processor
 * time. The others have none: their rollouts begin and are seen by their controller all the same.
 */
const everyWithPod = 10;
/** Looks at Connect, of a second each: longer than the consumers of a resource wait to be counted again. */
const quietLooks = 15;

/** One write for the rollout, and at most three events: that it waits, and that it began, on the Deployment and on the resource. */
const requestsEach = 4;
const requestsPerSecond = 1_000;
/** What stays in the process, which is the test's and the proxy's as well, in bytes. */
const heapLimit = 16 * 1024 ** 2;

const names = Array.from({ length: count }, (_, i) => `app-${i}`);
const look = 'GET /v1/vaults';

/** One of its own: in a shared one the Deployments of other tests would queue behind these. */
let controlPlane: ControlPlane;
let proxy: ApiServerProxy;
let connect: ConnectServer;
let namespace: TestNamespace;
let operator: TestOperator;
let watch: AppWatch;

/** What the rotation came to, from the change of the item until all was said. */
let asked: readonly ProxiedRequest[];
let elapsed: number;
let heapGrowth: number;

beforeAll(async () => {
  controlPlane = await ownControlPlane();
  const crd = await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8');
  await controlPlane.kubectl(['apply', '--server-side', '-f', '-'], crd);
  await controlPlane.kubectl(['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s']);
  proxy = await startApiServerProxy({ controlPlane });
  connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: [{ title: 'shared', fields: [{ label: 'password', value: 'first' }] }] }] },
  });
  namespace = await createNamespace(controlPlane.kubeconfig);
  operator = await startOperator({
    kubeconfig: proxy.kubeconfig,
    connect: connect.url,
    token: connect.issueToken({ vaults: ['*'] }),
    namespaces: [namespace.name],
    flags: [`--max-restarts=${budget}`, `--max-restarts-per-namespace=${budget}`],
  });
  await namespace.createItem('shared', 'vaults/Prod/items/shared');
  await untilReadiness(namespace, 'shared', 'True');
  await createApps();
  await untilCounted();

  watch = await watchApps(namespace);
  proxy.requests.reset();
  const heapBefore = usedHeap();
  const start = performance.now();
  connect.store.setField('Prod', 'shared', 'password', 'second');
  await eventually('all to be rolled', () => (watch.rolls.length >= count && watch.rolling.size === 0) || undefined, 200_000);
  await untilSaid();
  await untilCounted();
  elapsed = performance.now() - start;
  heapGrowth = usedHeap() - heapBefore;
  asked = proxy.requests.all.filter(({ isWatch }) => !isWatch);
}, 500_000);

afterAll(async () => {
  await watch?.end();
  await operator?.stop();
  await connect?.close();
  await namespace?.kube.close();
  await proxy?.close();
  await controlPlane?.stop();
});

async function createApps(): Promise<void> {
  const left = names.entries();
  const create = async (): Promise<void> => {
    for (const [i, name] of left) await createApp(namespace, name, { secret: 'shared', replicas: i % everyWithPod === 0 ? 1 : 0 });
  };
  await Promise.all(Array.from({ length: 16 }, create));
  await untilAdopted(namespace, names, 200_000);
}

/** Waits until the resource says that all its consumers are current. */
async function untilCounted(): Promise<void> {
  await eventually(
    'the consumers to be counted',
    async () => {
      const { consumers } = (await namespace.item('shared'))?.status ?? {};
      return (consumers?.current === count && consumers.waiting === 0) || undefined;
    },
    60_000,
  );
}

/** Waits until an event says of each Deployment, on it and on the resource, that it was restarted. */
async function untilSaid(): Promise<void> {
  const { kube, name } = namespace;
  const query = { fieldSelector: 'reason=Restarted' };
  await eventually(
    'all events',
    async () => {
      const { items } = await kube.request<{ items: readonly object[] }>({ method: 'GET', path: collectionPath(events, name), query });
      return items.length === 2 * count || undefined;
    },
    60_000,
  );
}

function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

/** Requests to one path or, for those of Deployments, to any of theirs. */
function countOf(method: string, path: RegExp): number {
  return asked.filter((request) => request.method === method && path.test(request.path)).length;
}

describe('an item that 500 Deployments consume, rotated under a budget of 50', () => {
  it('never has more than 50 of them rolling, though it makes use of the budget', () => {
    expect(watch.mostRolling).toBeLessThanOrEqual(budget);
    expect(watch.mostRolling).toBeGreaterThan(budget / 2);
  });

  it('rolls each of them, and none twice', () => {
    expect(watch.rolled().toSorted()).toEqual(names.toSorted());
  });

  it('costs one write for each Deployment, and one for the Secret', () => {
    expect([countOf('PATCH', /\/deployments\//), countOf('PUT', /\/secrets\//)]).toEqual([count, 1]);
  });

  it('costs no more than four requests for each Deployment, events included', () => {
    expect(asked.length).toBeLessThanOrEqual(requestsEach * count);
  });

  it('spreads its requests', () => {
    const bySecond = Map.groupBy(asked, ({ at }) => Math.floor(at / 1000));
    expect(Math.max(...[...bySecond.values()].map(({ length }) => length))).toBeLessThanOrEqual(requestsPerSecond);
  });

  it('writes the counts of consumers no more often than every ten seconds, beside the record of the Secret', () => {
    expect(countOf('PATCH', /\/onepassworditems\/shared\/status$/)).toBeLessThanOrEqual(2 + elapsed / 10_000);
  });

  it('leaves nothing in memory to speak of', () => {
    expect(heapGrowth).toBeLessThan(heapLimit);
  });

  it('makes nobody write once all is said', async () => {
    const { requests } = connect;
    requests.reset();
    proxy.requests.reset();
    await eventually('looks at Connect', () => requests.count(look) >= quietLooks || undefined, 40_000);
    expect(proxy.requests.writes()).toEqual([]);
  });
});
