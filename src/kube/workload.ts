import { annotations, type WorkloadKind } from '../api/names.ts';
import { type SecretRecord, secretRecordSchema } from '../api/onepassword-item.ts';
import { type ConsumedKeys, consumedKeys } from '../domain/consumed-keys.ts';
import type { ObjectMeta } from '../domain/object.ts';
import {
  controllerRevisions,
  daemonSets,
  deployments,
  legacyFinalizers,
  pick,
  reduceMeta,
  replicaSets,
  type ResourceType,
  rollouts,
  statefulSets,
  type WireObject,
} from './resource.ts';
import { readRollout } from './wire-rollout.ts';
import type { LabelSelector, WireWorkload } from './wire-workload.ts';

/** A workload: which Secrets its pods consume, and what they are known to have. */
export interface Workload extends ObjectMeta {
  readonly kind: WorkloadKind;
  readonly apiVersion: string;
  /** In milliseconds. */
  readonly created: number;
  /** Counts the changes of its specification, and of a Deployment's annotations: while it stays, so does the pod template. */
  readonly generation: number;
  readonly annotations: Annotations;
  readonly templateAnnotations: Annotations;
  /** The Secrets that its pods consume, by name. */
  readonly secrets: ReadonlyMap<string, ConsumedKeys>;
  /** The Deployment whose pod template a Rollout runs, if it has none of its own. */
  readonly templateOf: string | undefined;
  readonly selector: LabelSelector;
  readonly paused: boolean;
  readonly scaledToZero: boolean;
  /** Its pods are replaced when somebody deletes them, and not before. */
  readonly onDelete: boolean;
  /** Of a StatefulSet: pods of a lower ordinal are not replaced. */
  readonly partition: number;
  readonly deleting: boolean;
  /** Its controller has seen the current template, so that is in its history. */
  readonly observed: boolean;
  readonly rollout: RolloutState;
  /** Of a Rollout: since when pods are replaced that are older, in milliseconds. */
  readonly restartAt: number | undefined;
  /** Of a Rollout: up to when pods have been replaced, in milliseconds. */
  readonly restartedAt: number | undefined;
  /** Of a Rollout: the hash of the template that has proved itself. Until another one has, its pods may stay. */
  readonly stableHash: string | undefined;
  /** What annotations of a Deployment ask for; undefined when none asks for a Secret. */
  readonly claim: AnnotatedClaim | undefined;
  /** All finalizers, when the old operator's is among them. */
  readonly legacyFinalizers: readonly string[] | undefined;
}

/** How far a rollout has come. */
export interface RolloutState {
  /** All pods that are to be replaced run the current template, and are available. */
  readonly complete: boolean;
  /** As many pods are available as there should be. */
  readonly available: boolean;
  /** It was given up: nothing moved for as long as the workload allows. */
  readonly failed: boolean;
  /** How many pods run the current template, and how many are available. */
  readonly updatedPods: number;
  readonly availablePods: number;
  /** How many pods run another template. */
  readonly oldPods: number;
}

/** What a Deployment's annotations ask for. */
export interface AnnotatedClaim {
  /** `item-path`: which item. */
  readonly itemPath: string | undefined;
  /** `item-name`: the name of the Secret. */
  readonly secretName: string | undefined;
  readonly autoRestart: string | undefined;
  /** A new value has the item fetched now. */
  readonly sync: string | undefined;
  /** What the Secret holds; empty when it is not recorded, or not in a form that can be read. */
  readonly record: Partial<SecretRecord>;
}

type Annotations = Readonly<Record<string, string>>;

/** What differs from kind to kind. */
interface KindDefinition {
  readonly apiVersion: string;
  readonly type: ResourceType;
  /** What tells when a template came to be: the objects its controller makes of each. */
  readonly history: ResourceType;
  /** Counts the templates of a workload: the highest is that of the current one. */
  readonly historyRevision: (entry: WireObject) => number;
  readonly counts: (object: WireWorkload) => Counts;
}

interface Counts {
  readonly desired: number;
  /** How many have to run the current template. */
  readonly toUpdate: number;
  readonly total: number;
  readonly updated: number;
  readonly available: number;
}

const replicaCounts = ({ spec = {}, status = {} }: WireWorkload): Counts => {
  const { replicas: desired = 1, updateStrategy } = spec;
  const { replicas: total = 0, updatedReplicas: updated = 0, availableReplicas: available = 0 } = status;
  return { desired, toUpdate: Math.max(0, desired - (updateStrategy?.rollingUpdate?.partition ?? 0)), total, updated, available };
};

const byAnnotation =
  (name: string) =>
  ({ metadata }: WireObject): number =>
    Number(metadata.annotations?.[name] ?? 0);

const byRevision = (entry: WireObject): number => (entry as WireObject & { readonly revision?: number }).revision ?? 0;

const definitions: Readonly<Record<WorkloadKind, KindDefinition>> = {
  Deployment: {
    apiVersion: 'apps/v1',
    type: deployments,
    history: replicaSets,
    historyRevision: byAnnotation('deployment.kubernetes.io/revision'),
    counts: replicaCounts,
  },
  StatefulSet: {
    apiVersion: 'apps/v1',
    type: statefulSets,
    history: controllerRevisions,
    historyRevision: byRevision,
    counts: replicaCounts,
  },
  DaemonSet: {
    apiVersion: 'apps/v1',
    type: daemonSets,
    history: controllerRevisions,
    historyRevision: byRevision,
    counts: ({ status = {} }) => {
      const { desiredNumberScheduled: desired = 0, updatedNumberScheduled: updated = 0, numberAvailable: available = 0 } = status;
      return { desired, toUpdate: desired, total: desired, updated, available };
    },
  },
  Rollout: {
    apiVersion: 'argoproj.io/v1alpha1',
    type: rollouts,
    history: replicaSets,
    historyRevision: byAnnotation('rollout.argoproj.io/revision'),
    counts: replicaCounts,
  },
};

/** The key of a workload in stores and queues: `namespace/kind/name`. */
export function workloadKey({ namespace, kind, name }: Pick<Workload, 'namespace' | 'kind' | 'name'>): string {
  return `${namespace}/${kind}/${name}`;
}

export function workloadType(kind: WorkloadKind): ResourceType {
  return definitions[kind].type;
}

/** Where the templates of a workload are kept, and which entry is of the latest. */
export function templateHistory(kind: WorkloadKind): Pick<KindDefinition, 'history' | 'historyRevision'> {
  return definitions[kind];
}

export function reduceWorkload(kind: WorkloadKind): (object: WireObject) => Workload {
  const { apiVersion } = definitions[kind];
  const read = kind === 'Rollout' ? readRollout : (object: WireObject): WireWorkload => object;
  return (object) => {
    const wire = read(object);
    const { metadata, spec = {}, status = {} } = wire;
    const { template, workloadRef } = spec;
    const claim = kind === 'Deployment' ? reduceClaim(metadata.annotations, template?.metadata?.annotations) : undefined;
    const consumed = consumedKeys(template?.spec ?? {});
    return {
      ...reduceMeta(metadata),
      kind,
      apiVersion,
      created: Date.parse(metadata.creationTimestamp ?? ''),
      generation: metadata.generation ?? 0,
      annotations: pick(metadata.annotations, workloadAnnotations),
      templateAnnotations: pick(template?.metadata?.annotations, [annotations.knownRevisions, annotations.lastRestarted]),
      secrets: claim?.secretName === undefined ? consumed : withWhole(consumed, claim.secretName),
      templateOf: workloadRef?.kind === 'Deployment' ? workloadRef.name : undefined,
      selector: spec.selector ?? {},
      paused: spec.paused ?? false,
      scaledToZero: spec.replicas === 0,
      onDelete: spec.updateStrategy?.type === 'OnDelete',
      partition: spec.updateStrategy?.rollingUpdate?.partition ?? 0,
      deleting: metadata.deletionTimestamp !== undefined,
      observed: Number(status.observedGeneration ?? 0) >= (metadata.generation ?? 0),
      rollout: rolloutState(kind, wire),
      restartAt: spec.restartAt ? Date.parse(spec.restartAt) : undefined,
      restartedAt: status.restartedAt ? Date.parse(status.restartedAt) : undefined,
      stableHash: kind === 'Rollout' ? status.stableRS : undefined,
      claim,
      legacyFinalizers: kind === 'Deployment' ? legacyFinalizers(metadata) : undefined,
    };
  };
}

const workloadAnnotations = [
  annotations.autoRestart,
  annotations.knownRevisions,
  annotations.restartedRevisions,
  annotations.restart,
  annotations.minRestartInterval,
  annotations.resume,
];

function rolloutState(kind: WorkloadKind, object: WireWorkload): RolloutState {
  const { metadata, spec = {}, status = {} } = object;
  const { desired, toUpdate, total, updated, available } = definitions[kind].counts(object);
  const observed = Number(status.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const restarted = !spec.restartAt || Date.parse(status.restartedAt ?? '') >= Date.parse(spec.restartAt);
  const enough = available >= desired;
  // The restart of a Rollout leaves its templates as they are: a canary or preview may stand beside the stable pods.
  const replaced = kind === 'Rollout' ? restarted : updated >= toUpdate && total <= desired;
  return {
    complete: observed && replaced && enough,
    available: enough,
    failed: status.phase === 'Degraded' || (status.conditions ?? []).some(({ reason }) => reason === 'ProgressDeadlineExceeded'),
    updatedPods: updated,
    availablePods: available,
    oldPods: total - updated,
  };
}

/** From the Deployment's own annotations, or when none of them asks for a Secret, from its pod template's. */
function reduceClaim(own: Annotations = {}, template: Annotations = {}): AnnotatedClaim | undefined {
  const asks = (notes: Annotations): boolean => notes[annotations.itemPath] !== undefined || notes[annotations.itemName] !== undefined;
  const source = asks(own) ? own : template;
  if (!asks(source)) return undefined;
  return {
    itemPath: source[annotations.itemPath],
    secretName: source[annotations.itemName],
    autoRestart: own[annotations.autoRestart] ?? template[annotations.autoRestart],
    sync: own[annotations.sync],
    record: parseRecord(own[annotations.secret]),
  };
}

function parseRecord(annotation: string | undefined): Partial<SecretRecord> {
  if (annotation === undefined) return {};
  try {
    return secretRecordSchema.parse(JSON.parse(annotation));
  } catch {
    return {};
  }
}

/** Who asks for a Secret is rolled by any of it, however its pods come by the values. */
function withWhole(consumed: ReadonlyMap<string, ConsumedKeys>, secret: string): ReadonlyMap<string, ConsumedKeys> {
  const { required = [], optional = [] } = consumed.get(secret) ?? {};
  return new Map([...consumed, [secret, { whole: true, required, optional }]]);
}

/** A selector in the form of a query parameter. */
export function formatSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    switch (operator) {
      case 'Exists':
        return key;
      case 'DoesNotExist':
        return `!${key}`;
      default:
        return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
    }
  });
  return [...labels, ...expressions].join(',');
}
