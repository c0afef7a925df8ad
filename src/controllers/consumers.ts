import { annotations } from '../api/names.ts';
import { isOptedIn } from '../domain/auto-restart.ts';
import { objectKey } from '../domain/object.ts';
import type { ConsumedSecret } from '../domain/restart-plan.ts';
import { latestRevision, recordedRevisions } from '../domain/revisions.ts';
import type { ManagedSecret, Namespace, Workload } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';

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
  const bySecret = new Map<string, Set<string>>();

  workloads.onChange((key, before, after) => {
    for (const secretKey of secretKeys(before)) {
      const keys = bySecret.get(secretKey);
      keys?.delete(key);
      if (keys?.size === 0) bySecret.delete(secretKey);
    }
    for (const secretKey of secretKeys(after)) {
      const keys = bySecret.get(secretKey);
      if (keys === undefined) bySecret.set(secretKey, new Set([key]));
      else keys.add(key);
    }
  });

  function optedIn(secret: ManagedSecret, workload: Workload): boolean {
    const namespace = namespaces.get(objectKey({ namespace: '', name: workload.namespace }));
    const said = [secret.annotations[annotations.autoRestart], workload.annotations[annotations.autoRestart], namespace?.autoRestart];
    return isOptedIn(said, autoRestart);
  }

  return {
    of: (secretKey) => [...(bySecret.get(secretKey) ?? [])].map((key) => workloads.get(key)).filter((workload) => workload !== undefined),
    secretsOf: (workload) =>
      workload.secrets.map((name) => {
        const secret = secrets.get(objectKey({ namespace: workload.namespace, name }));
        if (secret === undefined) return { name, revision: undefined, restarts: true };
        return { name, revision: secretRevision(secret), restarts: optedIn(secret, workload) };
      }),
    isOptedIn: optedIn,
  };
}

/** When anything in a Secret last changed; 0 when nothing has since it was first written. */
export function secretRevision(secret: ManagedSecret): number {
  return latestRevision(recordedRevisions(secret));
}

function secretKeys(workload: Workload | undefined): string[] {
  return (workload?.secrets ?? []).map((name) => objectKey({ namespace: workload?.namespace ?? '', name }));
}
