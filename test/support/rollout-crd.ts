import { createHash } from 'node:crypto';
import { deployments, objectPath, replicaSets, collectionPath, rollouts, type WireMeta } from '../../src/kube/resource.ts';
import { KubeError } from '../../src/kube/client.ts';
import type { TestNamespace } from './cluster.ts';

export const rolloutCrdName = 'rollouts.argoproj.io';

/** Argo's Rollout as far as its shape matters: one namespaced kind with a status of its own. */
export const rolloutCrd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ${rolloutCrdName}}
spec:
  group: argoproj.io
  names: {kind: Rollout, listKind: RolloutList, plural: rollouts, singular: rollout, shortNames: [ro]}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
            status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`;

/** What stands in for Argo's controller in one namespace. */
export interface RolloutController {
  /** Resolves when it writes nothing any more. */
  stop(): Promise<void>;
}

interface Rollout {
  readonly metadata: WireMeta;
  readonly spec: {
    readonly replicas?: number;
    readonly selector: object;
    readonly template?: Template;
    readonly workloadRef?: { readonly name: string };
    readonly restartAt?: string;
  };
  readonly status?: object;
}

interface Template {
  readonly metadata?: { readonly labels?: object };
  readonly spec: object;
}

const hashLabel = 'rollouts-pod-template-hash';
const revisionAnnotation = 'rollout.argoproj.io/revision';
/** Between two looks at the Rollouts, in milliseconds. */
const interval = 100;

/**
 * Does to the Rollouts of a namespace what others see of Argo's controller: it makes a ReplicaSet for each template, without pods, and says in the
 * status that all replicas run it, and when they were restarted. Without the CRD it waits for it.
 */
export function startRolloutController({ name: namespace, kube }: TestNamespace): RolloutController {
  const stop = new AbortController();
  const ended = run();
  return {
    async stop() {
      stop.abort();
      await ended;
    },
  };

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      for (const rollout of await list()) await reconcile(rollout).catch(lookAgain);
      await new Promise((resolve) => setTimeout(resolve, interval));
    }
  }

  async function list(): Promise<readonly Rollout[]> {
    try {
      return (await kube.request<{ items: readonly Rollout[] }>({ method: 'GET', path: collectionPath(rollouts, namespace) })).items;
    } catch (error) {
      lookAgain(error);
      return [];
    }
  }

  async function reconcile(rollout: Rollout): Promise<void> {
    const { metadata, spec } = rollout;
    const template = await templateOf(rollout);
    if (template === undefined) return;
    const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
    await makeReplicaSet(rollout, template, hash);
    const { replicas = 1, restartAt } = spec;
    const status = {
      observedGeneration: String(metadata.generation),
      replicas,
      updatedReplicas: replicas,
      availableReplicas: replicas,
      phase: 'Healthy',
      stableRS: hash,
      // A time that is yet to come is waited for.
      ...(restartAt !== undefined && Date.parse(restartAt) <= Date.now() && { restartedAt: restartAt }),
    };
    if (Object.entries(status).every(([key, value]) => (rollout.status as Record<string, unknown> | undefined)?.[key] === value)) return;
    const path = `${objectPath(rollouts, { namespace, name: metadata.name })}/status`;
    await kube.request({ method: 'PATCH', path, body: { status } });
  }

  async function templateOf({ spec: { template, workloadRef } }: Rollout): Promise<Template | undefined> {
    if (workloadRef === undefined) return template;
    const path = objectPath(deployments, { namespace, name: workloadRef.name });
    return (await kube.request<{ spec: { template: Template } }>({ method: 'GET', path })).spec.template;
  }

  async function makeReplicaSet({ metadata: { name, uid } }: Rollout, template: Template, hash: string): Promise<void> {
    const path = collectionPath(replicaSets, namespace);
    const { items } = await kube.request<{ items: readonly { metadata: WireMeta }[] }>({ method: 'GET', path });
    const own = items.filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid));
    if (own.some(({ metadata }) => metadata.labels?.[hashLabel] === hash)) return;
    const labels = { ...template.metadata?.labels, [hashLabel]: hash };
    const body = {
      metadata: {
        name: `${name}-${hash}`,
        labels,
        annotations: { [revisionAnnotation]: String(own.length + 1) },
        ownerReferences: [{ apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name, uid, controller: true }],
      },
      spec: { replicas: 0, selector: { matchLabels: labels }, template: { ...template, metadata: { ...template.metadata, labels } } },
    };
    await kube.request({ method: 'POST', path, body });
  }
}

/** What goes while we look at it, or is yet to come, as a CRD does, is looked at again. */
function lookAgain(error: unknown): void {
  if (!(error instanceof KubeError)) throw error;
}
