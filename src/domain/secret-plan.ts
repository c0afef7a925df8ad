import { annotations, managedLabel } from '../api/names.ts';
import type { SecretRecord } from '../api/onepassword-item.ts';
import { Failure } from '../api/reasons.ts';
import { type Copied, desiredMetadata, sameMetadata } from './copied-metadata.ts';
import type { OwnerReference } from './object.ts';
import { sameName, secretOwnership } from './ownership.ts';
import {
  changedKeys,
  latestOf,
  latestRevision,
  notedTimes,
  readRevisions,
  recordedRevisions,
  revise,
  type RevisedSecret,
  type Revisions,
  wholeSecret,
} from './revisions.ts';
import type { SecretData } from './secret-value.ts';

/** A Secret that somebody wants: a resource, or an annotated Deployment. */
export interface SecretClaim {
  readonly namespace: string;
  /** The name of the Secret. */
  readonly name: string;
  readonly owner: OwnerReference;
  /** Of the owner, as it was when it asked. */
  readonly generation: number;
  /** Opaque when absent. */
  readonly type: string | undefined;
  readonly itemPath: string | undefined;
  /** What of the owner's metadata goes onto the Secret. */
  readonly copied: Copied;
  /** What the Secret held after our last write, as far as that was written down. */
  readonly record: Partial<SecretRecord>;
}

/** Which item, in which version. */
export interface ItemVersion {
  readonly vaultId: string;
  readonly id: string;
  readonly version: number;
}

/** What an item yields. */
export interface ItemContent extends ItemVersion {
  readonly data: SecretData;
  /** A Secret that exists keeps its values. */
  readonly frozen: boolean;
}

/** Metadata of a Secret, as far as we write them. */
export interface SecretMetadata extends Copied {
  readonly ownerReferences: readonly OwnerReference[];
}

/** What a write leaves in a Secret. */
export interface SecretContent extends SecretMetadata {
  readonly type: string;
  readonly data: SecretData;
}

/** A Secret as its metadata show it. */
export interface ObservedSecret extends SecretMetadata {
  readonly resourceVersion: string;
  /** Who wrote the values, if that is known surely. */
  readonly dataWriters: string | undefined;
  /** Nobody but us has written a value. */
  readonly writtenByUs: boolean;
  /** When we last wrote anything into it, in milliseconds (whole seconds); undefined when that is not known. */
  readonly writtenAt: number | undefined;
}

/** A Secret as it is now. */
export interface SecretState extends ObservedSecret, SecretContent {
  readonly immutable: boolean;
}

export type SecretPlan =
  | { readonly action: 'none' }
  | {
      readonly action: 'write';
      readonly content: SecretContent;
      /** Keys whose value changes; of a Secret that is created, none. */
      readonly changed: readonly string[];
      /** A revision moves: consumers will roll. */
      readonly rotates: boolean;
    };

/** Types on which Kubernetes itself acts: a value could become a credential of the cluster. */
const refusedTypes = new Set(['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']);

/** Bytes of values that a Secret can hold: its keys are not counted, but all of an object has to fit into one of etcd. */
export const maxSecretSize = 1024 * 1024;
const maxObjectSize = 1.25 * maxSecretSize;

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
 * @param now the API server's time in milliseconds
 * @throws Failure when that Secret must not, or cannot, be written; it then stays as it is
 */
export function planSecret(claim: SecretClaim, item: ItemContent, existing: SecretState | undefined, now: number): SecretPlan {
  checkType(claim);
  if (existing === undefined) {
    checkContent(item);
    const revisions = restoredRevisions(claim, item, now);
    const rotates = latestRevision(revisions) > latestRevision(recordOf(claim));
    const metadata = withTimes(desiredSecretMetadata(claim, item, undefined, revisions), { annotations: {} }, revisions, rotates);
    return { action: 'write', content: { ...metadata, type: wantedType(claim), data: item.data }, changed: [], rotates };
  }
  checkOwnership(claim, item, existing);
  checkKept(claim, existing);
  if (!item.frozen) checkContent(item);
  const { data } = item.frozen ? existing : item;
  const changed = changedKeys(existing.data, data);
  if (existing.immutable && changed.length > 0) {
    throw new Failure('SecretImmutable', `Secret "${claim.name}" is immutable; delete it and it comes back with the new values`);
  }
  const recorded = latestOf(recordedRevisions(existing), recordOf(claim));
  const revisions = item.frozen ? recorded : revisionsAfter(claim, item, existing, changed, recorded, now);
  const metadata = desiredSecretMetadata(claim, item, existing, revisions);
  if (changed.length === 0 && sameSecretMetadata(existing, metadata)) return { action: 'none' };
  const moved = latestRevision(revisions) > latestRevision(recorded);
  const content = { ...withTimes(metadata, existing, revisions, moved), type: existing.type, data };
  return { action: 'write', content, changed, rotates: latestRevision(revisions) > latestRevision(recordedRevisions(existing)) };
}

/** Metadata that note when the revisions were written that stood there before: this write moves our own time in the field managers. */
function withTimes(metadata: SecretMetadata, before: RevisedSecret, revisions: Revisions, moved: boolean): SecretMetadata {
  const { [annotations.revisedAt]: _, ...others } = metadata.annotations;
  const noted = notedTimes(before, revisions, moved);
  return { ...metadata, annotations: { ...others, ...(noted !== undefined && { [annotations.revisedAt]: noted }) } };
}

/**
 * True when a Secret is known to be as our last write left it, by its metadata alone: nobody has written a value since, and what we write into
 * the metadata stands there. What others write there beside it does not count.
 * @param noted the version that its annotation has to name
 * @param frozen values that others wrote do not count either
 */
export function isAsRecorded(claim: SecretClaim, secret: ObservedSecret, noted: ItemVersion, frozen: boolean): boolean {
  const record = secretRecord(claim);
  if (record === undefined) return false;
  const sameWriters = secret.dataWriters !== undefined && secret.dataWriters === record.dataWriters;
  if (!frozen && !sameWriters && secret.resourceVersion !== record.resourceVersion) return false;
  const revisions = latestOf(recordedRevisions(secret), recordOf(claim));
  return sameSecretMetadata(secret, desiredSecretMetadata(claim, noted, secret, revisions));
}

function checkContent({ data }: ItemContent): void {
  if (data.size === 0) throw new Failure('ItemEmpty', 'the item has no field with a label and a value; the Secret stays as it was');
  const values = data.values().reduce((sum, { byteLength }) => sum + byteLength, 0);
  const keys = data.keys().reduce((sum, { length }) => sum + length, 0);
  if (values > maxSecretSize || keys + values > maxObjectSize) throw tooLarge();
}

/** The failure of an item that no Secret can hold. */
export function tooLarge(): Failure {
  return new Failure('SecretTooLarge', 'the item is larger than the 1 MiB a Secret can hold; remove files or fields from it');
}

/** Only what is ours is written. @throws Failure `SecretNotOwned` */
export function checkOwnership({ name, owner }: SecretClaim, item: Omit<ItemVersion, 'version'>, existing: SecretMetadata): void {
  const ownership = secretOwnership(existing, owner, pathOf(item));
  if (ownership.ours) return;
  throw new Failure(
    'SecretNotOwned',
    ownership.holder === undefined
      ? `Secret "${name}" exists and was not made by Keyturn; it is left alone. Delete it, or annotate it ${annotations.adopt}: "true"`
      : `Secret "${name}" belongs to ${ownership.holder} and is left alone; delete it, or choose another name`,
  );
}

function checkKept(claim: SecretClaim, existing: SecretState): void {
  const type = wantedType(claim);
  if (existing.type === type) return;
  throw new Failure(
    'SecretTypeImmutable',
    `Secret "${claim.name}" has type ${existing.type}, which cannot be changed to ${type}; delete the Secret and it comes back with the new type`,
  );
}

/** What the record says of the Secret of the claim's name: it may speak of another one, that the claim wanted before. */
function secretRecord({ record: { secret }, name }: SecretClaim): SecretRecord['secret'] | undefined {
  return secret?.name === name ? secret : undefined;
}

/** The revisions of the claim's Secret, as they were recorded beside it, where anybody may have written anything. */
export function recordOf(claim: SecretClaim): Revisions {
  return readRevisions(secretRecord(claim)?.revisions);
}

/** What the record says of an item, if it speaks of the claim's Secret and path. */
export function recordedItem({ record, itemPath, name }: SecretClaim, id: string): SecretRecord['item'] | undefined {
  const speaks = record.item?.path === itemPath && record.item?.id === id && record.secret?.name === name;
  return speaks ? record.item : undefined;
}

/** Revisions of a Secret that is made anew: what the record remembers, while the values are the same. */
function restoredRevisions(claim: SecretClaim, item: ItemContent, now: number): Revisions {
  const record = secretRecord(claim);
  // Another name is another Secret: nobody has its values yet.
  if (record === undefined || claim.record.item === undefined) return {};
  const recorded = recordOf(claim);
  return recordedItem(claim, item.id)?.version === item.version ? recorded : revise(recorded, 'all', now, goneKeys(recorded, [], item));
}

/**
 * Revisions after a change of `changed`. While the item's version is the one that was applied, whatever differs is repaired, and no
 * revision moves. When the version moved and somebody else wrote values too, what the pods have is unknown, and all do.
 */
function revisionsAfter(
  claim: SecretClaim,
  item: ItemContent,
  existing: SecretState,
  changed: readonly string[],
  recorded: Revisions,
  now: number,
): Revisions {
  const held = existing.annotations;
  if (held[annotations.itemPath] === pathOf(item) && held[annotations.itemVersion] === String(item.version)) return recorded;
  if (recordedItem(claim, item.id)?.version === item.version) return recorded;
  return revise(recorded, isTouched(claim, existing) ? 'all' : changed, now, goneKeys(recorded, changed, item));
}

/** Keys that were known, or have changed, and that the item does not have. */
function goneKeys(recorded: Revisions, changed: readonly string[], { data }: ItemContent): readonly string[] {
  return [...new Set([...Object.keys(recorded), ...changed])].filter((key) => key !== wholeSecret && !data.has(key));
}

/** True when somebody else may have written values since our last write. */
function isTouched(claim: SecretClaim, { resourceVersion, dataWriters, writtenByUs }: SecretState): boolean {
  const secret = secretRecord(claim);
  if (secret === undefined || secret.resourceVersion === resourceVersion || writtenByUs) return false;
  return dataWriters === undefined || dataWriters !== secret.dataWriters;
}

/** The metadata that a Secret has to carry: ours and what is copied, on top of what others wrote there. */
function desiredSecretMetadata(
  { owner, copied }: SecretClaim,
  item: ItemVersion,
  existing: SecretMetadata | undefined,
  revisions: Revisions,
): SecretMetadata {
  const others = (existing?.ownerReferences ?? []).filter((reference) => reference.uid !== owner.uid && !sameName(reference, owner));
  const ours = {
    labels: { [managedLabel]: 'true' },
    annotations: {
      [annotations.itemPath]: pathOf(item),
      [annotations.itemVersion]: String(item.version),
      ...(Object.keys(revisions).length > 0 && { [annotations.revisions]: JSON.stringify(revisions) }),
    },
  };
  // A record that cannot be read goes, whether there is one to take its place or not.
  const { [annotations.revisions]: _, ...notes } = existing?.annotations ?? {};
  return { ...desiredMetadata({ labels: existing?.labels ?? {}, annotations: notes }, copied, ours), ownerReferences: [...others, owner] };
}

/** Where an item is, by ids: what `item-path` on a Secret says. */
function pathOf({ vaultId, id }: Omit<ItemVersion, 'version'>): string {
  return `vaults/${vaultId}/items/${id}`;
}

function sameSecretMetadata(a: SecretMetadata, b: SecretMetadata): boolean {
  return (
    sameMetadata(a.labels, b.labels) &&
    sameMetadata(a.annotations, b.annotations) &&
    a.ownerReferences.length === b.ownerReferences.length &&
    b.ownerReferences.every(({ uid }) => a.ownerReferences.some((reference) => reference.uid === uid))
  );
}
