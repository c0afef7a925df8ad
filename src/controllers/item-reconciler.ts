import { fieldManager, freezingTag, legacyFinalizer } from '../api/names.ts';
import type { OnePasswordItemStatus } from '../api/onepassword-item.ts';
import { Failure, isConnectReason } from '../api/reasons.ts';
import { type Readiness, readyCondition } from '../domain/conditions.ts';
import { keyList } from '../domain/key-list.ts';
import { copiedMetadata } from '../domain/copied-metadata.ts';
import type { SecretClaim } from '../domain/secret-plan.ts';
import type { KubeClient } from '../kube/client.ts';
import { type OnePasswordItem, onePasswordItems, ownerReference } from '../kube/objects.ts';
import { objectPath } from '../kube/resource.ts';
import type { Store } from '../kube/store.ts';
import type { Clock } from '../runtime/clock.ts';
import { done, type Outcome, requeue, retry } from '../runtime/controller.ts';
import type { Pace } from '../runtime/pace.ts';
import { type Contention, contendedPause } from './contention.ts';
import type { ItemSource } from './item-source.ts';
import type { ItemStatuses } from './item-status.ts';
import type { SecretSync, SyncResult } from './secret-sync.ts';

export interface ItemReconcilerOptions {
  readonly items: Store<OnePasswordItem>;
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly source: Pick<ItemSource, 'outage' | 'listed'>;
  readonly sync: SecretSync;
  readonly statuses: ItemStatuses;
  readonly contention: Contention;
  readonly enableAnnotations: boolean;
  /** A resource in sync says nothing of an outage that is younger than this, in milliseconds. */
  readonly outageGrace: number;
  /** Of what resources in sync say of an outage, and take back. */
  readonly outagePace: Pace;
  readonly onSynced: (resource: OnePasswordItem, result: Synced) => void;
}

export type Synced = Extract<SyncResult, { state: 'synced' }>;

/** Keeps the Secret of a `OnePasswordItem` equal to its item: observe, plan, act, report. */
export function createItemReconciler(options: ItemReconcilerOptions): (key: string, signal: AbortSignal) => Promise<Outcome> {
  const { items, kube, clock, source, sync, statuses, contention, enableAnnotations, outageGrace, outagePace, onSynced } = options;

  return async (key, signal) => {
    const resource = items.get(key);
    if (resource === undefined) return done;
    const pause = contention.pauseBeforeAttempt(key);
    if (pause > 0) {
      if (contention.isNews(key)) await statuses.report(resource, anotherOperator, undefined, signal);
      return requeue(pause);
    }
    if (resource.legacyFinalizers !== undefined) await removeLegacyFinalizer(resource, signal);
    return resource.deleting ? done : await synchronise(key, resource, signal);
  };

  async function synchronise(key: string, resource: OnePasswordItem, signal: AbortSignal): Promise<Outcome> {
    const claim = claimOf(resource, statuses.of(resource), enableAnnotations);
    const trusted = isTrusted(resource);
    if (trusted && source.outage(claim) !== undefined && sync.isUnchanged(claim)) return await tellOutage(key, resource, claim, signal);
    try {
      const result = await sync.run(claim, trusted, signal);
      return result.state === 'synced'
        ? await tellSynced(key, resource, result, signal)
        : await takeBack(key, resource, claim, result.next, signal);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      // While Connect cannot be asked, what was in sync is taken to be so still.
      const doubted = trusted && isConnectReason(error.reason) && sync.isUnchanged(claim);
      if (!doubted && !saysSo(resource, error)) {
        await statuses.report(resource, { ready: false, reason: error.reason, message: error.message }, undefined, signal);
      }
      return nextAttempt(error, source.outage(claim) !== undefined);
    }
  }

  /** True when the status speaks of the resource as it is now, and says that the Secret was equal to the item, if before an outage. */
  function isTrusted(resource: OnePasswordItem): boolean {
    const { conditions, observedGeneration } = statuses.of(resource);
    const ready = readyCondition(conditions);
    return observedGeneration === resource.generation && (ready?.status === 'True' || saidBefore(ready?.message) !== undefined);
  }

  /** True when the status gives the same reason for the resource as it is now, if in other words: it is not written for those. */
  function saysSo(resource: OnePasswordItem, { reason }: Failure): boolean {
    const said = readyCondition(statuses.of(resource).conditions);
    return isConnectReason(reason) && said?.status === 'False' && said.reason === reason && said.observedGeneration === resource.generation;
  }

  async function tellOutage(key: string, resource: OnePasswordItem, claim: SecretClaim, signal: AbortSignal): Promise<Outcome> {
    const outage = source.outage(claim);
    // Whoever shut the gate comes back to this when the time is up, and when it is over.
    if (outage === undefined || clock.monotonic() - outage.since < outageGrace || saysSo(resource, outage.failure)) return done;
    const wait = outagePace.waitFor(key);
    if (wait > 0) return requeue(wait);
    const { reason, message } = outage.failure;
    const said = readyCondition(statuses.of(resource).conditions)?.message ?? '';
    const before = saidBefore(said) ?? said;
    await statuses.report(resource, { ready: false, reason, message: message + stays + before }, undefined, signal);
    return done;
  }

  /** What was said of an outage is no longer so. */
  async function takeBack(
    key: string,
    resource: OnePasswordItem,
    claim: SecretClaim,
    next: Outcome,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const ready = readyCondition(statuses.of(resource).conditions);
    const message = saidBefore(ready?.message);
    if (ready?.status !== 'False' || message === undefined) return next;
    const wait = outagePace.waitFor(key);
    if (wait > 0) return requeue(wait);
    const reason = source.listed(claim)?.frozen ? 'ItemFrozen' : 'Synced';
    await statuses.report(resource, { ready: true, reason, message }, undefined, signal);
    return next;
  }

  async function tellSynced(key: string, resource: OnePasswordItem, result: Synced, signal: AbortSignal): Promise<Outcome> {
    if (result.undone) contention.undone(key);
    const contended = contention.isContended(key);
    await statuses.report(resource, contended ? anotherOperator : readinessOf(result), result.record, signal);
    onSynced(resource, result);
    return contended ? requeue(contendedPause) : result.next;
  }

  async function removeLegacyFinalizer(resource: OnePasswordItem, signal: AbortSignal): Promise<void> {
    const finalizers = (resource.legacyFinalizers ?? []).filter((name) => name !== legacyFinalizer);
    await kube.request({
      method: 'PATCH',
      path: objectPath(onePasswordItems, resource),
      query: { fieldManager },
      body: { metadata: { resourceVersion: resource.resourceVersion, finalizers } },
      signal,
    });
  }
}

/**
 * Between what is said of an outage and what was said of the Secret before. It marks, in the status and so beyond the life of the process, that the
 * Secret was equal to its item.
 */
const stays = '; the Secret stays as it was: ';

function saidBefore(message = ''): string | undefined {
  const at = message.indexOf(stays);
  return at === -1 ? undefined : message.slice(at + stays.length);
}

/** What a resource asks for. */
export function claimOf(resource: OnePasswordItem, { item, secret }: OnePasswordItemStatus, enableAnnotations: boolean): SecretClaim {
  const { namespace, name, generation, type, itemPath, labels, annotations } = resource;
  return {
    namespace,
    name,
    owner: ownerReference(resource),
    generation,
    type,
    itemPath,
    copied: copiedMetadata(labels, annotations, enableAnnotations),
    record: { ...(item && { item }), ...(secret && { secret }) },
  };
}

/** What is said of a Secret that somebody else writes too. */
export const anotherOperator: Readiness = {
  ready: false,
  reason: 'AnotherOperatorActive',
  message:
    'something keeps undoing what Keyturn writes here, most likely another operator for these resources: scale it to zero. Until then there is one attempt a minute',
};

/** When a failure is worth another attempt: what waits for a change that we see is taken up by that change. */
export function nextAttempt({ reason, retryAfter }: Failure, outage: boolean): Outcome {
  if (isConnectReason(reason)) return outage ? done : retry(retryAfter);
  return retryAfter === undefined ? done : requeue(retryAfter);
}

function readinessOf({ record, keys, collisions, frozenAt }: Synced): Readiness {
  const { version } = record.item;
  if (frozenAt !== undefined) {
    const message = `the tag ${freezingTag} keeps the Secret as it is: it has the values of version ${version}, the item is at version ${frozenAt}`;
    return { ready: true, reason: 'ItemFrozen', message };
  }
  const note = collisions.length === 0 ? '' : `; several fields want the same key, the last has it: ${keyList(collisions)}`;
  return { ready: true, reason: 'Synced', message: `version ${version}, ${keys} ${keys === 1 ? 'key' : 'keys'}${note}` };
}
