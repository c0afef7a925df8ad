import type { Vault } from './item.ts';

/** Which namespaces may read which vaults; what no rule allows is denied. */
export type VaultPolicy = readonly VaultRule[];

export interface VaultRule {
  /** Names of namespaces, in which `*` stands for any characters, none included. */
  readonly namespaces: readonly string[];
  /** Ids, or names in any case; `*` alone is every vault that the token reaches. What looks like an id is one. */
  readonly vaults: readonly string[];
}

/** The vaults that a namespace may read. */
export interface VaultReach {
  /** `all`: whatever the token reaches; `none`: nothing, which needs no look at any vault. */
  readonly extent: 'all' | 'some' | 'none';
  /** True for a vault that is allowed, by its id or by its name. */
  includes(vault: Pick<Vault, 'id' | 'name'>): boolean;
  /** True when the policy itself speaks of a vault in these words, whether there is one or not. */
  names(vault: string): boolean;
}

/** As Connect's ids are: such a word in a policy is never a name, which anybody could give to a vault of theirs. */
const idPattern = /^[a-z0-9]{26}$/;

export const everyVault: VaultReach = { extent: 'all', includes: () => true, names: () => true };
const noVault: VaultReach = { extent: 'none', includes: () => false, names: () => false };

/** What a policy allows to a namespace; without a policy everything. */
export function vaultReach(policy: VaultPolicy | undefined, namespace: string): VaultReach {
  if (policy === undefined) return everyVault;
  const rules = policy.filter(({ namespaces }) => namespaces.some((pattern) => matchesGlob(pattern, namespace)));
  const vaults = rules.flatMap((rule) => rule.vaults);
  if (vaults.includes('*')) return everyVault;
  if (vaults.length === 0) return noVault;
  const ids = new Set(vaults.filter((vault) => idPattern.test(vault)));
  const names = new Set(vaults.filter((vault) => !idPattern.test(vault)).map((vault) => vault.toLowerCase()));
  return {
    extent: 'some',
    includes: ({ id, name }) => ids.has(id) || names.has(name.toLowerCase()),
    names: (vault) => ids.has(vault) || names.has(vault.toLowerCase()),
  };
}

/** True when all of `text` matches `pattern`, in which `*` stands for any characters and everything else for itself. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let from = 0;
  /** Where the last star stands, and up to where it reaches so far. */
  let star: { readonly at: number; reach: number } | undefined;
  while (from < text.length) {
    if (pattern[at] === '*') {
      star = { at, reach: from };
      at += 1;
    } else if (pattern[at] === text[from]) {
      at += 1;
      from += 1;
    } else if (star !== undefined) {
      star.reach += 1;
      at = star.at + 1;
      from = star.reach;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
