import { annotations } from '../../src/api/names.ts';
import { parseRevisions } from '../../src/domain/revisions.ts';
import { collectionPath, deployments, namespaces, type WireMeta } from '../../src/kube/resource.ts';
import type { TestNamespace } from './cluster.ts';
import { eventually } from './eventually.ts';

/** A Deployment as its user writes it. */
export interface App {
  /** Read as a whole, through environment variables. */
  readonly secret: string;
  /** Opted in unless they say otherwise. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** 1 unless it says otherwise. */
  readonly replicas?: number;
  readonly progressDeadlineSeconds?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
}

interface WireApp {
  readonly metadata: WireMeta;
  readonly spec: {
    readonly replicas: number;
    readonly template: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } };
  };
  readonly status: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
  };
}

/** One rollout that the operator began. */
export interface Roll {
  readonly app: string;
  /** What the operator wrote into the pod template: when it did, and Secret → revision. */
  readonly at: number;
  readonly revisions: Readonly<Record<string, number>>;
}

/** The Deployments of a namespace, followed by one watch: in the order in which they were written. */
export interface AppWatch {
  /** In order. */
  readonly rolls: readonly Roll[];
  /** The Deployments that the operator rolled and whose rollout is not complete. */
  readonly rolling: ReadonlySet<string>;
  /** As many as were ever in `rolling` at a time. */
  readonly mostRolling: number;
  /** The names of those that were rolled, in order. */
  rolled(): readonly string[];
  end(): Promise<void>;
}

/** Creates a Deployment. */
export async function createApp({ kube, name: namespace }: TestNamespace, name: string, app: App): Promise<void> {
  const { secret, replicas = 1, progressDeadlineSeconds, nodeSelector } = app;
  await kube.request({
    method: 'POST',
    path: collectionPath(deployments, namespace),
    body: {
      metadata: { name, annotations: { [annotations.autoRestart]: 'true', ...app.annotations } },
      spec: {
        replicas,
        progressDeadlineSeconds,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { nodeSelector, containers: [{ name: 'main', image: 'example.test/app:1', envFrom: [{ secretRef: { name: secret } }] }] },
        },
      },
    },
  });
}

/** Waits until Deployments run their templates, all pods available, and say what those know: from then on a change rolls them. */
export async function untilAdopted(namespace: TestNamespace, names: readonly string[], deadline = 40_000): Promise<void> {
  await eventually(
    `${names.length} Deployments to be adopted`,
    async () => {
      const adopted = (await listApps(namespace)).filter((app) => isComplete(app) && isAdopted(app));
      const found = new Set(adopted.map(({ metadata }) => metadata.name));
      return names.every((name) => found.has(name)) || undefined;
    },
    deadline,
  );
}

/** Lets no pod be created in a namespace: rollouts that begin there do not end. Pods that are there stay. */
export async function forbidPods(namespace: TestNamespace): Promise<void> {
  await labelNamespace(namespace, 'restricted');
  await eventually('pods to be forbidden', async () => !(await mayCreatePods(namespace)) || undefined);
}

/** Takes back `forbidPods`; what could not be created is tried again within seconds. */
export async function allowPods(namespace: TestNamespace): Promise<void> {
  await labelNamespace(namespace, null);
  await eventually('pods to be allowed', async () => (await mayCreatePods(namespace)) || undefined);
}

async function labelNamespace({ kube, name }: TestNamespace, level: string | null): Promise<void> {
  const body = { metadata: { labels: { 'pod-security.kubernetes.io/enforce': level } } };
  await kube.request({ method: 'PATCH', path: `${collectionPath(namespaces)}/${name}`, body });
}

async function mayCreatePods({ kube, name }: TestNamespace): Promise<boolean> {
  const body = { metadata: { generateName: 'probe-' }, spec: { containers: [{ name: 'main', image: 'example.test/app:1' }] } };
  try {
    await kube.request({ method: 'POST', path: collectionPath({ root: '/api/v1', plural: 'pods' }, name), query: { dryRun: 'All' }, body });
    return true;
  } catch {
    return false;
  }
}

async function listApps({ kube, name }: TestNamespace): Promise<readonly WireApp[]> {
  return (await kube.request<{ items: readonly WireApp[] }>({ method: 'GET', path: collectionPath(deployments, name) })).items;
}

function isAdopted({ metadata }: WireApp): boolean {
  return metadata.annotations?.[annotations.knownRevisions] !== undefined;
}

function isComplete({ metadata, spec, status }: WireApp): boolean {
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const seen = observedGeneration >= (metadata.generation ?? 0);
  return seen && [replicas, updatedReplicas, availableReplicas].every((count) => count === spec.replicas);
}

/** Follows the Deployments of a namespace from now on. */
export async function watchApps({ kube, name }: TestNamespace): Promise<AppWatch> {
  const path = collectionPath(deployments, name);
  const { metadata, items } = await kube.request<{ metadata: WireMeta; items: readonly WireApp[] }>({ method: 'GET', path });
  const known = new Map(items.map((app) => [app.metadata.name, recordOf(app)]));
  const rolls: Roll[] = [];
  const rolling = new Set<string>();
  const stop = new AbortController();
  let mostRolling = 0;
  let broken: unknown;

  function take(app: WireApp): void {
    const { name: of } = app.metadata;
    const record = recordOf(app);
    if (record !== undefined && record !== known.get(of)) {
      const { [annotations.lastRestarted]: at = '' } = app.spec.template.metadata.annotations ?? {};
      rolls.push({ app: of, at: Date.parse(at), revisions: parseRevisions(record) });
      rolling.add(of);
    }
    known.set(of, record);
    if (isComplete(app)) rolling.delete(of);
    mostRolling = Math.max(mostRolling, rolling.size);
  }

  async function follow(): Promise<void> {
    const query = { watch: 'true', resourceVersion: metadata.resourceVersion };
    for await (const line of kube.watch({ method: 'GET', path, query, signal: stop.signal })) {
      const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: WireApp };
      if (type === 'ADDED' || type === 'MODIFIED') take(object);
    }
  }

  const ended = follow().catch((error: unknown) => (broken = error));

  return {
    rolls,
    rolling,
    get mostRolling() {
      return mostRolling;
    },
    rolled: () => rolls.map(({ app }) => app),
    async end() {
      const early = broken;
      stop.abort();
      await ended;
      if (early !== undefined) throw new Error('the watch broke', { cause: early });
    },
  };
}

/** What a pod template says its pods know. */
function recordOf({ spec }: WireApp): string | undefined {
  return spec.template.metadata.annotations?.[annotations.knownRevisions];
}
