import { isDeepStrictEqual } from 'node:util';
import type { VaultIndex } from '../connect/vault-index.ts';
import { readyCondition } from '../domain/conditions.ts';
import { objectKey } from '../domain/object.ts';
import type { ClusterCache } from '../kube/cluster-cache.ts';
import { isStatusAlone, type OnePasswordItem, type Workload } from '../kube/objects.ts';
import { createStoreIndex } from '../kube/store-index.ts';
import type { WorkQueue } from '../runtime/work-queue.ts';
import type { Consumers } from './consumers.ts';
import type { Contention } from './contention.ts';
import type { DeploymentReconciler } from './deployment-reconciler.ts';
import type { ItemStatuses } from './item-status.ts';
import { isMoved } from './poll.ts';
import type { SecretSync } from './secret-sync.ts';

export interface TriggersOptions {
  readonly cache: ClusterCache;
  readonly consumers: Consumers;
  readonly index: Pick<VaultIndex, 'listed'>;
  readonly sync: Pick<SecretSync, 'forget'>;
  readonly statuses: ItemStatuses;
  readonly items: { readonly queue: WorkQueue; readonly contention: Contention };
  readonly deployments: { readonly queue: WorkQueue; readonly reconciler: DeploymentReconciler; readonly contention: Contention };
  readonly workloads: { readonly queue: WorkQueue };
}

/** What makes whom due: changes of the cluster by themselves, and those that somebody has to tell. */
export interface Triggers {
  /** The index changed, or Connect can be read again: whoever is not in sync with it is due, and whoever says so. */
  readonly indexChanged: () => void;
  /** Connect, or a vault, has not been readable for some time: resources in sync have to say so. */
  readonly outageLasts: (vaultId: string | undefined) => void;
  /** Everything in a namespace, or in all, has been read. */
  readonly namespaceRead: (namespace: string | undefined) => void;
}

/** How soon a resource is looked at when nothing but its status changed, in milliseconds. */
const statusDelay = 5_000;

export function createTriggers({ cache, consumers, index, sync, statuses, items, deployments, workloads }: TriggersOptions): Triggers {
  const claimants = createStoreIndex(cache.workloads, ({ namespace, claim }) =>
    claim?.secretName === undefined ? [] : [objectKey({ namespace, name: claim.secretName })],
  );

  cache.items.onChange((key, before, after) => {
    const same = before !== undefined && before.uid === after?.uid;
    if (before !== undefined && !same) forgetItem(key, before);
    // What another operator leaves behind when it writes over us: its finalizer, and a status without our fields.
    if (same && (isFinalizerBack(before, after) || isStatusWiped(before, after))) items.contention.undone(key);
    // A status is nearly always our own: taken up at once, it would cut short the pause after the failure it tells of.
    if (same && isStatusAlone(before, after)) items.queue.addAfter(key, statusDelay);
    else items.queue.add(key);
  });

  cache.secrets.onChange((key) => {
    items.queue.add(key);
    for (const workload of claimants(key)) deployments.queue.add(objectKey(workload));
    for (const workload of consumers.of(key)) workloads.queue.add(objectKey(workload));
  });

  cache.workloads.onChange((key, before, after) => {
    const same = before !== undefined && before.uid === after?.uid;
    if (before !== undefined && !same) forgetDeployment(key, before);
    if (same && isFinalizerBack(before, after)) deployments.contention.undone(key);
    if (after === undefined) return;
    if (same && isSameClaim(before, after)) workloads.queue.add(key);
    else enqueueDeployment(after);
  });

  cache.namespaces.onChange((_, before, after) => {
    if (before?.autoRestart === after?.autoRestart) return;
    for (const workload of cache.workloads.values()) if (workload.namespace === after?.name) workloads.queue.add(objectKey(workload));
  });

  function enqueueDeployment(workload: Workload): void {
    const { claim, legacyFinalizers } = workload;
    if (claim !== undefined || legacyFinalizers !== undefined) deployments.queue.add(objectKey(workload));
    workloads.queue.add(objectKey(workload));
  }

  function isReady(resource: OnePasswordItem): boolean {
    return readyCondition(statuses.of(resource).conditions)?.status === 'True';
  }

  function forgetItem(key: string, { uid }: OnePasswordItem): void {
    items.contention.forget(key);
    statuses.forget(key);
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
        const key = objectKey(workload);
        if (deployments.reconciler.isFailing(key) || isMoved(workload.claim.record.item, index)) deployments.queue.add(key);
      }
    },
    outageLasts(vaultId) {
      for (const resource of cache.items.values()) {
        const { item } = statuses.of(resource);
        if (item !== undefined && (vaultId === undefined || item.vaultId === vaultId)) items.queue.add(objectKey(resource));
      }
    },
    namespaceRead(namespace) {
      const covers = (object: OnePasswordItem | Workload): boolean => namespace === undefined || object.namespace === namespace;
      for (const resource of cache.items.values()) if (covers(resource)) items.queue.add(objectKey(resource));
      for (const workload of cache.workloads.values()) if (covers(workload)) enqueueDeployment(workload);
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
