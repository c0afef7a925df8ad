import { annotations } from '../../src/api/names.ts';
import type { WireMeta } from '../../src/kube/resource.ts';

/** A Deployment, as far as its rollout is told by it. */
export interface WireDeployment {
  readonly metadata: WireMeta;
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
  };
}

export interface WireReplicaSet {
  readonly metadata: WireMeta;
  readonly spec: { readonly replicas?: number };
  readonly status?: { readonly readyReplicas?: number };
}

export interface WirePod {
  readonly metadata: WireMeta;
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly state?: { readonly waiting?: { readonly reason?: string } } }[];
  };
}

/** Where the rollout of a Deployment stands. */
export interface Rollout {
  /** As `kubectl rollout status` sees it, and no pod of an old ReplicaSet is left. */
  readonly complete: boolean;
  /** When Keyturn last restarted it. */
  readonly lastRestarted: string | undefined;
  /** Those with pods, and the newest two; newest first. */
  readonly replicaSets: readonly ReplicaSetState[];
}

export interface ReplicaSetState {
  readonly name: string;
  readonly isNew: boolean;
  readonly wanted: number;
  readonly ready: number;
  readonly pods: readonly { readonly name: string; readonly state: string }[];
}

const revisionAnnotation = 'deployment.kubernetes.io/revision';

/** Puts together what the API server says of a Deployment, its ReplicaSets and their pods. */
export function rolloutOf(deployment: WireDeployment, replicaSets: readonly WireReplicaSet[], pods: readonly WirePod[]): Rollout {
  const states = replicaSets
    .filter(({ metadata }) => isOwned(metadata, deployment.metadata))
    .toSorted((a, b) => revision(b) - revision(a))
    .map(({ metadata, spec, status }, index) => ({
      name: metadata.name,
      isNew: index === 0,
      wanted: spec.replicas ?? 0,
      ready: status?.readyReplicas ?? 0,
      pods: pods
        .filter((pod) => isOwned(pod.metadata, metadata))
        .map((pod) => ({ name: pod.metadata.name, state: podState(pod) }))
        .toSorted((a, b) => a.name.localeCompare(b.name)),
    }));
  return {
    complete: isComplete(deployment) && states.length > 0 && states.every(({ isNew, pods: own }) => isNew || own.length === 0),
    lastRestarted: deployment.spec.template.metadata?.annotations?.[annotations.lastRestarted],
    replicaSets: states.filter(({ pods: own }, index) => index < 2 || own.length > 0),
  };
}

function isOwned(metadata: WireMeta, owner: WireMeta): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === owner.uid) === true;
}

function revision({ metadata }: WireReplicaSet): number {
  return Number(metadata.annotations?.[revisionAnnotation] ?? 0);
}

function isComplete({ metadata, spec, status = {} }: WireDeployment): boolean {
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const wanted = spec.replicas ?? 1;
  return (
    observedGeneration >= (metadata.generation ?? 0) &&
    updatedReplicas === wanted &&
    replicas === updatedReplicas &&
    availableReplicas === updatedReplicas
  );
}

function podState({ metadata, status = {} }: WirePod): string {
  if (metadata.deletionTimestamp !== undefined) return 'ending';
  if (status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true) return 'ready';
  const waiting = status.containerStatuses?.map(({ state }) => state?.waiting?.reason).find((reason) => reason !== undefined);
  return waiting ?? status.phase ?? 'Unknown';
}

/** The table of a rollout: its ReplicaSets and pods, old and new. Pods that were there in `before` and are no more are gone. */
export function rolloutTable({ replicaSets }: Rollout, before?: Rollout): readonly string[] {
  const rows = replicaSets.flatMap(({ name, isNew, ready, wanted, pods }) => {
    const former = before?.replicaSets.find((replicaSet) => replicaSet.name === name)?.pods ?? [];
    const gone = former.filter((pod) => pods.every((other) => other.name !== pod.name)).map((pod) => ({ ...pod, state: 'gone' }));
    const age = isNew ? 'new' : 'old';
    return [
      [`ReplicaSet ${name}`, age, `${ready} of ${wanted} ready`],
      ...[...pods, ...gone].map((pod) => [`  pod ${pod.name}`, age, pod.state]),
    ];
  });
  const width = Math.max(0, ...rows.map(([name = '']) => name.length));
  return rows.map(([name = '', age = '', state = '']) => `${name.padEnd(width)}  ${age}  ${state}`);
}

/** A rollout in one line, for a message. */
export function describeRollout({ replicaSets }: Rollout): string {
  const parts = replicaSets.map(({ name, isNew, ready, wanted, pods }) => {
    const waiting = pods.filter(({ state }) => state !== 'ready').map((pod) => `${pod.name} ${pod.state}`);
    return `${isNew ? 'new' : 'old'} ReplicaSet ${name}: ${[`${ready} of ${wanted} ready`, ...waiting].join(', ')}`;
  });
  return parts.length === 0 ? 'no ReplicaSet' : parts.join('; ');
}
