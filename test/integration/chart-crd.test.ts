import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { runCrd } from '../../src/crd.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { minimal } from '../support/chart-values.ts';
import { ownControlPlane, type OwnControlPlane, requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { chart, helm, render, requireHelm } from '../support/helm.ts';
import { oldCrd } from '../support/old-crd.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';

const crdName = 'onepassworditems.onepassword.com';
const seed = { vaults: [{ name: 'Shop', items: [{ title: 'db', fields: [{ label: 'password', value: 'geheim' }] }] }] };

let cluster: OwnControlPlane;
let connect: ConnectServer;
let namespace: TestNamespace;

beforeEach((context) => {
  requireHelm(context);
  // Otherwise no Job ends.
  requireFeature(context, 'pods');
});

beforeAll(async () => {
  cluster = await ownControlPlane();
  connect = await startConnectServer({ seed });
});

afterAll(async () => {
  await connect?.close();
  await cluster?.stop();
});

/** Each begins without a definition, in a namespace of its own. */
beforeEach(async () => {
  await kubectl(['delete', 'crd', crdName, '--ignore-not-found']);
  namespace = await createNamespace(cluster.kubeconfig);
  const { name, kube } = namespace;
  onTestFinished(async () => {
    await helm(['uninstall', 'keyturn', '--ignore-not-found', '--namespace', name, '--kubeconfig', cluster.kubeconfig]);
    await kube.close();
  });
});

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await cluster.kubectl(args, input);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Helm with the release `keyturn`; its hooks run too, though the container of their Job is simulated. */
async function release(command: string, ...args: readonly string[]): Promise<string> {
  const target = ['--namespace', namespace.name, '--kubeconfig', cluster.kubeconfig, '--timeout', '60s'];
  const { code, stdout, stderr } = await helm([command, 'keyturn', ...args, ...target], stringify(minimal));
  if (code !== 0) throw new Error(`helm ${command}: ${stderr}`);
  return stdout;
}

const install = (...args: readonly string[]): Promise<string> => release('install', chart, '--values', '-', ...args);
const upgrade = (...args: readonly string[]): Promise<string> => release('upgrade', chart, '--values', '-', ...args);

/** What the container of the Job runs, with the account and the permissions that the chart gives to it. */
async function runHook(): Promise<string> {
  const kubeconfig = await hookAccount();
  const lines: string[] = [];
  const code = await runCrd({ args: ['--kubeconfig', kubeconfig], print: (line) => lines.push(line) });
  expect([code, lines]).toEqual([0, [expect.stringContaining(crdName)]]);
  return lines[0]?.split(' ').at(-1) ?? '';
}

/** A kubeconfig of it. The hooks are gone when Helm has ended, and are laid down once more. */
async function hookAccount(): Promise<string> {
  const hooks = (await render(minimal, namespace.name)).filter(
    ({ kind, metadata }) => kind !== 'Job' && metadata.annotations?.['helm.sh/hook'] !== undefined,
  );
  await kubectl(['apply', '--server-side', '-f', '-'], hooks.map((hook) => stringify(hook)).join('---\n'));
  const { name } = namespace;
  onTestFinished(() => kubectl(['delete', 'clusterrole,clusterrolebinding', `${name}:keyturn-crd`, '--ignore-not-found']).then(() => {}));
  const { kubeconfig, username } = await cluster.user(`${name}/keyturn-crd`);
  // The API server reads roles from a cache.
  await kubectl(['wait', '--for=create', `clusterrolebinding/${name}:keyturn-crd`, '--timeout=20s']);
  expect(username).toBe(`system:serviceaccount:${name}:keyturn-crd`);
  return kubeconfig;
}

/** Runs as the pod of the release would: with its account. */
async function runOperator(): Promise<TestOperator> {
  const { kubeconfig } = await cluster.user(`${namespace.name}/keyturn`);
  const operator = await startOperator({ kubeconfig, connect: connect.url, token: connect.issueToken({ vaults: ['*'] }), namespaces: [] });
  let running = true;
  const stop = async (): Promise<void> => {
    if (running) await operator.stop();
    running = false;
  };
  onTestFinished(stop);
  return { stop };
}

async function definition(): Promise<{ readonly generation: number; readonly isOurs: boolean; readonly uid: string }> {
  const { metadata, spec } = JSON.parse(await kubectl(['get', 'crd', crdName, '-o', 'json'])) as {
    readonly metadata: { readonly generation: number; readonly uid: string };
    readonly spec: { readonly names: { readonly shortNames?: readonly string[] } };
  };
  return { generation: metadata.generation, isOurs: spec.names.shortNames?.includes('opi') === true, uid: metadata.uid };
}

/** What must be the same after everything that a release goes through. */
async function identities(): Promise<readonly object[]> {
  const [item, secret] = [await namespace.item('db'), await namespace.secret('db')];
  expect(secret?.values).toEqual({ password: 'geheim' });
  return [item, secret].map((object) => ({ uid: object?.metadata.uid, resourceVersion: object?.metadata.resourceVersion }));
}

/** Shows that the operator works, and so that it has looked at what was there before. */
async function untilAnotherIsMade(name: string): Promise<void> {
  await namespace.createItem(name, 'vaults/Shop/items/db');
  await untilReadiness(namespace, name, 'True');
}

async function layDownByKubectl(): Promise<void> {
  await kubectl(['apply', '-f', '-'], oldCrd);
  await kubectl(['wait', '--for=condition=Established', `crd/${crdName}`, '--timeout=20s']);
}

/** A release of another chart, which has the definition in its folder. */
async function layDownByAnotherChart(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-chart-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'crds'));
  await writeFile(join(folder, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'other', version: '1.0.0' }));
  await writeFile(join(folder, 'crds/crd.yaml'), oldCrd);
  const target = ['--namespace', namespace.name, '--kubeconfig', cluster.kubeconfig];
  expect(await helm(['install', 'other', folder, ...target])).toMatchObject({ code: 0 });
  const { name } = namespace;
  onTestFinished(() => helm(['uninstall', 'other', '--namespace', name, '--kubeconfig', cluster.kubeconfig]).then(() => {}));
}

describe('an installation', () => {
  it.each([
    ['laid down by kubectl', layDownByKubectl],
    ['from the crds/ folder of another release', layDownByAnotherChart],
  ])('takes over a definition %s, with its resources', async (_whose, layDown) => {
    await layDown();
    const before = await definition();
    const { metadata } = await namespace.createItem('db', 'vaults/Shop/items/db');
    await install();
    expect(await runHook()).toBe('changed');
    expect(await definition()).toEqual({ generation: before.generation + 1, isOurs: true, uid: before.uid });
    expect((await namespace.item('db'))?.metadata).toMatchObject({ uid: metadata.uid });
  });

  it('is no obstacle to kubectl, by the command of the pages', async () => {
    const page = await readFile(new URL('../../docs/install.md', import.meta.url), 'utf8');
    const [, options = ''] = /^kubectl apply (--.*) -f crds\/$/m.exec(page) ?? [];
    await layDownByAnotherChart();
    await kubectl(['apply', ...options.split(' '), '-f', fileURLToPath(new URL('../../crds/', import.meta.url))]);
    expect(await definition()).toMatchObject({ isOurs: true });
  });

  it('makes the definition where there is none', async () => {
    await install();
    expect(await runHook()).toBe('created');
    expect(await definition()).toMatchObject({ isOurs: true });
  });

  it('leaves nothing of its hooks behind', async () => {
    await install();
    const kinds = 'jobs,pods,serviceaccounts,clusterroles,clusterrolebindings';
    await eventually('the hooks to be gone', async () => {
      const left = await kubectl(['get', kinds, '-n', namespace.name, '-o', 'name']);
      return left.split('\n').some((name) => name.includes('keyturn-crd')) ? undefined : true;
    });
  });

  it('stops where the definition could not be applied, and leaves the Job until the next try', async () => {
    const nowhere = ['--set', 'crds.activeDeadlineSeconds=1', '--set', 'operator.nodeSelector.nowhere=here'];
    await expect(install(...nowhere)).rejects.toThrow('keyturn-crd');
    const found = await kubectl(['get', 'jobs,deployments', '-n', namespace.name, '-o', 'name']);
    expect(found.trim()).toBe('job.batch/keyturn-crd');
    await upgrade('--install');
    expect((await kubectl(['get', 'jobs,deployments', '-n', namespace.name, '-o', 'name'])).trim()).toBe('deployment.apps/keyturn');
  });

  it('says what to do next', async () => {
    const notes = await install();
    expect(notes).toContain(`kubectl -n ${namespace.name} create secret generic onepassword-token --from-file=token=FILE`);
    await namespace.createSecret('onepassword-token', { token: 'x' });
    expect(await upgrade()).not.toContain('create secret generic');
  });
});

describe('the account of the hook', () => {
  it('may do nothing to other definitions, and delete none', async () => {
    const kubeconfig = await hookAccount();
    const can = async (...question: readonly string[]): Promise<string> =>
      (await cluster.kubectl(['auth', 'can-i', ...question, '--kubeconfig', kubeconfig])).stdout.trim();
    expect(await can('create', 'crd/others.example.test')).toBe('no');
    expect(await can('patch', 'crd/others.example.test')).toBe('no');
    expect(await can('delete', `crd/${crdName}`)).toBe('no');
    expect(await can('list', 'secrets')).toBe('no');
  });
});

describe('resources and their Secrets', () => {
  it('stay as they are when the release is uninstalled and installed again', async () => {
    await install();
    await runHook();
    const operator = await runOperator();
    await untilAnotherIsMade('db');
    const before = await identities();

    await operator.stop();
    await release('uninstall');
    expect(await definition()).toMatchObject({ isOurs: true });
    expect(await identities()).toEqual(before);

    await install();
    expect(await runHook()).toBe('unchanged');
    await runOperator();
    await untilAnotherIsMade('later');
    expect(await identities()).toEqual(before);
  });

  it('stay as they are in an upgrade that changes the definition, and in a rollback, which does not change it back', async () => {
    await layDownByKubectl();
    await install('--no-hooks');
    const operator = await runOperator();
    await untilAnotherIsMade('db');
    await operator.stop();
    const before = await identities();

    await upgrade('--set', 'operator.replicas=2');
    expect(await runHook()).toBe('changed');
    const changed = await definition();
    expect(changed).toMatchObject({ isOurs: true });
    expect(await identities()).toEqual(before);

    await release('rollback', '1');
    expect(await kubectl(['get', 'deployment', 'keyturn', '-n', namespace.name, '-o', 'jsonpath={.spec.replicas}'])).toBe('1');
    expect(await definition()).toEqual(changed);
    expect(await identities()).toEqual(before);
  });
});
