import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { annotations, fieldManager, group, kind, plural, version } from '../api/names.ts';
import { consumerStatusSchema, itemStatusSchema, type OnePasswordItemStatus, secretStatusSchema } from '../api/onepassword-item.ts';
import type { ObjectMeta, OwnerReference } from '../domain/object.ts';
import { legacyFinalizers, reduceMeta, type ResourceType, type WireMeta, type WireObject } from './resource.ts';

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

/** As if it were not there, when it is of another kind: a definition that is not ours may let anything pass. */
const part = <S extends z.ZodType>(schema: S) => schema.optional().catch(undefined);

/** Conditions of others keep what they have, to be written back with ours. */
const conditions = z.array(z.looseObject({ type: z.string(), status: z.string(), reason: part(z.string()), message: part(z.string()) }));
const writtenSchema = z.object({
  type: part(z.string()),
  spec: part(z.object({ itemPath: part(z.string()) })),
  status: part(
    z.object({
      observedGeneration: part(z.int()),
      conditions: part(conditions),
      item: part(itemStatusSchema),
      // Of revisions whoever reads them takes what can be one.
      secret: part(secretStatusSchema.extend({ dataWriters: part(z.string()), revisions: part(z.record(z.string(), z.unknown())) })),
      consumers: part(consumerStatusSchema),
    }),
  ),
});

export function reduceOnePasswordItem(object: WireObject): OnePasswordItem {
  const { metadata } = object;
  const { type, spec, status } = writtenSchema.parse(object);
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
    status: (status ?? {}) as OnePasswordItemStatus,
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

/** A resource as events name it. */
export function eventSubject(resource: OnePasswordItem): OnePasswordItem & { readonly apiVersion: string; readonly kind: string } {
  return { ...resource, apiVersion: `${group}/${version}`, kind };
}

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
  /** When we last wrote anything into it, in milliseconds (whole seconds); undefined when that is not known. */
  readonly writtenAt: number | undefined;
}

/** A Secret before its data change, as far as its consumers are concerned. */
export type SecretBefore = Pick<ManagedSecret, 'namespace' | 'name' | 'annotations'> &
  Partial<Pick<ManagedSecret, 'writtenAt' | 'ownerReferences'>>;

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
  const { namespace, name, uid, resourceVersion, labels, annotations: notes, ownerReferences } = secret;
  const { dataWriters: writers, writtenByUs, writtenAt } = secret;
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    labels,
    annotations: notes,
    ownerReferences,
    dataWriters: writers,
    writtenByUs,
    writtenAt,
  };
}

/**
 * A write of a value moves the time of its manager's entry, and takes the key out of everybody else's; a removed key is gone from all. Times are
 * whole seconds: that of a foreign writer counts only when it is before our last write, so that no later one can have the same.
 */
function dataWriters({ managedFields = [] }: WireMeta): Pick<ManagedSecret, 'dataWriters' | 'writtenByUs' | 'writtenAt'> {
  const writers = managedFields.filter(({ fieldsV1 }) => countKeys(fieldsV1) > 0);
  const foreign = writers.filter(({ manager }) => manager !== fieldManager);
  const ourLast = managedFields.reduce((last, { manager, time = '' }) => (manager === fieldManager && time > last ? time : last), '');
  const sure = writers.length > 0 && foreign.every(({ time }) => time !== undefined && time < ourLast);
  const summary = writers.map(({ manager, time, fieldsV1 }) => `${manager} ${time} ${countKeys(fieldsV1)}`).toSorted();
  return {
    dataWriters: sure ? summary.join('; ') : undefined,
    writtenByUs: writers.length > 0 && foreign.length === 0,
    writtenAt: ourLast === '' ? undefined : Date.parse(ourLast),
  };
}

/** What is applied from the server side as `stringData` changes values, and yet leaves the entries of `data` as they were. */
function countKeys(fields: Readonly<Record<string, object>> | undefined): number {
  const keys = [fields?.['f:data'], fields?.['f:stringData']].flatMap((written) => Object.keys(written ?? {}));
  return keys.filter((field) => field.startsWith('f:')).length;
}

/** A namespace, for its say in restarts. */
export interface Namespace extends ObjectMeta {
  readonly autoRestart: string | undefined;
}

export function reduceNamespace({ metadata }: WireObject): Namespace {
  return { ...reduceMeta(metadata), autoRestart: metadata.annotations?.[annotations.autoRestart] };
}
