import { managedLabel } from '../api/names.ts';
import type { ObjectMeta } from '../domain/object.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { KubeClient, KubeError } from './client.ts';
import {
  type ManagedSecret,
  type Namespace,
  type OnePasswordItem,
  onePasswordItems,
  reduceDeployment,
  reduceNamespace,
  reduceOnePasswordItem,
  reduceSecret,
  type Workload,
} from './objects.ts';
import { runReflector } from './reflector.ts';
import { collectionPath, deployments, namespaces, type Reduce, type ResourceType, secrets } from './resource.ts';
import { createStore, type Store } from './store.ts';

/** Everything of the cluster that we keep in memory. */
export interface ClusterCache {
  readonly items: Store<OnePasswordItem>;
  readonly secrets: Store<ManagedSecret>;
  readonly workloads: Store<Workload>;
  readonly namespaces: Store<Namespace>;
}

export function createClusterCache(): ClusterCache {
  return { items: createStore(), secrets: createStore(), workloads: createStore(), namespaces: createStore() };
}

export interface ReflectOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  /** Empty: all namespaces. */
  readonly watchNamespaces: readonly string[];
  /** Everything of a namespace, or of all when it is undefined, has been read for the first time. */
  readonly onSynced: (namespace: string | undefined) => void;
  readonly onFailure: (error: KubeError, type: ResourceType, failures: number, delay: number) => void;
}

export interface ClusterReflection {
  /** Resolves when everything has been read that may be: a named namespace that forbids it keeps nobody waiting. */
  readonly started: Promise<void>;
  /** True when a namespace has been read: only then is it known who consumes its Secrets. */
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
    const lists: Promise<void>[] = [];
    const covers = (object: ObjectMeta): boolean => namespace === undefined || object.namespace === namespace;

    function reflect<T extends ObjectMeta>(
      type: ResourceType,
      store: Store<T>,
      reduce: Reduce<T>,
      query: { readonly labelSelector?: string; readonly metadataOnly?: boolean } = {},
    ): void {
      const { promise: listed, resolve } = Promise.withResolvers<void>();
      lists.push(listed);
      const failed = (error: KubeError, failures: number, delay: number): void => {
        onFailure(error, type, failures, delay);
        if (namespace !== undefined && error.status === 403) settle();
      };
      const path = collectionPath(type, namespace);
      ended.push(runReflector({ ...shared, ...query, path, reduce, store, covers, onSynced: resolve, onFailure: failed }, signal));
    }

    reflect(onePasswordItems, cache.items, reduceOnePasswordItem);
    reflect(secrets, cache.secrets, reduceSecret, { labelSelector: `${managedLabel}=true`, metadataOnly: true });
    reflect(deployments, cache.workloads, reduceDeployment);
    // A Role cannot grant a watch of namespaces: where they are named, their annotation is not read.
    if (namespace === undefined) reflect(namespaces, cache.namespaces, reduceNamespace, { metadataOnly: true });
    void Promise.all(lists).then(() => {
      synced.add(namespace);
      onSynced(namespace);
      settle();
    });
    return settled;
  }
}
