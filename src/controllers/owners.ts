import { objectKey } from '../domain/object.ts';
import type { EventSubject } from '../kube/events.ts';
import { eventSubject, type OnePasswordItem } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { createStoreIndex } from '../kube/store-index.ts';
import type { Workload } from '../kube/workload.ts';

/** Who asks for a Secret. */
export type SecretOwner = EventSubject & { readonly annotations: Readonly<Record<string, string>>; readonly generation: number };

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
      return [...(resource === undefined ? [] : [eventSubject(resource)]), ...deployments(secretKey)];
    },
    deployments,
  };
}
