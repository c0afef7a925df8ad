import { managedLabel, workloadKinds } from '../api/names.ts';
import type { ObjectMeta } from '../domain/object.ts';
import { backoffDelay } from '../runtime/backoff.ts';
import { type Clock, pause } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { type KubeClient, KubeError } from './client.ts';
import {
  type ManagedSecret,
  type Namespace,
  type OnePasswordItem,
  onePasswordItems,
  reduceNamespace,
  reduceOnePasswordItem,
  reduceSecret,
} from './objects.ts';
import { isAbsent, listObjects, runReflector } from './reflector.ts';
import {
  collectionPath,
  daemonSets,
  namespaces,
  objectPath,
  type Reduce,
  type ResourceType,
  rollouts,
  secrets,
  statefulSets,
  type WireObject,
} from './resource.ts';
import { createStore, type Store } from './store.ts';
import { reduceWorkload, type Workload, workloadKey, workloadType } from './workload.ts';

/** Everything of the cluster that we keep in memory. */
export interface ClusterCache {
  readonly items: Store<OnePasswordItem>;
  readonly secrets: Store<ManagedSecret>;
  /** Of all kinds, by `workloadKey`. */
  readonly workloads: Store<Workload>;
  readonly namespaces: Store<Namespace>;
}

export function createClusterCache(): ClusterCache {
  return { items: createStore(), secrets: createStore(), workloads: createStore<Workload>(workloadKey), namespaces: createStore() };
}

export interface ReflectOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  /** Empty: all namespaces. */
  readonly watchNamespaces: readonly string[];
  /** Everything of a namespace, or of all when it is undefined, has been read, for the first time or again after it was forbidden. */
  readonly onSynced: (namespace: string | undefined) => void;
  readonly onFailure: (error: KubeError, type: ResourceType, failures: number, delay: number) => void;
}

export interface ClusterReflection {
  /** Resolves when everything has been read that may be: a named namespace that forbids it keeps nobody waiting. */
  readonly started: Promise<void>;
  /** True while a namespace may be read and has been: only then is it known who consumes its Secrets. */
  readonly isSynced: (namespace: string) => boolean;
  /** Resolves when the last watch has stopped. */
  readonly ended: Promise<void>;
}

/** Keeps the cache equal to the cluster until `signal` is aborted. */
export function reflectCluster(cache: ClusterCache, options: ReflectOptions, signal: AbortSignal): ClusterReflection {
  const { watchNamespaces, onSynced, onFailure, ...shared } = options;
  const synced = new Set<string | undefined>();
  const ended: Promise<void>[] = [];
  const scopes = watchNamespaces.length === 0 ? [undefined] : watchNamespaces;
  const started = Promise.all(scopes.map((namespace) => reflectScope(namespace))).then(() => {});
  return { started, isSynced: (namespace) => synced.has(undefined) || synced.has(namespace), ended: Promise.all(ended).then(() => {}) };

  function reflectScope(namespace: string | undefined): Promise<void> {
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    /** What has not been read, or may not be read any more. */
    const unread = new Set<ResourceType>();
    const read = (type: ResourceType): void => {
      if (!unread.delete(type) || unread.size > 0) return;
      synced.add(namespace);
      onSynced(namespace);
      settle();
    };

    forEachCollection(cache, namespace, ({ type, includes = () => true, ...collection }) => {
      const covers = (object: typeof collection.store extends Store<infer T> ? T : never): boolean =>
        (namespace === undefined || object.namespace === namespace) && includes(object);
      unread.add(type);
      const failed = (error: KubeError, failures: number, delay: number): void => {
        onFailure(error, type, failures, delay);
        if (error.status !== 403 || collection.optional) return;
        // What may not be read is not known any more, and most likely may not be written.
        unread.add(type);
        synced.delete(namespace);
        if (namespace !== undefined) settle();
      };
      const path = collectionPath(type, namespace);
      // What is under way there is to be taken note of, as after a start.
      const returned = (): void => (unread.size > 0 ? undefined : onSynced(namespace));
      const told = { onSynced: () => read(type), onReturned: returned, onFailure: failed };
      ended.push(runReflector({ ...shared, ...collection, path, covers, ...told }, signal));
    });
    if (namespace !== undefined) {
      unread.add(namespaces);
      ended.push(followNamespace({ ...shared, name: namespace, store: cache.namespaces, onRead: () => read(namespaces) }, signal));
    }
    return settled;
  }
}

interface FollowOptions extends Pick<ReflectOptions, 'client' | 'clock' | 'random'> {
  readonly name: string;
  readonly store: Store<Namespace>;
  /** It has been read, or it is known that it may not be. */
  readonly onRead: () => void;
}

/** How often a single namespace is read, in milliseconds: a Role can grant to get it, and not to watch it. */
const namespaceInterval = 60_000;
const namespaceBackoff = { base: 200, max: 5_000 };

/** Keeps what a namespace says of restarts. Where it may not be read, it says nothing. */
async function followNamespace({ client, clock, random, name, store, onRead }: FollowOptions, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await readNamespace(client, store, name, signal);
      failures = 0;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      failures += 1;
    }
    if (failures === 0) onRead();
    await pause(clock, failures === 0 ? namespaceInterval : backoffDelay(failures, namespaceBackoff, random), signal);
  }
}

async function readNamespace(client: KubeClient, store: Store<Namespace>, name: string, signal: AbortSignal): Promise<void> {
  try {
    const path = objectPath(namespaces, { name });
    const accept = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
    store.put(reduceNamespace(await client.request<WireObject>({ method: 'GET', path, accept, signal })));
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

/** Reads everything once, of a namespace or of all, into the cache. @throws KubeError */
export async function readCluster(
  cache: ClusterCache,
  client: KubeClient,
  namespace: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const reads: Promise<void>[] = [];
  forEachCollection(cache, namespace, ({ type, store, ...collection }) => {
    const read = listObjects({ client, path: collectionPath(type, namespace), ...collection }, signal);
    const stored = read.then(({ objects }) => objects.forEach((object) => store.put(object)));
    reads.push(collection.optional ? stored.catch(ignoreAbsence) : stored);
  });
  if (namespace !== undefined) reads.push(readNamespace(client, cache.namespaces, namespace, signal));
  await Promise.all(reads);
}

/** @throws KubeError unless the collection is not there, or not for us */
function ignoreAbsence(error: unknown): void {
  if (!isAbsent(error)) throw error;
}

/** True for what Secrets can be synced without: its CRD need not be there, and permissions may be those of the old operator. */
export function isOptional(type: ResourceType): boolean {
  return type === statefulSets || type === daemonSets || type === rollouts;
}

/** One kind as we read it. */
interface Collection<T extends ObjectMeta> {
  readonly type: ResourceType;
  readonly store: Store<T>;
  readonly reduce: Reduce<T>;
  readonly labelSelector?: string;
  readonly metadataOnly?: boolean;
  /** Which objects of the store are of this kind, when it holds several. */
  readonly includes?: (object: T) => boolean;
  readonly optional?: boolean;
}

/** Everything that is read of a namespace, or of all. */
function forEachCollection(
  cache: ClusterCache,
  namespace: string | undefined,
  visit: <T extends ObjectMeta>(collection: Collection<T>) => void,
): void {
  visit({ type: onePasswordItems, store: cache.items, reduce: reduceOnePasswordItem });
  visit({ type: secrets, store: cache.secrets, reduce: reduceSecret, labelSelector: `${managedLabel}=true`, metadataOnly: true });
  for (const kind of workloadKinds) {
    const isOfKind = (workload: Workload): boolean => workload.kind === kind;
    const type = workloadType(kind);
    visit({ type, store: cache.workloads, reduce: reduceWorkload(kind), includes: isOfKind, optional: isOptional(type) });
  }
  // A Role cannot grant a watch of namespaces: where they are named, each is read now and then.
  if (namespace === undefined) visit({ type: namespaces, store: cache.namespaces, reduce: reduceNamespace, metadataOnly: true });
}
