import { isDeepStrictEqual } from 'node:util';
import { annotations, group, kind, legacyFinalizer, plural, version } from '../api/names.ts';
import type { OnePasswordItemStatus } from '../api/onepassword-item.ts';
import type { ObjectMeta, OwnerReference } from '../domain/object.ts';
import { type PodSpec, secretReferences } from '../domain/secret-references.ts';
import { pick, reduceMeta, type ResourceType, type WireMeta, type WireObject } from './resource.ts';

/** The kinds we watch, each with the little of it that stays in memory. */

export const onePasswordItems: ResourceType = { root: `/apis/${group}/${version}`, plural };

export interface OnePasswordItem extends ObjectMeta {
  readonly generation: number;
  readonly deleting: boolean;
  /** All finalizers, when the old operator's is among them: then they must be written back without it. */
  readonly legacyFinalizers: readonly string[] | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly type: string | undefined;
  readonly itemPath: string | undefined;
  readonly status: OnePasswordItemStatus;
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

export function reduceOnePasswordItem(object: WireObject): OnePasswordItem {
  const { metadata, spec, type, status } = object as WireObject & {
    readonly spec?: { readonly itemPath?: string };
    readonly type?: string;
    readonly status?: OnePasswordItemStatus;
  };
  const finalizers = metadata.finalizers ?? [];
  const { [lastApplied]: _, ...others } = metadata.annotations ?? {};
  return {
    ...reduceMeta(metadata),
    generation: metadata.generation ?? 0,
    deleting: metadata.deletionTimestamp !== undefined,
    legacyFinalizers: finalizers.includes(legacyFinalizer) ? finalizers : undefined,
    labels: metadata.labels ?? {},
    annotations: others,
    type,
    itemPath: spec?.itemPath,
    status: status ?? {},
  };
}

/** True when nothing but the status differs between two states of a resource. */
export function isStatusAlone(before: OnePasswordItem, after: OnePasswordItem): boolean {
  const { status, resourceVersion } = before;
  return isDeepStrictEqual(before, { ...after, status, resourceVersion });
}

/** The owner reference of a resource, in the old operator's shape: no controller flag, nothing blocked. */
export function ownerReference({ name, uid }: OnePasswordItem): OwnerReference {
  return { apiVersion: `${group}/${version}`, kind, name, uid };
}

/** A Secret of ours, without its values: they are never watched. */
export interface ManagedSecret extends ObjectMeta {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
}

export function reduceSecret({ metadata }: WireObject): ManagedSecret {
  const { [lastApplied]: _, ...others } = metadata.annotations ?? {};
  return { ...reduceMeta(metadata), labels: metadata.labels ?? {}, annotations: others, ownerReferences: metadata.ownerReferences ?? [] };
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}

/** A Deployment: which Secrets its pods consume, and what they are known to have. */
export interface Workload extends ObjectMeta {
  readonly annotations: Readonly<Record<string, string>>;
  readonly templateAnnotations: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly selector: LabelSelector;
  readonly paused: boolean;
  readonly deleting: boolean;
  /** The Deployment controller has seen the current template, so its ReplicaSet exists. */
  readonly observed: boolean;
}

const workloadAnnotations = [annotations.autoRestart, annotations.knownRevisions];

export function reduceDeployment(object: WireObject): Workload {
  const { metadata, spec, status } = object as WireObject & {
    readonly spec: {
      readonly selector?: LabelSelector;
      readonly paused?: boolean;
      readonly template?: { readonly metadata?: Partial<WireMeta>; readonly spec?: PodSpec };
    };
    readonly status?: { readonly observedGeneration?: number };
  };
  return {
    ...reduceMeta(metadata),
    annotations: pick(metadata.annotations, workloadAnnotations),
    templateAnnotations: pick(spec.template?.metadata?.annotations, [annotations.knownRevisions]),
    secrets: secretReferences(spec.template?.spec ?? {}),
    selector: spec.selector ?? {},
    paused: spec.paused ?? false,
    deleting: metadata.deletionTimestamp !== undefined,
    observed: (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0),
  };
}

/** A namespace, for its say in restarts. */
export interface Namespace extends ObjectMeta {
  readonly autoRestart: string | undefined;
}

export function reduceNamespace({ metadata }: WireObject): Namespace {
  return { ...reduceMeta(metadata), autoRestart: metadata.annotations?.[annotations.autoRestart] };
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
