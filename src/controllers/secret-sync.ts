import { annotations, kind, managedLabel } from '../api/names.ts';
import type { SecretRecord } from '../api/onepassword-item.ts';
import type { SecretWriteResult } from '../api/outcomes.ts';
import { Failure, type Reason } from '../api/reasons.ts';
import type { ItemLocation, ListedItem } from '../connect/vault-index.ts';
import { objectKey } from '../domain/object.ts';
import { recordedRevisions } from '../domain/revisions.ts';
import {
  checkType,
  isAsRecorded,
  type ItemVersion,
  planSecret,
  recordedItem,
  recordOf,
  type SecretClaim,
  type SecretPlan,
} from '../domain/secret-plan.ts';
import { isConflict, isUncertain, isUnsent, type KubeClient, KubeError } from '../kube/client.ts';
import { managedSecret, type ManagedSecret, onePasswordItems, type SecretBefore } from '../kube/objects.ts';
import { deployments, objectPath, type WireObject } from '../kube/resource.ts';
import { createSecret, type FullSecret, readSecret, readSecretMetadata, replaceSecret } from '../kube/secret-api.ts';
import type { Store } from '../kube/store.ts';
import type { Audit } from '../observability/audit.ts';
import { done, type Outcome, requeue, retry } from '../runtime/controller.ts';
import { type FetchedItem, type ItemSource, requesterOf } from './item-source.ts';

export interface SecretSyncOptions {
  readonly secrets: Store<ManagedSecret>;
  readonly kube: KubeClient;
  readonly source: ItemSource;
  /** Makes every consumer of a Secret say what its pods know, before the data change. */
  readonly adoptConsumers: (before: SecretBefore, signal: AbortSignal) => Promise<void>;
  /** The latest revision that anybody is known to have of a Secret, by its key. */
  readonly latestKnown: (secretKey: string) => number;
  /** Who else has a record of the Secret that a claim wants, when its owner has none. */
  readonly holderOf: (claim: SecretClaim) => string | undefined;
  /** A version lower than the one applied is believed when all listings have given it for so long, in milliseconds. */
  readonly patience: number;
  readonly audit: Pick<Audit, 'record'>;
  /** After each write of a Secret. */
  readonly onWrite?: (namespace: string, result: SecretWriteResult) => void;
}

/** What was done for a claim. */
export type SyncResult =
  /** The Secret is as the record says, and the record is up to date. */
  | { readonly state: 'unchanged'; readonly next: Outcome }
  /** The Secret holds what `record` says. */
  | {
      readonly state: 'synced';
      readonly next: Outcome;
      readonly record: SecretRecord;
      readonly keys: number;
      /** Keys that more than one field wanted. */
      readonly collisions: readonly string[];
      /** The version of the item while the freezing tag keeps its values from the Secret. */
      readonly frozenAt: number | undefined;
      readonly write: 'none' | 'created' | 'updated';
      /** Keys that somebody else had changed. */
      readonly repaired: readonly string[];
      /** When the item changed whose new values this write brought, in milliseconds since the epoch; undefined when it brought none, or Connect did not say. */
      readonly rotatedAt: number | undefined;
      /** Somebody undid what we had written. */
      readonly undone: boolean;
      /** The version that was applied before, when it was higher. */
      readonly lowered: number | undefined;
    };

/** Keeps a Secret equal to the item that its claim names. */
export interface SecretSync {
  /**
   * @param trusted the record speaks of the claim as it is now
   * @throws Failure whatever keeps the Secret from being equal; `retryAfter` then says when to try again, if waiting helps. KubeError otherwise
   */
  run(claim: SecretClaim, trusted: boolean, signal: AbortSignal): Promise<SyncResult>;
  /** True when the Secret is as the record says, as far as the last listing tells. */
  isUnchanged(claim: SecretClaim): boolean;
  /** Forgets what was remembered of an owner that is gone. */
  forget(ownerUid: string): void;
}

/** A refusal by what the item or the Secret is: the same question would get the same answer. */
interface Refusal {
  readonly question: string;
  readonly failure: Failure;
  readonly attempts: number;
}

/** A Secret that must not, or cannot, be written, in the state that was read. */
class SecretRefused extends Failure {
  readonly secretVersion: string;

  constructor({ reason, message }: Failure, secretVersion: string) {
    super(reason, message);
    this.secretVersion = secretVersion;
  }
}

/** Between attempts at what only somebody else can mend, in milliseconds: doubled each time. */
const refusalDelay = { first: 5_000, longest: 60_000 };

/** A clock is not wrong by more than this, in milliseconds. */
const largestSkew = 86_400_000;

const refusedByItem = new Set<Reason>(['ItemEmpty', 'SecretTooLarge']);
const refusedByCluster = new Set<Reason>([
  'SecretNotOwned',
  'SecretTypeImmutable',
  'SecretImmutable',
  'SecretInvalid',
  'KubernetesForbidden',
]);

export function createSecretSync({
  secrets,
  kube,
  source,
  adoptConsumers,
  latestKnown,
  holderOf,
  patience,
  audit,
  onWrite,
}: SecretSyncOptions): SecretSync {
  const refusals = new Map<string, Refusal>();
  /** By the uid of the owner: the refusal before any question that is on record, which would be met again at every look. */
  const recordedRefusals = new Map<string, string>();
  /** Refusals by the API server, of a write that is on record. */
  const onRecord = new WeakSet<Failure>();
  /** By the uid of the owner: the value of `keyturn.dev/sync` for which the item was fetched, and not written since it is a lower version. */
  const answered = new Map<string, string | undefined>();
  /** By the uid of the owner. */
  const lastCopied = new Map<string, string>();

  return {
    async run(claim, trusted, signal) {
      await checkClaim(claim);
      const location = await source.locate(claim, signal);
      if (trusted && isCurrent(claim, location)) return { state: 'unchanged', next: done };
      const held = recordedItem(claim, location.itemId)?.version;
      const lowered = isLower(location, held) ? held : undefined;
      const believed = lowered !== undefined && (location.listed?.unchangedFor ?? 0) >= patience;
      if (lowered !== undefined && !believed && !isAskedFor(claim) && secrets.get(objectKey(claim)) !== undefined) {
        return { state: 'unchanged', next: untilBelieved(location) };
      }
      await rethrowRefusal(claim, location, signal);
      let item: FetchedItem | undefined;
      try {
        item = await source.fetch(claim, location, signal);
        const result = await apply(claim, item, location, believed, signal);
        refusals.delete(claim.owner.uid);
        return result;
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (isRefusal(error) && !onRecord.has(error)) await recordRefusal(claim, error, location, item);
        throw refused(claim, location, error);
      }
    },

    isUnchanged(claim) {
      const { item } = claim.record;
      const secret = secrets.get(objectKey(claim));
      if (item === undefined || item.path !== claim.itemPath || secret === undefined) return false;
      const listed = source.listed(claim);
      if (listed !== undefined && !listed.frozen && listed.version > item.version) return false;
      return isAsRecorded(claim, secret, notedVersion(item, listed), listed?.frozen ?? false);
    },

    forget(ownerUid) {
      source.forget(ownerUid);
      refusals.delete(ownerUid);
      recordedRefusals.delete(ownerUid);
      answered.delete(ownerUid);
      lastCopied.delete(ownerUid);
    },
  };

  /** @throws Failure `SecretTypeNotAllowed`, `SecretNotOwned` */
  async function checkClaim(claim: SecretClaim): Promise<void> {
    try {
      checkType(claim);
      checkHolder(claim);
      recordedRefusals.delete(claim.owner.uid);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const said = JSON.stringify([error.reason, claim.generation, claim.name]);
      if (recordedRefusals.get(claim.owner.uid) !== said) await recordRefusal(claim, error);
      recordedRefusals.set(claim.owner.uid, said);
      throw error;
    }
  }

  async function recordRefusal(claim: SecretClaim, { reason }: Failure, location?: ItemLocation, item?: FetchedItem): Promise<void> {
    const { namespace, name } = claim;
    await audit.record({
      action: 'secret.refuse',
      secret: { namespace, name },
      ...(location !== undefined && { vault: location.vaultId, item: location.itemId }),
      ...(item !== undefined && { itemVersion: item.version, requestId: item.requestId }),
      requesters: [requesterOf(claim)],
      result: 'refused',
      reason,
    });
  }

  /** Carries out a write and records what came of it. One that lost against a faster one, or was not sent, has written nothing. */
  async function recorded<T extends ManagedSecret | undefined>(
    action: 'secret.create' | 'secret.update',
    claim: SecretClaim,
    item: FetchedItem,
    write: () => Promise<T>,
  ): Promise<T> {
    const { namespace, name } = claim;
    const about = {
      action,
      secret: { namespace, name },
      vault: item.vaultId,
      item: item.id,
      itemVersion: item.version,
      requesters: [requesterOf(claim)],
      requestId: item.requestId,
    };
    try {
      const written = await write();
      if (written !== undefined) await audit.record({ ...about, secret: { namespace, name, uid: written.uid }, result: 'success' });
      return written;
    } catch (error) {
      if (error instanceof Failure) {
        onRecord.add(error);
        await audit.record({ ...about, result: 'refused', reason: error.reason });
      } else if (!isConflict(error) && !isUnsent(error)) {
        const isAnswered = error instanceof KubeError && !isUncertain(error);
        await audit.record({ ...about, result: 'failed', reason: isAnswered ? 'KubernetesError' : 'WriteUncertain' });
      }
      throw error;
    }
  }

  /** A Secret that is away is not taken from whom it belonged. @throws Failure `SecretNotOwned` */
  function checkHolder(claim: SecretClaim): void {
    const holder = secrets.get(objectKey(claim)) === undefined ? holderOf(claim) : undefined;
    if (holder === undefined) return;
    throw new Failure('SecretNotOwned', `Secret "${claim.name}" belongs to ${holder}; choose another name`, refusalDelay.first);
  }

  /** True when somebody wants the item fetched now, whatever the listings say: the value that asks for it is new. */
  function isAskedFor(claim: SecretClaim): boolean {
    const asked = claim.copied.annotations[annotations.sync];
    return asked !== secrets.get(objectKey(claim))?.annotations[annotations.sync] && asked !== answered.get(claim.owner.uid);
  }

  function untilBelieved({ listed }: ItemLocation): Outcome {
    return requeue(Math.max(1_000, patience - (listed?.unchangedFor ?? 0)));
  }

  /** True when the Secret is as the record says, and the record names the listed item in its listed version. */
  function isCurrent(claim: SecretClaim, { vaultId, itemId, listed }: ItemLocation): boolean {
    const { item } = claim.record;
    const secret = secrets.get(objectKey(claim));
    if (item === undefined || listed === undefined || secret === undefined) return false;
    if (item.path !== claim.itemPath || item.vaultId !== vaultId || item.id !== itemId) return false;
    if (item.version !== listed.version && !listed.frozen) return false;
    return isAsRecorded(claim, secret, notedVersion(item, listed), listed.frozen);
  }

  async function apply(
    claim: SecretClaim,
    item: FetchedItem,
    location: ItemLocation,
    believed: boolean,
    signal: AbortSignal,
  ): Promise<SyncResult> {
    const held = recordedItem(claim, item.id)?.version;
    const behind = item.version < (location.listed?.version ?? 0) || (item.version < (held ?? 0) && !believed);
    // An old value is no news for a Secret, but better than none.
    if (behind && secrets.get(objectKey(claim)) !== undefined) {
      if (item.version !== location.listed?.version) return { state: 'unchanged', next: retry() };
      // As old as it is listed: asking again would bring the same.
      answered.set(claim.owner.uid, claim.copied.annotations[annotations.sync]);
      return { state: 'unchanged', next: untilBelieved(location) };
    }

    // A frozen item may have nothing to make a Secret of, and need not when there is one.
    const written = item.frozen
      ? ((await update(claim, item, signal)) ?? (await create(claim, item, signal)))
      : ((await create(claim, item, signal)) ?? (await update(claim, item, signal)));
    // Deleted between the two: the next attempt creates it.
    if (written === undefined) return { state: 'unchanged', next: retry() };
    if (written === 'ownerGone') return { state: 'unchanged', next: done };
    const { secret, write, changed, kept } = written;
    const sameVersion = held === item.version;
    const before = kept ? keptRecord(claim, item.id) : undefined;
    const { resourceVersion, dataWriters } = before?.secret ?? secret;
    return {
      state: 'synced',
      next: behind ? retry() : done,
      record: {
        item: { path: claim.itemPath ?? '', vaultId: item.vaultId, id: item.id, version: before?.item.version ?? item.version },
        secret: {
          name: claim.name,
          resourceVersion,
          ...(dataWriters !== undefined && { dataWriters }),
          revisions: recordedRevisions(secret),
        },
      },
      keys: item.data.size,
      collisions: item.collisions,
      frozenAt: item.frozen ? item.version : undefined,
      write,
      repaired: sameVersion ? changed : [],
      rotatedAt: write === 'updated' && changed.length > 0 ? rotatedAt(location, item.version, held) : undefined,
      undone: write !== 'none' && sameVersion && !isRelabelled(claim),
      lowered: believed && held !== undefined && item.version < held ? held : undefined,
    };
  }

  /** True when the owner asks for other metadata than at the last such write: that is news of its own, and no undoing of ours. */
  function isRelabelled({ owner, copied }: SecretClaim): boolean {
    const wanted = JSON.stringify(copied);
    const before = lastCopied.get(owner.uid);
    lastCopied.set(owner.uid, wanted);
    return before !== undefined && before !== wanted;
  }

  interface Written {
    readonly secret: ManagedSecret;
    readonly write: 'none' | 'created' | 'updated';
    readonly changed: readonly string[];
    /** The freezing tag kept the values of a Secret that was there. */
    readonly kept: boolean;
  }

  /** Undefined when there is a Secret of that name already, ours or not. */
  async function create(claim: SecretClaim, item: FetchedItem, signal: AbortSignal): Promise<Written | undefined> {
    if (secrets.get(objectKey(claim)) !== undefined) return undefined;
    let plan = planSecret(claim, item, undefined, revisionTime(claim));
    // It was away, and comes back with other values.
    if (plan.action === 'write' && plan.rotates) {
      await adoptConsumers(asRecorded(claim), signal);
      plan = planSecret(claim, item, undefined, revisionTime(claim));
    }
    if (plan.action === 'none') return undefined;
    source.confirm(claim, item);
    const { content } = plan;
    const write = () => recorded('secret.create', claim, item, () => createSecret(kube, claim, content, signal));
    const created = await counted(claim, 'created', write);
    return created && { secret: stored(created), write: 'created', changed: [], kept: false };
  }

  /** Undefined when there is no Secret. */
  async function update(claim: SecretClaim, item: FetchedItem, signal: AbortSignal): Promise<Written | 'ownerGone' | undefined> {
    const existing = await readSecret(kube, claim, signal);
    if (existing === undefined) return undefined;
    let plan = planUpdate(claim, item, existing);
    const found = { kept: item.frozen };
    if (plan.action === 'write') {
      if (lostOwner(claim, existing) && !(await isOwnerAlive(kube, claim, signal))) return 'ownerGone';
      // Only before a rotation: adopted at another time, a consumer that is about to roll for the last one would not. It may take time, and a
      // revision is to be that of its write.
      if (plan.rotates) {
        await adoptConsumers(existing, signal);
        plan = planUpdate(claim, item, existing);
      }
    }
    if (plan.action === 'none') return { secret: stored(existing), write: 'none', changed: [], ...found };
    source.confirm(claim, item);
    const { content, changed } = plan;
    const write = () => recorded('secret.update', claim, item, () => replaceSecret(kube, existing, content, signal));
    const updated = await counted(claim, 'updated', write);
    return { secret: stored(updated), write: 'updated', changed, ...found };
  }

  async function counted<T>({ namespace }: SecretClaim, result: SecretWriteResult, write: () => Promise<T>): Promise<T> {
    try {
      const written = await write();
      onWrite?.(namespace, written === undefined ? 'conflict' : result);
      return written;
    } catch (error) {
      onWrite?.(namespace, isConflict(error) ? 'conflict' : error instanceof Failure ? 'refused' : 'failed');
      throw error;
    }
  }

  /** A lost record must not lead to a revision that consumers seem to have already; what they state may be nonsense, though. */
  function revisionTime(claim: SecretClaim): number {
    const now = kube.serverTime();
    const known = latestKnown(objectKey(claim));
    return known >= now && known < now + largestSkew ? known + 1 : now;
  }

  function planUpdate(claim: SecretClaim, item: FetchedItem, existing: FullSecret): SecretPlan {
    try {
      return planSecret(claim, item, existing, revisionTime(claim));
    } catch (error) {
      throw error instanceof Failure ? new SecretRefused(error, existing.resourceVersion) : error;
    }
  }

  /** Puts what was read or written into the store, without the values, so that a lagging watch cannot make us act twice. */
  function stored(secret: ManagedSecret): ManagedSecret {
    const managed = managedSecret(secret);
    if (managed.labels[managedLabel] !== undefined) secrets.put(managed);
    return managed;
  }

  async function rethrowRefusal(claim: SecretClaim, location: ItemLocation, signal: AbortSignal): Promise<void> {
    const refusal = refusals.get(claim.owner.uid);
    if (refusal === undefined || location.listed === undefined || refusal.question !== questionOf(claim, location)) return;
    if (refusedByItem.has(refusal.failure.reason)) throw refusal.failure;
    if (!(refusal.failure instanceof SecretRefused)) return;
    const secret = await readSecretMetadata(kube, claim, signal);
    if (secret?.resourceVersion === refusal.failure.secretVersion) throw refused(claim, location, refusal.failure);
  }

  /** Remembers a refusal, so that it costs no request to Connect again while nothing has changed. */
  function refused(claim: SecretClaim, location: ItemLocation, failure: Failure): Failure {
    const { reason, message } = failure;
    if (!isRefusal(failure)) return failure;
    const question = questionOf(claim, location);
    const before = refusals.get(claim.owner.uid);
    const attempts = before?.question === question ? before.attempts + 1 : 0;
    refusals.set(claim.owner.uid, { question, failure, attempts });
    if (refusedByItem.has(reason)) return failure;
    return new Failure(reason, message, Math.min(refusalDelay.longest, refusalDelay.first * 2 ** Math.min(attempts, 10)));
  }
}

/** True when the item was had, and the Secret was not written. */
function isRefusal({ reason }: Failure): boolean {
  return refusedByItem.has(reason) || refusedByCluster.has(reason);
}

/** A Secret that is away, as its consumers know it. */
function asRecorded(claim: SecretClaim): SecretBefore {
  const { namespace, name, copied } = claim;
  return { namespace, name, annotations: { ...copied.annotations, [annotations.revisions]: JSON.stringify(recordOf(claim)) } };
}

/** True when our owner reference was there, and is not any more. */
function lostOwner({ owner, record }: SecretClaim, { name, ownerReferences }: FullSecret): boolean {
  return record.secret?.name === name && ownerReferences.every(({ uid }) => uid !== owner.uid);
}

/**
 * Whoever deletes an owner and not its Secret has the reference taken away, and we may hear of that first: put back, it would have the Secret
 * collected.
 */
async function isOwnerAlive(kube: KubeClient, { namespace, owner }: SecretClaim, signal: AbortSignal): Promise<boolean> {
  const type = owner.kind === kind ? onePasswordItems : deployments;
  try {
    const path = objectPath(type, { namespace, name: owner.name });
    const { metadata } = await kube.request<WireObject>({ method: 'GET', path, signal });
    return metadata.uid === owner.uid && metadata.deletionTimestamp === undefined;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return false;
    throw error;
  }
}

/** What the record says of the values that the freezing tag keeps: the last write of values, whatever others wrote since, and however the path is spelled. */
function keptRecord({ record: { item, secret }, name }: SecretClaim, id: string): SecretRecord | undefined {
  return item?.id === id && secret?.name === name ? { item, secret } : undefined;
}

function questionOf({ name, type, itemPath, copied }: SecretClaim, { vaultId, itemId, listed }: ItemLocation): string {
  return JSON.stringify([name, type, itemPath, copied.annotations[annotations.sync], vaultId, itemId, listed?.version]);
}

/** When the item came to be at a version, if that is news. */
function rotatedAt({ listed }: ItemLocation, version: number, held: number | undefined): number | undefined {
  return held !== undefined && version > held && listed?.version === version ? listed.updatedAt || undefined : undefined;
}

function isLower({ listed }: ItemLocation, held: number | undefined): boolean {
  return listed !== undefined && held !== undefined && listed.version < held;
}

/** The version that a Secret's annotation names: of a frozen item the listed one, though the values are older. */
function notedVersion(item: ItemVersion, listed: ListedItem | undefined): ItemVersion {
  return listed?.frozen ? { ...item, version: listed.version } : item;
}
