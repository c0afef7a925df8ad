import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations, leaseName } from '../../src/api/names.ts';
import { KubeError } from '../../src/kube/client.ts';
import { collectionPath, leases, objectPath } from '../../src/kube/resource.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Replica, startReplica } from '../support/replica.ts';
import { installCrd } from '../support/scenario.ts';

const items = 40;
const titles = Array.from({ length: items }, (_, index) => `item-${index}`);
/** In milliseconds, and as flags. */
const short = { leaseDuration: 5_000, renewDeadline: 4_000, retryPeriod: 500 };
const shortFlags = ['--leader-elect-lease-duration=5s', '--leader-elect-renew-deadline=4s', '--leader-elect-retry-period=500ms'];

interface WireLease {
  readonly metadata: { readonly resourceVersion: string };
  readonly spec: Readonly<Record<string, unknown>> & {
    readonly holderIdentity: string;
    readonly renewTime: string;
    readonly leaseTransitions: number;
  };
}

let connect: ConnectServer;
let token: string;

beforeAll(async () => {
  await installCrd();
  const seeded = titles.map((title) => ({ title, fields: [{ label: 'password', value: 'first' }] }));
  connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items: seeded }] } });
  token = connect.issueToken({ vaults: ['*'] });
});

afterAll(() => connect?.close());

interface Setting {
  readonly namespace: TestNamespace;
  /** Starts a replica; it ends with the test. */
  start(name: string, flags?: readonly string[]): Promise<Replica>;
  lease(): Promise<WireLease | undefined>;
}

/** A namespace, and replicas that lead by a lease in it. */
async function setUp(): Promise<Setting> {
  const controlPlane = sharedControlPlane();
  const namespace = await createNamespace(controlPlane.kubeconfig);
  onTestFinished(() => namespace.kube.close());
  return {
    namespace,
    async start(name, flags = shortFlags) {
      const replica = await startReplica({
        controlPlane,
        name,
        namespace: namespace.name,
        connect: connect.url,
        token,
        flags: ['--leader-elect', ...flags],
      });
      onTestFinished(() => replica.end());
      return replica;
    },
    async lease() {
      try {
        return await namespace.kube.request<WireLease>({
          method: 'GET',
          path: objectPath(leases, { namespace: namespace.name, name: leaseName }),
        });
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return undefined;
        throw error;
      }
    },
  };
}

async function createItems({ namespace }: Setting, from = 0, to = items): Promise<void> {
  for (const title of titles.slice(from, to)) await namespace.createItem(title, `vaults/Prod/items/${title}`);
}

function rotate(value: string): void {
  for (const title of titles) connect.store.setField('Prod', title, 'password', value);
}

async function untilValue({ namespace }: Setting, title: string, value: string): Promise<void> {
  await eventually(`${title} to be ${value}`, async () =>
    (await namespace.secret(title))?.values['password'] === value ? true : undefined,
  );
}

/** A Deployment `web` that reads a Secret, and of which is known what its pods have. */
async function createAdopted({ namespace }: Setting, secret: string): Promise<void> {
  await namespace.createDeployment('web', secret);
  await eventually('web to be adopted', async () =>
    (await namespace.deployment('web')).metadata.annotations?.[annotations.knownRevisions] === undefined ? undefined : true,
  );
}

async function isRolled({ namespace }: Setting): Promise<boolean> {
  const { spec } = await namespace.deployment('web');
  return spec.template.metadata.annotations?.[annotations.lastRestarted] !== undefined;
}

/** Between the last that one did and the first that another did after it, in milliseconds; negative when both acted together. */
function gap(one: Replica, other: Replica): number {
  return (other.acted()[0] ?? Number.NaN) - (one.acted().at(-1) ?? Number.NaN);
}

/** Writes that met another's. Leases are there to be fought for, and to a workload its controller writes too. */
function conflicts(replicas: readonly Replica[]): readonly object[] {
  return replicas.flatMap(({ api }) =>
    api.requests.writes().filter(({ path, status }) => status === 409 && !path.startsWith('/apis/apps/')),
  );
}

describe('two replicas', () => {
  it('have one that acts, and one that is warm, well and silent', async () => {
    const setting = await setUp();
    const one = await setting.start('one');
    await one.reconciles();
    await createItems(setting, 0, 3);
    const two = await setting.start('two');
    await two.warm();
    await untilReadiness(setting.namespace, 'item-0', 'True');
    expect([await two.probe('/readyz'), await two.probe('/healthz')]).toEqual(['200 ok', '200 ok']);
    expect(await two.metrics()).toMatch(/rest_client_requests_total\{method="GET",code="200",host="[^"]+"\} [1-9]/);
    await createItems(setting, 3, 6);
    await untilReadiness(setting.namespace, 'item-5', 'True');
    expect([two.acted(), two.output().includes('"msg":"reconciling"')]).toEqual([[], false]);
    expect(two.output()).toContain('another process leads');
    const lease = await setting.lease();
    expect(lease?.spec).toMatchObject({ leaseDurationSeconds: 5, leaseTransitions: 0 });
    expect(lease?.spec.holderIdentity).toMatch(/^one_[0-9a-f-]{36}$/);
    expect(lease?.spec.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const verbs = [one, two].flatMap(({ api }) =>
      api.requests.all.filter(({ path }) => path.includes('/leases')).map(({ method }) => method),
    );
    expect(new Set(verbs)).toEqual(new Set(['GET', 'POST', 'PUT']));
  });

  it('hand over within three seconds at SIGTERM, with the durations of client-go, and without a conflict', async () => {
    const setting = await setUp();
    await createItems(setting);
    const one = await setting.start('one', []);
    await one.reconciles();
    const two = await setting.start('two', []);
    await two.warm();
    await untilReadiness(setting.namespace, titles.at(-1) ?? '', 'True');
    // In the middle of a rotation, so that there are writes under way.
    rotate('handover');
    await untilValue(setting, 'item-0', 'handover');
    one.kill('SIGTERM');
    expect(await one.exit).toBe(0);
    await two.reconciles();
    for (const title of titles) await untilValue(setting, title, 'handover');
    expect(gap(one, two)).toBeGreaterThan(0);
    expect(gap(one, two)).toBeLessThan(3_000);
    expect(one.api.requests.writes().filter(({ status }) => status === undefined)).toEqual([]);
    expect(conflicts([one, two])).toEqual([]);
    expect((await setting.lease())?.spec).toMatchObject({ leaseDurationSeconds: 15, leaseTransitions: 1 });
  });

  it('are updated one after the other without acting together, and roll each workload once', async () => {
    const setting = await setUp();
    rotate('before');
    await createItems(setting);
    await setting.namespace.patchItem('item-0', { metadata: { annotations: { [annotations.autoRestart]: 'true' } } });
    const old = [await setting.start('old-1', []), await setting.start('old-2', [])];
    await Promise.race(old.map((replica) => replica.reconciles()));
    await Promise.all(old.map((replica) => replica.warm()));
    await untilReadiness(setting.namespace, titles.at(-1) ?? '', 'True');
    await createAdopted(setting, 'item-0');
    rotate('after');
    const all = [...old];
    for (const [index, leaving] of old.entries()) {
      const fresh = await setting.start(`new-${index}`, []);
      all.push(fresh);
      await fresh.warm();
      leaving.kill('SIGTERM');
      expect(await leaving.exit).toBe(0);
    }
    for (const title of titles) await untilValue(setting, title, 'after');
    await eventually('web to be rolled', async () => ((await isRolled(setting)) ? true : undefined));
    // The old ones may have done all there was to do.
    rotate('last');
    for (const title of titles) await untilValue(setting, title, 'last');
    await eventually('web to be rolled once more', async () => ((await setting.namespace.replicaSets('web')) === 3 ? true : undefined));
    const leaders = all.filter((replica) => replica.acted().length > 0).toSorted((a, b) => (a.acted()[0] ?? 0) - (b.acted()[0] ?? 0));
    expect(leaders.length).toBeGreaterThan(1);
    for (const [index, leader] of leaders.entries()) {
      const next = leaders[index + 1];
      if (next === undefined) break;
      expect(gap(leader, next)).toBeGreaterThan(0);
      expect(gap(leader, next)).toBeLessThan(3_000);
    }
    expect(conflicts(all)).toEqual([]);
    expect(await setting.namespace.replicaSets('web')).toBe(3);
  });
});

describe('a leader', () => {
  it('that was stopped for longer than its lease starts no write when it goes on, and ends', async () => {
    const setting = await setUp();
    rotate('first');
    await setting.namespace.createItem('item-0', 'vaults/Prod/items/item-0', { annotations: { [annotations.autoRestart]: 'true' } });
    // Renewed so seldom that the debounce of a restart is over first when it goes on.
    const flags = [...shortFlags, '--leader-elect-retry-period=3300ms', '--restart-debounce=2s'];
    const one = await setting.start('one', flags);
    await one.reconciles();
    await untilReadiness(setting.namespace, 'item-0', 'True');
    await createAdopted(setting, 'item-0');
    const two = await setting.start('two');
    await two.warm();
    const renewals = (): number => one.api.requests.all.filter(({ method, path }) => method === 'PUT' && path.includes('/leases')).length;
    const renewed = renewals();
    await eventually('the lease to be renewed', () => (renewals() > renewed ? true : undefined));
    rotate('second');
    await eventually('the Secret to be written', () => (one.output().includes('"msg":"Secret updated"') ? true : undefined));
    one.kill('SIGSTOP');
    expect(await isRolled(setting)).toBe(false);
    await createItems(setting, 1);
    await eventually('the other one to restart web', async () => ((await isRolled(setting)) ? true : undefined));
    for (const title of titles) await untilReadiness(setting.namespace, title, 'True');
    const before = one.api.requests.all.filter(({ method }) => method !== 'GET').length;
    one.kill('SIGCONT');
    expect(await one.exit).toBe(1);
    // Not even of the lease.
    expect(one.api.requests.all.filter(({ method }) => method !== 'GET')).toHaveLength(before);
    expect(one.output()).toContain('this process ends, so that two never act');
    expect(gap(one, two)).toBeGreaterThan(0);
    expect(conflicts([two])).toEqual([]);
  });

  it('that was killed is followed when its lease is over, and no sooner', async () => {
    const setting = await setUp();
    await createItems(setting, 0, 3);
    const one = await setting.start('one');
    await one.reconciles();
    const two = await setting.start('two');
    await two.warm();
    await untilReadiness(setting.namespace, 'item-2', 'True');
    one.kill('SIGKILL');
    await one.exit;
    const renewed = Date.parse((await setting.lease())?.spec.renewTime ?? '');
    await two.reconciles();
    await createItems(setting, 3, 4);
    await untilReadiness(setting.namespace, 'item-3', 'True');
    const waited = (two.acted()[0] ?? 0) - renewed;
    expect(waited).toBeGreaterThanOrEqual(short.leaseDuration);
    expect(waited).toBeLessThan(short.leaseDuration + 3_000);
  });

  it('that cannot reach the API server ends before its lease does', async () => {
    const setting = await setUp();
    const one = await setting.start('one');
    await one.reconciles();
    const cut = Date.now();
    one.api.faults.order({ kind: 'refuse' });
    expect(await one.exit).toBe(1);
    expect(Date.now() - cut).toBeLessThan(short.leaseDuration);
    expect(one.output()).toContain('could not be renewed in time');
  });

  it('that starts again under the name of its pod is another holder', async () => {
    const setting = await setUp();
    const one = await setting.start('keyturn-0');
    await one.reconciles();
    one.kill('SIGKILL');
    await one.exit;
    const killed = Date.now();
    const again = await setting.start('keyturn-0');
    await eventually('it to act', () => (again.acted().length > 0 ? true : undefined), 30_000);
    expect((again.acted()[0] ?? 0) - killed).toBeGreaterThan(short.leaseDuration - 1_000);
    expect((await setting.lease())?.spec.leaseTransitions).toBe(1);
  });
});

it('no replica acts while the old operator holds the lease', async () => {
  const setting = await setUp();
  const { namespace } = setting;
  const spec = {
    holderIdentity: `onepassword-connect-operator-7d9_${randomUUID()}`,
    leaseDurationSeconds: 3,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:00:00.000000Z',
    leaseTransitions: 7,
  };
  await namespace.kube.request({
    method: 'POST',
    path: collectionPath(leases, namespace.name),
    body: { metadata: { name: leaseName }, spec },
  });
  const path = objectPath(leases, { namespace: namespace.name, name: leaseName });
  await createItems(setting, 0, 2);
  const replica = await setting.start('ours');
  await replica.warm();
  expect(await replica.probe('/readyz')).toBe('200 ok');
  for (let renewal = 0; renewal < 12; renewal += 1) {
    const seen = replica.api.requests.all.length;
    await eventually('a look at the lease', () =>
      replica.api.requests.all.slice(seen).some((request) => request.path === path) ? true : undefined,
    );
    const renewTime = new Date().toISOString().replace('Z', '000Z');
    await namespace.kube.request({ method: 'PATCH', path, body: { spec: { renewTime } } });
  }
  expect(replica.acted()).toEqual([]);
  expect(replica.api.requests.all.filter(({ method, path: asked }) => method !== 'GET' && asked.includes('/leases'))).toEqual([]);
  await replica.reconciles();
  await untilReadiness(namespace, 'item-1', 'True');
  expect((await setting.lease())?.spec).toMatchObject({
    leaseTransitions: 8,
    acquireTime: expect.not.stringMatching(/^2026-01-01T00/) as string,
  });
});

it('without --leader-elect no lease is asked for', async () => {
  const setting = await setUp();
  const replica = await setting.start('one', ['--leader-elect=false']);
  await replica.reconciles();
  await createItems(setting, 0, 1);
  await untilReadiness(setting.namespace, 'item-0', 'True');
  replica.kill('SIGTERM');
  expect(await replica.exit).toBe(0);
  expect(replica.api.requests.all.filter(({ path }) => path.includes('coordination.k8s.io'))).toEqual([]);
});
