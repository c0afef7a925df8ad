import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { collectionPath, events } from '../../src/kube/resource.ts';
import { type ApiServerProxy, type ProxiedRequest, startApiServerProxy } from '../support/api-server-proxy.ts';
import { type AppWatch, createApp, untilAdopted, watchApps } from '../support/apps.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { type OwnControlPlane, ownControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type OperatorProcess, startOperatorProcess } from '../support/operator-process.ts';

const count = 500;
const budget = 50;
/**
 * Every so many Deployments have a pod, which is scheduled, started and replaced. The other 450 have none: a pod costs the control plane a fifth of
 * a second of processor time, so that 500 of them, each replaced, would take minutes in which the operator does nothing. Their rollouts are begun,
 * hold a place of the budget and are seen by their controller all the same; what is measured is what the operator asks for and keeps, and pods have
 * no part in that, since it does not watch them.
 */
const everyWithPod = 10;
/** Looks at Connect, of a second each: longer than the consumers of a resource wait to be counted again. */
const quietLooks = 15;

const limits = {
  /** One write for the rollout, and at most three events: that it waits, and that it began, on the Deployment and on the resource. Measured: 1,960. */
  requests: 4 * count,
  /**
   * What is due at the same moment: an event for each that waits, a write and two events for each that has a place. Measured on two cores with much
   * else to do: 115; alone they are faster.
   */
  requestsPerSecond: count - budget + 3 * budget,
  /** By how much the resident memory of the operator's process grows at the most, in bytes. Measured: 25 MiB. */
  memory: 56 * 1024 ** 2,
};
/** Between two looks at the memory, in milliseconds. */
const sampleInterval = 200;

const names = Array.from({ length: count }, (_, i) => `app-${i}`);
const look = 'GET /v1/vaults';

/** One of its own: in a shared one the Deployments of other tests would queue behind these. */
let controlPlane: OwnControlPlane;
let proxy: ApiServerProxy;
let connect: ConnectServer;
let namespace: TestNamespace;
let operator: OperatorProcess;
let watch: AppWatch;

/** What the rotation came to, from the change of the item until all was said. */
let asked: readonly ProxiedRequest[];
let elapsed: number;
let memoryGrowth: number;

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
  operator = await startOperatorProcess({
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
  const memory = await sampleMemory();
  const start = performance.now();
  connect.store.setField('Prod', 'shared', 'password', 'second');
  await eventually('all to be rolled', () => (watch.rolls.length >= count && watch.rolling.size === 0) || undefined, 200_000);
  await untilSaid();
  await untilCounted();
  elapsed = performance.now() - start;
  memoryGrowth = await memory.peakGrowth();
  asked = proxy.requests.all.filter(({ isWatch }) => !isWatch);
  const [seconds, mebibytes] = [Math.round(elapsed / 1_000), Math.round(memoryGrowth / 1024 ** 2)];
  process.stdout.write(
    `${count} rollouts in ${seconds} s: ${mebibytes} MiB more resident, ${busiestSecond(asked)} requests in the busiest second, ${asked.length} in all\n`,
  );
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
    200_000,
  );
}

interface MemorySamples {
  /** Ends; by how much the operator's memory exceeded what it was in the beginning, at the most, in bytes. */
  peakGrowth(): Promise<number>;
}

/** Looks at the memory of the operator again and again from now on. */
async function sampleMemory(): Promise<MemorySamples> {
  const before = await operator.residentMemory();
  const stop = new AbortController();
  let peak = before;
  async function sample(): Promise<void> {
    while (!stop.signal.aborted) {
      peak = Math.max(peak, await operator.residentMemory());
      await pause(sampleInterval);
    }
  }
  const ended = sample();
  // It fails when the operator ends with the test: whoever asks for the growth hears of it.
  ended.catch(() => {});
  return {
    async peakGrowth() {
      stop.abort();
      await ended;
      return peak - before;
    },
  };
}

/** As many requests as arrived within any second. */
function busiestSecond(requests: readonly ProxiedRequest[]): number {
  const times = requests.map(({ at }) => at);
  return Math.max(...times.map((end) => times.filter((at) => at > end - 1_000 && at <= end).length));
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
    expect(asked.length).toBeLessThanOrEqual(limits.requests);
  });

  it('spreads its requests', () => {
    expect(busiestSecond(asked)).toBeLessThanOrEqual(limits.requestsPerSecond);
  });

  it('writes the counts of consumers no more often than every ten seconds, beside the record of the Secret', () => {
    expect(countOf('PATCH', /\/onepassworditems\/shared\/status$/)).toBeLessThanOrEqual(2 + elapsed / 10_000);
  });

  it('takes little more memory meanwhile', () => {
    expect(memoryGrowth).toBeLessThan(limits.memory);
  });

  it('makes nobody write once all is said', async () => {
    const { requests } = connect;
    requests.reset();
    proxy.requests.reset();
    await eventually('looks at Connect', () => requests.count(look) >= quietLooks || undefined, 40_000);
    expect(proxy.requests.writes()).toEqual([]);
  });
});
