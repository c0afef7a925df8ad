import { Failure } from '../api/reasons.ts';
import type { ConnectClient } from '../connect/client.ts';
import type { Outage } from '../connect/gate.ts';
import type { ItemLocation, ListedItem, VaultIndex } from '../connect/vault-index.ts';
import { filesSize, itemData, type ItemDataOptions, wantedFiles } from '../domain/item-data.ts';
import { isItemPath, parseItemPath } from '../domain/item-path.ts';
import { type ItemContent, maxSecretSize, type SecretClaim, tooLarge } from '../domain/secret-plan.ts';
import { createSingleFlight } from '../runtime/single-flight.ts';
import type { VaultAccess } from './vault-access.ts';

/** An item as it was fetched for a claim. */
export interface FetchedItem extends ItemContent {
  /** Keys that more than one field wanted. */
  readonly collisions: readonly string[];
}

/** Finds and fetches the items that claims name. @throws Failure whatever keeps an item from being had */
export interface ItemSource {
  locate(claim: SecretClaim, signal: AbortSignal): Promise<ItemLocation>;
  /** Several claims that want one item at a time share its requests. */
  fetch(claim: SecretClaim, location: ItemLocation, signal: AbortSignal): Promise<FetchedItem>;
  /** What was listed last of the item that a claim's Secret holds; nothing is asked. */
  listed(claim: SecretClaim): ListedItem | undefined;
  /** Why Connect, or the vault of that item, is not asked at present; nothing for a claim that the vault policy refuses. */
  outage(claim: SecretClaim): Outage | undefined;
  /** Forgets what was remembered of an owner that is gone. */
  forget(ownerUid: string): void;
}

export interface ItemSourceOptions {
  readonly connect: Pick<ConnectClient, 'getItem' | 'getFile' | 'outage'>;
  readonly index: VaultIndex;
  readonly access: VaultAccess;
  readonly settings: ItemDataOptions;
}

/** How soon an item that one listing misses is looked for again, in milliseconds. */
const doubtDelay = 5_000;
/** Items known to be gone that are remembered. */
const maxGone = 10_000;

export function createItemSource({ connect, index, access, settings }: ItemSourceOptions): ItemSource {
  const flights = createSingleFlight<FetchedItem>();
  /** Items that answered 404 and are in no listing: they are not asked for again until one has them. */
  const gone = new Set<string>();

  function fetchAt({ vaultId, itemId }: ItemLocation, signal: AbortSignal): Promise<FetchedItem> {
    return flights(`${vaultId}/${itemId}`, async () => {
      const item = await connect.getItem(vaultId, itemId, signal);
      const files = wantedFiles(item, settings);
      if (filesSize(files) > maxSecretSize) throw tooLarge();
      const contents = await Promise.all(
        [...files].map(async ([key, file]) => [key, await connect.getFile(vaultId, itemId, file, signal)] as const),
      );
      const { version, frozen } = item;
      return { vaultId: item.vaultId, id: item.id, version, frozen, ...itemData(item, new Map(contents), settings) };
    });
  }

  /** True when an item is known to be gone, until a listing has it. */
  function isGone(location: ItemLocation): boolean {
    if (location.listed !== undefined) gone.delete(keyOf(location));
    return gone.has(keyOf(location));
  }

  /** The ids in the record are good while the path is the one they came from, and the item is there. */
  async function locate(claim: SecretClaim, signal: AbortSignal): Promise<ItemLocation> {
    const path = parseItemPath(claim.itemPath);
    await access.check(claim, signal);
    const pin = access.pin(claim);
    const pinned = pin && (await index.locate(pin.vaultId, pin.id, signal));
    if (pinned !== undefined && !isGone(pinned)) return pinned;
    access.checkPath(claim);
    const found = await index.resolve(path, signal, access.reach(claim));
    if (isGone(found)) throw itemGone();
    return found;
  }

  /** An outage is not what keeps a claim waiting that is refused anyway; and of a vault's it must not learn. */
  function isDenied(claim: SecretClaim): boolean {
    return isItemPath(claim.itemPath) && access.judge(claim) === 'denied';
  }

  return {
    locate,
    async fetch(claim, location, signal) {
      try {
        return await fetchAt(location, signal);
      } catch (error) {
        if (!(error instanceof Failure) || error.reason !== 'ItemNotFound') throw error;
        // A replica of Connect that lags may have told us so: the listings have to agree.
        if (location.absences < 2) throw new Failure(error.reason, error.message, doubtDelay);
        if (gone.size < maxGone) gone.add(keyOf(location));
        return await fetchAt(await locate(claim, signal), signal);
      }
    },
    listed(claim) {
      const pin = access.pin(claim);
      return pin && index.listed(pin.vaultId, pin.id);
    },
    outage: (claim) => (isDenied(claim) ? undefined : connect.outage(access.pin(claim)?.vaultId)),
    forget: (ownerUid) => access.forget(ownerUid),
  };
}

function keyOf({ vaultId, itemId }: ItemLocation): string {
  return `${vaultId}/${itemId}`;
}

function itemGone(): Failure {
  return new Failure('ItemNotFound', 'the item does not exist any more; check spec.itemPath, or restore the item in 1Password');
}
