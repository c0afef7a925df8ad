import { fieldManager, legacyFinalizer, managedLabel } from '../api/names.ts';
import { Failure } from '../api/reasons.ts';
import type { ItemLocation } from '../connect/vault-index.ts';
import type { Readiness } from '../domain/conditions.ts';
import { objectKey } from '../domain/object.ts';
import { recordedRevisions } from '../domain/revisions.ts';
import { checkType, hasCopiedMetadata, planSecret } from '../domain/secret-plan.ts';
import type { KubeClient } from '../kube/client.ts';
import { type ManagedSecret, type OnePasswordItem, onePasswordItems, ownerReference } from '../kube/objects.ts';
import { objectPath } from '../kube/resource.ts';
import { createSecret, readSecret, replaceSecret } from '../kube/secret-api.ts';
import type { Store } from '../kube/store.ts';
import { done, type Outcome, retry } from '../runtime/controller.ts';
import type { FetchedItem, ItemSource } from './item-source.ts';
import { type Applied, writeStatus } from './item-status.ts';

export interface ItemReconcilerOptions {
  readonly items: Store<OnePasswordItem>;
  readonly secrets: Store<ManagedSecret>;
  readonly kube: KubeClient;
  readonly source: ItemSource;
  /** Makes every consumer of a Secret say what its pods know, before the data change. */
  readonly adoptConsumers: (before: ManagedSecret, signal: AbortSignal) => Promise<void>;
  readonly enableAnnotations: boolean;
  /** A Secret was written for a resource, with the values of a version of its item. */
  readonly onWrite?: (resource: OnePasswordItem, write: 'created' | 'updated', version: number) => void;
}

/** Keeps the Secret of a `OnePasswordItem` equal to its item: observe, plan, act, report. */
export function createItemReconciler(options: ItemReconcilerOptions): (key: string, signal: AbortSignal) => Promise<Outcome> {
  const { items, secrets, kube, source, adoptConsumers, enableAnnotations, onWrite } = options;

  return async (key, signal) => {
    const resource = items.get(key);
    if (resource === undefined) return done;
    if (resource.legacyFinalizers !== undefined) await removeLegacyFinalizer(resource, signal);
    if (resource.deleting) return done;
    try {
      return await synchronise(resource, signal);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      await report(resource, { ready: false, reason: error.reason, message: error.message }, signal);
      return retry(error.retryAfter);
    }
  };

  async function synchronise(resource: OnePasswordItem, signal: AbortSignal): Promise<Outcome> {
    checkType(resource);
    const settled = isSettled(resource);
    const location = await source.locate(resource, signal).catch((error: unknown) => {
      if (settled && isOutage(error)) return undefined;
      throw error;
    });
    // While Connect cannot be asked, what was in sync is taken to be so still.
    if (location === undefined) return retry();
    if (settled && isListed(resource, location)) return done;
    const item = await source.fetch(resource, location, signal);
    const behind = isBehind(resource, location, item);
    // An old value is no news for a Secret, but better than none.
    if (behind && secrets.get(objectKey(resource)) !== undefined) return retry();

    const secret = (await create(resource, item, signal)) ?? (await update(resource, item, signal));
    // Deleted between the two: the next attempt creates it.
    if (secret === undefined) return retry();
    await report(resource, { ready: true, reason: 'Synced', message: describe(item) }, signal, {
      item: { path: resource.itemPath ?? '', vaultId: item.vaultId, id: item.id, version: item.version },
      secret: { name: secret.name, resourceVersion: secret.resourceVersion, revisions: recordedRevisions(secret) },
    });
    return behind ? retry() : done;
  }

  /** True when the status says that the Secret is equal to the item, and nobody has touched resource or Secret since. */
  function isSettled(resource: OnePasswordItem): boolean {
    const { conditions = [], item, secret: written, observedGeneration } = resource.status;
    const secret = secrets.get(objectKey(resource));
    return (
      item?.path === resource.itemPath &&
      observedGeneration === resource.generation &&
      conditions.some(({ type, status }) => type === 'Ready' && status === 'True') &&
      secret !== undefined &&
      secret.resourceVersion === written?.resourceVersion &&
      hasCopiedMetadata(resource, secret, enableAnnotations)
    );
  }

  /** Undefined when there is a Secret of that name already, ours or not. */
  async function create(resource: OnePasswordItem, item: FetchedItem, signal: AbortSignal): Promise<ManagedSecret | undefined> {
    if (secrets.get(objectKey(resource)) !== undefined) return undefined;
    const plan = planSecret(resource, item, undefined, planOptions(resource));
    if (plan.action === 'none') return undefined;
    const created = await createSecret(kube, resource, plan.content, signal);
    if (created !== undefined) onWrite?.(resource, 'created', item.version);
    return stored(created);
  }

  /** Undefined when there is no Secret. */
  async function update(resource: OnePasswordItem, item: FetchedItem, signal: AbortSignal): Promise<ManagedSecret | undefined> {
    const existing = await readSecret(kube, resource, signal);
    if (existing === undefined) return undefined;
    const plan = planSecret(resource, item, existing, planOptions(resource));
    if (plan.action === 'none') return stored(existing);
    // Only before a rotation: adopted at another time, a consumer that is about to roll for the last one would not.
    if (plan.rotates) await adoptConsumers(existing, signal);
    const updated = await replaceSecret(kube, existing, plan.content, signal);
    onWrite?.(resource, 'updated', item.version);
    return stored(updated);
  }

  function planOptions(resource: OnePasswordItem): Parameters<typeof planSecret>[3] {
    return { owner: ownerReference(resource), enableAnnotations, now: kube.serverTime() };
  }

  /** Puts what was read or written into the store, without the values, so that a lagging watch cannot make us act twice. */
  function stored(secret: ManagedSecret | undefined): ManagedSecret | undefined {
    if (secret?.labels[managedLabel] === undefined) return secret;
    const { namespace, name, uid, resourceVersion, labels, annotations, ownerReferences } = secret;
    const managed = { namespace, name, uid, resourceVersion, labels, annotations, ownerReferences };
    secrets.put(managed);
    return managed;
  }

  async function report(resource: OnePasswordItem, readiness: Readiness, signal: AbortSignal, applied?: Applied): Promise<void> {
    const updated = await writeStatus(kube, resource, readiness, applied, signal);
    if (updated !== undefined) items.put(updated);
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

/** True when the status names the listed item, in its listed version. */
function isListed({ status: { item } }: OnePasswordItem, { vaultId, itemId, version }: ItemLocation): boolean {
  return item !== undefined && version !== undefined && item.id === itemId && item.vaultId === vaultId && item.version >= version;
}

/** True for a failure that concerns Connect as a whole: it says nothing about the item. */
function isOutage(error: unknown): boolean {
  return error instanceof Failure && ['ConnectUnauthorized', 'ConnectUnavailable', 'ConnectProtocolError'].includes(error.reason);
}

/** Replicas of Connect differ for a while: a version older than the listed or the applied one is no news. */
function isBehind(resource: OnePasswordItem, { version }: ItemLocation, item: FetchedItem): boolean {
  const applied = resource.status.item;
  const sameItem = applied?.id === item.id && applied.path === resource.itemPath;
  return item.version < (version ?? 0) || (sameItem && item.version < applied.version);
}

function describe({ version, data, collisions }: FetchedItem): string {
  const note = collisions.length === 0 ? '' : `; several fields want the same key, the last has it: ${collisions.join(', ')}`;
  return `version ${version}, ${data.size} ${data.size === 1 ? 'key' : 'keys'}${note}`;
}
