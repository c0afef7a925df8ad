import { fieldManager } from '../api/names.ts';
import type { ItemStatus, OnePasswordItemStatus, SecretStatus } from '../api/onepassword-item.ts';
import { type Readiness, withReady } from '../domain/conditions.ts';
import { revisionOf } from '../domain/revisions.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { type OnePasswordItem, onePasswordItems, reduceOnePasswordItem } from '../kube/objects.ts';
import { objectPath, type WireObject } from '../kube/resource.ts';

/** What a Secret holds after a successful reconcile. */
export interface Applied {
  readonly item: ItemStatus;
  readonly secret: SecretStatus;
}

/**
 * Writes what a reconcile came to, when it differs from what the status says already. Without `applied`, what the Secret holds is
 * as it was. Returns the resource as written, or undefined when there was nothing to write or the resource is gone. @throws KubeError
 */
export async function writeStatus(
  kube: KubeClient,
  resource: OnePasswordItem,
  readiness: Readiness,
  applied: Applied | undefined,
  signal: AbortSignal,
): Promise<OnePasswordItem | undefined> {
  const { status, generation } = resource;
  const before = status.conditions ?? [];
  const conditions = withReady(before, readiness, generation, kube.serverTime());
  const unchanged =
    conditions === before && status.observedGeneration === generation && (applied === undefined || isApplied(status, applied));
  if (unchanged) return undefined;
  const patch = {
    observedGeneration: generation,
    conditions,
    ...(applied && { item: applied.item, secret: replacing(status.secret, applied.secret) }),
  };
  try {
    const written = await kube.request<WireObject>({
      method: 'PATCH',
      path: `${objectPath(onePasswordItems, resource)}/status`,
      query: { fieldManager },
      body: { status: patch },
      signal,
    });
    return reduceOnePasswordItem(written);
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** A merge patch adds to a map: revisions that are no longer recorded must be taken out by name. */
function replacing(before: SecretStatus | undefined, after: SecretStatus): object {
  const removed = Object.keys(before?.revisions ?? {}).filter((key) => revisionOf(after.revisions ?? {}, key) === undefined);
  return { ...after, revisions: { ...Object.fromEntries(removed.map((key) => [key, null])), ...after.revisions } };
}

function isApplied({ item, secret }: OnePasswordItemStatus, applied: Applied): boolean {
  return (
    item?.path === applied.item.path &&
    item.vaultId === applied.item.vaultId &&
    item.id === applied.item.id &&
    item.version === applied.item.version &&
    secret?.name === applied.secret.name &&
    secret.resourceVersion === applied.secret.resourceVersion
  );
}
