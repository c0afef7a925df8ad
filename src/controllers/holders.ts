import { objectKey } from '../domain/object.ts';
import type { SecretClaim } from '../domain/secret-plan.ts';
import type { OnePasswordItem } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import type { ItemStatuses } from './item-status.ts';
import type { Owners } from './owners.ts';

export interface HoldersOptions {
  readonly items: Store<OnePasswordItem>;
  readonly owners: Pick<Owners, 'deployments'>;
  readonly statuses: Pick<ItemStatuses, 'of'>;
}

/**
 * Who else has a record of the Secret that a claim wants, when the claim's owner has none: a Secret that is gone for a moment goes back to whom it
 * belonged. The answer names the holder.
 */
export function createHolders({ items, owners, statuses }: HoldersOptions): (claim: SecretClaim) => string | undefined {
  return ({ namespace, name, owner, record }) => {
    if (record.secret?.name === name) return undefined;
    const key = objectKey({ namespace, name });
    const resource = items.get(key);
    if (resource !== undefined && !resource.deleting && resource.uid !== owner.uid && statuses.of(resource).secret !== undefined) {
      return `OnePasswordItem ${name}`;
    }
    const holder = owners
      .deployments(key)
      .find(({ uid, deleting, claim }) => !deleting && uid !== owner.uid && claim?.record.secret?.name === name);
    return holder && `Deployment ${holder.name}`;
  };
}
