import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { readConfig } from '../../src/config.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { collectionPath, deployments, secrets, type WireObject } from '../../src/kube/resource.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { type PlanResult, runPlan } from '../../src/plan.ts';
import { discardedAudit } from '../support/audit.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { createNamespace, type TestNamespace, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { type OwnControlPlane, ownControlPlane, requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { oldCrd } from '../support/old-crd.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';

/** Who plans may read, and nothing else. */
const readOnly = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: keyturn-plan}
rules:
  - {apiGroups: [onepassword.com], resources: [onepassworditems], verbs: [list]}
  - {apiGroups: [''], resources: [secrets], verbs: [get, list]}
  - {apiGroups: [''], resources: [namespaces], verbs: [list]}
  - {apiGroups: [apps], resources: [deployments, replicasets], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: keyturn-plan}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyturn-plan}
subjects: [{kind: ServiceAccount, name: planner, namespace: default}]
`;

const finalizer = 'onepassword.com/finalizer.secret';
const value = (title: string, version = 1): string => `canary-5b91d3 ${title} ${version}`;
const titles = ['same', 'moved', 'fresh', 'taken', 'annotated', 'edited', 'shared', 'empty'];

let controlPlane: OwnControlPlane;
let proxy: ApiServerProxy;
let connect: ConnectServer;
let token: string;
let namespace: TestNamespace;
let operator: TestOperator | undefined;

async function apply(manifest: string): Promise<void> {
  const { code, stderr } = await controlPlane.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], manifest);
  expect(code, stderr).toBe(0);
}

async function applyCrd(manifest: string): Promise<void> {
  await apply(manifest);
  await controlPlane.kubectl(['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s']);
}

async function plan(environment: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Promise<PlanResult> {
  const config = readConfig({ OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: token, ...environment }, ['--plan', ...flags]);
  return runPlan({ config, credentials: credentialsFrom(proxy.kubeconfig), auditSink: discardedAudit });
}

/** The line of one who asks for a Secret, with what stands below it. */
function about(name: string, { output }: PlanResult): readonly string[] {
  const lines = output.split('\n');
  const start = lines.findIndex((line) => new RegExp(`^  (OnePasswordItem|Deployment) ${name}( |:)`).test(line));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('    '));
  return lines.slice(start, end).map((line) => line.trim());
}

const lastLine = ({ output }: PlanResult): string | undefined => output.trimEnd().split('\n').at(-1);

/** A Secret as the old operator leaves it. */
async function leaveSecret(name: string, title: string, owner: object, held: Readonly<Record<string, string>>, version = 1): Promise<void> {
  const item = connect.store.item('Prod', title);
  const notes = {
    [annotations.itemPath]: `vaults/${connect.store.vault('Prod').id}/items/${item.id}`,
    [annotations.itemVersion]: String(version),
  };
  await namespace.createSecret(name, held, { annotations: notes, ownerReferences: [owner] });
}

/** A resource with its Secret, as the old operator leaves them. */
async function leaveResource(name: string, held: Readonly<Record<string, string>>): Promise<void> {
  const { metadata } = await namespace.createItem(name, `vaults/Prod/items/${name}`);
  await namespace.patchItem(name, { metadata: { finalizers: [finalizer] } });
  await leaveSecret(name, name, { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name, uid: metadata.uid }, held);
}

/** Everything that could have been written to, with its state. */
async function states(): Promise<readonly string[]> {
  const lists = await Promise.all(
    [onePasswordItems, secrets, deployments, { root: '/api/v1', plural: 'events' }].map((type) =>
      namespace.kube.request<{ items: readonly WireObject[] }>({ method: 'GET', path: collectionPath(type, namespace.name) }),
    ),
  );
  return lists.flatMap(({ items }) => items.map(({ metadata: { name, uid, resourceVersion } }) => `${name} ${uid} ${resourceVersion}`));
}

beforeAll(async () => {
  controlPlane = await ownControlPlane();
  const { token: planner } = await controlPlane.user('planner');
  proxy = await startApiServerProxy({ controlPlane, user: { token: planner } });
  const items = titles.map((title) => ({ title, fields: title === 'empty' ? [] : [{ label: 'password', value: value(title) }] }));
  connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items }] } });
  token = connect.issueToken({ vaults: ['*'] });
  await apply(readOnly);
  namespace = await createNamespace(controlPlane.kubeconfig, { [annotations.autoRestart]: 'true' });
}, 120_000);

afterEach(() => {
  proxy.faults.clear();
  connect.faults.clear();
});

afterAll(async () => {
  await operator?.stop();
  await proxy?.close();
  await connect?.close();
  await namespace?.kube.close();
  await controlPlane?.stop();
});

describe('a plan without the CRD', () => {
  it('says what to apply', async () => {
    const { output, errors, exitCode } = await plan();
    expect([output, exitCode]).toEqual(['', 1]);
    expect(errors).toContain('kubectl apply -f crds/');
  });
});

describe('a plan in a cluster of the old operator', () => {
  beforeAll(async () => {
    await applyCrd(oldCrd);
    await leaveResource('same', { password: value('same') });
    // The item moved after the old operator's last look at it.
    await leaveResource('moved', { password: value('moved'), 'left-over': 'x' });
    connect.store.setField('Prod', 'moved', 'password', value('moved', 2));
    // Somebody edited this Secret: what comes back is no rotation.
    await leaveResource('edited', { password: 'by hand' });
    await namespace.createItem('fresh', 'vaults/Prod/items/fresh');
    await namespace.createItem('empty', 'vaults/Prod/items/empty');
    await namespace.createItem('taken', 'vaults/Prod/items/taken');
    await namespace.createSecret('taken', { password: 'of somebody else' });
    await namespace.createItem('typo', 'vaults/Prod/items/sane');
    await namespace.createItem('shared', 'vaults/Prod/items/shared');
    const asking = { [annotations.itemPath]: 'vaults/Prod/items/shared', [annotations.itemName]: 'shared' };
    await namespace.createDeployment('second', 'shared', asking);
    const misspelt = { [annotations.itemPath]: 'vaults/Prod/items/sane', [annotations.itemName]: 'misspelt' };
    await namespace.createDeployment('misspelt', 'none', misspelt);
    await namespace.createDeployment('unnamed', 'none', { [annotations.itemPath]: 'vaults/Prod/items/shared' });
    const annotated = { [annotations.itemPath]: 'vaults/Prod/items/annotated', [annotations.itemName]: 'annotated' };
    await namespace.createDeployment('annotated', 'annotated', annotated);
    const { uid } = (await namespace.deployment('annotated')).metadata;
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'annotated', uid };
    await leaveSecret('annotated', 'annotated', owner, { password: value('annotated') });
    await namespace.createDeployment('web', 'moved');
    await namespace.createDeployment('opted-out', 'moved', { [annotations.autoRestart]: 'false' });
    await namespace.createDeployment('quiet', 'same');
    await namespace.createDeployment('repaired', 'edited');
  });

  it('tells for each who asks what would be done, and what would restart', async () => {
    const { output, errors, exitCode } = await plan();
    expect([errors, exitCode]).toEqual(['', 1]);
    expect(output.split('\n\n')[0]).toBe(`namespace ${namespace.name}
  Deployment annotated (Secret annotated): adopt
  OnePasswordItem edited: change keys: password
  OnePasswordItem empty: refuse ItemEmpty: the item has no field with a label and a value; the Secret stays as it was
  OnePasswordItem fresh: create
  Deployment misspelt (Secret misspelt): refuse ItemNotFound: item "sane" not found in vault "Prod" (1 similar: "same"); check the annotation operator.1password.io/item-path
  OnePasswordItem moved: change keys: password, left-over
    would restart: Deployment web
  OnePasswordItem same: adopt
  Deployment second (Secret shared): refuse SecretNotOwned: Secret "shared" belongs to OnePasswordItem shared and is left alone; delete it, or choose another name
    several ask for this Secret: whoever comes first gets it
  OnePasswordItem shared: create
    several ask for this Secret: whoever comes first gets it
  OnePasswordItem taken: refuse SecretNotOwned: Secret "taken" exists and was not made by Keyturn; it is left alone. Delete it, or annotate it keyturn.dev/adopt: "true"
  OnePasswordItem typo: refuse ItemNotFound: item "sane" not found in vault "Prod" (1 similar: "same"); check spec.itemPath
  Deployment unnamed: refuse InvalidItemPath: the annotation operator.1password.io/item-name is missing: it names the Secret`);
    expect(output.trimEnd().split('\n').at(-1)).toBe(
      '0 in sync, 2 to adopt, 2 to create, 6 refused, 2 would change, 1 workload would restart',
    );
  });

  it('makes no request but GET, and leaves everything as it is', async () => {
    await untilRolledOut(namespace, 'web');
    const quiet = await eventually('the cluster to be quiet', async () => {
      const before = await states();
      await plan();
      return (await states()).join() === before.join() ? before : undefined;
    });
    proxy.requests.reset();
    await plan();
    expect(proxy.requests.all.length).toBeGreaterThan(10);
    expect(proxy.requests.all.filter(({ method, isWatch }) => method !== 'GET' || isWatch)).toEqual([]);
    expect(await states()).toEqual(quiet);
  });

  it('asks Connect once for its vaults, once for each list, and once for each item', async () => {
    connect.requests.reset();
    await plan();
    expect(connect.requests.count('GET /v1/vaults/{vault}/items')).toBe(1);
    expect(connect.requests.count('GET /v1/vaults/{vault}/items/{item}')).toBeLessThanOrEqual(titles.length + 1);
  });

  it('prints no value', async () => {
    const { output } = await plan();
    for (const secret of ['canary-5b91d3', 'by hand', 'of somebody else', Buffer.from('canary-5b91d3').toString('base64')]) {
      expect(output).not.toContain(secret);
    }
  });

  it('names settings that were carried over, the finalizers, and the older CRD', async () => {
    const { output } = await plan({ POLLING_INTERVAL: '600', AUTO_RESTART: 'true' }, ['--enable-http2']);
    expect(output).toContain(
      'POLLING_INTERVAL=600: changes are seen up to 600 seconds late; a quiet poll costs one request, and 10 is the default',
    );
    expect(output).toContain('AUTO_RESTART=true: ');
    expect(output).toContain('without effect here: --enable-http2');
    expect(output).toContain(`${finalizer} of the old operator would be taken out of 3 objects`);
    expect(output).toContain('the CRD of OnePasswordItem is an older one');
  });

  it('marks a workload that is paused', async () => {
    await namespace.patchDeployment('web', { spec: { paused: true } });
    expect(about('moved', await plan())).toContain('would restart: Deployment web, once it is resumed');
    await namespace.patchDeployment('web', { spec: { paused: false } });
  });

  it('says what goes when the finalizer is taken out of a resource that is being deleted', async () => {
    await namespace.createItem('going', 'vaults/Prod/items/fresh');
    await namespace.patchItem('going', { metadata: { finalizers: [finalizer] } });
    await namespace.delete('items', 'going');
    expect(about('going', await plan())).toEqual([expect.stringMatching(/: let go: /)]);
    await namespace.patchItem('going', { metadata: { finalizers: null } });
  });
});

describe('a plan when something cannot be read', () => {
  it('exits with 1 when Connect does not answer, and says why', async () => {
    const { output, errors, exitCode } = await plan({ OP_CONNECT_HOST: 'http://127.0.0.1:1' });
    expect([output, exitCode]).toEqual(['', 1]);
    expect(errors).toContain('Connect could not be asked (ECONNREFUSED)');
  });

  it('exits with 1 when Connect refuses the token', async () => {
    const { errors, exitCode } = await plan({ OP_CONNECT_TOKEN: 'wrong' });
    expect(exitCode).toBe(1);
    expect(errors).toContain('OP_CONNECT_TOKEN');
  });

  it('counts an item that Connect does not give as unknown', async () => {
    connect.faults.order({ kind: 'status', status: 500, path: itemPathOf('same') });
    const result = await plan();
    expect(about('same', result)).toEqual([expect.stringContaining('refuse ConnectUnavailable')]);
    expect(lastLine(result)).toContain('1 unknown');
  });

  it('exits with 1 when the API server cannot be read', async () => {
    proxy.faults.order({ kind: 'status', status: 503, path: /deployments$/ });
    const { errors, exitCode } = await plan();
    expect(exitCode).toBe(1);
    expect(errors).toContain('the API server could not be read: GET /apis/apps/v1/deployments: 503');
  });

  it('tells a named namespace that forbids it from the others, and exits with 1', async () => {
    proxy.faults.order({ kind: 'status', status: 403, reason: 'Forbidden', path: /namespaces\/closed\// });
    const result = await plan({ WATCH_NAMESPACE: `closed,${namespace.name}` });
    expect(result.output).toContain('namespace closed\n  not read: GET ');
    expect(about('same', result)).toEqual(['OnePasswordItem same: adopt']);
    expect(lastLine(result)).toContain('1 namespace not read');
  });
});

function itemPathOf(title: string): string {
  return `/v1/vaults/${connect.store.vault('Prod').id}/items/${connect.store.item('Prod', title).id}`;
}

describe('an operator that runs after the plan', () => {
  beforeAll(async () => {
    await applyCrd(await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8'));
  });

  it('does what the plan said', async (context) => {
    requireFeature(context, 'pods');
    // Who of two gets a Secret is a matter of chance.
    await namespace.delete('deployments', 'second');
    for (const name of ['web', 'opted-out', 'quiet', 'repaired', 'annotated']) await untilRolledOut(namespace, name);
    operator = await startOperator({
      kubeconfig: controlPlane.accounts.clusterWide.kubeconfig,
      connect: connect.url,
      token,
      namespaces: [],
    });
    for (const name of ['same', 'moved', 'edited', 'fresh', 'shared']) await untilReadiness(namespace, name, 'True');
    for (const [name, reason] of [
      ['taken', 'SecretNotOwned'],
      ['typo', 'ItemNotFound'],
      ['empty', 'ItemEmpty'],
    ] as const) {
      await untilReadiness(namespace, name, reason);
    }
    await eventually('a second ReplicaSet', async () => ((await namespace.replicaSets('web')) === 2 ? true : undefined));
    await untilRolledOut(namespace, 'web');
    for (const name of ['opted-out', 'quiet', 'repaired', 'annotated'])
      expect([name, await namespace.replicaSets(name)]).toEqual([name, 1]);
    expect((await namespace.secret('moved'))?.values).toEqual({ password: value('moved', 2) });
  });

  it('leaves nothing to do', async () => {
    const result = await eventually('a plan without changes', async () => {
      const found = await plan();
      return found.exitCode === 0 ? found : undefined;
    });
    expect(lastLine(result)).toBe('6 in sync, 0 to adopt, 0 to create, 5 refused, 0 would change, 0 workloads would restart');
    expect(result.output).not.toContain('worth knowing');
  });

  it('when it is away, is planned to roll what consumes an item that changed', async () => {
    await operator?.stop();
    connect.store.setField('Prod', 'same', 'password', value('same', 2));
    const result = await plan();
    expect(about('same', result)).toEqual(['OnePasswordItem same: change keys: password', 'would restart: Deployment quiet']);
    expect(result.exitCode).toBe(1);
  });

  it('killed between a Secret and its consumers, is planned to roll them', async () => {
    const revisions = JSON.stringify({ password: Date.now() + 1_000 });
    await namespace.patchSecret('fresh', { metadata: { annotations: { [annotations.revisions]: revisions } } });
    await namespace.createDeployment('late', 'fresh');
    expect(about('fresh', await plan())).toEqual(['OnePasswordItem fresh: in sync', 'would restart: Deployment late']);
  });

  it('is planned to copy a label that a resource has got, and no value', async () => {
    await namespace.patchItem('shared', { metadata: { labels: { team: 'shop' } } });
    expect(about('shared', await plan())).toEqual(['OnePasswordItem shared: update metadata']);
  });
});

describe('keyturn --plan', () => {
  it('prints the plan alone, opens no listener, and exits with the code', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const args = [
      '--disable-sigusr1',
      'src/main.ts',
      '--plan',
      `--metrics-bind-address=${address}`,
      `--health-probe-bind-address=${address}`,
    ];
    const child = spawn(process.execPath, args, {
      cwd: new URL('../..', import.meta.url).pathname,
      env: { PATH: process.env['PATH'], KUBECONFIG: proxy.kubeconfig, OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: token },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(child, 'close')) as [number];
    taken.close();
    const expected = await plan();
    expect([code, output]).toEqual([expected.exitCode, expected.output]);
  });
});
