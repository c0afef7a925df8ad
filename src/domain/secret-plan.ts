import { annotations, managedLabel } from '../api/names.ts';
import type { OnePasswordItemStatus } from '../api/onepassword-item.ts';
import { Failure } from '../api/reasons.ts';
import { copiedMetadata, desiredMetadata, sameMetadata } from './copied-metadata.ts';
import type { OwnerReference } from './object.ts';
import { sameName, secretOwnership } from './ownership.ts';
import { changedKeys, latestOf, latestRevision, recordedRevisions, type Revisions, revise } from './revisions.ts';
import type { SecretData } from './secret-value.ts';

/** What a resource says of the Secret it wants. */
export interface SecretClaim {
  readonly name: string;
  readonly type: string | undefined;
  readonly itemPath: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: OnePasswordItemStatus;
}

/** What an item yields. */
export interface ItemContent {
  readonly vaultId: string;
  readonly id: string;
  readonly version: number;
  readonly data: SecretData;
}

/** What a write leaves in a Secret. */
export interface SecretContent {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
  readonly type: string;
  readonly data: SecretData;
}

/** A Secret as it is now. */
export interface SecretState extends SecretContent {
  readonly resourceVersion: string;
  readonly immutable: boolean;
  /** False when its field managers show that nobody but us has written its data. */
  readonly dataTouched: boolean;
}

export type SecretPlan =
  | { readonly action: 'none' }
  | { readonly action: 'write'; readonly content: SecretContent; /** Values changed: consumers will roll. */ readonly rotates: boolean };

export interface SecretPlanOptions {
  readonly owner: OwnerReference;
  /** Copy the annotations of the resource too. */
  readonly enableAnnotations: boolean;
  /** The API server's time in milliseconds. */
  readonly now: number;
}

/** Types on which Kubernetes itself acts: a value could become a credential of the cluster. */
const refusedTypes = new Set(['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']);

/** Bytes of keys and values that a Secret can hold. */
const maxSecretSize = 1024 * 1024;

const wantedType = ({ type }: SecretClaim): string => type || 'Opaque';

/** A type that is never written, whatever the item holds. @throws Failure `SecretTypeNotAllowed` */
export function checkType({ type = '' }: Pick<SecretClaim, 'type'>): void {
  if (refusedTypes.has(type)) {
    throw new Failure(
      'SecretTypeNotAllowed',
      `Secrets of type ${type} act on the cluster itself and are never written from an item; choose another type`,
    );
  }
}

/**
 * What has to be written so that a Secret is equal to its item; `existing` is undefined when there is none.
 * @throws Failure when that Secret must not, or cannot, be written; it then stays as it is
 */
export function planSecret(
  claim: SecretClaim,
  item: ItemContent,
  existing: SecretState | undefined,
  options: SecretPlanOptions,
): SecretPlan {
  checkType(claim);
  checkContent(item);
  if (existing === undefined) {
    return {
      action: 'write',
      content: contentOf(claim, item, undefined, restoredRevisions(claim, item, options.now), options),
      rotates: false,
    };
  }
  const changed = changedKeys(existing.data, item.data);
  checkWritable(claim, item, existing, changed, options.owner);
  const revisions = revisionsAfter(claim, item, existing, changed, options.now);
  const content = contentOf(claim, item, existing, revisions, options);
  if (changed.length === 0 && isUnchanged(existing, content)) return { action: 'none' };
  return { action: 'write', content, rotates: latestRevision(revisions) > latestRevision(recordedRevisions(existing)) };
}

/** True when a Secret carries the metadata that are copied from its resource, and none that no longer are. */
export function hasCopiedMetadata(
  claim: SecretClaim,
  secret: Pick<SecretContent, 'labels' | 'annotations'>,
  enableAnnotations: boolean,
): boolean {
  const copied = copiedMetadata(claim.labels, claim.annotations, enableAnnotations);
  const desired = desiredMetadata(secret, copied, { labels: {}, annotations: {} });
  return sameMetadata(secret.labels, desired.labels) && sameMetadata(secret.annotations, desired.annotations);
}

function checkContent({ data }: ItemContent): void {
  if (data.size === 0) throw new Failure('ItemEmpty', 'the item has no field with a label and a value; the Secret stays as it was');
  const size = data.entries().reduce((sum, [key, value]) => sum + key.length + value.byteLength, 0);
  if (size > maxSecretSize) {
    throw new Failure('SecretTooLarge', 'the item is larger than the 1 MiB a Secret can hold; remove files or fields from it');
  }
}

function checkWritable(
  claim: SecretClaim,
  item: ItemContent,
  existing: SecretState,
  changed: readonly string[],
  owner: OwnerReference,
): void {
  const { name } = claim;
  const ownership = secretOwnership(existing, owner, pathOf(item));
  if (!ownership.ours) {
    throw new Failure(
      'SecretNotOwned',
      `Secret "${name}" belongs to ${ownership.holder} and is left alone; delete it, or annotate it ${annotations.adopt}: "true"`,
    );
  }
  const type = wantedType(claim);
  if (existing.type !== type) {
    throw new Failure(
      'SecretTypeImmutable',
      `Secret "${name}" has type ${existing.type}, which cannot be changed to ${type}; delete the Secret and it comes back with the new type`,
    );
  }
  if (existing.immutable && changed.length > 0) {
    throw new Failure('SecretImmutable', `Secret "${name}" is immutable; delete it and it comes back with the new values`);
  }
}

/** Revisions of a Secret that is made anew: what the status remembers, while the values are the same. */
function restoredRevisions({ status, itemPath }: SecretClaim, { id, version }: ItemContent, now: number): Revisions {
  if (status.item === undefined) return {};
  const recorded = status.secret?.revisions ?? {};
  const sameValues = status.item.path === itemPath && status.item.id === id && status.item.version === version;
  return sameValues ? recorded : revise(recorded, 'all', now);
}

/**
 * Revisions after a change of `changed`. While the item's version is the one that was applied, whatever differs is repaired, and no
 * revision moves. When the version moved and somebody else wrote values too, what the pods have is unknown, and all do.
 */
function revisionsAfter(
  { status, itemPath }: SecretClaim,
  item: ItemContent,
  existing: SecretState,
  changed: readonly string[],
  now: number,
): Revisions {
  const recorded = latestOf(recordedRevisions(existing), status.secret?.revisions ?? {});
  const held = existing.annotations;
  if (held[annotations.itemPath] === pathOf(item) && held[annotations.itemVersion] === String(item.version)) return recorded;
  if (status.item?.path === itemPath && status.item?.id === item.id && status.item.version === item.version) return recorded;
  const touched = existing.dataTouched && status.secret !== undefined && status.secret.resourceVersion !== existing.resourceVersion;
  return revise(recorded, touched ? 'all' : changed, now);
}

function contentOf(
  claim: SecretClaim,
  item: ItemContent,
  existing: SecretState | undefined,
  revisions: Revisions,
  { owner, enableAnnotations }: SecretPlanOptions,
): SecretContent {
  const others = (existing?.ownerReferences ?? []).filter((reference) => !sameName(reference, owner));
  const ours = {
    labels: { [managedLabel]: 'true' },
    annotations: {
      [annotations.itemPath]: pathOf(item),
      [annotations.itemVersion]: String(item.version),
      ...(Object.keys(revisions).length > 0 && { [annotations.revisions]: JSON.stringify(revisions) }),
    },
  };
  const copied = copiedMetadata(claim.labels, claim.annotations, enableAnnotations);
  return {
    ...desiredMetadata(existing ?? { labels: {}, annotations: {} }, copied, ours),
    ownerReferences: [...others, owner],
    type: wantedType(claim),
    data: item.data,
  };
}

/** Where an item is, by ids: what `item-path` on a Secret says. */
function pathOf({ vaultId, id }: ItemContent): string {
  return `vaults/${vaultId}/items/${id}`;
}

/** True when a Secret carries this metadata already. */
function isUnchanged(secret: SecretState, content: SecretContent): boolean {
  return (
    sameMetadata(secret.labels, content.labels) &&
    sameMetadata(secret.annotations, content.annotations) &&
    content.ownerReferences.length === secret.ownerReferences.length &&
    content.ownerReferences.every(({ uid }) => secret.ownerReferences.some((reference) => reference.uid === uid))
  );
}
