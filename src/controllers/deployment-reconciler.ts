import { annotations, fieldManager, legacyFinalizer } from '../api/names.ts';
import { Failure } from '../api/reasons.ts';
import type { SecretRecord } from '../api/onepassword-item.ts';
import type { Readiness } from '../domain/conditions.ts';
import { copiedMetadata } from '../domain/copied-metadata.ts';
import type { SecretClaim } from '../domain/secret-plan.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { reduceWorkload, type Workload } from '../kube/workload.ts';
import { deployments, objectPath, type WireObject } from '../kube/resource.ts';
import type { Store } from '../kube/store.ts';
import { done, type Outcome, requeue } from '../runtime/controller.ts';
import { type Contention, contendedPause } from './contention.ts';
import { anotherOperator, nextAttempt, type Synced } from './item-reconciler.ts';
import { isRecorded } from './item-status.ts';
import type { ItemSource } from './item-source.ts';
import type { SecretSync } from './secret-sync.ts';

export interface DeploymentReconcilerOptions {
  readonly workloads: Store<Workload>;
  readonly kube: KubeClient;
  readonly source: Pick<ItemSource, 'outage'>;
  readonly sync: SecretSync;
  readonly contention: Contention;
  /** What a Deployment's Secret is in has another reason than before; a Deployment has no status of ours to say so. */
  readonly onTransition: (workload: Workload, readiness: Readiness, before: string | undefined) => void;
  readonly onSynced: (workload: Workload, result: Synced) => void;
}

export interface DeploymentReconciler {
  /** Keeps the Secret that a Deployment's annotations ask for equal to its item. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** True when the last attempt failed. */
  readonly isFailing: (key: string) => boolean;
  /** Why it did; undefined when it did not. */
  readonly failureOf: (key: string) => string | undefined;
  readonly forget: (key: string) => void;
}

export function createDeploymentReconciler(options: DeploymentReconcilerOptions): DeploymentReconciler {
  const { workloads, kube, source, sync, contention, onTransition, onSynced } = options;
  const failing = new Map<string, string>();

  return {
    async reconcile(key, signal) {
      const workload = workloads.get(key);
      if (workload === undefined) return done;
      const pause = contention.pauseBeforeAttempt(key);
      if (pause > 0) {
        if (contention.isNews(key)) tell(key, workload, anotherOperator);
        return requeue(pause);
      }
      if (workload.legacyFinalizers !== undefined) await removeLegacyFinalizer(workload, signal);
      if (workload.deleting || workload.claim === undefined) {
        failing.delete(key);
        return done;
      }
      return await synchronise(key, workload, signal);
    },
    isFailing: (key) => failing.has(key),
    failureOf: (key) => failing.get(key),
    forget: (key) => void failing.delete(key),
  };

  async function synchronise(key: string, workload: Workload, signal: AbortSignal): Promise<Outcome> {
    let claim: SecretClaim | undefined;
    try {
      claim = claimOf(workload);
      if (source.outage(claim) !== undefined && sync.isUnchanged(claim)) return done;
      const result = await sync.run(claim, true, signal);
      if (result.state === 'unchanged') {
        const contended = contention.isContended(key);
        tell(key, workload, contended ? anotherOperator : { ready: true, reason: 'Synced', message: 'the Secret is equal to the item' });
        return contended ? requeue(contendedPause) : result.next;
      }
      if (!isRecorded(claim.record, result.record)) await writeRecord(workload, result.record, signal);
      if (result.undone) contention.undone(key);
      const contended = contention.isContended(key);
      const message = `Secret "${result.record.secret.name}" has version ${result.record.item.version} of the item`;
      tell(key, workload, contended ? anotherOperator : { ready: true, reason: 'Synced', message });
      onSynced(workload, result);
      return contended ? requeue(contendedPause) : result.next;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      tell(key, workload, { ready: false, reason: error.reason, message: deploymentMessage(error) });
      return nextAttempt(error, claim !== undefined && source.outage(claim) !== undefined);
    }
  }

  /** Says only what is new: that something fails, differently from before, or no longer. */
  function tell(key: string, workload: Workload, readiness: Readiness): void {
    const before = failing.get(key);
    if (readiness.ready) failing.delete(key);
    else failing.set(key, readiness.reason);
    const news = readiness.ready ? before !== undefined : before !== readiness.reason;
    if (news) onTransition(workload, readiness, before);
  }

  async function writeRecord(workload: Workload, record: SecretRecord, signal: AbortSignal): Promise<void> {
    await patch(workload, { uid: workload.uid, annotations: { [annotations.secret]: JSON.stringify(record) } }, signal);
  }

  async function removeLegacyFinalizer(workload: Workload, signal: AbortSignal): Promise<void> {
    const finalizers = (workload.legacyFinalizers ?? []).filter((name) => name !== legacyFinalizer);
    await patch(workload, { resourceVersion: workload.resourceVersion, finalizers }, signal);
  }

  async function patch(workload: Workload, metadata: object, signal: AbortSignal): Promise<void> {
    try {
      const path = objectPath(deployments, workload);
      workloads.put(
        reduceDeployment(await kube.request<WireObject>({ method: 'PATCH', path, query: { fieldManager }, body: { metadata }, signal })),
      );
    } catch (error) {
      // Gone in the meantime: its Secret goes with it.
      if (!(error instanceof KubeError) || error.status !== 404) throw error;
    }
  }
}

const reduceDeployment = reduceWorkload('Deployment');

/** The message of a failure, in the words of whoever wrote annotations and no resource. */
export function deploymentMessage({ message }: Failure): string {
  return message.replaceAll('spec.itemPath', `the annotation ${annotations.itemPath}`);
}

/** What the annotations ask for. @throws Failure `InvalidItemPath` when they do not name a Secret */
export function claimOf({ kind, apiVersion, namespace, name, uid, generation, claim }: Workload): SecretClaim {
  if (claim?.secretName === undefined || claim.secretName === '') {
    throw new Failure('InvalidItemPath', `the annotation ${annotations.itemName} is missing: it names the Secret`);
  }
  const { autoRestart, sync, itemPath, secretName, record } = claim;
  const notes = {
    ...(autoRestart !== undefined && { [annotations.autoRestart]: autoRestart }),
    ...(sync !== undefined && { [annotations.sync]: sync }),
  };
  return {
    namespace,
    name: secretName,
    owner: { apiVersion, kind, name, uid },
    generation,
    type: undefined,
    itemPath,
    copied: copiedMetadata({}, notes, false),
    record,
  };
}
