import { readFile } from 'node:fs/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runKubectl } from '../../dev/control-plane/kubectl.ts';
import type { User } from '../../dev/control-plane/user.ts';
import { annotations, kind } from '../../src/api/names.ts';
import { KubeError } from '../../src/kube/client.ts';
import { collectionPath, events, namespaces } from '../../src/kube/resource.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { createNamespace, type TestNamespace, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { type OwnControlPlane, ownControlPlane, requireFeature, sharedControlPlane, sharedUser } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';
import { grantRole, operatorRules, revokeRole } from '../support/roles.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

/** Part of every value: it may stand nowhere but in a Secret. */
const canary = 'canary-41c8f0';
/** Longer than the longest pause of a watch that is refused, in milliseconds. */
const takeUp = 12_000;
/** A namespace with pods in it may take half a minute to go; in milliseconds. */
const goneWithin = 45_000;
/** A test in which one goes, in milliseconds. */
const lasting = 120_000;
const optedIn = { [annotations.autoRestart]: 'true' };

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly error?: string;
}

let user: User;
let proxy: ApiServerProxy;
let scenario: Scenario;
const made: TestNamespace[] = [];
let lines: LogLine[] = [];
const leaks: string[] = [];
const log = pino(
  { level: 'debug', formatters: { level: (label) => ({ level: label }) } },
  {
    write(line: string) {
      if (line.includes(canary)) leaks.push(line);
      lines.push(JSON.parse(line) as LogLine);
    },
  },
);

beforeAll(async () => {
  user = await sharedUser('namespaces');
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane(), user });
  const items = ['db', 'other'].map((title) => ({ title, fields: [{ label: 'password', value: `${canary} first` }] }));
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] }, kubeconfig: proxy.kubeconfig, log });
});

afterEach(() => proxy.faults.clear());

afterAll(async () => {
  await scenario?.end();
  await Promise.all(made.map(({ kube }) => kube.close()));
  await proxy?.close();
});

describe('a namespace that is watched by name and opts in', () => {
  it('has its consumers adopted', async () => {
    const namespace = await allowedNamespace(optedIn);
    await watch(namespace);
    await createReady(namespace, 'web');
    await namespace.createDeployment('web', 'web');
    await eventually('its adoption', async () => (await namespace.deployment('web')).metadata.annotations?.[annotations.knownRevisions]);
  });
});

describe('an operator that watches two namespaces', () => {
  let first: TestNamespace;
  let second: TestNamespace;

  beforeAll(async () => {
    [first, second] = [await allowedNamespace(), await allowedNamespace()];
    await watch(first, second);
  });

  it('syncs the resources of both, and of no other', async () => {
    const other = await allowedNamespace();
    for (const namespace of [other, first, second]) await namespace.createItem('both', pathOf('db'));
    for (const namespace of [first, second]) await untilReadiness(namespace, 'both', 'True');
    await untilPolled(2);
    expect(await Promise.all([first, second, other].map(async (namespace) => (await namespace.secret('both')) !== undefined))).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('needs nothing but a Role in each', async () => {
    await createReady(first, 'needs');
    await createReady(second, 'needs');
    const refused = proxy.requests.all.filter(({ status }) => status === 403).map(({ method, path }) => `${method} ${path}`);
    expect(refused).toEqual([]);
    const places = new Set(proxy.requests.all.map(({ path }) => /\/namespaces\/([^/]+)(?:\/|$)/.exec(path)?.[1]));
    expect(places).toEqual(new Set([first.name, second.name]));
  });

  it('rotates in both, and restarts once who has opted in', async (context) => {
    requireFeature(context, 'pods');
    for (const namespace of [first, second]) {
      await createReady(namespace, 'web');
      await namespace.createDeployment('web', 'web', optedIn);
      await namespace.createDeployment('bystander', 'web');
    }
    await Promise.all([first, second].flatMap((namespace) => ['web', 'bystander'].map((name) => untilRolledOut(namespace, name))));
    const value = rotate();
    for (const namespace of [first, second]) {
      await untilValue(namespace, 'web', value);
      await untilReplicaSets(namespace, 'web', 2);
      await untilRolledOut(namespace, 'web');
    }
    await untilPolled(2);
    const replicaSets = [first, second].flatMap((namespace) => ['web', 'bystander'].map((name) => namespace.replicaSets(name)));
    expect(await Promise.all(replicaSets)).toEqual([2, 1, 2, 1]);
  });

  it('repairs what was edited, and makes again what was deleted', async () => {
    for (const namespace of [first, second]) {
      await createReady(namespace, 'drifting');
      const password = (await namespace.secret('drifting'))?.values['password'] ?? '';
      await namespace.patchSecret('drifting', { stringData: { password: 'foreign' } });
      await untilValue(namespace, 'drifting', password);
      const uid = (await namespace.secret('drifting'))?.metadata.uid;
      await namespace.delete('secrets', 'drifting');
      await eventually('another Secret', async () => {
        const secret = await namespace.secret('drifting');
        return secret !== undefined && secret.metadata.uid !== uid && secret.values['password'] === password ? true : undefined;
      });
    }
  });

  it('tells of it in events in each', async () => {
    for (const namespace of [first, second]) {
      await createReady(namespace, 'told');
      await namespace.patchSecret('told', { stringData: { password: 'foreign' } });
      await eventually('both events', async () => {
        const query = { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=told` };
        const path = collectionPath(events, namespace.name);
        const { items } = await namespace.kube.request<{ items: readonly { reason: string }[] }>({ method: 'GET', path, query });
        return ['DriftRepaired', 'Synced'].every((reason) => items.some((event) => event.reason === reason)) ? true : undefined;
      });
    }
  });
});

describe('a namespace that may not be read', () => {
  it('holds up no other at the start, and the log names it', async () => {
    const [shut, open] = [await newNamespace(), await allowedNamespace()];
    await open.createItem('db', pathOf('db'));
    await watch(shut, open);
    await untilReadiness(open, 'db', 'True');
    await untilLogged(shut);
    expect(erroneous(open)).toEqual([]);
  });

  it('is taken up once there is a Role', async () => {
    const [shut, open] = [await newNamespace(), await allowedNamespace()];
    await shut.createItem('db', pathOf('db'));
    await watch(shut, open);
    await untilLogged(shut);
    await grantRole(shut, user.username);
    await untilReadiness(shut, 'db', 'True', takeUp);
    await untilValue(shut, 'db', rotate());
  });

  it('since it does not exist is taken up once it is made', async (context) => {
    requireFeature(context, 'controllerManager');
    const [missing, open] = [await newNamespace(), await allowedNamespace()];
    await deleteNamespace(missing);
    await untilGone(missing);
    await open.createItem('db', pathOf('db'));
    await watch(missing, open);
    await untilReadiness(open, 'db', 'True');
    await untilLogged(missing);
    await makeAgain(missing);
    await grantRole(missing, user.username);
    await missing.createItem('db', pathOf('db'));
    await untilReadiness(missing, 'db', 'True', takeUp);
    await untilValue(missing, 'db', rotate());
  });

  it('in part is left alone until all of it may be', async () => {
    const [half, open] = [await newNamespace(), await allowedNamespace()];
    await grantRole(
      half,
      user.username,
      operatorRules.filter(({ resources }) => !resources.includes('deployments')),
    );
    await half.createItem('db', pathOf('db'));
    await watch(half, open);
    await untilLogged(half);
    await untilPolled(2);
    expect(proxy.requests.writes().filter(({ path }) => path.includes(`/${half.name}/`))).toEqual([]);
    await grantRole(half, user.username);
    await untilReadiness(half, 'db', 'True', takeUp);
  });

  it('any more holds up no other, is named in the log, and is followed again once it may be', async () => {
    const [turned, open] = [await allowedNamespace(), await allowedNamespace()];
    await watch(turned, open);
    await createReady(turned, 'db');
    await createReady(open, 'db');
    const before = (await turned.secret('db'))?.values['password'];
    await revokeRole(turned, user.username);
    await untilRefused(turned);
    const value = rotate();
    await untilValue(open, 'db', value);
    await open.createItem('later', pathOf('db'));
    await untilReadiness(open, 'later', 'True');
    await untilLogged(turned);
    expect((await turned.secret('db'))?.values['password']).toBe(before);
    await grantRole(turned, user.username);
    await untilValue(turned, 'db', value, takeUp);
    await untilReadiness(turned, 'db', 'True', takeUp);
  });

  it('any more costs neither Connect nor the log anything while it is so', async () => {
    const turned = await allowedNamespace();
    await watch(turned);
    await createReady(turned, 'db');
    await revokeRole(turned, user.username);
    await untilRefused(turned);
    await untilLogged(turned);
    const { requests } = scenario.connect;
    const before = requests.count('GET /v1/vaults/{vault}/items/{item}');
    rotate();
    await untilPolled(3);
    expect(requests.count('GET /v1/vaults/{vault}/items/{item}')).toBe(before);
    expect(lines.filter(({ msg }) => msg.startsWith('reconcile failed'))).toEqual([]);
  });
});

describe('a namespace that is deleted with all that is in it, and made again', () => {
  it.for([
    ['with watches that stand', async () => {}],
    ['with watches that were refused meanwhile', untilRefused],
  ] as const)('is picked up again %s, and the others go on all the time', { timeout: lasting }, async ([, meanwhile], context) => {
    requireFeature(context, 'pods');
    const [lost, kept] = [await allowedNamespace(), await allowedNamespace()];
    await watch(lost, kept);
    for (const namespace of [lost, kept]) {
      await createReady(namespace, 'web');
      await namespace.createDeployment('web', 'web', optedIn);
      await untilRolledOut(namespace, 'web');
    }
    await createReady(kept, 'steady', 'other');
    await deleteNamespace(lost);
    await goOnIn(kept, untilGone(lost));
    await meanwhile(lost);
    await goOnIn(kept, makeAgain(lost));
    await goOnIn(kept, grantRole(lost, user.username));
    await lost.createItem('web', pathOf('db'));
    await untilReadiness(lost, 'web', 'True', takeUp);
    await lost.createDeployment('web', 'web', optedIn);
    await untilRolledOut(lost, 'web');
    const value = rotate();
    for (const namespace of [lost, kept]) await untilValue(namespace, 'web', value);
    await untilReplicaSets(lost, 'web', 2);
    await untilReplicaSets(kept, 'web', 2);
  });
});

describe('an operator that watches all namespaces', () => {
  let controlPlane: OwnControlPlane;
  let operator: TestOperator;
  let namespace: TestNamespace;

  beforeAll(async () => {
    controlPlane = await ownControlPlane();
    const { binaries, directory, kubeconfig: admin, accounts } = controlPlane;
    const crd = await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8');
    const { code, stderr } = await runKubectl(binaries, directory, admin, ['apply', '--server-side', '-f', '-'], crd);
    if (code !== 0) throw new Error(stderr);
    namespace = await createNamespace(admin);
    made.push(namespace);
    const { connect, token } = scenario;
    operator = await startOperator({ kubeconfig: accounts.clusterWide.kubeconfig, connect: connect.url, token, namespaces: [], log });
  });

  afterAll(async () => {
    await operator?.stop();
    await controlPlane?.stop();
  });

  it('picks up a namespace that is deleted and made again, with what it says of restarts now', { timeout: lasting }, async (context) => {
    requireFeature(context, 'pods');
    await createReady(namespace, 'web');
    await namespace.createDeployment('web', 'web');
    await untilRolledOut(namespace, 'web');
    await deleteNamespace(namespace);
    await untilGone(namespace);
    await makeAgain(namespace, optedIn);
    await createReady(namespace, 'web');
    await namespace.createDeployment('web', 'web');
    await untilRolledOut(namespace, 'web');
    await untilValue(namespace, 'web', rotate());
    await untilReplicaSets(namespace, 'web', 2);
  });
});

it('writes no value into the log, whatever namespace comes and goes', () => {
  expect(leaks).toEqual([]);
});

function pathOf(title: string): string {
  return `vaults/Prod/items/${title}`;
}

async function newNamespace(notes: object = {}): Promise<TestNamespace> {
  const namespace = await createNamespace(sharedControlPlane().kubeconfig, notes);
  made.push(namespace);
  return namespace;
}

async function allowedNamespace(notes: object = {}): Promise<TestNamespace> {
  const namespace = await newNamespace(notes);
  await grantRole(namespace, user.username);
  return namespace;
}

/** Starts the operator anew, for these namespaces; what was logged and asked before is forgotten. */
async function watch(...watched: readonly TestNamespace[]): Promise<void> {
  await scenario.stopOperator();
  proxy.requests.reset();
  lines = [];
  await scenario.restartOperator({ namespaces: watched.map(({ name }) => name) });
}

async function createReady(namespace: TestNamespace, name: string, title = 'db'): Promise<void> {
  await namespace.createItem(name, pathOf(title));
  await untilReadiness(namespace, name, 'True');
}

/** Gives an item a new value. */
function rotate(title = 'db'): string {
  const value = `${canary} ${crypto.randomUUID()}`;
  scenario.connect.store.setField('Prod', title, 'password', value);
  return value;
}

/** Rotates the Secret `steady` again and again until `change` has come about; each time the value must arrive within seconds. */
async function goOnIn(namespace: TestNamespace, change: Promise<void>): Promise<void> {
  const state = { pending: true };
  const ended = (): void => void (state.pending = false);
  void change.then(ended, ended);
  do await untilValue(namespace, 'steady', rotate('other'), 5_000);
  while (state.pending);
  await change;
}

async function untilValue(namespace: TestNamespace, name: string, value: string, deadline?: number): Promise<void> {
  await eventually(
    `the new value in Secret ${name}`,
    async () => ((await namespace.secret(name))?.values['password'] === value ? true : undefined),
    deadline,
  );
}

async function untilReplicaSets(namespace: TestNamespace, deployment: string, count: number): Promise<void> {
  await eventually(`${count} ReplicaSets of ${deployment}`, async () =>
    (await namespace.replicaSets(deployment)) === count ? true : undefined,
  );
}

async function untilPolled(times: number): Promise<void> {
  const { requests } = scenario.connect;
  const before = requests.count('GET /v1/vaults');
  await eventually(`${times} polls`, () => (requests.count('GET /v1/vaults') >= before + times ? true : undefined));
}

/** What the log says, at the level of errors, of the watches of a namespace. */
function erroneous({ name }: TestNamespace): readonly string[] {
  const said = lines.filter(({ level, msg }) => level === 'error' && msg.startsWith('watch failed'));
  return said.flatMap(({ error = '' }) => (error.includes(`/namespaces/${name}/`) ? [error] : []));
}

async function untilLogged(namespace: TestNamespace): Promise<void> {
  await eventually('an error that names the namespace, and why', () =>
    erroneous(namespace).some((error) => error.endsWith('403 Forbidden')) ? true : undefined,
  );
}

/** Waits until the operator is refused what it watches in a namespace: one that stands is not asked for its rights again. */
async function untilRefused({ name }: TestNamespace): Promise<void> {
  const collections = ['onepassworditems', 'secrets', 'deployments'];
  proxy.faults.order({ kind: 'cut-watches' });
  await eventually('each watch to be refused', () =>
    collections.every((plural) => proxy.requests.all.some((r) => r.path.endsWith(`/${name}/${plural}`) && r.isWatch && r.status === 403))
      ? true
      : undefined,
  );
}

async function deleteNamespace({ kube, name }: TestNamespace): Promise<void> {
  await kube.request({ method: 'DELETE', path: `${collectionPath(namespaces)}/${name}` });
}

async function untilGone({ kube, name }: TestNamespace): Promise<void> {
  await eventually(
    `namespace ${name} to be gone`,
    async () => {
      try {
        await kube.request({ method: 'GET', path: `${collectionPath(namespaces)}/${name}` });
        return undefined;
      } catch (error) {
        return error instanceof KubeError && error.status === 404 ? true : undefined;
      }
    },
    goneWithin,
  );
}

async function makeAgain({ kube, name }: TestNamespace, notes: object = {}): Promise<void> {
  await kube.request({ method: 'POST', path: collectionPath(namespaces), body: { metadata: { name, annotations: notes } } });
}
