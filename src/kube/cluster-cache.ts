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
  readonly onFailure: (error: KubeError, failures: number, delay: number) => void;
}

/** Keeps the cache equal to the cluster: `synced` resolves when every list is complete, `ended` when the last watch has stopped. */
export function reflectCluster(
  cache: ClusterCache,
  { watchNamespaces, ...options }: ReflectOptions,
  signal: AbortSignal,
): { readonly synced: Promise<void>; readonly ended: Promise<void> } {
  const synced: Promise<void>[] = [];
  const ended: Promise<void>[] = [];

  function reflect<T extends ObjectMeta>(
    type: ResourceType,
    store: Store<T>,
    reduce: Reduce<T>,
    { namespace, ...query }: { readonly namespace?: string; readonly labelSelector?: string; readonly metadataOnly?: boolean },
  ): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    synced.push(promise);
    const covers = (object: T): boolean => namespace === undefined || object.namespace === namespace;
    ended.push(
      runReflector({ ...options, ...query, path: collectionPath(type, namespace), reduce, store, covers, onSynced: resolve }, signal),
    );
  }

  const scopes = watchNamespaces.length === 0 ? [{}] : watchNamespaces.map((namespace) => ({ namespace }));
  for (const scope of scopes) {
    reflect(onePasswordItems, cache.items, reduceOnePasswordItem, scope);
    reflect(secrets, cache.secrets, reduceSecret, { ...scope, labelSelector: `${managedLabel}=true`, metadataOnly: true });
    reflect(deployments, cache.workloads, reduceDeployment, scope);
  }
  // A Role cannot grant a watch of namespaces: where they are named, their annotation is not read.
  if (watchNamespaces.length === 0) reflect(namespaces, cache.namespaces, reduceNamespace, { metadataOnly: true });
  return { synced: Promise.all(synced).then(() => {}), ended: Promise.all(ended).then(() => {}) };
}
