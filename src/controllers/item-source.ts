import { Failure } from '../api/reasons.ts';
import type { ConnectClient, Retrieval, Witness } from '../connect/client.ts';
import type { Outage } from '../connect/gate.ts';
import type { ItemLocation, ListedItem, VaultIndex } from '../connect/vault-index.ts';
import { filesSize, itemData, type ItemDataOptions, wantedFiles } from '../domain/item-data.ts';
import { isItemPath, type ItemPath, parseItemPath } from '../domain/item-path.ts';
import { type ItemContent, maxSecretSize, type SecretClaim, tooLarge } from '../domain/secret-plan.ts';
import type { Audit } from '../observability/audit.ts';
import type { AuditEntry, Requester } from '../observability/audit-record.ts';
import type { VaultAccess } from './vault-access.ts';

/** An item as it was fetched for a claim. */
export interface FetchedItem extends ItemContent {
  /** Of the request that brought it, as the audit names it. */
  readonly requestId: string;
  /** Keys that more than one field wanted. */
  readonly collisions: readonly string[];
}

/** Finds and fetches the items that claims name. @throws Failure whatever keeps an item from being had */
export interface ItemSource {
  locate(claim: SecretClaim, signal: AbortSignal): Promise<ItemLocation>;
  /** Several claims that want one item at a time share its requests. */
  fetch(claim: SecretClaim, location: ItemLocation, signal: AbortSignal): Promise<FetchedItem>;
  /** Looks whether what was fetched for a claim may still be used: the vault policy may have changed. @throws Failure `VaultNotAllowed` */
  confirm(claim: SecretClaim, item: Pick<FetchedItem, 'vaultId'>): void;
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
  readonly audit: Pick<Audit, 'admit' | 'record' | 'require'>;
}

/** A retrieval of an item that is under way, and all who want it. */
interface Flight {
  readonly requesters: Requester[];
  /** The last request for the item that is on record: who joins now is not in that. */
  recorded: Retrieval | undefined;
  readonly result: Promise<FetchedItem>;
}

/** How soon an item that one listing misses is looked for again, in milliseconds. */
const doubtDelay = 5_000;
/** Items known to be gone that are remembered. */
const maxGone = 10_000;

export function createItemSource({ connect, index, access, settings, audit }: ItemSourceOptions): ItemSource {
  const flights = new Map<string, Flight>();
  /** Items that answered 404 and are in no listing: they are not asked for again until one has them. */
  const gone = new Set<string>();

  /** Claims that want one item at a time share its requests, and each is on record before it has the item. */
  async function fetchAt(claim: SecretClaim, location: ItemLocation, signal: AbortSignal): Promise<FetchedItem> {
    await audit.admit();
    access.confirm(claim, location.vaultId);
    const requester = requesterOf(claim);
    const flight = flights.get(keyOf(location)) ?? startFlight(location, signal);
    const { recorded } = flight;
    flight.requesters.push(requester);
    if (recorded !== undefined) await put({ action: 'item.share', ...retrievalOf(location, [requester], recorded) });
    // Of an item that is denied by now its failure tells too much as well.
    return await flight.result.finally(() => access.confirm(claim, location.vaultId));
  }

  function startFlight(location: ItemLocation, signal: AbortSignal): Flight {
    const { promise: result, resolve, reject } = Promise.withResolvers<FetchedItem>();
    const flight: Flight = { requesters: [], recorded: undefined, result };
    flights.set(keyOf(location), flight);
    // Whoever comes after the end finds no flight, and whoever comes before it is on board.
    void retrieve(flight, location, signal)
      .finally(() => flights.delete(keyOf(location)))
      .then(resolve, reject);
    return flight;
  }

  async function retrieve(flight: Flight, location: ItemLocation, signal: AbortSignal): Promise<FetchedItem> {
    const { vaultId, itemId } = location;
    const item = await connect.getItem(vaultId, itemId, signal, async (retrieval) => {
      flight.recorded = retrieval;
      await put({ action: 'item.retrieve', ...retrievalOf(location, flight.requesters, retrieval) });
    });
    const { version, frozen } = item;
    const witnessOf =
      (file: string): Witness =>
      (retrieval) =>
        put({ action: 'file.retrieve', file, ...retrievalOf(location, flight.requesters, { ...retrieval, itemVersion: version }) });
    const files = wantedFiles(item, settings);
    if (filesSize(files) > maxSecretSize) throw tooLarge();
    const contents = await Promise.all(
      [...files].map(async ([key, file]) => [key, await connect.getFile(vaultId, itemId, file, signal, witnessOf(file.id))] as const),
    );
    const requestId = flight.recorded?.requestId ?? '';
    return { vaultId: item.vaultId, id: item.id, version, frozen, requestId, ...itemData(item, new Map(contents), settings) };
  }

  /** @throws Failure `AuditUnavailable` for what brought something that must not be used unrecorded */
  async function put(entry: Extract<AuditEntry, { status: number }>): Promise<void> {
    if (entry.result === 'success') await audit.require(entry);
    else await audit.record(entry);
  }

  /** True when an item is known to be gone, until a listing has it. */
  function isGone(location: ItemLocation): boolean {
    if (location.listed !== undefined) gone.delete(keyOf(location));
    return gone.has(keyOf(location));
  }

  async function locate(claim: SecretClaim, signal: AbortSignal): Promise<ItemLocation> {
    const path = parseItemPath(claim.itemPath);
    await access.check(claim, signal);
    const found = await find(claim, path, signal);
    access.confirm(claim, found.vaultId);
    return found;
  }

  /** The ids in the record are good while the path is the one they came from, and the item is there. */
  async function find(claim: SecretClaim, path: ItemPath, signal: AbortSignal): Promise<ItemLocation> {
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
        return await fetchAt(claim, location, signal);
      } catch (error) {
        if (!(error instanceof Failure) || error.reason !== 'ItemNotFound') throw error;
        // A replica of Connect that lags may have told us so: the listings have to agree.
        if (location.absences < 2) throw new Failure(error.reason, error.message, doubtDelay);
        if (gone.size < maxGone) gone.add(keyOf(location));
        return await fetchAt(claim, await locate(claim, signal), signal);
      }
    },
    confirm: (claim, { vaultId }) => access.confirm(claim, vaultId),
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

/** Who asks, as the audit names it. */
export function requesterOf({ namespace, owner: { kind, name, uid }, generation }: SecretClaim): Requester {
  return { kind, namespace, name, uid, generation };
}

function retrievalOf({ vaultId, itemId }: ItemLocation, requesters: readonly Requester[], retrieval: Retrieval) {
  const { requestId, token, status, itemVersion, reason } = retrieval;
  return {
    token,
    vault: vaultId,
    item: itemId,
    ...(itemVersion !== undefined && { itemVersion }),
    requesters: [...requesters],
    requestId,
    status,
    result: reason === undefined ? 'success' : status === 401 || status === 403 ? 'denied' : 'failed',
    ...(reason !== undefined && { reason }),
  } as const;
}

function itemGone(): Failure {
  return new Failure('ItemNotFound', 'the item does not exist any more; check spec.itemPath, or restore the item in 1Password');
}
