import { annotations, type WorkloadKind } from '../../src/api/names.ts';
import { parseRevisions, type Revisions } from '../../src/domain/revisions.ts';
import { collectionPath, events, objectPath, type WireMeta } from '../../src/kube/resource.ts';
import { templateHistory, workloadType } from '../../src/kube/workload.ts';
import type { ReadEvent, TestNamespace } from './cluster.ts';
import { eventually } from './eventually.ts';

/** Which workload of a namespace. */
export interface WorkloadName {
  readonly kind: WorkloadKind;
  readonly name: string;
}

export interface ReadWorkload {
  readonly metadata: WireMeta & { readonly generation: number };
  readonly spec: {
    readonly template?: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } };
    readonly restartAt?: string;
  };
  readonly status?: { readonly observedGeneration?: number | string };
}

export interface WorkloadOptions {
  readonly annotations?: Readonly<Record<string, string>>;
  /** What else stands in the specification. */
  readonly spec?: object;
}

const apiVersions: Readonly<Record<WorkloadKind, string>> = {
  Deployment: 'apps/v1',
  StatefulSet: 'apps/v1',
  DaemonSet: 'apps/v1',
  Rollout: 'argoproj.io/v1alpha1',
};

/** A container that reads keys of a Secret through its environment. */
export function containerOf(secret: string, ...keys: readonly string[]): object {
  const env = keys.map((key) => ({ name: key.toUpperCase(), valueFrom: { secretKeyRef: { name: secret, key } } }));
  return { name: 'main', image: 'example.test/app:1', env };
}

/** Makes a workload of one replica whose pods are labelled `app: name`. */
export async function createWorkload(
  namespace: TestNamespace,
  { kind, name }: WorkloadName,
  podSpec: object,
  { annotations: notes = {}, spec = {} }: WorkloadOptions = {},
): Promise<void> {
  const labels = { app: name };
  await namespace.kube.request({
    method: 'POST',
    path: collectionPath(workloadType(kind), namespace.name),
    body: {
      apiVersion: apiVersions[kind],
      kind,
      metadata: { name, annotations: notes },
      spec: {
        ...(kind !== 'DaemonSet' && { replicas: 1 }),
        ...(kind === 'StatefulSet' && { serviceName: name }),
        // The history counts the changes.
        revisionHistoryLimit: 1000,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: podSpec },
        ...spec,
      },
    },
  });
}

/** @throws KubeError when there is none */
export function readWorkload(namespace: TestNamespace, { kind, name }: WorkloadName): Promise<ReadWorkload> {
  return namespace.kube.request({ method: 'GET', path: objectPath(workloadType(kind), { namespace: namespace.name, name }) });
}

/** @param patch a JSON merge patch: lists are replaced */
export async function patchWorkload(namespace: TestNamespace, { kind, name }: WorkloadName, patch: object): Promise<void> {
  await namespace.kube.request({
    method: 'PATCH',
    path: objectPath(workloadType(kind), { namespace: namespace.name, name }),
    body: patch,
  });
}

/**
 * How many pod templates a workload of `createWorkload` has had after its first, by the ReplicaSets or ControllerRevisions that its controller made:
 * each roll is one, and each edit. Of a Rollout, how often its specification has changed, as it is restarted without a template.
 */
export async function changesOf(namespace: TestNamespace, workload: WorkloadName): Promise<number> {
  if (workload.kind === 'Rollout') return (await readWorkload(namespace, workload)).metadata.generation - 1;
  await untilSeen(namespace, workload);
  return (await templatesOf(namespace, workload)) - 1;
}

/** Waits until the controller of a workload has seen it as it is: its history then has the pod template. */
export async function untilSeen(namespace: TestNamespace, workload: WorkloadName): Promise<void> {
  await eventually(`${workload.kind} ${workload.name} to be seen by its controller`, async () => {
    const { metadata, status } = await readWorkload(namespace, workload);
    return String(status?.observedGeneration) === String(metadata.generation) ? true : undefined;
  });
}

/** Waits until a workload has been changed so many times, and not more. */
export async function untilChanged(namespace: TestNamespace, workload: WorkloadName, times: number): Promise<ReadWorkload> {
  return eventually(
    `${times} changes of ${workload.kind} ${workload.name}`,
    async () => ((await changesOf(namespace, workload)) === times ? await readWorkload(namespace, workload) : undefined),
    10_000,
  );
}

/** The records of what the pods of a workload know: by adoption, and by its last restart, which a Rollout has beside its pod template. */
export function recordsOf({ metadata, spec }: ReadWorkload): { readonly adopted: Revisions; readonly rolled: Revisions } {
  const { [annotations.knownRevisions]: adopted, [annotations.restartedRevisions]: restarted } = metadata.annotations ?? {};
  return {
    adopted: parseRevisions(adopted),
    rolled: parseRevisions(restarted ?? spec.template?.metadata.annotations?.[annotations.knownRevisions]),
  };
}

/** Waits until a workload states, beside its pod template, what its pods know of a Secret. */
export function untilAdopted(namespace: TestNamespace, workload: WorkloadName, secret: string, deadline?: number): Promise<ReadWorkload> {
  return eventually(
    `${workload.kind} ${workload.name} to be adopted`,
    async () => {
      const found = await readWorkload(namespace, workload);
      return Object.hasOwn(recordsOf(found).adopted, secret) ? found : undefined;
    },
    deadline,
  );
}

/** How many templates the controller of a workload of `createWorkload` has seen: its ReplicaSets or ControllerRevisions. */
export async function templatesOf(namespace: TestNamespace, { kind, name }: WorkloadName): Promise<number> {
  const { history } = templateHistory(kind);
  const path = collectionPath(history, namespace.name);
  const query = { labelSelector: `app=${name}` };
  return (await namespace.kube.request<{ items: readonly object[] }>({ method: 'GET', path, query })).items.length;
}

/** Waits for an event of `reason` on a workload. */
export function untilToldOf(namespace: TestNamespace, { kind, name }: WorkloadName, reason: string): Promise<ReadEvent> {
  return eventually(`an event ${reason} on ${kind} ${name}`, async () => {
    const query = { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}` };
    const path = collectionPath(events, namespace.name);
    const { items } = await namespace.kube.request<{ items: readonly ReadEvent[] }>({ method: 'GET', path, query });
    return items.find((event) => event.reason === reason);
  });
}
