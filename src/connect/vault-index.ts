import { Failure } from '../api/reasons.ts';
import type { ItemSummary, Vault } from '../domain/item.ts';
import type { ItemPath } from '../domain/item-path.ts';
import type { Clock } from '../runtime/clock.ts';
import { createSingleFlight } from '../runtime/single-flight.ts';
import type { ConnectClient } from './client.ts';
import { connectIdPattern } from './schema.ts';

/** Where an item is, and the version Connect last listed for it. */
export interface ItemLocation {
  readonly vaultId: string;
  readonly itemId: string;
  /** Undefined when the item is in no listing. */
  readonly version: number | undefined;
}

/**
 * What Connect holds, as its listings tell it: names, titles and versions, no values. It makes a poll cost one request while
 * nothing changes, and the resolving of thousands of titles one listing.
 */
export interface VaultIndex {
  /** Asks Connect what changed, and lists the vaults that did. @throws Failure */
  refresh(signal: AbortSignal): Promise<void>;
  /**
   * Finds an item: by id first, then by title, vault names in any case, the oldest of several. What is not found is looked for once
   * more with fresh listings. @throws Failure `VaultNotFound`, `ItemNotFound`, or what kept Connect from answering
   */
  resolve(path: ItemPath, signal: AbortSignal): Promise<ItemLocation>;
  /** The listed version of an item; undefined when it is gone, or its vault has not been listed. */
  version(vaultId: string, itemId: string): number | undefined;
}

export interface VaultIndexOptions {
  readonly client: ConnectClient;
  readonly clock: Clock;
  /** A vault or item came, went, moved or was renamed since it was last listed. */
  readonly onChange: () => void;
  /** After a change a vault is listed at every refresh for this long, since replicas of Connect differ; in milliseconds. */
  readonly settleTime?: number;
  /** Every vault in use is listed this often even when nothing seems to have changed; in milliseconds. */
  readonly fullListingInterval?: number;
  /** What a refresh younger than this, in milliseconds, did not find, is not there. */
  readonly freshness?: number;
}

interface IndexedVault {
  vault: Vault;
  items: ReadonlyMap<string, ItemSummary> | undefined;
  /** Titles to ids; built when first asked for. */
  titles: ReadonlyMap<string, string> | undefined;
  listedAt: number;
  /** The vault's `contentVersion` when the listing was asked for: a failed listing so stays due. */
  listedVersion: number | undefined;
  settlesAt: number;
}

export function createVaultIndex(options: VaultIndexOptions): VaultIndex {
  const { client, clock, onChange, settleTime = 30_000, fullListingInterval = 600_000, freshness = 1_000 } = options;
  const vaults = new Map<string, IndexedVault>();
  const refreshes = createSingleFlight<void>();
  const listings = createSingleFlight<void>();
  let refreshedAt = Number.NEGATIVE_INFINITY;

  function refresh(signal: AbortSignal): Promise<void> {
    return refreshes('', async () => {
      const listed = await client.listVaults(signal);
      const now = clock.monotonic();
      const gone = new Set(vaults.keys());
      let changed = false;
      for (const vault of listed) {
        gone.delete(vault.id);
        const known = vaults.get(vault.id);
        if (known === undefined) {
          vaults.set(vault.id, {
            vault,
            items: undefined,
            titles: undefined,
            listedAt: Number.NEGATIVE_INFINITY,
            listedVersion: undefined,
            settlesAt: Number.NEGATIVE_INFINITY,
          });
          changed = true;
          continue;
        }
        if (known.vault.contentVersion !== vault.contentVersion) known.settlesAt = now + settleTime;
        if (known.vault.name !== vault.name) changed = true;
        known.vault = vault;
      }
      for (const id of gone) vaults.delete(id);
      const due = [...vaults.values()].filter((known) => known.items !== undefined && isDue(known, now));
      const outcomes = await Promise.allSettled(due.map((known) => list(known, signal)));
      // Said even when a listing failed: the next refresh no longer knows that these vaults came or went.
      if (changed || gone.size > 0) onChange();
      const failed = outcomes.find((outcome) => outcome.status === 'rejected' && !concernsOneVault(outcome.reason));
      if (failed?.status === 'rejected') throw failed.reason;
      refreshedAt = clock.monotonic();
    });
  }

  function isDue({ vault, listedVersion, settlesAt, listedAt }: IndexedVault, now: number): boolean {
    return vault.contentVersion !== listedVersion || now < settlesAt || now - listedAt >= fullListingInterval;
  }

  function list(known: IndexedVault, signal: AbortSignal): Promise<void> {
    return listings(known.vault.id, async () => {
      const listedVersion = known.vault.contentVersion;
      const items = new Map((await client.listItems(known.vault.id, signal)).map((item) => [item.id, item]));
      const before = known.items;
      known.items = items;
      known.titles = undefined;
      known.listedAt = clock.monotonic();
      known.listedVersion = listedVersion;
      if (before === undefined) return;
      if (before.size !== items.size || items.values().some((item) => differs(before.get(item.id), item))) onChange();
    });
  }

  function findVault(name: string): IndexedVault | undefined {
    const byId = vaults.get(name);
    if (byId !== undefined) return byId;
    const wanted = name.toLowerCase();
    let oldest: IndexedVault | undefined;
    for (const known of vaults.values()) {
      if (known.vault.name.toLowerCase() !== wanted) continue;
      if (oldest === undefined || known.vault.createdAt < oldest.vault.createdAt) oldest = known;
    }
    return oldest;
  }

  async function listedVault(path: ItemPath, signal: AbortSignal): Promise<IndexedVault | undefined> {
    const known = findVault(path.vault);
    if (known !== undefined && known.items === undefined) await list(known, signal);
    return known;
  }

  async function find(path: ItemPath, signal: AbortSignal): Promise<ItemLocation | undefined> {
    const known = await listedVault(path, signal);
    if (known === undefined) return undefined;
    const item = known.items?.get(path.item) ?? known.items?.get(titlesOf(known).get(path.item) ?? '');
    return item === undefined || item.gone ? undefined : { vaultId: known.vault.id, itemId: item.id, version: item.version };
  }

  return {
    refresh,
    async resolve(path, signal) {
      if (refreshedAt === Number.NEGATIVE_INFINITY) await refresh(signal);
      const found = (await find(path, signal)) ?? (await findAfresh(path, signal));
      if (found !== undefined) return found;
      const known = findVault(path.vault);
      // A vault or item outside the listings may still answer by id, if only to say why it cannot be had.
      if (connectIdPattern.test(path.item) && (known !== undefined || connectIdPattern.test(path.vault))) {
        return { vaultId: known?.vault.id ?? path.vault, itemId: path.item, version: undefined };
      }
      if (known === undefined) {
        throw new Failure(
          'VaultNotFound',
          `vault "${path.vault}" not found among those the token reaches; check spec.itemPath and the token's vaults`,
        );
      }
      throw new Failure('ItemNotFound', `item "${path.item}" not found in vault "${path.vault}"; check spec.itemPath`);
    },
    version(vaultId, itemId) {
      const item = vaults.get(vaultId)?.items?.get(itemId);
      return item?.gone ? undefined : item?.version;
    },
  };

  /** A miss proves nothing while the index is not fresh: an item made a moment ago is not in it. */
  async function findAfresh(path: ItemPath, signal: AbortSignal): Promise<ItemLocation | undefined> {
    if (clock.monotonic() - refreshedAt < freshness) return undefined;
    await refresh(signal);
    return find(path, signal);
  }
}

/** A vault that is no longer in the token's reach keeps nobody else from being synced; its own resources say so when they are fetched. */
function concernsOneVault(error: unknown): boolean {
  return error instanceof Failure && (error.reason === 'ConnectForbidden' || error.reason === 'VaultNotFound');
}

function differs(before: ItemSummary | undefined, after: ItemSummary): boolean {
  return before === undefined || before.version !== after.version || before.title !== after.title || before.gone !== after.gone;
}

/** Titles to ids: of several items with one title the oldest. */
function titlesOf(known: IndexedVault): ReadonlyMap<string, string> {
  if (known.titles !== undefined) return known.titles;
  const oldest = new Map<string, ItemSummary>();
  for (const item of known.items?.values() ?? []) {
    const other = oldest.get(item.title);
    if (!item.gone && (other === undefined || item.createdAt < other.createdAt)) oldest.set(item.title, item);
  }
  known.titles = new Map([...oldest].map(([title, { id }]) => [title, id]));
  return known.titles;
}
