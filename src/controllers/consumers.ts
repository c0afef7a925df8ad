import { annotations } from '../api/names.ts';
import { isOptedIn } from '../domain/auto-restart.ts';
import { objectKey } from '../domain/object.ts';
import type { ConsumedSecret } from '../domain/restart-plan.ts';
import { consumedRevision, recordedRevisions } from '../domain/revisions.ts';
import type { ManagedSecret, Namespace, Workload } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { createStoreIndex } from '../kube/store-index.ts';

export interface ConsumersOptions {
  readonly workloads: Store<Workload>;
  readonly secrets: Store<ManagedSecret>;
  readonly namespaces: Store<Namespace>;
  /** `AUTO_RESTART`: what holds where no annotation says anything. */
  readonly autoRestart: boolean;
}

/** Who consumes which Secret, and whether its changes restart them. */
export interface Consumers {
  /** The workloads whose pods consume a Secret, by its `namespace/name`. */
  of(secretKey: string): readonly Workload[];
  /** The Secrets that a workload consumes, with what is known of those that are ours. */
  secretsOf(workload: Workload): readonly ConsumedSecret[];
  /** Whether a change of `secret` restarts `workload`. */
  isOptedIn(secret: ManagedSecret, workload: Workload): boolean;
}

export function createConsumers({ workloads, secrets, namespaces, autoRestart }: ConsumersOptions): Consumers {
  const bySecret = createStoreIndex(workloads, secretKeys);

  function optedIn(secret: ManagedSecret, workload: Workload): boolean {
    const namespace = namespaces.get(objectKey({ namespace: '', name: workload.namespace }));
    const said = [secret.annotations[annotations.autoRestart], workload.annotations[annotations.autoRestart], namespace?.autoRestart];
    return isOptedIn(said, autoRestart);
  }

  return {
    of: bySecret,
    secretsOf: (workload) =>
      [...workload.secrets].map(([name, keys]) => {
        const secret = secrets.get(objectKey({ namespace: workload.namespace, name }));
        if (secret === undefined) return { name, consumed: undefined, restarts: true };
        return { name, consumed: consumedRevision(recordedRevisions(secret), keys), restarts: optedIn(secret, workload) };
      }),
    isOptedIn: optedIn,
  };
}

function secretKeys({ namespace, secrets }: Workload): string[] {
  return [...secrets.keys()].map((name) => objectKey({ namespace, name }));
}
