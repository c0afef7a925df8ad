import { Failure } from '../api/reasons.ts';
import type { ConnectClient } from '../connect/client.ts';
import type { ItemLocation, VaultIndex } from '../connect/vault-index.ts';
import { itemData, type ItemDataOptions, wantedFiles } from '../domain/item-data.ts';
import { parseItemPath } from '../domain/item-path.ts';
import type { Item } from '../domain/item.ts';
import type { ItemContent } from '../domain/secret-plan.ts';
import type { OnePasswordItem } from '../kube/objects.ts';
import { createSingleFlight } from '../runtime/single-flight.ts';

/** An item as it was fetched for a resource. */
export interface FetchedItem extends ItemContent {
  /** Keys that more than one field wanted. */
  readonly collisions: readonly string[];
}

/** Finds and fetches the items that resources name. @throws Failure whatever keeps an item from being had */
export interface ItemSource {
  locate(resource: OnePasswordItem, signal: AbortSignal): Promise<ItemLocation>;
  /** Several resources that want one item at a time share one request. */
  fetch(resource: OnePasswordItem, location: ItemLocation, signal: AbortSignal): Promise<FetchedItem>;
}

export interface ItemSourceOptions {
  readonly connect: ConnectClient;
  readonly index: VaultIndex;
  readonly settings: ItemDataOptions;
}

export function createItemSource({ connect, index, settings }: ItemSourceOptions): ItemSource {
  const flights = createSingleFlight<Item>();

  async function fetchAt({ vaultId, itemId }: ItemLocation, signal: AbortSignal): Promise<FetchedItem> {
    const item = await flights(`${vaultId}/${itemId}`, () => connect.getItem(vaultId, itemId, signal));
    const contents = await Promise.all(
      [...wantedFiles(item, settings)].map(async ([key, file]) => [key, await connect.getFile(vaultId, itemId, file, signal)] as const),
    );
    return { vaultId: item.vaultId, id: item.id, version: item.version, ...itemData(item, new Map(contents), settings) };
  }

  return {
    /** The ids pinned in the status are good while the path is the one they came from. */
    async locate(resource, signal) {
      const pin = resource.status.item;
      const pinned = pin !== undefined && pin.path === resource.itemPath;
      return index.resolve(pinned ? { vault: pin.vaultId, item: pin.id } : parseItemPath(resource.itemPath), signal);
    },
    async fetch(resource, location, signal) {
      try {
        return await fetchAt(location, signal);
      } catch (error) {
        // A pinned item that is gone may have been made anew under the same title.
        if (!(error instanceof Failure) || error.reason !== 'ItemNotFound' || resource.status.item === undefined) throw error;
        const found = await index.resolve(parseItemPath(resource.itemPath), signal);
        if (found.itemId === location.itemId) throw error;
        return await fetchAt(found, signal);
      }
    },
  };
}
