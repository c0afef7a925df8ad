import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { KubectlResult } from '../../dev/control-plane/kubectl.ts';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import { kubectl, ownControlPlane, requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { installCrd } from '../support/scenario.ts';

type Kubectl = (args: readonly string[]) => Promise<KubectlResult>;

interface Demo {
  readonly pid: number;
  /** What it has printed so far. */
  readonly printed: () => string;
  readonly signal: (name: NodeJS.Signals) => void;
  readonly exit: Promise<{ readonly code: number | null; readonly output: string }>;
}

const root = resolve(import.meta.dirname, '../..');
const crd = 'onepassworditems.onepassword.com';
const namespacePrefix = 'namespace/keyturn-demo-';
const running = new Set<() => void>();

afterAll(() => {
  for (const kill of running) kill();
});

/** Starts the demo without a terminal, in the cluster of `kubeconfig`. */
function startDemo(kubeconfig: string, ...flags: readonly string[]): Demo {
  const { ONCE: _once, YES: _yes, ...environment } = process.env;
  const child = spawn(process.execPath, ['dev/demo/main.ts', '--kubeconfig', kubeconfig, ...flags], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  running.add(kill);
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const exit = Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]).then(([[code], stdout, stderr]) => {
    running.delete(kill);
    return { code: code as number | null, output: stdout + stderr };
  });
  return { pid: child.pid ?? 0, printed: () => printed, signal: (name) => void child.kill(name), exit };
}

/** The namespaces of demos that are left. */
async function demoNamespaces(run: Kubectl): Promise<readonly string[]> {
  const { stdout } = await run(['get', 'namespaces', '--output=name']);
  return stdout.split('\n').filter((name) => name.startsWith(namespacePrefix));
}

function namespaceOf(output: string): string {
  return /keyturn-demo-[a-z0-9]{5}/.exec(output)?.[0] ?? 'none';
}

async function runFolders(pid: number): Promise<readonly string[]> {
  return (await readdir(resolve(root, '.cache/run'))).filter((name) => name.startsWith(`${pid}-`));
}

function needsPods(context: TestContext): void {
  requireFeature(context, 'pods');
}

describe.concurrent('the demo in a cluster that has the CRD', () => {
  beforeAll(() => installCrd());

  it('shows every step, deletes its namespace, and leaves the CRD as it was', { timeout: 150_000 }, async (context) => {
    needsPods(context);
    const version = ['get', 'crd', crd, '--output=jsonpath={.metadata.uid} {.metadata.resourceVersion}'];
    const before = await kubectl(version);
    const demo = startDemo(sharedControlPlane().kubeconfig, '--once', '--yes');
    const { code, output } = await demo.exit;
    expect(output).toMatch(/12 of 12 steps passed in \d+\.\d s\n$/);
    expect(code).toBe(0);
    expect((await kubectl(['get', 'namespace', namespaceOf(output)])).stderr).toContain('NotFound');
    expect(await kubectl(version)).toEqual(before);
    expect(await runFolders(demo.pid)).toEqual([]);
  });

  it('refuses before the first write when there is nobody to ask', async () => {
    const { code, output } = await startDemo(sharedControlPlane().kubeconfig, '--once').exit;
    expect(code).toBe(2);
    expect(output).toContain('nothing was written. YES=1 goes on without asking');
    expect((await kubectl(['get', 'namespace', namespaceOf(output)])).stderr).toContain('NotFound');
  });

  it('says what is wrong with a kubeconfig', async () => {
    const { code, output } = await startDemo('/nowhere/kubeconfig', '--once', '--yes').exit;
    expect(code).toBe(2);
    expect(output).toContain('the kubeconfig cannot be read');
  });
});

describe.concurrent('the demo in a cluster without the CRD', () => {
  let own: ControlPlane | undefined;
  afterAll(() => own?.stop());

  it('makes the CRD, and deletes it with the rest when it is interrupted', async (context) => {
    needsPods(context);
    own = await ownControlPlane();
    const { kubeconfig } = own;
    const run: Kubectl = (args) => own?.kubectl(args) ?? Promise.reject(new Error('stopped'));
    const demo = startDemo(kubeconfig, '--yes');
    await eventually('the Secret', () => (demo.printed().includes('The Secret appears') ? true : undefined), 30_000);
    expect((await run(['get', 'crd', crd, '--output=name'])).stdout).toContain(crd);
    demo.signal('SIGINT');
    const { code, output } = await demo.exit;
    expect(code).toBe(130);
    expect(output).toContain('Cleaned up in');
    expect((await run(['get', 'crd', crd])).stderr).toContain('NotFound');
    expect(await demoNamespaces(run)).toEqual([]);
    expect(await runFolders(demo.pid)).toEqual([]);
  });
});
