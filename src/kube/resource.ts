import { legacyFinalizer } from '../api/names.ts';
import type { ObjectMeta, OwnerReference } from '../domain/object.ts';

/** A kind of object and where the API server serves it. */
export interface ResourceType {
  /** `/api/v1` or `/apis/GROUP/VERSION`. */
  readonly root: string;
  readonly plural: string;
}

export const secrets: ResourceType = { root: '/api/v1', plural: 'secrets' };
export const events: ResourceType = { root: '/api/v1', plural: 'events' };
export const namespaces: ResourceType = { root: '/api/v1', plural: 'namespaces' };
export const deployments: ResourceType = { root: '/apis/apps/v1', plural: 'deployments' };
export const statefulSets: ResourceType = { root: '/apis/apps/v1', plural: 'statefulsets' };
export const daemonSets: ResourceType = { root: '/apis/apps/v1', plural: 'daemonsets' };
export const rollouts: ResourceType = { root: '/apis/argoproj.io/v1alpha1', plural: 'rollouts' };
export const controllerRevisions: ResourceType = { root: '/apis/apps/v1', plural: 'controllerrevisions' };
export const leases: ResourceType = { root: '/apis/coordination.k8s.io/v1', plural: 'leases' };
export const customResourceDefinitions: ResourceType = { root: '/apis/apiextensions.k8s.io/v1', plural: 'customresourcedefinitions' };
export const replicaSets: ResourceType = { root: '/apis/apps/v1', plural: 'replicasets' };

/** The path of all objects of a type, in one namespace or in all. */
export function collectionPath({ root, plural }: ResourceType, namespace?: string): string {
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

/** The path of one object; of a kind without namespaces when none is given. */
export function objectPath(type: ResourceType, { namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return `${collectionPath(type, namespace)}/${encodeURIComponent(name)}`;
}

/** `metadata` as the API server gives it, as far as we read it. */
export interface WireMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly managedFields?: readonly ManagedFields[];
}

/** Which fields a manager wrote last, and when (RFC 3339, whole seconds). */
export interface ManagedFields {
  readonly manager?: string;
  readonly time?: string;
  readonly fieldsV1?: Readonly<Record<string, object>>;
}

export interface WireObject {
  readonly metadata: WireMeta;
}

/** True for an object whose metadata are as the API server gives those of each. */
export function isWireObject(value: unknown): value is WireObject {
  if (!isRecord(value) || !isRecord(value['metadata'])) return false;
  const { name, uid, resourceVersion, namespace = '', labels = {}, annotations = {}, ...lists } = value['metadata'];
  const { ownerReferences = [], finalizers = [], managedFields = [] } = lists;
  return (
    [name, uid, resourceVersion, namespace].every(isText) &&
    [labels, annotations].every((texts) => isRecord(texts) && Object.values(texts).every(isText)) &&
    [ownerReferences, managedFields].every((list) => Array.isArray(list) && list.every(isRecord)) &&
    Array.isArray(finalizers) &&
    finalizers.every(isText)
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** An object reduced to what its kind needs. */
export type Reduce<T extends ObjectMeta> = (object: WireObject) => T;

export function reduceMeta({ name, namespace = '', uid, resourceVersion }: WireMeta): ObjectMeta {
  return { name, namespace, uid, resourceVersion };
}

/** All finalizers, when the old operator's is among them: then they must be written back without it. */
export function legacyFinalizers({ finalizers = [] }: WireMeta): readonly string[] | undefined {
  return finalizers.includes(legacyFinalizer) ? finalizers : undefined;
}

/** Only the entries of `record` whose key is in `keys`: the rest is not kept in memory. */
export function pick(record: Readonly<Record<string, string>> | undefined, keys: readonly string[]): Readonly<Record<string, string>> {
  if (record === undefined) return {};
  return Object.fromEntries(keys.flatMap((key) => (record[key] === undefined ? [] : [[key, record[key]]])));
}
