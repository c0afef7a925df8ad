import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { connectIdPattern, type WireApiRequest } from '../../src/connect/schema.ts';
import type { Activity } from './activity.ts';
import { describe, readBody } from './body.ts';
import { parseFilter } from './filter.ts';
import { HttpError } from './http-error.ts';
import { ItemError } from './item-edit.ts';
import { type Item, type ItemDraft, itemBodySchema, type StoredFile, type Vault } from './item.ts';
import { PatchError, patchSchema } from './patch.ts';
import { jsonReply, type Reply } from './reply.ts';
import type { Params, Route } from './router.ts';
import { type Store, StoreError, type StoreView } from './store.ts';
import { allows, type Grant } from './tokens.ts';
import { serialisedListing, serialiseSummaries, wireFile, wireItem } from './wire.ts';

/** One request of a holder of a token. */
export interface Call {
  readonly request: IncomingMessage;
  readonly params: Params;
  readonly query: URLSearchParams;
  readonly grant: Grant;
  /** Where reads look; behind the store when the replica is ordered to be stale. */
  readonly view: StoreView;
}

/** An operation of the API that needs a token. */
export interface ApiRoute extends Route {
  readonly handle: (call: Call) => Reply | Promise<Reply>;
  /** How the activity trail records it; absent when it does not. */
  readonly records?: { readonly action: WireApiRequest['action']; readonly type: 'ITEM' | 'VAULT' };
}

/** Bytes of a file that is still inlined in base64: Connect's default of 100 KB. */
export const inlineFileLimit = 100 * 1024;

/** The operations below `/v1`. `clock` gives milliseconds since the epoch. */
export function apiRoutes(store: Store, activity: Activity, clock: () => number): readonly ApiRoute[] {
  const vaults = '/v1/vaults';
  const vault = `${vaults}/{vault}`;
  const items = `${vault}/items`;
  const item = `${items}/{item}`;
  const files = `${item}/files`;
  const file = `${files}/{file}`;
  const readsVault = { action: 'READ', type: 'VAULT' } as const;
  const readsItem = { action: 'READ', type: 'ITEM' } as const;
  const creates = { action: 'CREATE', type: 'ITEM' } as const;
  const updates = { action: 'UPDATE', type: 'ITEM' } as const;
  const deletes = { action: 'DELETE', type: 'ITEM' } as const;
  const itemReply = (found: Item) => jsonReplyOf(found, wireItem(found, clock()));

  return [
    { method: 'GET', template: vaults, records: readsVault, handle: listVaults },
    { method: 'GET', template: vault, records: readsVault, handle: (call) => jsonReply(200, vaultOf(call)) },
    { method: 'GET', template: items, records: readsItem, handle: listItems },
    { method: 'POST', template: items, records: creates, handle: async (call) => itemReply(await createItem(store, call)) },
    { method: 'GET', template: item, records: readsItem, handle: (call) => itemReply(itemOf(call)) },
    { method: 'PUT', template: item, records: updates, handle: async (call) => itemReply(await replaceItem(store, call)) },
    { method: 'PATCH', template: item, records: updates, handle: async (call) => itemReply(await patchItem(store, call)) },
    { method: 'DELETE', template: item, records: deletes, handle: (call) => deleteItem(store, call) },
    { method: 'GET', template: files, records: readsItem, handle: listFiles },
    { method: 'GET', template: file, records: readsItem, handle: fileDetails },
    { method: 'GET', template: `${file}/content`, records: readsItem, handle: fileContent },
    { method: 'GET', template: '/v1/activity', handle: (call) => listActivity(activity, call) },
  ];
}

/** The official client filters vaults by `title`, the document by `name`. Names match in any letter case. */
function listVaults({ view, grant, query }: Call): Reply {
  const filter = query.get('filter');
  const passes = filter ? parseFilter(filter, ['name', 'title'], false) : () => true;
  return jsonReply(
    200,
    view.vaults().filter((vault) => allows(grant, vault.id) && passes(vault.name)),
  );
}

function listItems(call: Call): Reply {
  const vault = vaultOf(call);
  const filter = call.query.get('filter');
  if (!filter) return jsonReply(200, serialisedListing(call.view, vault));
  const passes = parseFilter(filter, ['title'], true);
  return jsonReply(200, serialiseSummaries(call.view.activeItems(vault.id).filter((item) => passes(item.title))));
}

async function createItem(store: Store, call: Call): Promise<Item> {
  const vault = writableVaultOf(call);
  const body = await readItemBody(call);
  if (body.id && store.findItem(vault.id, body.id) !== undefined) throw new HttpError(400, `item ${body.id} exists already`);
  return answeringRefusals(() => store.createItem(vault.id, body));
}

async function replaceItem(store: Store, call: Call): Promise<Item> {
  const vault = writableVaultOf(call);
  const { id } = itemOf(call);
  const body = await readItemBody(call);
  if (body.id && body.id !== id) throw new HttpError(400, 'The id in the body is not the id in the path');
  return answeringRefusals(() => store.replaceItem(vault.id, id, body));
}

async function patchItem(store: Store, call: Call): Promise<Item> {
  const vault = writableVaultOf(call);
  const { id } = itemOf(call);
  const operations = await readBody(call.request, patchSchema);
  return answeringRefusals(() => store.patchItem(vault.id, id, operations));
}

function deleteItem(store: Store, call: Call): Reply {
  const vault = writableVaultOf(call);
  const item = itemOf(call);
  store.deleteItem(vault.id, item.id);
  return { status: 204, headers: {}, body: '', item };
}

function listFiles(call: Call): Reply {
  const item = itemOf(call);
  const inline = inlines(call);
  return jsonReplyOf(
    item,
    item.files.map((file) => inlinableFile(item, file, inline)),
  );
}

function fileDetails(call: Call): Reply {
  const item = itemOf(call);
  return jsonReplyOf(item, inlinableFile(item, fileOf(call, item), inlines(call)));
}

function fileContent(call: Call): Reply {
  const item = itemOf(call);
  const file = fileOf(call, item);
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Disposition': contentDisposition(file.name) };
  return { status: 200, headers, body: file.content, item };
}

function listActivity(activity: Activity, { query }: Call): Reply {
  const limit = wholeNumber(query, 'limit', 50);
  const offset = wholeNumber(query, 'offset', 0);
  const page = activity.page(offset, limit);
  const range = page.length === 0 ? '*' : `${offset + 1}-${offset + page.length}`;
  return jsonReply(200, page, { 'Content-Range': `${range}/${activity.total}` });
}

function vaultOf({ view, grant, params }: Call): Vault {
  const id = idParam(params, 'vault');
  if (!allows(grant, id)) throw new HttpError(403, `vault ${id} is not in scope`);
  const vault = view.findVault(id);
  if (vault === undefined) throw new HttpError(404, `vault ${id} not found`);
  return vault;
}

function writableVaultOf(call: Call): Vault {
  const vault = vaultOf(call);
  if (!call.grant.write) throw new HttpError(403, `the token may only read vault ${vault.id}`);
  return vault;
}

function itemOf(call: Call): Item {
  const id = idParam(call.params, 'item');
  const item = call.view.findItem(vaultOf(call).id, id);
  if (item === undefined) throw new HttpError(404, `item ${id} not found`);
  return item;
}

function fileOf({ params }: Call, item: Item): StoredFile {
  const id = idParam(params, 'file');
  const file = item.files.find((candidate) => candidate.id === id);
  if (file === undefined) throw new HttpError(404, `file ${id} not found`);
  return file;
}

function idParam(params: Params, what: string): string {
  const id = params[what] ?? '';
  if (!connectIdPattern.test(id)) throw new HttpError(400, `Invalid ${what} id: 26 lower-case letters and digits are expected`);
  return id;
}

async function readItemBody({ request, params }: Call): Promise<ItemDraft> {
  const { id, title, vault, ...content } = await readBody(request, itemBodySchema);
  if (vault.id !== params['vault']) throw new HttpError(400, 'The vault in the body is not the vault in the path');
  return { ...content, title: title ?? '', id: id || undefined };
}

/** Turns what the store finds wrong with a client's item into an answer; an item may also have gone while the body arrived. */
function answeringRefusals(edit: () => Item): Item {
  try {
    return edit();
  } catch (error) {
    if (error instanceof PatchError || error instanceof ItemError) throw new HttpError(400, error.message);
    if (error instanceof StoreError) throw new HttpError(404, error.message);
    if (error instanceof z.ZodError) throw new HttpError(400, describe(error));
    throw error;
  }
}

function inlines({ query }: Call): boolean {
  return query.get('inline_files') === 'true';
}

function inlinableFile(item: Item, file: StoredFile, inline: boolean): object {
  if (inline && file.content.length > inlineFileLimit) {
    throw new HttpError(413, `file ${file.id} is too large to be inlined; its content is at its content_path`);
  }
  return wireFile(item, file, inline);
}

/** RFC 6266: plain text for old clients, and UTF-8 when the name needs it. */
function contentDisposition(name: string): string {
  const plain = name.replaceAll(/[^\x20-\x7E]/g, '_');
  const quoted = plain.replaceAll(/["\\]/g, '\\$&');
  return `attachment; filename="${quoted}"${plain === name ? '' : `; filename*=UTF-8''${encodeURIComponent(name)}`}`;
}

function wholeNumber(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new HttpError(400, `${name} has to be a whole number`);
  return Number(text);
}

function jsonReplyOf(item: Item, value: unknown): Reply {
  return { ...jsonReply(200, value), item };
}
