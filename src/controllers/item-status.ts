import { fieldManager } from '../api/names.ts';
import type { ConsumerStatus, ItemStatus, OnePasswordItemStatus, SecretRecord, SecretStatus } from '../api/onepassword-item.ts';
import { type Readiness, readyCondition, withReady } from '../domain/conditions.ts';
import { objectKey } from '../domain/object.ts';
import { revisionOf } from '../domain/revisions.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { type OnePasswordItem, onePasswordItems, reduceOnePasswordItem } from '../kube/objects.ts';
import { objectPath, type WireObject } from '../kube/resource.ts';
import type { Store } from '../kube/store.ts';

/** The status of resources: written when it changes, and remembered where an old CRD drops fields of it. */
export interface ItemStatuses {
  /** The status of a resource, with what its CRD does not keep. */
  of(resource: OnePasswordItem): OnePasswordItemStatus;
  /** Writes what a reconcile came to, unless the status says so already. Without `record`, what the Secret holds is as it was. @throws KubeError */
  report(resource: OnePasswordItem, readiness: Readiness, record: SecretRecord | undefined, signal: AbortSignal): Promise<void>;
  /** Writes how many consumers are current; an old CRD would drop that. @throws KubeError */
  reportConsumers(resource: OnePasswordItem, consumers: ConsumerStatus, signal: AbortSignal): Promise<void>;
  forget(key: string): void;
}

export interface ItemStatusesOptions {
  readonly items: Store<OnePasswordItem>;
  readonly kube: KubeClient;
  /** The CRD turned out to drop fields of our status. */
  readonly onOutdated: (resource: OnePasswordItem) => void;
  /** The CRD turned out to have no status that could be written; called once, and again when it had one meanwhile. */
  readonly onNoStatus: () => void;
  /** `Ready` has another reason than before. */
  readonly onTransition: (resource: OnePasswordItem, readiness: Readiness, before: string | undefined) => void;
}

const outdatedNote = '; CRDOutdated: the CRD drops fields of the status, apply that of this version';

export function createItemStatuses({ items, kube, onOutdated, onNoStatus, onTransition }: ItemStatusesOptions): ItemStatuses {
  /** Statuses that did not come back whole, with the `resourceVersion` that the write came to. */
  const dropped = new Map<string, { readonly uid: string; readonly resourceVersion: string; readonly status: OnePasswordItemStatus }>();
  let outdated = false;
  let withoutStatus = false;

  function of(resource: OnePasswordItem): OnePasswordItemStatus {
    const remembered = dropped.get(objectKey(resource));
    return remembered?.uid === resource.uid ? remembered.status : resource.status;
  }

  /** True when the API server has the status, or the part of it that it keeps. */
  function isWritten(resource: OnePasswordItem): boolean {
    const remembered = dropped.get(objectKey(resource));
    return remembered?.uid !== resource.uid || remembered.resourceVersion === resource.resourceVersion;
  }

  async function report(
    resource: OnePasswordItem,
    readiness: Readiness,
    record: SecretRecord | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const status = of(resource);
    const { generation } = resource;
    const before = status.conditions ?? [];
    const said = outdated ? { ...readiness, message: readiness.message + outdatedNote } : readiness;
    const conditions = withReady(before, said, generation, kube.serverTime());
    const unchanged =
      conditions === before && status.observedGeneration === generation && (record === undefined || isRecorded(status, record));
    if (unchanged && isWritten(resource)) return;
    const patch = { observedGeneration: generation, conditions, ...record };
    const written = await write(resource, { ...patch, ...(record && { secret: replacing(status.secret, record.secret) }) }, signal);
    if (written === undefined) return;
    remember(resource, written, { ...status, ...patch, conditions: [...conditions] });
    items.put(written);
    const reasonBefore = readyCondition(before)?.reason;
    if (reasonBefore !== readiness.reason) onTransition(resource, readiness, reasonBefore);
    const drops = dropped.has(objectKey(resource));
    if (drops === outdated) return;
    outdated = drops;
    // Those of the others are written in full when they are next looked at: they look like never written.
    if (!drops) dropped.clear();
    if (!drops) return;
    onOutdated(resource);
    await report(written, readiness, record, signal);
  }

  function remember(resource: OnePasswordItem, { status, resourceVersion }: OnePasswordItem, sent: OnePasswordItemStatus): void {
    if (status.observedGeneration === sent.observedGeneration) dropped.delete(objectKey(resource));
    else dropped.set(objectKey(resource), { uid: resource.uid, resourceVersion, status: sent });
  }

  /** Undefined when the resource is gone, or its CRD has no status that could be written. */
  async function write(resource: OnePasswordItem, status: object, signal: AbortSignal): Promise<OnePasswordItem | undefined> {
    const path = objectPath(onePasswordItems, resource);
    const body = { metadata: { uid: resource.uid }, status };
    const written = await orGone(
      kube.request<WireObject>({ method: 'PATCH', path: `${path}/status`, query: { fieldManager }, body, signal }),
    );
    if (written === undefined) {
      // The answer is the same when there is no such path.
      const isThere = (await orGone(kube.request<WireObject>({ method: 'GET', path, signal })))?.metadata?.uid === resource.uid;
      if (isThere && !withoutStatus) onNoStatus();
      withoutStatus ||= isThere;
      return undefined;
    }
    withoutStatus = false;
    return reduceOnePasswordItem(written);
  }

  async function reportConsumers(resource: OnePasswordItem, consumers: ConsumerStatus, signal: AbortSignal): Promise<void> {
    if (outdated) return;
    const written = await write(resource, { consumers }, signal);
    if (written !== undefined) items.put(written);
  }

  return { of, report, reportConsumers, forget: (key) => void dropped.delete(key) };
}

/** Undefined instead of 404. */
async function orGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** A merge patch adds to a map: revisions that are no longer recorded must be taken out by name. */
function replacing(before: SecretStatus | undefined, after: SecretStatus): object {
  const removed = Object.keys(before?.revisions ?? {}).filter((key) => revisionOf(after.revisions ?? {}, key) === undefined);
  return {
    ...after,
    dataWriters: after.dataWriters ?? null,
    revisions: { ...Object.fromEntries(removed.map((key) => [key, null])), ...after.revisions },
  };
}

/** True when a record says the same as another one, but for revisions: those change with the Secret's `resourceVersion` alone. */
export function isRecorded(
  { item, secret }: { readonly item?: ItemStatus | undefined; readonly secret?: SecretStatus | undefined },
  record: SecretRecord,
): boolean {
  return (
    item?.path === record.item.path &&
    item.vaultId === record.item.vaultId &&
    item.id === record.item.id &&
    item.version === record.item.version &&
    secret?.name === record.secret.name &&
    secret.resourceVersion === record.secret.resourceVersion &&
    secret.dataWriters === record.secret.dataWriters
  );
}
