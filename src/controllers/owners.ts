import { annotations } from '../api/names.ts';
import type { SecretStatus } from '../api/onepassword-item.ts';
import { objectKey } from '../domain/object.ts';
import { readRevisions, type Revisions } from '../domain/revisions.ts';
import type { EventSubject } from '../kube/events.ts';
import { eventSubject, type OnePasswordItem } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { createStoreIndex } from '../kube/store-index.ts';
import type { Workload } from '../kube/workload.ts';

/** Who asks for a Secret. */
export interface SecretOwner extends EventSubject {
  readonly generation: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** What it says of restarts, be it on the Secret yet or not. */
  readonly autoRestart: string | undefined;
  /** The revisions of the Secret that it has on record. */
  readonly revisions: Revisions;
}

export interface Owners {
  /** The resource and the annotated Deployments that ask for a Secret, by its `namespace/name`. */
  of(secretKey: string): readonly SecretOwner[];
  /** The annotated Deployments alone. */
  deployments(secretKey: string): readonly Workload[];
}

export function createOwners({
  items,
  workloads,
}: {
  readonly items: Store<OnePasswordItem>;
  readonly workloads: Store<Workload>;
}): Owners {
  const deployments = createStoreIndex(workloads, ({ namespace, claim }) =>
    claim?.secretName === undefined ? [] : [objectKey({ namespace, name: claim.secretName })],
  );

  return {
    of(secretKey) {
      const resource = items.get(secretKey);
      return [...(resource === undefined ? [] : [resourceAsOwner(resource)]), ...deployments(secretKey).map(deploymentAsOwner)];
    },
    deployments,
  };
}

function resourceAsOwner(resource: OnePasswordItem): SecretOwner {
  const autoRestart = resource.annotations[annotations.autoRestart];
  return { ...eventSubject(resource), autoRestart, revisions: recordOf(resource.status.secret, resource.name) };
}

function deploymentAsOwner({ claim, ...workload }: Workload): SecretOwner {
  return { ...workload, autoRestart: claim?.autoRestart, revisions: recordOf(claim?.record.secret, claim?.secretName) };
}

/** A record may speak of another Secret, that was asked for before. */
function recordOf(secret: SecretStatus | undefined, name: string | undefined): Revisions {
  return secret?.name === name ? readRevisions(secret?.revisions) : {};
}
