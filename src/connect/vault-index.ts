import { Failure } from '../api/reasons.ts';
import type { ItemSummary, Vault } from '../domain/item.ts';
import type { ItemPath } from '../domain/item-path.ts';
import { similarTitles } from '../domain/similar-titles.ts';
import { everyVault, type VaultReach } from '../domain/vault-policy.ts';
import type { Clock } from '../runtime/clock.ts';
import { createSingleFlight } from '../runtime/single-flight.ts';
import type { ConnectClient } from './client.ts';
import { connectIdPattern } from './schema.ts';

/** Where an item is, and what Connect's listings say of it. */
export interface ItemLocation {
  readonly vaultId: string;
  readonly itemId: string;
  /** What the last listing says; undefined when the item is not in it. */
  readonly listed: ListedItem | undefined;
  /** In how many of the last two listings the item was not. */
  readonly absences: 0 | 1 | 2;
}

export interface ListedItem {
  readonly version: number;
  /** When the item came to be at this version, in milliseconds since the epoch; 0 when Connect did not say. */
  readonly updatedAt: number;
  /** It carries the freezing tag. */
  readonly frozen: boolean;
  /** Between the first and the last of the listings that all gave this version, in milliseconds. */
  readonly unchangedFor: number;
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
   * more with fresh listings. Vaults that `reach` does not include are as if they were not there; all are included unless it says otherwise.
   * @throws Failure `VaultNotFound`, `ItemNotFound`, or what kept Connect from answering
   */
  resolve(path: ItemPath, signal: AbortSignal, reach?: VaultReach): Promise<ItemLocation>;
  /** What is known of an item whose ids are known. @throws Failure what kept Connect from answering */
  locate(vaultId: string, itemId: string, signal: AbortSignal): Promise<ItemLocation>;
  /** The same from what has been listed already, without asking; undefined when the item is in no listing. */
  listed(vaultId: string, itemId: string): ListedItem | undefined;
  /** The vault of an id, or else of a name, among those that `reach` includes and the last list has; nothing is asked. */
  vault(idOrName: string, reach?: VaultReach): Vault | undefined;
  /** The vault of an id as the last list told that had it: a replica of Connect that lags may give a list without. */
  lastSeen(id: string): Vault | undefined;
  /** The list of vaults has been read at least once. */
  readonly isRead: boolean;
  /** How many vaults the token reaches, and how many items the listings of those in use have. */
  readonly size: { readonly vaults: number; readonly items: number };
}

export interface VaultIndexOptions {
  readonly client: Pick<ConnectClient, 'listVaults' | 'listItems' | 'outage'>;
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

interface IndexedItem extends ItemSummary {
  /** When the first of the listings was made that all give this version. */
  readonly since: number;
}

interface IndexedVault {
  vault: Vault;
  /** Somebody asked for an item of it: from then on it is listed whenever that is due. */
  wanted: boolean;
  items: ReadonlyMap<string, IndexedItem> | undefined;
  /** Titles to ids; built when first asked for. */
  titles: ReadonlyMap<string, string> | undefined;
  /** Items that were in the last listing but one and not in the last. */
  missedOnce: ReadonlySet<string>;
  listings: number;
  listedAt: number;
  /** The vault's `contentVersion` when the listing was asked for: a failed listing so stays due. */
  listedVersion: number | undefined;
  settlesAt: number;
  /** One more listing decides whether an item is gone. */
  inDoubt: boolean;
}

export function createVaultIndex(options: VaultIndexOptions): VaultIndex {
  const { client, clock, onChange, settleTime = 30_000, fullListingInterval = 600_000, freshness = 1_000 } = options;
  const vaults = new Map<string, IndexedVault>();
  const seen = new Map<string, Vault>();
  const refreshes = createSingleFlight<void>();
  const listings = createSingleFlight<void>();
  let refreshedAt = Number.NEGATIVE_INFINITY;
  let read = false;

  function refresh(signal: AbortSignal): Promise<void> {
    return refreshes('', async () => {
      const reached = await client.listVaults(signal);
      read = true;
      const now = clock.monotonic();
      const gone = new Set(vaults.keys());
      let changed = false;
      for (const vault of reached) {
        gone.delete(vault.id);
        seen.set(vault.id, vault);
        const known = vaults.get(vault.id);
        if (known === undefined) {
          // One that was lost and is back is still shut off, which nothing but a look at it ends.
          vaults.set(vault.id, { ...unlisted(vault), wanted: client.outage(vault.id) !== undefined });
          changed = true;
          continue;
        }
        if (known.vault.contentVersion !== vault.contentVersion) known.settlesAt = now + settleTime;
        if (known.vault.name !== vault.name) changed = true;
        known.vault = vault;
      }
      for (const id of gone) vaults.delete(id);
      const due = [...vaults.values()].filter((known) => known.wanted && (isDue(known, now) || client.outage(known.vault.id)));
      const outcomes = await Promise.allSettled(due.map((known) => list(known, signal)));
      // Said even when a listing failed: the next refresh no longer knows that these vaults came or went.
      if (changed || gone.size > 0) onChange();
      const failed = outcomes.find((outcome) => outcome.status === 'rejected' && !concernsOneVault(outcome.reason));
      if (failed?.status === 'rejected') throw failed.reason;
      refreshedAt = clock.monotonic();
    });
  }

  function isDue({ vault, listedVersion, settlesAt, listedAt, inDoubt }: IndexedVault, now: number): boolean {
    return vault.contentVersion !== listedVersion || now < settlesAt || now - listedAt >= fullListingInterval || inDoubt;
  }

  function list(known: IndexedVault, signal: AbortSignal): Promise<void> {
    return listings(known.vault.id, async () => {
      const listedVersion = known.vault.contentVersion;
      const summaries = await client.listItems(known.vault.id, signal);
      const now = clock.monotonic();
      const before = known.items;
      const isSafetyNet = now - known.listedAt >= fullListingInterval;
      const items = new Map(summaries.map((item) => [item.id, { ...item, since: since(before?.get(item.id), item, now) }]));
      known.items = items;
      known.titles = undefined;
      known.missedOnce = new Set(before?.keys().filter((id) => !items.has(id)));
      known.listings += 1;
      known.listedAt = now;
      known.listedVersion = listedVersion;
      known.inDoubt = false;
      // The first listing, and that of all, are held against what was applied, whatever changed since the one before.
      if (isSafetyNet || known.missedOnce.size > 0 || items.values().some((item) => differs(before?.get(item.id), item))) onChange();
    });
  }

  async function listOnce(known: IndexedVault | undefined, signal: AbortSignal): Promise<void> {
    if (known === undefined) return;
    known.wanted = true;
    if (known.items === undefined) await list(known, signal);
  }

  function findVault(name: string, reach: VaultReach): IndexedVault | undefined {
    const byId = vaults.get(name);
    if (byId !== undefined && reach.includes(byId.vault)) return byId;
    const wanted = name.toLowerCase();
    let oldest: IndexedVault | undefined;
    for (const known of vaults.values()) {
      if (known.vault.name.toLowerCase() !== wanted || !reach.includes(known.vault)) continue;
      if (oldest === undefined || known.vault.createdAt < oldest.vault.createdAt) oldest = known;
    }
    return oldest;
  }

  async function find(path: ItemPath, reach: VaultReach, signal: AbortSignal): Promise<ItemLocation | undefined> {
    const known = findVault(path.vault, reach);
    await listOnce(known, signal);
    if (known?.items === undefined) return undefined;
    const itemId = known.items.has(path.item) ? path.item : titlesOf(known).get(path.item);
    return itemId === undefined ? undefined : locationOf(known.vault.id, itemId);
  }

  function locationOf(vaultId: string, itemId: string): ItemLocation {
    const known = vaults.get(vaultId);
    const absences = absencesOf(known, itemId);
    if (known !== undefined && absences === 1) known.inDoubt = true;
    return { vaultId, itemId, listed: listed(vaultId, itemId), absences };
  }

  function listed(vaultId: string, itemId: string): ListedItem | undefined {
    const known = vaults.get(vaultId);
    const item = known?.items?.get(itemId);
    if (item === undefined || known === undefined) return undefined;
    const { version, updatedAt, frozen } = item;
    return { version, updatedAt, frozen, unchangedFor: known.listedAt - item.since };
  }

  /** A miss proves nothing while the index is not fresh: an item made a moment ago is not in it. */
  function refreshUnlessFresh(signal: AbortSignal): Promise<void> {
    return clock.monotonic() - refreshedAt < freshness ? Promise.resolve() : refresh(signal);
  }

  return {
    refresh,
    listed,
    get size() {
      return { vaults: vaults.size, items: vaults.values().reduce((sum, { items }) => sum + (items?.size ?? 0), 0) };
    },
    async locate(vaultId, itemId, signal) {
      if (!vaults.has(vaultId)) await refreshUnlessFresh(signal);
      await listOnce(vaults.get(vaultId), signal);
      return locationOf(vaultId, itemId);
    },
    vault: (idOrName, reach = everyVault) => findVault(idOrName, reach)?.vault,
    lastSeen: (id) => seen.get(id),
    get isRead() {
      return read;
    },
    async resolve(path, signal, reach = everyVault) {
      if (refreshedAt === Number.NEGATIVE_INFINITY) await refresh(signal);
      let found = await find(path, reach, signal);
      if (found === undefined) {
        await refreshUnlessFresh(signal);
        found = await find(path, reach, signal);
      }
      if (found !== undefined) return found;
      const known = findVault(path.vault, reach);
      // A vault or item outside the listings may still answer by id, if only to say why it cannot be had.
      const isVaultId = connectIdPattern.test(path.vault) && reach.includes(vaults.get(path.vault)?.vault ?? { id: path.vault, name: '' });
      if (connectIdPattern.test(path.item) && (known !== undefined || isVaultId)) {
        return locationOf(known?.vault.id ?? path.vault, path.item);
      }
      throw notFound(path, known, reach);
    },
  };

  function notFound({ vault, item }: ItemPath, known: IndexedVault | undefined, reach: VaultReach): Failure {
    if (known === undefined) {
      const names = [...vaults.values()].filter((other) => reach.includes(other.vault)).map((other) => other.vault.name);
      const hint = similar(vault, names);
      return new Failure(
        'VaultNotFound',
        `vault "${vault}" not found among those the token reaches${hint}; check spec.itemPath and the token's vaults`,
      );
    }
    const hint = similar(item, titlesOf(known).keys());
    return new Failure('ItemNotFound', `item "${item}" not found in vault "${known.vault.name}"${hint}; check spec.itemPath`);
  }
}

function unlisted(vault: Vault): IndexedVault {
  return {
    vault,
    wanted: false,
    items: undefined,
    titles: undefined,
    missedOnce: new Set(),
    listings: 0,
    listedAt: Number.NEGATIVE_INFINITY,
    listedVersion: undefined,
    settlesAt: Number.NEGATIVE_INFINITY,
    inDoubt: false,
  };
}

function since(before: IndexedItem | undefined, { version }: ItemSummary, now: number): number {
  return before?.version === version ? before.since : now;
}

/** A vault that the token does not reach was not listed however often that was tried: its items are as absent as can be. */
function absencesOf(known: IndexedVault | undefined, itemId: string): 0 | 1 | 2 {
  if (known?.items?.has(itemId)) return 0;
  return known?.missedOnce.has(itemId) || known?.listings === 1 ? 1 : 2;
}

/** A vault that is no longer in the token's reach keeps nobody else from being synced; its own resources say so when they are fetched. */
function concernsOneVault(error: unknown): boolean {
  return error instanceof Failure && (error.reason === 'ConnectForbidden' || error.reason === 'VaultNotFound');
}

function differs(before: ItemSummary | undefined, after: ItemSummary): boolean {
  return before === undefined || before.version !== after.version || before.title !== after.title || before.frozen !== after.frozen;
}

/** Titles to ids: of several items with one title the oldest. */
function titlesOf(known: IndexedVault): ReadonlyMap<string, string> {
  if (known.titles !== undefined) return known.titles;
  const oldest = new Map<string, ItemSummary>();
  for (const item of known.items?.values() ?? []) {
    const other = oldest.get(item.title);
    if (other === undefined || item.createdAt < other.createdAt) oldest.set(item.title, item);
  }
  known.titles = new Map([...oldest].map(([title, { id }]) => [title, id]));
  return known.titles;
}

/** ` (2 similar: "a", "b")`, or nothing. */
function similar(wanted: string, titles: Iterable<string>): string {
  const found = similarTitles(wanted, titles);
  return found.length === 0 ? '' : ` (${found.length} similar: ${found.map((title) => `"${title}"`).join(', ')})`;
}
