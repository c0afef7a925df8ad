import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';
import { request } from 'undici';
import { afterAll, describe, expect, onTestFinished, test, type TestContext } from 'vitest';
import { parse } from 'yaml';
import { isAlive } from '../../dev/control-plane/alive.ts';
import { connectApi } from '../../dev/control-plane/api.ts';
import type { KubectlResult } from '../../dev/control-plane/kubectl.ts';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import { kubectl, newRunDirectory, ownControlPlane, requireFeature, sharedControlPlane, sharedUser } from '../support/control-plane.ts';

const NAMESPACE = 'control-plane-test';
const USERS = `${NAMESPACE}-users`;

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, unknown>> }[];
}

describe('the shared control plane', () => {
  test('is reached by kubectl with its certificate verified', async () => {
    const config = parse(await readFile(sharedControlPlane().kubeconfig, 'utf8')) as Kubeconfig;
    expect(Object.keys(config.clusters[0]?.cluster ?? {})).toEqual(['server', 'certificate-authority-data']);
    expect(await kubectl(['version', '--output=json'])).toMatchObject({ code: 0, stderr: '' });
  });

  test('has a certificate that nobody trusts without its CA', async () => {
    await expect(request(`${sharedControlPlane().url}/readyz`)).rejects.toThrow(/certificate/);
  });

  test('completes the rollout of a Deployment', async (context) => {
    requireFeature(context, 'pods');
    await kubectl(['create', 'namespace', NAMESPACE]);
    const namespace = `--namespace=${NAMESPACE}`;
    expect(await kubectl(['create', 'deployment', 'web', '--image=web', '--replicas=3', namespace])).toMatchObject({ code: 0 });
    expect(await kubectl(['rollout', 'status', 'deployment/web', '--timeout=30s', namespace])).toMatchObject({ code: 0 });
  });

  test('refuses a user what nobody granted', async () => {
    const user = await sharedUser(`${USERS}/stranger`);
    const answer = await listAs(user.kubeconfig, 'secrets');
    expect(answer.code).toBe(1);
    expect(answer.stderr).toContain(`User "${user.username}" cannot list resource "secrets"`);
  });

  test('allows a user what somebody granted, and no more', async () => {
    const user = await sharedUser(`${USERS}/reader`);
    await kubectl(['create', 'role', 'reader', '--verb=list', '--resource=secrets', `--namespace=${USERS}`]);
    await kubectl(['create', 'rolebinding', 'reader', '--role=reader', `--serviceaccount=${USERS}:reader`, `--namespace=${USERS}`]);
    expect(await listAs(user.kubeconfig, 'secrets')).toMatchObject({ code: 0 });
    expect(await listAs(user.kubeconfig, 'configmaps')).toMatchObject({ code: 1 });
  });
});

describe('a control plane beside the shared one', () => {
  let own: ControlPlane | undefined;
  afterAll(() => own?.stop());

  test('has data of its own, keeps them without its API server, and leaves nothing behind', async () => {
    own = await ownControlPlane({ simulatePods: false });
    await own.kubectl(['create', 'namespace', 'only-here']);
    expect((await kubectl(['get', 'namespace', 'only-here'])).stderr).toContain('NotFound');

    const api = connectApi(own.url, own.ca, own.adminToken);
    await own.stopApiServer();
    await expect(api.get('/readyz')).rejects.toThrow('ECONNREFUSED');
    await own.startApiServer();
    expect((await api.get('/api/v1/namespaces/only-here')).status).toBe(200);
    await api.close();

    const pids = own.processes().map(({ pid }) => pid);
    expect(pids.filter(isAlive)).toEqual(pids);
    await own.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    await expect(access(own.directory)).rejects.toThrow('ENOENT');
  });

  test('ends when the process that started it is killed', async (context) => {
    skipWithoutBuiltBinary(context);
    const directory = await newRunDirectory();
    const main = resolve(import.meta.dirname, '../../dev/control-plane/main.ts');
    const starter = spawn(process.execPath, [main, '--directory', directory], { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(async () => {
      starter.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });
    const [line] = (await once(createInterface({ input: starter.stdout }), 'line')) as [string];
    const url = /server: (\S+)/.exec(await readFile(line.replace('export KUBECONFIG=', ''), 'utf8'))?.[1] ?? '';
    await expect(request(`${url}/readyz`)).rejects.toThrow(/certificate/);

    starter.kill('SIGKILL');
    await once(starter, 'exit');
    await expect
      .poll(() => request(`${url}/readyz`).catch((error: NodeJS.ErrnoException) => error.code), { timeout: 10_000 })
      .toBe('ECONNREFUSED');
  });
});

function listAs(kubeconfig: string, kind: string): Promise<KubectlResult> {
  return kubectl(['get', kind, `--kubeconfig=${kubeconfig}`, `--namespace=${USERS}`]);
}

function skipWithoutBuiltBinary(context: TestContext): void {
  context.skip(sharedControlPlane().binaries.kind !== 'built', 'programs of KUBEBUILDER_ASSETS do not watch who started them');
}
