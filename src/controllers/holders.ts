import { objectKey } from '../domain/object.ts';
import type { SecretClaim } from '../domain/secret-plan.ts';
import type { OnePasswordItem } from '../kube/objects.ts';
import type { Workload } from '../kube/workload.ts';
import type { Store } from '../kube/store.ts';
import { createStoreIndex } from '../kube/store-index.ts';
import type { ItemStatuses } from './item-status.ts';

export interface HoldersOptions {
  readonly items: Store<OnePasswordItem>;
  readonly workloads: Store<Workload>;
  readonly statuses: Pick<ItemStatuses, 'of'>;
}

/**
 * Who else has a record of the Secret that a claim wants, when the claim's owner has none: a Secret that is gone for a moment goes back to whom it
 * belonged. The answer names the holder.
 */
export function createHolders({ items, workloads, statuses }: HoldersOptions): (claim: SecretClaim) => string | undefined {
  const recorded = createStoreIndex(workloads, ({ namespace, claim }) => {
    const name = claim?.record.secret?.name;
    return name === undefined || name !== claim?.secretName ? [] : [objectKey({ namespace, name })];
  });

  return ({ namespace, name, owner, record }) => {
    if (record.secret?.name === name) return undefined;
    const key = objectKey({ namespace, name });
    const resource = items.get(key);
    if (resource !== undefined && !resource.deleting && resource.uid !== owner.uid && statuses.of(resource).secret !== undefined) {
      return `OnePasswordItem ${name}`;
    }
    const holder = recorded(key).find(({ uid, deleting }) => !deleting && uid !== owner.uid);
    return holder && `Deployment ${holder.name}`;
  };
}
