import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import type { ConsumerStatus } from '../../src/api/onepassword-item.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, events, type WireMeta } from '../../src/kube/resource.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { allowPods, type AppWatch, createApp, forbidPods, untilAdopted, watchApps } from '../support/apps.ts';
import { canary, findCanaries } from '../support/canary.ts';
import { type ReadItem, type TestNamespace, untilEvent, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';
import { untilSeen } from '../support/workloads.ts';

const item = { title: 'db', fields: ['password', 'user'].map((label) => ({ label, value: canary(`first${label}`) })) };
const seed = { vaults: [{ name: 'Prod', items: [item] }] };

/** Changes fields of the item, all at once. */
function change({ connect }: Scenario, ...labels: readonly string[]): void {
  const fields = item.fields.map((field) =>
    labels.includes(field.label) ? { ...field, value: canary(`${performance.now()}${field.label}`) } : field,
  );
  connect.store.updateItem('Prod', 'db', { fields });
}

async function createSecret(namespace: TestNamespace): Promise<void> {
  await namespace.createItem('db', 'vaults/Prod/items/db');
  await untilReadiness(namespace, 'db', 'True');
}

/** The messages of all events of a reason, of whatever objects they are. */
async function messages({ kube, name }: TestNamespace, reason: string): Promise<readonly string[]> {
  const query = { fieldSelector: `reason=${reason}` };
  const found = await kube.request<{ items: readonly { readonly message: string }[] }>({
    method: 'GET',
    path: collectionPath(events, name),
    query,
  });
  return found.items.map(({ message }) => message);
}

describe('an operator that restarts', () => {
  let scenario: Scenario;
  let watch: AppWatch;
  const lines: string[] = [];

  beforeAll(async () => {
    const log = pino({ level: 'debug', base: null }, { write: (line: string) => void lines.push(line) });
    scenario = await startScenario({ seed, log });
    const { namespace } = scenario;
    await createSecret(namespace);
    await createApp(namespace, 'web', { secret: 'db' });
    await createApp(namespace, 'skipped', { secret: 'db', annotations: { [annotations.restart]: 'skip' } });
    await createApp(namespace, 'slow', { secret: 'db', annotations: { [annotations.minRestartInterval]: '1h' } });
    await untilAdopted(namespace, ['web', 'skipped', 'slow']);
    watch = await watchApps(namespace);
  });

  afterAll(async () => {
    await watch?.end();
    await scenario?.end();
  });

  it('says on the workload and on the resource which it restarted, and which keys of which Secret changed', async () => {
    const { namespace } = scenario;
    change(scenario, 'password');
    const onWorkload = await untilEvent(namespace, 'Deployment', 'web', 'Restarted');
    const text = 'Restarted Deployment web: Secret db changed in password';
    expect(`${onWorkload.type} ${onWorkload.message}`).toBe(`Normal ${text}`);
    await eventually('the event on the resource', async () =>
      (await namespace.events('OnePasswordItem', 'db')).find(({ type, message }) => type === 'Normal' && message === text),
    );
  });

  it('names all keys that changed', async () => {
    change(scenario, 'password', 'user');
    await eventually('the event', async () =>
      (await scenario.namespace.events('Deployment', 'web')).find(
        ({ message }) => message === 'Restarted Deployment web: Secret db changed in password, user',
      ),
    );
  });

  it('puts no value into an event, a log line, or anything else but the Secret', async () => {
    const { namespace } = scenario;
    for (const [name, reason] of [
      ['skipped', 'RestartSkipped'],
      ['slow', 'RestartQueued'],
    ] as const) {
      await untilEvent(namespace, 'Deployment', name, reason);
    }
    expect(await findCanaries(namespace, { log: lines.join('') })).toEqual([]);
  });
});

describe('the status of a resource', { timeout: 150_000 }, () => {
  it('says how many consumers are current and how many wait, and changes at most every ten seconds', async () => {
    const scenario = await startScenario({ seed });
    const { namespace } = scenario;
    const counts = await watchCounts(namespace);
    try {
      await createSecret(namespace);
      for (const name of ['a', 'b']) await createApp(namespace, name, { secret: 'db' });
      await createApp(namespace, 'out', { secret: 'db', annotations: { [annotations.autoRestart]: 'false' } });
      await untilAdopted(namespace, ['a', 'b']);
      await counts.until({ current: 2, waiting: 0 });
      await forbidPods(namespace);
      change(scenario, 'password');
      await counts.until({ current: 0, waiting: 2 });
      await allowPods(namespace);
      await counts.until({ current: 2, waiting: 0 });
      const gaps = counts.seen.slice(1).map(({ at }, i) => at - (counts.seen[i]?.at ?? 0));
      // What a watch tells may come a little late.
      expect(Math.min(...gaps)).toBeGreaterThan(9_500);
    } finally {
      await counts.end();
      await scenario.end();
    }
  });
});

interface Counts {
  /** Each change of the counts, and when it came, in milliseconds. */
  readonly seen: readonly { readonly counts: ConsumerStatus | undefined; readonly at: number }[];
  /** Waits until the last of them is this. */
  until(expected: ConsumerStatus): Promise<void>;
  end(): Promise<void>;
}

/** Follows the counts of consumers in the status of the one resource of a namespace. */
async function watchCounts({ kube, name }: TestNamespace): Promise<Counts> {
  const path = collectionPath(onePasswordItems, name);
  const { metadata } = await kube.request<{ metadata: WireMeta }>({ method: 'GET', path });
  const seen: { counts: ConsumerStatus | undefined; at: number }[] = [];
  const stop = new AbortController();
  async function follow(): Promise<void> {
    const query = { watch: 'true', resourceVersion: metadata.resourceVersion };
    for await (const line of kube.watch({ method: 'GET', path, query, signal: stop.signal })) {
      const { object } = JSON.parse(line) as { readonly object: ReadItem };
      const counts = object.status?.consumers;
      if (JSON.stringify(counts) !== JSON.stringify(seen.at(-1)?.counts)) seen.push({ counts, at: performance.now() });
    }
  }
  const ended = follow().catch(() => {});
  return {
    seen,
    async until(expected) {
      await eventually(
        `consumers to be ${JSON.stringify(expected)}`,
        () => {
          const { current, waiting } = seen.at(-1)?.counts ?? {};
          return (current === expected.current && waiting === expected.waiting) || undefined;
        },
        40_000,
      );
    },
    async end() {
      stop.abort();
      await ended;
    },
  };
}

describe('an operator that reports', () => {
  /** Made while nobody restarts, so that nothing is written on them; `known` has an entry from before. */
  const names = ['a', 'b'];
  const all = [...names, 'known'];
  /** Later than the Deployments by more than the time within which one that is new may have started on the old value. */
  const later = Date.now() + 3_600_000;
  let proxy: ApiServerProxy;
  let scenario: Scenario;
  let watch: AppWatch;

  beforeAll(async () => {
    proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
    scenario = await startScenario({ seed, kubeconfig: proxy.kubeconfig });
    const { namespace } = scenario;
    await createSecret(namespace);
    await scenario.stopOperator();
    const revisions = JSON.stringify({ password: later });
    await namespace.patchSecret('db', { metadata: { annotations: { [annotations.revisions]: revisions } } });
    await scenario.restartOperator();
    await createApp(namespace, 'known', { secret: 'db' });
    await untilAdopted(namespace, ['known']);
    await scenario.stopOperator();
    for (const name of names) await createApp(namespace, name, { secret: 'db' });
    // One that its controller has not seen counts as younger than it is.
    for (const name of names) await untilSeen(namespace, { kind: 'Deployment', name });
    watch = await watchApps(namespace);
    proxy.requests.reset();
    await scenario.restartOperator({ flags: ['--restart-mode=report'] });
  });

  afterAll(async () => {
    await watch?.end();
    await scenario?.end();
    await proxy?.close();
  });

  it('says what it would restart, and writes to no workload', async () => {
    const { namespace } = scenario;
    change(scenario, 'password');
    for (const name of all) {
      const { type, message } = await untilEvent(namespace, 'Deployment', name, 'WouldRestart');
      expect(`${type} ${message}`).toBe(`Normal Would restart Deployment ${name}: Secret db changed in password`);
    }
    await eventually(
      'the events on the resource',
      async () => (await messages(namespace, 'WouldRestart')).length === 2 * all.length || undefined,
    );
    expect(proxy.requests.writes().filter(({ path }) => path.includes('/apis/apps/'))).toEqual([]);
  });

  it('puts no value into what it says', async () => {
    expect(await findCanaries(scenario.namespace)).toEqual([]);
  });

  it('rolls for what it missed who has an entry from before, when it is told to restart', async () => {
    await scenario.restartOperator({ flags: [] });
    await eventually('the roll', () => watch.rolled().includes('known') || undefined);
    await untilAdopted(scenario.namespace, all);
    expect(watch.rolled().filter((name) => !names.includes(name))).toEqual(['known']);
  });

  it('adopts as it is who has none, and goes on from there with everybody', async () => {
    expect(watch.rolled().filter((name) => names.includes(name))).toEqual([]);
    change(scenario, 'user');
    await eventually('the next change', () => watch.rolls.length >= 1 + all.length || undefined);
    expect(watch.rolled().toSorted()).toEqual([...all, 'known'].toSorted());
  });
});
