import { annotations, fieldManager } from '../api/names.ts';
import { objectKey } from '../domain/object.ts';
import { type ConsumedSecret, type KeysOfSecret, parseKnownRevisions, planAdoption, planRestart } from '../domain/restart-plan.ts';
import { consumedRevision, recordedRevisions, type Revisions } from '../domain/revisions.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { formatSelector, type ManagedSecret, reduceDeployment, type Workload } from '../kube/objects.ts';
import { collectionPath, deployments, objectPath, replicaSets, type WireObject } from '../kube/resource.ts';
import type { Store } from '../kube/store.ts';
import { done, type Outcome, requeue } from '../runtime/controller.ts';
import type { Consumers } from './consumers.ts';

export interface WorkloadReconcilerOptions {
  readonly workloads: Store<Workload>;
  readonly consumers: Consumers;
  readonly kube: KubeClient;
  /** A rollout begins this long after the last change that calls for it, so that several make one; in milliseconds. */
  readonly debounce: number;
  /** A rollout was begun because of `changed`. */
  readonly onRestart: (workload: Workload, changed: readonly KeysOfSecret[]) => void;
  /** A rollout is called for and not begun: pods name keys that are `missing`, so no new one would start. */
  readonly onBlocked: (workload: Workload, missing: readonly KeysOfSecret[]) => void;
  /** What its pods know could not be recorded on a workload, and a value it consumes changes all the same. */
  readonly onAdoptionRefused: (workload: Workload, error: KubeError) => void;
}

export interface WorkloadReconciler {
  /** Rolls a workload when what it consumes is newer than what its pods know. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Makes every consumer of a Secret say what its pods know, before the data change. @throws KubeError */
  readonly adoptConsumers: (before: ManagedSecret, signal: AbortSignal) => Promise<void>;
}

/** How soon to look again for a ReplicaSet that the Deployment controller has yet to make, in milliseconds. */
const replicaSetDelay = 1_000;

export function createWorkloadReconciler({
  workloads,
  consumers,
  kube,
  debounce,
  onRestart,
  onBlocked,
  onAdoptionRefused,
}: WorkloadReconcilerOptions): WorkloadReconciler {
  return {
    async reconcile(key, signal) {
      const workload = workloads.get(key);
      if (workload === undefined || workload.deleting) return done;
      const secrets = consumers.secretsOf(workload);
      const known = knownRevisions(workload);
      let plan = planRestart(secrets, known, undefined);
      if (plan.action === 'read-birth') {
        const age = kube.serverTime() - latest(secrets);
        // A revision that lies further ahead was made by a clock that was wrong: it is not waited for.
        if (Math.abs(age) < debounce) return requeue(Math.min(debounce - age, debounce));
        const birth = await templateBirth(kube, workload, signal);
        if (birth === undefined) return requeue(replicaSetDelay);
        plan = planRestart(secrets, known, birth);
      }
      switch (plan.action) {
        case 'none':
        case 'read-birth':
          return done;
        case 'blocked':
          onBlocked(workload, plan.missing);
          return done;
        case 'adopt':
          await adopt(workload, plan.known, signal);
          return done;
        case 'roll':
          // A paused Deployment comes back here when it is resumed.
          if (workload.paused) return done;
          await roll(workload, plan.known, signal);
          onRestart(workload, plan.changed);
          return done;
      }
    },

    async adoptConsumers(before, signal) {
      const revisions = recordedRevisions(before);
      await Promise.all(
        consumers.of(objectKey(before)).map(async (workload) => {
          if (workload.deleting || !consumers.isOptedIn(before, workload)) return;
          const keys = workload.secrets.get(before.name);
          if (keys === undefined) return;
          const { revision } = consumedRevision(revisions, keys);
          const known = knownRevisions(workload);
          let plan = planAdoption(before.name, revision, known, undefined);
          // Without a ReplicaSet yet, its pods start about now.
          if (plan.action === 'read-birth')
            plan = planAdoption(before.name, revision, known, (await templateBirth(kube, workload, signal)) ?? revision);
          if (plan.action === 'adopt') await adoptIfAllowed(workload, plan.known, signal);
        }),
      );
    },
  };

  /** One workload that admission lets nobody patch must not keep a new value from all the others. */
  async function adoptIfAllowed(workload: Workload, known: Revisions, signal: AbortSignal): Promise<void> {
    try {
      await adopt(workload, known, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      onAdoptionRefused(workload, error);
    }
  }

  function adopt(workload: Workload, known: Revisions, signal: AbortSignal): Promise<void> {
    return patch(workload, { metadata: { annotations: { [annotations.knownRevisions]: record(known) } } }, signal);
  }

  function roll(workload: Workload, known: Revisions, signal: AbortSignal): Promise<void> {
    const restarted = `${new Date(kube.serverTime()).toISOString().slice(0, 19)}Z`;
    const notes = { [annotations.lastRestarted]: restarted, [annotations.knownRevisions]: record(known) };
    return patch(workload, { metadata: {}, spec: { template: { metadata: { annotations: notes } } } }, signal);
  }

  /** Guarded: a workload that changed since it was read is planned anew. @throws KubeError */
  async function patch(workload: Workload, body: { metadata: object; spec?: object }, signal: AbortSignal): Promise<void> {
    const written = await kube.request<WireObject>({
      method: 'PATCH',
      path: objectPath(deployments, workload),
      query: { fieldManager },
      body: { ...body, metadata: { ...body.metadata, resourceVersion: workload.resourceVersion } },
      signal,
    });
    workloads.put(reduceDeployment(written));
  }
}

/**
 * When the current pod template came to be: the creation of its ReplicaSet, in milliseconds. Undefined while there is none yet.
 * The current ReplicaSet is the one of the highest revision: going back to an old template lifts the old one's.
 */
export async function templateBirth(kube: KubeClient, workload: Workload, signal: AbortSignal): Promise<number | undefined> {
  if (!workload.observed) return undefined;
  const { items = [] } = await kube.request<{ items?: readonly WireObject[] }>({
    method: 'GET',
    path: collectionPath(replicaSets, workload.namespace),
    query: { labelSelector: formatSelector(workload.selector) },
    accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
    signal,
  });
  const owned = items.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === workload.uid));
  const [current] = owned.toSorted((a, b) => rolloutRevision(b) - rolloutRevision(a));
  const created = current?.metadata.creationTimestamp;
  return created === undefined ? undefined : Date.parse(created);
}

function rolloutRevision({ metadata }: WireObject): number {
  return Number(metadata.annotations?.['deployment.kubernetes.io/revision'] ?? 0);
}

/** What a workload says its pods know. */
export function knownRevisions({ annotations: own, templateAnnotations }: Workload): ReturnType<typeof parseKnownRevisions> {
  return parseKnownRevisions(own[annotations.knownRevisions], templateAnnotations[annotations.knownRevisions]);
}

function latest(secrets: readonly ConsumedSecret[]): number {
  return Math.max(0, ...secrets.map(({ consumed, restarts }) => (restarts ? (consumed?.revision ?? 0) : 0)));
}

/** The annotation's value; null takes the annotation away. */
function record(known: Revisions): string | null {
  return Object.keys(known).length === 0 ? null : JSON.stringify(known);
}

/** True for a write that will be refused however often it is tried, or whose object is gone. */
function isRefusal(error: unknown): error is KubeError {
  return error instanceof KubeError && [400, 403, 404, 422].includes(error.status);
}

/** True for a write that lost against a faster one: nothing is wrong, it is planned anew. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409;
}
