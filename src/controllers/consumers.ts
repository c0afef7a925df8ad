import { annotations } from '../api/names.ts';
import { optIn, type OptIn } from '../domain/auto-restart.ts';
import { objectKey } from '../domain/object.ts';
import type { ConsumedSecret } from '../domain/restart-plan.ts';
import { consumedRevision, latestOf, recordedRevisions, revisedAt, type Revisions } from '../domain/revisions.ts';
import type { ManagedSecret, Namespace, SecretBefore } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { createStoreIndex } from '../kube/store-index.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';
import type { Owners, SecretOwner } from './owners.ts';

export interface ConsumersOptions {
  readonly workloads: Store<Workload>;
  readonly secrets: Store<ManagedSecret>;
  readonly namespaces: Store<Namespace>;
  readonly owners: Pick<Owners, 'of'>;
  /** `AUTO_RESTART`: what holds where no annotation says anything. */
  readonly autoRestart: boolean;
}

/** Who consumes which Secret, and whether its changes restart them. */
export interface Consumers {
  /** The workloads whose pods consume a Secret, by its `namespace/name`. */
  of(secretKey: string): readonly Workload[];
  /** The Secrets that its pods consume, with the keys: of a Rollout that runs a Deployment's template, the Deployment's. */
  keysOf(workload: Workload): Workload['secrets'];
  /** False for a Rollout while there is no Deployment whose template it could run. */
  hasTemplate(workload: Workload): boolean;
  /** The workloads that run the pod template of a workload: itself, and Rollouts that refer to it; the latter alone when it has no replicas. */
  runners(workload: Workload): readonly Workload[];
  /** The Secrets that a workload consumes, with what is known of those that are ours. */
  secretsOf(workload: Workload): readonly ConsumedSecret[];
  /** The revisions of a Secret: those that it carries, or where it lost them, those that who asks for it has on record. */
  revisionsOf(secret: SecretBefore): Revisions;
  /** Whether a change of `secret` restarts `workload`; `by` is the place of the annotation that decided: who asks for it, workload, namespace. */
  optIn(secret: SecretBefore, workload: Workload): OptIn;
  /** What is to be said of annotations that decide whether a workload is restarted, and say neither yes nor no. */
  misread(workload: Workload): readonly string[];
}

export function createConsumers({ workloads, secrets, namespaces, owners, autoRestart }: ConsumersOptions): Consumers {
  const bySecret = createStoreIndex(workloads, secretKeys);
  const rolloutsOf = createStoreIndex(workloads, ({ namespace, templateOf: name }) =>
    name === undefined ? [] : [workloadKey({ kind: 'Deployment', namespace, name })],
  );

  function runners(workload: Workload): readonly Workload[] {
    const rollouts = rolloutsOf(workloadKey(workload));
    return rollouts.length > 0 && workload.scaledToZero ? rollouts : [workload, ...rollouts];
  }

  function keysOf(workload: Workload): Workload['secrets'] {
    const { namespace, templateOf: name } = workload;
    if (name !== undefined) return workloads.get(workloadKey({ kind: 'Deployment', namespace, name }))?.secrets ?? new Map();
    return runners(workload).includes(workload) ? workload.secrets : new Map();
  }

  /** Who asks for a Secret: of several the one that owns it. */
  function ownerOf(secret: SecretBefore): SecretOwner | undefined {
    const asking = owners.of(objectKey(secret));
    return asking.find(({ uid }) => secret.ownerReferences?.some((reference) => reference.uid === uid)) ?? asking[0];
  }

  function optInOf(secret: SecretBefore, workload: Workload): OptIn {
    const owner = ownerOf(secret);
    const first = owner === undefined ? secret.annotations[annotations.autoRestart] : owner.autoRestart;
    const namespace = namespaces.get(objectKey({ namespace: '', name: workload.namespace }));
    return optIn([first, workload.annotations[annotations.autoRestart], namespace?.autoRestart], autoRestart);
  }

  function revisionsOf(secret: SecretBefore): Revisions {
    return latestOf(recordedRevisions(secret), ownerOf(secret)?.revisions ?? {});
  }

  return {
    of: (secretKey) => [...new Set(bySecret(secretKey).flatMap(runners))],
    keysOf,
    hasTemplate: ({ namespace, templateOf: name }) =>
      name === undefined || workloads.get(workloadKey({ kind: 'Deployment', namespace, name })) !== undefined,
    runners,
    secretsOf: (workload) =>
      [...keysOf(workload)].map(([name, keys]) => {
        const secret = secrets.get(objectKey({ namespace: workload.namespace, name }));
        if (secret === undefined) return { name, consumed: undefined, restarts: true };
        const consumed = consumedRevision(revisionsOf(secret), keys);
        return { name, consumed, revisedAt: revisedAt(secret, consumed.revision), restarts: optInOf(secret, workload).restarts };
      }),
    revisionsOf,
    optIn: optInOf,
    misread(workload) {
      const { namespace } = workload;
      const messages = [...keysOf(workload).keys()].flatMap((name) => {
        const secret = secrets.get(objectKey({ namespace, name }));
        const decision = secret && optInOf(secret, workload);
        if (!decision?.invalid) return [];
        const place = [`who asks for Secret ${name}`, 'this workload', `namespace ${namespace}`][decision.by ?? 0];
        return [`the annotation ${annotations.autoRestart} of ${place} is neither true nor false: it means false`];
      });
      return [...new Set(messages)];
    },
  };
}

function secretKeys({ namespace, secrets }: Workload): string[] {
  return [...secrets.keys()].map((name) => objectKey({ namespace, name }));
}
