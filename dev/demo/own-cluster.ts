import { randomInt } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { group, plural } from '../../src/api/names.ts';
import { createKubeClient, type KubeClient, KubeError } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { collectionPath, deployments, namespaces, type WireMeta } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { hasCrd, installCrd } from './crd.ts';
import { FlagError } from './flags.ts';
import type { Session } from './session.ts';
import type { Target } from './target.ts';
import { until } from './until.ts';

/** Pods have to be pulled and started by real nodes. */
const podDeadlineMs = 180_000;
const deletionDeadlineMs = 120_000;

/** The reader said no. */
export class Declined extends Error {
  override readonly name = 'Declined';
}

/** What the reader is told before the first write. */
interface Plan {
  readonly cluster: string;
  readonly namespace: string;
  readonly crdExists: boolean;
}

/**
 * Looks at the cluster of `KUBECONFIG`, asks unless `yes`, and makes the CRD where it is missing and a namespace; both are deleted in the end.
 *
 * @throws Declined; FlagError when there is nobody to ask; both before the first write
 */
export async function useOwnCluster(session: Session, kubeconfig: string, yes: boolean): Promise<Target> {
  const { steps, cleanup, screen, signal } = session;
  const { kube, plan } = await steps.run('Look at the cluster', async (stage) => {
    const context = currentContext();
    stage.show(`${context.server}, context ${context.name}`);
    const client = createKubeClient({ load: credentialsFrom(), clock: systemClock, userAgent: 'keyturn-demo' });
    cleanup.defer('connections', () => client.close());
    const { gitVersion } = await client.request<{ gitVersion: string }>({ method: 'GET', path: '/version' });
    const crdExists = await hasCrd(client);
    stage.show(`${gitVersion} at ${context.server}, context ${context.name}`);
    return { kube: client, plan: { cluster: `${context.server} (context ${context.name})`, namespace: uniqueName(), crdExists } };
  });

  screen.print(...describe(plan).map((line) => (line === '' ? '' : `  ${line}`)));
  if (!yes) await ask(session);
  signal.throwIfAborted();
  // Before the namespace, for what is made first is undone last: a CRD in use would not be deleted.
  await installCrd(session, kube, { keep: false });
  await steps.run('Make a namespace', async (stage) => {
    await makeNamespace(session, kube, plan.namespace);
    stage.show(plan.namespace);
  });
  return { kubeconfig, kube, namespace: plan.namespace, namespaced: true, kubectlFolder: undefined, pods: undefined, podDeadlineMs };
}

function currentContext(): { readonly name: string; readonly server: string } {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch {
    throw new FlagError('the kubeconfig cannot be read; check the path and the form of the file');
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined)
    throw new FlagError('the kubeconfig has no current context with a cluster; choose one with kubectl config use-context');
  return { name: config.getCurrentContext(), server };
}

function uniqueName(): string {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  return `keyturn-demo-${Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join('')}`;
}

function describe({ cluster, namespace, crdExists }: Plan): readonly string[] {
  return [
    '',
    `In ${cluster} the demo`,
    `- makes the namespace ${namespace}, in it a OnePasswordItem, its Secret and a Deployment of 3 pods (registry.k8s.io/pause)`,
    crdExists
      ? `- uses the CRD ${plural}.${group} as it is: an operator that watches every namespace would act on the demo's resource too`
      : `- makes the CRD ${plural}.${group}, which is missing`,
    '- runs the operator and a throwaway Connect server on this machine; the operator looks at that namespace only',
    crdExists
      ? '- deletes the namespace in the end, also after Ctrl-C or a failure'
      : '- deletes both in the end, also after Ctrl-C or a failure; the CRD stays if a OnePasswordItem is left anywhere',
    '',
  ];
}

async function ask({ signal }: Session): Promise<void> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new FlagError(
      'there is no terminal to ask on whether to write to this cluster; nothing was written. YES=1 goes on without asking',
    );
  }
  // Not in raw mode, so that Ctrl-C stays a signal.
  const reader = createInterface({ input: process.stdin, output: process.stdout, terminal: false });
  const closed = new Promise<string>((done) => void reader.once('close', () => done('')));
  try {
    const answer = await Promise.race([reader.question('  Go on? [y/N] ', { signal }), closed]);
    if (!/^\s*y(es)?\s*$/i.test(answer)) throw new Declined('nothing was written');
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    reader.close();
  }
}

async function makeNamespace({ cleanup }: Session, kube: KubeClient, name: string): Promise<void> {
  const { metadata } = await kube.request<{ metadata: WireMeta }>({
    method: 'POST',
    path: collectionPath(namespaces),
    body: { metadata: { name, labels: { 'keyturn.dev/demo': 'true' } } },
  });
  cleanup.defer(`namespace ${name}`, () => deleteNamespace(kube, name, metadata.uid));
}

function isGone(error: unknown): boolean {
  return error instanceof KubeError && error.status === 404;
}

/** Pods that are ending hold up a namespace for ten seconds and more, so they go first. */
async function deletePods(kube: KubeClient, namespace: string): Promise<void> {
  const path = collectionPath(deployments, namespace);
  await kube.request({ method: 'DELETE', path, query: { propagationPolicy: 'Foreground' } });
  await until('the Deployments to be gone', { deadlineMs: deletionDeadlineMs, signal: new AbortController().signal }, async () => {
    const { items } = await kube.request<{ items: readonly unknown[] }>({ method: 'GET', path });
    return items.length === 0 ? { found: true } : { seen: `${items.length} left` };
  });
}

async function deleteNamespace(kube: KubeClient, name: string, uid: string): Promise<void> {
  // Whatever keeps them from going is the namespace's matter then.
  await deletePods(kube, name).catch(() => undefined);
  const path = `${collectionPath(namespaces)}/${name}`;
  await kube.request({ method: 'DELETE', path, body: { preconditions: { uid } } }).catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
  await until(`namespace ${name} to be gone`, { deadlineMs: deletionDeadlineMs, signal: new AbortController().signal }, async () => {
    try {
      const { status } = await kube.request<{ status?: { phase?: string } }>({ method: 'GET', path });
      return { seen: `it is ${status?.phase ?? 'there'}` };
    } catch (error) {
      if (isGone(error)) return { found: true };
      throw error;
    }
  });
}
