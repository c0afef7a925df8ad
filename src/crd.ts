import { parseArgs } from 'node:util';
import { customResourceDefinition } from './api/custom-resource-definition.ts';
import { fieldManager, group, plural } from './api/names.ts';
import { type KubeClient, createKubeClient, KubeError } from './kube/client.ts';
import { credentialsFrom } from './kube/credentials.ts';
import { customResourceDefinitions, objectPath, type WireMeta } from './kube/resource.ts';
import { type Clock, pause, systemClock } from './runtime/clock.ts';
import { DeadlineExceeded, withDeadline } from './runtime/deadline.ts';
import { version } from './version.ts';

interface WireCrd {
  readonly metadata: WireMeta;
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

export interface CrdOptions {
  /** What stands behind `crd` on the command line. */
  readonly args: readonly string[];
  readonly print: (line: string) => void;
  readonly clock?: Clock;
}

const usage =
  'usage: keyturn crd [--kubeconfig FILE]  apply the CustomResourceDefinition\n       keyturn crd --print              print it';
const name = `${plural}.${group}`;
const path = objectPath(customResourceDefinitions, { name });
/** For all of it, in milliseconds: an API server that is starting is waited for. */
const limit = 60_000;
/** A right that was just granted, and every right after a start, counts when the API server has read it; in milliseconds. */
const rightsDelay = 10_000;
const retryDelay = 1_000;

/**
 * `keyturn crd`: applies the CustomResourceDefinition by server-side apply, whoever laid it down before, and waits until the API server serves it.
 * It is never deleted, and neither are its resources.
 *
 * @returns exit code: 1 when it could not be applied, 2 for a command line that is none
 */
export async function runCrd({ args, print, clock = systemClock }: CrdOptions): Promise<0 | 1 | 2> {
  const flags = readFlags(args);
  if (flags === undefined) {
    print(usage);
    return 2;
  }
  if (flags.print === true) {
    print(JSON.stringify(customResourceDefinition(), undefined, 2));
    return 0;
  }
  let kube: KubeClient | undefined;
  try {
    kube = createKubeClient({ load: credentialsFrom(flags.kubeconfig), clock, userAgent: `keyturn/${version}` });
    print(`CustomResourceDefinition ${name} ${await applied(kube, clock)}`);
    return 0;
  } catch (error) {
    print(`CustomResourceDefinition ${name} was not applied: ${explain(error)}`);
    return 1;
  } finally {
    await kube?.close();
  }
}

function readFlags(args: readonly string[]): { readonly kubeconfig?: string; readonly print?: boolean } | undefined {
  try {
    return parseArgs({ args: [...args], options: { kubeconfig: { type: 'string' }, print: { type: 'boolean' } } }).values;
  } catch {
    return undefined;
  }
}

/** What became of the definition. @throws KubeError, DeadlineExceeded */
async function applied(kube: KubeClient, clock: Clock): Promise<'created' | 'changed' | 'unchanged'> {
  let last: unknown;
  try {
    return await withDeadline(clock, limit, undefined, async (signal) => {
      const retried = <T>(work: () => Promise<T>): Promise<T> =>
        untilAnswered(work, { clock, signal, onFailed: (error) => (last = error) });
      const before = await retried(() => find(kube, signal));
      const after = await retried(() => apply(kube, signal));
      await retried(() => untilEstablished(kube, clock, signal));
      if (before === undefined) return 'created';
      return before.metadata.generation === after.metadata.generation ? 'unchanged' : 'changed';
    });
  } catch (error) {
    // What the API server said tells more than that it went on saying so.
    throw error instanceof DeadlineExceeded && last !== undefined ? last : error;
  }
}

interface Attempts {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onFailed: (error: unknown) => void;
}

/** Repeats what an API server that is away or overloaded, or has yet to learn of our rights, may do later. */
async function untilAnswered<T>(work: () => Promise<T>, { clock, signal, onFailed }: Attempts): Promise<T> {
  const began = clock.monotonic();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const patient = clock.monotonic() - began < rightsDelay;
      if (!(error instanceof KubeError) || !mayPass(error, patient) || signal.aborted) throw error;
      onFailed(error);
      await pause(clock, retryDelay, signal);
    }
  }
}

function mayPass({ status }: KubeError, patient: boolean): boolean {
  return status === 0 || status === 429 || status >= 500 || (status === 403 && patient);
}

async function find(kube: KubeClient, signal: AbortSignal): Promise<WireCrd | undefined> {
  try {
    return await kube.request<WireCrd>({ method: 'GET', path, signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** By force: fields that kubectl or another chart wrote become ours, and what they wrote besides stays theirs. */
async function apply(kube: KubeClient, signal: AbortSignal): Promise<WireCrd> {
  return await kube.request<WireCrd>({
    method: 'PATCH',
    path,
    query: { fieldManager, force: 'true' },
    contentType: 'application/apply-patch+yaml',
    body: customResourceDefinition(),
    signal,
  });
}

async function untilEstablished(kube: KubeClient, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    const conditions = (await find(kube, signal))?.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return;
    if (signal.aborted) throw signal.reason;
    await pause(clock, 100, signal);
  }
}

function explain(error: unknown): string {
  if (error instanceof DeadlineExceeded)
    return 'the API server accepted it and does not serve it; see its conditions with kubectl describe crd';
  if (!(error instanceof KubeError)) {
    return 'there is no cluster to talk to: name a kubeconfig with KUBECONFIG or --kubeconfig, or run in a pod with a service account';
  }
  if (error.status === 403) {
    return `${error.message}; whoever runs this needs get, create and patch for customresourcedefinitions in apiextensions.k8s.io`;
  }
  return error.status === 0 ? `${error.message}; check that the API server can be reached` : error.message;
}
