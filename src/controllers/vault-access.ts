import { Failure } from '../api/reasons.ts';
import type { ItemStatus } from '../api/onepassword-item.ts';
import { connectIdPattern } from '../connect/schema.ts';
import type { VaultIndex } from '../connect/vault-index.ts';
import { parseItemPath } from '../domain/item-path.ts';
import type { SecretClaim } from '../domain/secret-plan.ts';
import { type VaultPolicy, type VaultReach, vaultReach } from '../domain/vault-policy.ts';

/** Holds claims against the policy that says which namespace may read which vaults. */
export interface VaultAccess {
  /** The vaults that a claim may read of. */
  reach(claim: SecretClaim): VaultReach;
  /** The ids that the record holds for the claim's present path, if they can be ids, and the vault is allowed. */
  pin(claim: SecretClaim): Pin | undefined;
  /** `unknown` while that takes the list of vaults, which has not been read yet. */
  judge(claim: SecretClaim): Verdict;
  /** Reads the list of vaults if the answer needs it. @throws Failure `VaultNotAllowed`, or what kept Connect from answering */
  check(claim: SecretClaim, signal: AbortSignal): Promise<void>;
  /** The same for the path alone, whatever the record says. @throws Failure `VaultNotAllowed` */
  checkPath(claim: SecretClaim): void;
  /** Looks whether the vault that was found for a claim is allowed, at the moment. @throws Failure `VaultNotAllowed` */
  confirm(claim: SecretClaim, vaultId: string): void;
  /** Forgets what was remembered of an owner that is gone. */
  forget(ownerUid: string): void;
}

export type Pin = Pick<ItemStatus, 'vaultId' | 'id'>;

type Verdict = 'allowed' | 'denied' | 'unknown';

export interface VaultAccessOptions {
  readonly index: Pick<VaultIndex, 'refresh' | 'vault' | 'lastSeen' | 'isRead'>;
  /** The policy as it is now; undefined allows everything. */
  readonly policy: () => VaultPolicy | undefined;
  /** A claim is refused that was not before, or for another path. */
  readonly onRefusal?: ((claim: SecretClaim) => void) | undefined;
}

/**
 * Who is refused learns nothing of what there is: the answer is the same for every vault and item, and for none. It is made against the vaults that
 * the namespace may read, so nothing in it, nor when it comes, depends on any other.
 */
export function createVaultAccess({ index, policy, onRefusal }: VaultAccessOptions): VaultAccess {
  /** By the uid of the owner: the path that was refused last. */
  const refused = new Map<string, string>();

  const reachOf = ({ namespace }: SecretClaim): VaultReach => vaultReach(policy(), namespace);

  function judgeVault(claim: SecretClaim, vaultId: string): Verdict {
    const reach = reachOf(claim);
    if (reach.includes(index.lastSeen(vaultId) ?? { id: vaultId, name: '' })) return 'allowed';
    return reach.extent === 'some' && !index.isRead ? 'unknown' : 'denied';
  }

  function judgePath(claim: SecretClaim): Verdict {
    const reach = reachOf(claim);
    if (reach.extent !== 'some') return reach.extent === 'all' ? 'allowed' : 'denied';
    const { vault } = parseItemPath(claim.itemPath);
    if (reach.names(vault) || index.vault(vault, reach) !== undefined) return 'allowed';
    return index.isRead ? 'denied' : 'unknown';
  }

  /** A Secret stays with the vault that it came from: that another one of its name is allowed is no reason to take that. */
  function judge(claim: SecretClaim): Verdict {
    const pinned = recordedPin(claim);
    return pinned === undefined ? judgePath(claim) : judgeVault(claim, pinned.vaultId);
  }

  function refuse(claim: SecretClaim): never {
    const { itemPath = '', owner } = claim;
    if (refused.get(owner.uid) !== itemPath) {
      refused.set(owner.uid, itemPath);
      onRefusal?.(claim);
    }
    throw notAllowed();
  }

  return {
    reach: reachOf,
    pin(claim) {
      const pinned = recordedPin(claim);
      return pinned !== undefined && judgeVault(claim, pinned.vaultId) === 'allowed' ? pinned : undefined;
    },
    judge,
    async check(claim, signal) {
      // It is one request for everybody, made in any case, and tells nothing of whom it was made for.
      if (judge(claim) === 'unknown') await index.refresh(signal);
      if (judge(claim) !== 'allowed') refuse(claim);
    },
    checkPath(claim) {
      if (judgePath(claim) !== 'allowed') refuse(claim);
    },
    confirm(claim, vaultId) {
      if (judgeVault(claim, vaultId) !== 'allowed') refuse(claim);
      refused.delete(claim.owner.uid);
    },
    forget: (ownerUid) => void refused.delete(ownerUid),
  };
}

/** The ids in the record, while they are those of the claim's present path. */
function recordedPin({ record: { item }, itemPath }: SecretClaim): Pin | undefined {
  if (item === undefined || item.path !== itemPath) return undefined;
  return [item.vaultId, item.id].every((id) => connectIdPattern.test(id)) ? item : undefined;
}

/** Says the same whatever was asked for. */
function notAllowed(): Failure {
  return new Failure(
    'VaultNotAllowed',
    'the vault policy does not let this namespace read the vault of spec.itemPath; name one that it may read, or have the policy changed',
  );
}
