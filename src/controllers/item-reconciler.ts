import { annotations, fieldManager, legacyFinalizer, managedLabel } from '../api/names.ts';
import { Failure } from '../api/reasons.ts';
import type { ConnectClient } from '../connect/client.ts';
import type { ItemLocation, VaultIndex } from '../connect/vault-index.ts';
import type { Readiness } from '../domain/conditions.ts';
import { copiedMetadata, desiredMetadata, sameMetadata } from '../domain/copied-metadata.ts';
import { itemData, type ItemDataOptions, wantedFiles } from '../domain/item-data.ts';
import { parseItemPath } from '../domain/item-path.ts';
import type { Item } from '../domain/item.ts';
import { objectKey } from '../domain/object.ts';
import { secretOwnership } from '../domain/ownership.ts';
import { changedKeys, latestRevision, parseRevisions, type Revisions, revise } from '../domain/revisions.ts';
import type { SecretData } from '../domain/secret-value.ts';
import type { KubeClient } from '../kube/client.ts';
import { type ManagedSecret, type OnePasswordItem, onePasswordItems, ownerReference } from '../kube/objects.ts';
import { objectPath } from '../kube/resource.ts';
import { createSecret, type FullSecret, readSecret, replaceSecret, type SecretContent } from '../kube/secret-api.ts';
import type { Store } from '../kube/store.ts';
import { done, type Outcome, requeue, retry } from '../runtime/controller.ts';
import { createSingleFlight } from '../runtime/single-flight.ts';
import { secretRevision } from './consumers.ts';
import { type Applied, writeStatus } from './item-status.ts';

export interface ItemReconcilerOptions {
  readonly items: Store<OnePasswordItem>;
  readonly secrets: Store<ManagedSecret>;
  readonly kube: KubeClient;
  readonly connect: ConnectClient;
  readonly index: VaultIndex;
  /** Makes every consumer of a Secret say what its pods know, before the data change. */
  readonly adoptConsumers: (before: ManagedSecret, signal: AbortSignal) => Promise<void>;
  readonly settings: ItemDataOptions & { readonly enableAnnotations: boolean };
}

/** What is fetched from Connect for one resource. */
interface Fetched {
  readonly location: ItemLocation;
  readonly item: Item;
  readonly data: SecretData;
  readonly message: string;
}

/** A replica of Connect that is behind is asked again after this long, in milliseconds. */
const staleReplicaDelay = 2_000;
/** Types on which Kubernetes itself acts: a value could become a credential of the cluster. */
const refusedTypes = new Set(['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']);
const maxSecretSize = 1024 * 1024;

/** Keeps the Secret of a `OnePasswordItem` equal to its item: observe, plan, act, report. */
export function createItemReconciler(options: ItemReconcilerOptions): (key: string, signal: AbortSignal) => Promise<Outcome> {
  const { items, secrets, kube, connect, index, adoptConsumers, settings } = options;
  const flights = createSingleFlight<Item>();

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
      return error.retryAfter === undefined ? retry : requeue(error.retryAfter);
    }
  };

  async function synchronise(resource: OnePasswordItem, signal: AbortSignal): Promise<Outcome> {
    const type = secretType(resource);
    const location = await locate(resource, signal);
    if (isInSync(resource, location)) return done;

    const fetched = await fetch(resource, location, signal);
    if (isBehind(resource, location, fetched)) return requeue(staleReplicaDelay);

    const written = await write(resource, type, fetched, signal);
    await report(resource, { ready: true, reason: 'Synced', message: fetched.message }, signal, {
      item: { path: resource.itemPath ?? '', vaultId: fetched.item.vaultId, id: fetched.item.id, version: fetched.item.version },
      secret: {
        name: written.name,
        resourceVersion: written.resourceVersion,
        revisions: parseRevisions(written.annotations[annotations.revisions]),
      },
    });
    return done;
  }

  /** The ids pinned in the status are good while the path is the one they came from and Connect still has the item. */
  async function locate(resource: OnePasswordItem, signal: AbortSignal): Promise<ItemLocation> {
    const path = parseItemPath(resource.itemPath);
    const pin = resource.status.item;
    return pin !== undefined && pin.path === resource.itemPath
      ? index.resolve({ vault: pin.vaultId, item: pin.id }, signal)
      : index.resolve(path, signal);
  }

  /** True when the status says that the Secret holds the listed version, and nobody has touched the Secret since. */
  function isInSync(resource: OnePasswordItem, { vaultId, itemId, version }: ItemLocation): boolean {
    const { conditions = [], item, secret: written, observedGeneration } = resource.status;
    const secret = secrets.get(objectKey(resource));
    return (
      version !== undefined &&
      item !== undefined &&
      item.path === resource.itemPath &&
      item.id === itemId &&
      item.vaultId === vaultId &&
      item.version >= version &&
      observedGeneration === resource.generation &&
      conditions.some(({ type, status }) => type === 'Ready' && status === 'True') &&
      secret !== undefined &&
      secret.resourceVersion === written?.resourceVersion &&
      hasCopiedMetadata(resource, secret)
    );
  }

  function hasCopiedMetadata(resource: OnePasswordItem, secret: ManagedSecret): boolean {
    const copied = copiedMetadata(resource.labels, resource.annotations, settings.enableAnnotations);
    const desired = desiredMetadata(secret, copied, { labels: {}, annotations: {} });
    return sameMetadata(secret.labels, desired.labels) && sameMetadata(secret.annotations, desired.annotations);
  }

  async function fetch(resource: OnePasswordItem, location: ItemLocation, signal: AbortSignal): Promise<Fetched> {
    try {
      return await fetchAt(location, signal);
    } catch (error) {
      // A pinned item that is gone may have been made anew under the same title.
      if (!(error instanceof Failure) || error.reason !== 'ItemNotFound' || resource.status.item === undefined) throw error;
      const found = await index.resolve(parseItemPath(resource.itemPath), signal);
      if (found.itemId === location.itemId) throw error;
      return await fetchAt(found, signal);
    }
  }

  async function fetchAt(location: ItemLocation, signal: AbortSignal): Promise<Fetched> {
    const { vaultId, itemId } = location;
    const item = await flights(`${vaultId}/${itemId}`, () => connect.getItem(vaultId, itemId, signal));
    const files = await Promise.all(
      [...wantedFiles(item, settings)].map(async ([key, file]) => [key, await connect.getFile(vaultId, itemId, file, signal)] as const),
    );
    const { data, collisions } = itemData(item, new Map(files), settings);
    if (data.size === 0) throw new Failure('ItemEmpty', 'the item has no field with a label and a value; the Secret stays as it was');
    const size = data.entries().reduce((sum, [key, value]) => sum + key.length + value.byteLength, 0);
    if (size > maxSecretSize)
      throw new Failure('SecretTooLarge', 'the item is larger than the 1 MiB a Secret can hold; remove files or fields from it');
    const note = collisions.length === 0 ? '' : `; several fields want the same key, the last has it: ${collisions.join(', ')}`;
    return { location, item, data, message: `version ${item.version}, ${data.size} ${data.size === 1 ? 'key' : 'keys'}${note}` };
  }

  async function write(resource: OnePasswordItem, type: string, fetched: Fetched, signal: AbortSignal): Promise<ManagedSecret> {
    const itemPath = `vaults/${fetched.item.vaultId}/items/${fetched.item.id}`;
    if (secrets.get(objectKey(resource)) === undefined) {
      const content = contentFor(resource, type, fetched, itemPath, undefined, restoredRevisions(resource, fetched));
      const created = await createSecret(kube, resource, content, signal);
      if (created !== undefined) return stored(created);
    }
    const existing = await readSecret(kube, resource, signal);
    // Deleted this moment: the next attempt creates it.
    if (existing === undefined) throw new Error('the Secret vanished while it was read');
    return update(resource, type, fetched, itemPath, existing, signal);
  }

  async function update(
    resource: OnePasswordItem,
    type: string,
    fetched: Fetched,
    itemPath: string,
    existing: FullSecret,
    signal: AbortSignal,
  ): Promise<ManagedSecret> {
    const ownership = secretOwnership(existing.meta, ownerReference(resource), itemPath);
    if (!ownership.ours) {
      throw new Failure(
        'SecretNotOwned',
        `Secret "${resource.name}" belongs to ${ownership.holder} and is left alone; delete it, or annotate it ${annotations.adopt}: "true"`,
      );
    }
    if (existing.type !== type) {
      throw new Failure(
        'SecretTypeImmutable',
        `Secret "${resource.name}" has type ${existing.type}, which cannot be changed to ${type}; delete the Secret and it comes back with the new type`,
      );
    }
    const changed = changedKeys(existing.data, fetched.data);
    if (changed.length > 0 && existing.immutable) {
      throw new Failure('SecretImmutable', `Secret "${resource.name}" is immutable; delete it and it comes back with the new values`);
    }
    const revisions = revisionsAfter(resource, existing.meta, itemPath, fetched.item, changed);
    const content = contentFor(resource, type, fetched, itemPath, existing.meta, revisions);
    if (changed.length === 0 && isUnchanged(existing.meta, content)) return stored(existing.meta);
    // Only then: adopted now, a consumer that is about to roll for the last change would not.
    if (latestRevision(revisions) > secretRevision(existing.meta)) await adoptConsumers(existing.meta, signal);
    return stored(await replaceSecret(kube, existing, content, signal));
  }

  /** Revisions of a Secret that is made anew: what the status remembers, while the values are the same. */
  function restoredRevisions({ status, itemPath }: OnePasswordItem, { item }: Fetched): Revisions {
    if (status.item === undefined) return {};
    const recorded = status.secret?.revisions ?? {};
    const sameValues = status.item.path === itemPath && status.item.id === item.id && status.item.version === item.version;
    return sameValues ? recorded : revise(recorded, 'all', kube.serverTime());
  }

  /**
   * Revisions after a change of `changed`. Repairing an edited Secret is no rotation: none moves. When the version moved as well,
   * what the pods have is unknown, and all do.
   */
  function revisionsAfter(
    { status }: OnePasswordItem,
    { annotations: held, resourceVersion }: ManagedSecret,
    itemPath: string,
    item: Item,
    changed: readonly string[],
  ): Revisions {
    const recorded = parseRevisions(held[annotations.revisions]);
    if (held[annotations.itemPath] === itemPath && held[annotations.itemVersion] === String(item.version)) return recorded;
    const touched = status.secret !== undefined && status.secret.resourceVersion !== resourceVersion;
    return revise(recorded, touched ? 'all' : changed, kube.serverTime());
  }

  function contentFor(
    resource: OnePasswordItem,
    type: string,
    { item, data }: Fetched,
    itemPath: string,
    existing: ManagedSecret | undefined,
    revisions: Revisions,
  ): SecretContent {
    const owner = ownerReference(resource);
    const others = (existing?.ownerReferences ?? []).filter(({ kind, name }) => kind !== owner.kind || name !== owner.name);
    const copied = copiedMetadata(resource.labels, resource.annotations, settings.enableAnnotations);
    return {
      ...desiredMetadata(existing ?? { labels: {}, annotations: {} }, copied, {
        labels: { [managedLabel]: 'true' },
        annotations: {
          [annotations.itemPath]: itemPath,
          [annotations.itemVersion]: String(item.version),
          ...(Object.keys(revisions).length > 0 && { [annotations.revisions]: JSON.stringify(revisions) }),
        },
      }),
      ownerReferences: [...others, owner],
      type,
      data,
    };
  }

  function stored(secret: ManagedSecret): ManagedSecret {
    if (secret.labels[managedLabel] !== undefined) secrets.put(secret);
    return secret;
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

/** @throws Failure `SecretTypeNotAllowed` */
function secretType({ type = '' }: OnePasswordItem): string {
  if (refusedTypes.has(type)) {
    throw new Failure(
      'SecretTypeNotAllowed',
      `Secrets of type ${type} act on the cluster itself and are never written from an item; choose another type`,
    );
  }
  return type === '' ? 'Opaque' : type;
}

/** Replicas of Connect differ for a while: a version older than the listed or the applied one is no news. */
function isBehind(resource: OnePasswordItem, { version }: ItemLocation, { item }: Fetched): boolean {
  const applied = resource.status.item;
  const sameItem = applied?.id === item.id && applied.path === resource.itemPath;
  return item.version < (version ?? 0) || (sameItem && item.version < applied.version);
}

/** True when a Secret carries this metadata already. */
function isUnchanged(secret: ManagedSecret, content: SecretContent): boolean {
  return (
    sameMetadata(secret.labels, content.labels) &&
    sameMetadata(secret.annotations, content.annotations) &&
    content.ownerReferences.length === secret.ownerReferences.length &&
    content.ownerReferences.every(({ uid }) => secret.ownerReferences.some((reference) => reference.uid === uid))
  );
}
