import { type KubeClient, KubeError } from './client.ts';
import { collectionPath, type WireObject } from './resource.ts';
import { formatSelector, templateHistory, type Workload } from './workload.ts';

/**
 * When the pod template came to be that the pods of a workload run, in milliseconds: the creation of its entry in the workload's history, the one
 * of the highest revision (going back to an old template lifts the old entry). Where the history may not be read, it came to be with the workload.
 * Undefined while the workload's controller has not made the entry. @throws KubeError
 */
export async function readTemplateBirth(kube: KubeClient, workload: Workload, signal: AbortSignal): Promise<number | undefined> {
  const { history, historyRevision } = templateHistory(workload.kind);
  if (!workload.observed) return undefined;
  // A new template leaves pods of the old one behind.
  if (workload.onDelete || workload.partition > 0) return workload.created;
  const entries = await readHistory(kube, collectionPath(history, workload.namespace), formatSelector(workload.selector), signal);
  const { stableHash } = workload;
  // A restart that somebody has planned has not been yet.
  const restartAt = (workload.restartAt ?? 0) > kube.serverTime() ? 0 : (workload.restartAt ?? 0);
  if (entries === undefined) return Math.max(workload.created, restartAt);
  const owned = entries.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === workload.uid));
  const [highest] = owned.toSorted((a, b) => historyRevision(b) - historyRevision(a));
  // Until a new template of a Rollout has proved itself, pods of the old one stay.
  const stable = stableHash && owned.find(({ metadata }) => metadata.labels?.['rollouts-pod-template-hash'] === stableHash);
  const created = (stable || highest)?.metadata.creationTimestamp;
  return created === undefined ? undefined : Math.max(Date.parse(created), restartAt);
}

/** Undefined when it may not be read. The count of a ControllerRevision stands outside of its metadata. */
async function readHistory(
  kube: KubeClient,
  path: string,
  labelSelector: string,
  signal: AbortSignal,
): Promise<readonly WireObject[] | undefined> {
  const metadataOnly = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
  try {
    const { items = [] } = await kube.request<{ items?: readonly WireObject[] }>({
      method: 'GET',
      path,
      query: { labelSelector },
      ...(path.endsWith('/replicasets') && { accept: metadataOnly }),
      signal,
    });
    return items;
  } catch (error) {
    if (error instanceof KubeError && error.status === 403) return undefined;
    throw error;
  }
}
