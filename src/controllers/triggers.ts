import { isDeepStrictEqual } from 'node:util';
import { annotations } from '../api/names.ts';
import type { VaultIndex } from '../connect/vault-index.ts';
import { readyCondition } from '../domain/conditions.ts';
import { objectKey } from '../domain/object.ts';
import type { ClusterCache } from '../kube/cluster-cache.ts';
import { isStatusAlone, type OnePasswordItem } from '../kube/objects.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';
import type { WorkQueue } from '../runtime/work-queue.ts';
import type { Consumers } from './consumers.ts';
import type { Contention } from './contention.ts';
import type { DeploymentReconciler } from './deployment-reconciler.ts';
import { settleTime } from './consumer-status.ts';
import type { ItemStatuses } from './item-status.ts';
import type { Owners } from './owners.ts';
import { isMoved } from './poll.ts';
import type { SecretSync } from './secret-sync.ts';

export interface TriggersOptions {
  readonly cache: ClusterCache;
  readonly consumers: Consumers;
  readonly owners: Pick<Owners, 'deployments'>;
  readonly index: Pick<VaultIndex, 'listed'>;
  readonly sync: Pick<SecretSync, 'forget'>;
  readonly statuses: ItemStatuses;
  readonly items: { readonly queue: WorkQueue; readonly contention: Contention };
  readonly deployments: { readonly queue: WorkQueue; readonly reconciler: DeploymentReconciler; readonly contention: Contention };
  readonly workloads: { readonly queue: WorkQueue };
  readonly consumerStatus: { readonly queue: WorkQueue; readonly forget: (key: string) => void };
}

/** What makes whom due: changes of the cluster by themselves, and those that somebody has to tell. */
export interface Triggers {
  /** The index changed, or Connect can be read again: whoever is not in sync with it is due, and whoever says so. */
  readonly indexChanged: () => void;
  /** Connect, or a vault, has not been readable for some time: resources in sync have to say so. */
  readonly outageLasts: (vaultId: string | undefined) => void;
  /** A workload began or ceased to wait for its restart. */
  readonly waitingChanged: (workload: Workload) => void;
  /** Rollouts of an item are held, or are no longer. */
  readonly rolloutsHeld: (item: string) => void;
  /** Another vault policy holds: whoever asks for a Secret is due. */
  readonly policyChanged: () => void;
  /** Everything in a namespace, or in all, has been read, and is looked at from now on. */
  readonly namespaceRead: (namespace: string | undefined) => void;
}

/** Annotations of a resource that concern the consumers of its Secret. */
const consumersHeed = [annotations.autoRestart, annotations.resume];
/** How soon a resource is looked at when nothing but its status changed, in milliseconds. */
const statusDelay = 5_000;

export function createTriggers({
  cache,
  consumers,
  index,
  sync,
  statuses,
  items,
  deployments,
  workloads,
  consumerStatus,
  owners,
}: TriggersOptions): Triggers {
  cache.items.onChange((key, before, after) => {
    const same = before !== undefined && before.uid === after?.uid;
    if (before !== undefined && !same) forgetItem(key, before);
    // What another operator leaves behind when it writes over us: its finalizer, and a status without our fields.
    if (same && (isFinalizerBack(before, after) || isStatusWiped(before, after))) items.contention.undone(key);
    // A status is nearly always our own: taken up at once, it would cut short the pause after the failure it tells of.
    if (same && isStatusAlone(before, after)) items.queue.addAfter(key, statusDelay);
    else items.queue.add(key);
    if (consumersHeed.some((name) => before?.annotations[name] !== after?.annotations[name])) enqueueConsumers(key);
    if (after !== undefined) consumerStatus.queue.addAfter(key, settleTime);
  });

  cache.secrets.onChange((key) => {
    items.queue.add(key);
    for (const workload of owners.deployments(key)) deployments.queue.add(workloadKey(workload));
    enqueueConsumers(key);
    if (cache.items.get(key) !== undefined) consumerStatus.queue.addAfter(key, settleTime);
  });

  cache.workloads.onChange((key, before, after) => {
    const same = before !== undefined && before.uid === after?.uid;
    if (before !== undefined && !same) forgetDeployment(key, before);
    if (same && isFinalizerBack(before, after)) deployments.contention.undone(key);
    if (after !== undefined && !(same && isSameClaim(before, after))) enqueueClaim(after);
    for (const workload of [before, after]) {
      if (workload === undefined) continue;
      enqueueRunners(workload);
      countConsumers(workload);
    }
    const claimed = after?.claim?.secretName;
    const sameWords = before?.annotations[annotations.resume] === after?.annotations[annotations.resume];
    if (claimed === undefined || (sameWords && before?.claim?.autoRestart === after?.claim?.autoRestart)) return;
    enqueueConsumers(objectKey({ namespace: after?.namespace ?? '', name: claimed }));
  });

  cache.namespaces.onChange((_, before, after) => {
    if (before?.autoRestart === after?.autoRestart) return;
    for (const workload of cache.workloads.values()) {
      if (workload.namespace !== after?.name) continue;
      workloads.queue.add(workloadKey(workload));
      countConsumers(workload);
    }
  });

  function enqueueClaim(workload: Workload): void {
    const { claim, legacyFinalizers } = workload;
    if (claim !== undefined || legacyFinalizers !== undefined) deployments.queue.add(workloadKey(workload));
  }

  /** A workload, and the Rollouts that run its template. */
  function enqueueRunners(workload: Workload): void {
    workloads.queue.add(workloadKey(workload));
    for (const runner of consumers.runners(workload)) if (runner !== workload) workloads.queue.add(workloadKey(runner));
  }

  function enqueueConsumers(secretKey: string): void {
    for (const workload of consumers.of(secretKey)) workloads.queue.add(workloadKey(workload));
  }

  function countConsumers(workload: Workload): void {
    const { namespace } = workload;
    for (const name of consumers.keysOf(workload).keys()) {
      const key = objectKey({ namespace, name });
      if (cache.items.get(key) !== undefined) consumerStatus.queue.addAfter(key, settleTime);
    }
  }

  function isReady(resource: OnePasswordItem): boolean {
    return readyCondition(statuses.of(resource).conditions)?.status === 'True';
  }

  function forgetItem(key: string, { uid }: OnePasswordItem): void {
    items.contention.forget(key);
    statuses.forget(key);
    consumerStatus.forget(key);
    sync.forget(uid);
  }

  function forgetDeployment(key: string, { uid }: Workload): void {
    deployments.contention.forget(key);
    deployments.reconciler.forget(key);
    sync.forget(uid);
  }

  return {
    indexChanged() {
      for (const resource of cache.items.values()) {
        if (!isReady(resource) || isMoved(statuses.of(resource).item, index)) items.queue.add(objectKey(resource));
      }
      for (const workload of cache.workloads.values()) {
        if (workload.claim === undefined) continue;
        const key = workloadKey(workload);
        if (deployments.reconciler.isFailing(key) || isMoved(workload.claim.record.item, index)) deployments.queue.add(key);
      }
    },
    outageLasts(vaultId) {
      for (const resource of cache.items.values()) {
        const { item } = statuses.of(resource);
        if (item !== undefined && (vaultId === undefined || item.vaultId === vaultId)) items.queue.add(objectKey(resource));
      }
    },
    waitingChanged: countConsumers,
    rolloutsHeld(item) {
      for (const secret of cache.secrets.values()) {
        if (secret.annotations[annotations.itemPath] === item) enqueueConsumers(objectKey(secret));
      }
    },
    policyChanged() {
      for (const resource of cache.items.values()) items.queue.add(objectKey(resource));
      for (const workload of cache.workloads.values()) enqueueClaim(workload);
    },
    namespaceRead(namespace) {
      const covers = (object: OnePasswordItem | Workload): boolean => namespace === undefined || object.namespace === namespace;
      for (const resource of cache.items.values()) {
        if (!covers(resource)) continue;
        items.queue.add(objectKey(resource));
        consumerStatus.queue.addAfter(objectKey(resource), settleTime);
      }
      for (const workload of cache.workloads.values()) {
        if (!covers(workload)) continue;
        enqueueClaim(workload);
        workloads.queue.add(workloadKey(workload));
      }
    },
  };
}

/** The old operator's finalizer was gone, and is there again. */
function isFinalizerBack(before: OnePasswordItem | Workload, after: OnePasswordItem | Workload): boolean {
  return before.legacyFinalizers === undefined && after.legacyFinalizers !== undefined;
}

function isStatusWiped(before: OnePasswordItem, after: OnePasswordItem): boolean {
  return before.status.item !== undefined && after.status.item === undefined;
}

/** True when nothing has changed of what a Deployment asks for: the progress of its rollouts does not make an attempt due. */
function isSameClaim(before: Workload, after: Workload): boolean {
  const { claim, legacyFinalizers, deleting } = before;
  return isDeepStrictEqual({ ...after, claim, legacyFinalizers, deleting }, after);
}
