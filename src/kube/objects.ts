import { isDeepStrictEqual } from 'node:util';
import { annotations, fieldManager, group, kind, legacyFinalizer, plural, version } from '../api/names.ts';
import { type OnePasswordItemStatus, type SecretRecord, secretRecordSchema } from '../api/onepassword-item.ts';
import type { ObjectMeta, OwnerReference } from '../domain/object.ts';
import { type ConsumedKeys, consumedKeys, type PodSpec } from '../domain/consumed-keys.ts';
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
  const { [lastApplied]: _, ...others } = metadata.annotations ?? {};
  return {
    ...reduceMeta(metadata),
    generation: metadata.generation ?? 0,
    deleting: metadata.deletionTimestamp !== undefined,
    legacyFinalizers: legacyFinalizers(metadata),
    labels: metadata.labels ?? {},
    annotations: others,
    type,
    itemPath: spec?.itemPath,
    status: status ?? {},
  };
}

function legacyFinalizers({ finalizers = [] }: WireMeta): readonly string[] | undefined {
  return finalizers.includes(legacyFinalizer) ? finalizers : undefined;
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

/** A resource as events name it. */
export function eventSubject(resource: OnePasswordItem): OnePasswordItem & { readonly apiVersion: string; readonly kind: string } {
  return { ...resource, apiVersion: `${group}/${version}`, kind };
}

/** How owner references and events name a Deployment. */
export const deploymentKind = { apiVersion: 'apps/v1', kind: 'Deployment' } as const;

/** A Secret of ours, without its values: they are never watched. */
export interface ManagedSecret extends ObjectMeta {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
  /**
   * Who wrote the values, when, and how many keys: while it stays the same, so have the values. Undefined when the field managers do not tell
   * that surely.
   */
  readonly dataWriters: string | undefined;
  /** Nobody but us has written a value. */
  readonly writtenByUs: boolean;
}

export function reduceSecret({ metadata }: WireObject): ManagedSecret {
  const { [lastApplied]: _, ...others } = metadata.annotations ?? {};
  return {
    ...reduceMeta(metadata),
    labels: metadata.labels ?? {},
    annotations: others,
    ownerReferences: metadata.ownerReferences ?? [],
    ...dataWriters(metadata),
  };
}

/** What of a Secret may stay in memory: everything but its values. */
export function managedSecret(secret: ManagedSecret): ManagedSecret {
  const { namespace, name, uid, resourceVersion, labels, annotations: notes, ownerReferences, dataWriters: writers, writtenByUs } = secret;
  return { namespace, name, uid, resourceVersion, labels, annotations: notes, ownerReferences, dataWriters: writers, writtenByUs };
}

/**
 * A write of a value moves the time of its manager's entry, and takes the key out of everybody else's; a removed key is gone from all. Times are
 * whole seconds: that of a foreign writer counts only when it is before our last write, so that no later one can have the same.
 */
function dataWriters({ managedFields = [] }: WireMeta): Pick<ManagedSecret, 'dataWriters' | 'writtenByUs'> {
  const writers = managedFields.filter(({ fieldsV1 }) => countKeys(fieldsV1) > 0);
  const foreign = writers.filter(({ manager }) => manager !== fieldManager);
  const ourLast = managedFields.reduce((last, { manager, time = '' }) => (manager === fieldManager && time > last ? time : last), '');
  const sure = writers.length > 0 && foreign.every(({ time }) => time !== undefined && time < ourLast);
  const summary = writers.map(({ manager, time, fieldsV1 }) => `${manager} ${time} ${countKeys(fieldsV1)}`).toSorted();
  return { dataWriters: sure ? summary.join('; ') : undefined, writtenByUs: writers.length > 0 && foreign.length === 0 };
}

/** What is applied from the server side as `stringData` changes values, and yet leaves the entries of `data` as they were. */
function countKeys(fields: Readonly<Record<string, object>> | undefined): number {
  const keys = [fields?.['f:data'], fields?.['f:stringData']].flatMap((written) => Object.keys(written ?? {}));
  return keys.filter((field) => field.startsWith('f:')).length;
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}

/** What a Deployment's annotations ask for. */
export interface AnnotatedClaim {
  /** `item-path`: which item. */
  readonly itemPath: string | undefined;
  /** `item-name`: the name of the Secret. */
  readonly secretName: string | undefined;
  readonly autoRestart: string | undefined;
  /** What the Secret holds; empty when it is not recorded, or not in a form that can be read. */
  readonly record: Partial<SecretRecord>;
}

/** A Deployment: which Secrets its pods consume, and what they are known to have. */
export interface Workload extends ObjectMeta {
  readonly annotations: Readonly<Record<string, string>>;
  readonly templateAnnotations: Readonly<Record<string, string>>;
  /** The Secrets that its pods consume, by name. */
  readonly secrets: ReadonlyMap<string, ConsumedKeys>;
  readonly selector: LabelSelector;
  readonly paused: boolean;
  readonly deleting: boolean;
  /** The Deployment controller has seen the current template, so its ReplicaSet exists. */
  readonly observed: boolean;
  /** Undefined when no annotation asks for a Secret. */
  readonly claim: AnnotatedClaim | undefined;
  /** All finalizers, when the old operator's is among them. */
  readonly legacyFinalizers: readonly string[] | undefined;
}

const workloadAnnotations = [annotations.autoRestart, annotations.knownRevisions];

/** From the Deployment's own annotations, or when none of them asks for a Secret, from its pod template's. */
function reduceClaim(own: Annotations = {}, template: Annotations = {}): AnnotatedClaim | undefined {
  const asks = (notes: Annotations): boolean => notes[annotations.itemPath] !== undefined || notes[annotations.itemName] !== undefined;
  const source = asks(own) ? own : template;
  if (!asks(source)) return undefined;
  return {
    itemPath: source[annotations.itemPath],
    secretName: source[annotations.itemName],
    autoRestart: own[annotations.autoRestart] ?? template[annotations.autoRestart],
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

type Annotations = Readonly<Record<string, string>>;

export function reduceDeployment(object: WireObject): Workload {
  const { metadata, spec, status } = object as WireObject & {
    readonly spec: {
      readonly selector?: LabelSelector;
      readonly paused?: boolean;
      readonly template?: { readonly metadata?: Partial<WireMeta>; readonly spec?: PodSpec };
    };
    readonly status?: { readonly observedGeneration?: number };
  };
  const claim = reduceClaim(metadata.annotations, spec.template?.metadata?.annotations);
  const consumed = consumedKeys(spec.template?.spec ?? {});
  return {
    ...reduceMeta(metadata),
    annotations: pick(metadata.annotations, workloadAnnotations),
    templateAnnotations: pick(spec.template?.metadata?.annotations, [annotations.knownRevisions]),
    secrets: claim?.secretName === undefined ? consumed : withWhole(consumed, claim.secretName),
    selector: spec.selector ?? {},
    paused: spec.paused ?? false,
    deleting: metadata.deletionTimestamp !== undefined,
    observed: (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0),
    claim,
    legacyFinalizers: legacyFinalizers(metadata),
  };
}

/** Who asks for a Secret is rolled by any of it, however its pods come by the values. */
function withWhole(consumed: ReadonlyMap<string, ConsumedKeys>, secret: string): ReadonlyMap<string, ConsumedKeys> {
  const { required = [], optional = [] } = consumed.get(secret) ?? {};
  return new Map([...consumed, [secret, { whole: true, required, optional }]]);
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
