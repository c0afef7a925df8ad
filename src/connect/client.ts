import { Agent, type Dispatcher } from 'undici';
import { z } from 'zod';
import { Failure } from '../api/reasons.ts';
import type { Item, ItemFile, ItemSummary, Vault } from '../domain/item.ts';
import { SecretValue } from '../domain/secret-value.ts';
import type { Clock } from '../runtime/clock.ts';
import { withDeadline } from '../runtime/deadline.ts';
import { createSemaphore } from '../runtime/semaphore.ts';
import { askedDelay, transportCode } from '../runtime/transport.ts';
import { connectIdPattern, itemSchema, itemSummaryListSchema, vaultListSchema, type WireItem } from './schema.ts';

/**
 * A Connect server, as far as the operator asks it. Every method throws `Failure` with a reason of its own: `ConnectUnauthorized`,
 * `ConnectForbidden`, `ItemNotFound` (or `VaultNotFound`), `ConnectUnavailable`, `ConnectProtocolError`, `SecretTooLarge`.
 */
export interface ConnectClient {
  /** Every vault in the token's scope. */
  listVaults(signal: AbortSignal): Promise<readonly Vault[]>;
  /** Every item of a vault, without values. */
  listItems(vaultId: string, signal: AbortSignal): Promise<readonly ItemSummary[]>;
  getItem(vaultId: string, itemId: string, signal: AbortSignal): Promise<Item>;
  getFile(vaultId: string, itemId: string, file: ItemFile, signal: AbortSignal): Promise<SecretValue>;
  close(): Promise<void>;
}

export interface ConnectClientOptions {
  /** For instance `http://onepassword-connect:8080`. */
  readonly host: string;
  readonly token: string;
  readonly userAgent: string;
  readonly clock: Clock;
  /** Requests under way at a time; the others wait. */
  readonly parallelRequests?: number;
  /** After each request: its route, its HTTP status (0 without an answer) and how long it took, in milliseconds. */
  readonly onRequest?: (route: ConnectRoute, status: number, duration: number) => void;
}

export type ConnectRoute =
  '/v1/vaults' | '/v1/vaults/{vault}/items' | '/v1/vaults/{vault}/items/{item}' | '/v1/vaults/{vault}/items/{item}/files/{file}/content';

const mebibyte = 1024 * 1024;
/** Bounds of answers in bytes. A Secret holds 1 MiB at most, so a file that is larger can never be written. */
const limits = { listing: 64 * mebibyte, item: 8 * mebibyte, file: mebibyte };
/** In milliseconds; `body` between two pieces of it, `whole` from the first byte sent to the last received. */
const timeouts = { connect: 5_000, headers: 30_000, body: 30_000, whole: 60_000 };

export function createConnectClient(options: ConnectClientOptions): ConnectClient {
  const { host, token, userAgent, clock, parallelRequests = 32, onRequest } = options;
  const base = new URL(host.endsWith('/') ? host : `${host}/`);
  const agent = new Agent({
    connect: { timeout: timeouts.connect, rejectUnauthorized: true },
    connections: parallelRequests,
    allowH2: false,
    headersTimeout: timeouts.headers,
    bodyTimeout: timeouts.body,
    keepAliveTimeout: 30_000,
  });
  const bounded = createSemaphore(parallelRequests);

  function get(route: ConnectRoute, path: string, limit: number, signal: AbortSignal): Promise<Uint8Array> {
    async function ask(within: AbortSignal): Promise<Uint8Array> {
      const response = await agent.request({
        origin: base.origin,
        path: `${base.pathname}${path}`,
        method: 'GET',
        headers: { authorization: `Bearer ${token}`, accept: 'application/json', 'user-agent': userAgent },
        signal: within,
      });
      status = response.statusCode;
      if (status !== 200) {
        await response.body.dump({ limit: 64 * 1024 }).catch(() => {});
        throw statusFailure(route, response);
      }
      return await readBody(response, limit, route);
    }

    let status = 0;
    return bounded(async () => {
      const start = clock.monotonic();
      try {
        return await withDeadline(clock, timeouts.whole, signal, ask);
      } catch (error) {
        if (error instanceof Failure) throw error;
        throw new Failure(
          'ConnectUnavailable',
          `Connect could not be asked (${transportCode(error) ?? 'no answer'}); check OP_CONNECT_HOST and the network`,
        );
      } finally {
        onRequest?.(route, status, clock.monotonic() - start);
      }
    });
  }

  async function getJson<S extends z.ZodType>(
    route: ConnectRoute,
    path: string,
    limit: number,
    schema: S,
    signal: AbortSignal,
  ): Promise<z.output<S>> {
    const bytes = await get(route, path, limit, signal);
    const result = schema.safeParse(parseJson(bytes, route));
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    throw protocolFailure(route, `unexpected ${issue === undefined ? 'shape' : `value at ${safePath(issue.path)}`}`);
  }

  return {
    async listVaults(signal) {
      const vaults = await getJson('/v1/vaults', 'v1/vaults', limits.listing, vaultListSchema, signal);
      return vaults.map(({ id, name, contentVersion, createdAt }) => ({ id, name, contentVersion, createdAt: toTime(createdAt) }));
    },
    async listItems(vaultId, signal) {
      const route = '/v1/vaults/{vault}/items';
      const items = await getJson(route, `v1/vaults/${checkedId(vaultId)}/items`, limits.listing, itemSummaryListSchema, signal);
      return items.map(({ id, title, version, createdAt, state }) => ({
        id,
        title,
        version,
        createdAt: toTime(createdAt),
        gone: isGone(state),
      }));
    },
    async getItem(vaultId, itemId, signal) {
      const route = '/v1/vaults/{vault}/items/{item}';
      const wire = await getJson(route, `v1/vaults/${checkedId(vaultId)}/items/${checkedId(itemId)}`, limits.item, itemSchema, signal);
      if (isGone(wire.state))
        throw new Failure('ItemNotFound', 'the item is archived or deleted; restore it in 1Password, or change spec.itemPath');
      return toItem(wire);
    },
    async getFile(vaultId, itemId, file, signal) {
      const route = '/v1/vaults/{vault}/items/{item}/files/{file}/content';
      if (!connectIdPattern.test(file.id)) throw protocolFailure(route, 'the item names a file without an id');
      const path = `v1/vaults/${checkedId(vaultId)}/items/${checkedId(itemId)}/files/${file.id}/content`;
      return SecretValue.fromBytes(await get(route, path, limits.file, signal));
    },
    close: () => agent.destroy(),
  };
}

/** Only ids enter a path: a title there could reach any route. */
function checkedId(id: string): string {
  if (!connectIdPattern.test(id)) throw new Error('not an id of Connect');
  return id;
}

/** Milliseconds since the epoch; 0 when Connect did not say. */
function toTime(timestamp: string | undefined): number {
  return timestamp === undefined ? 0 : Date.parse(timestamp);
}

function isGone(state: string | undefined): boolean {
  return state === 'ARCHIVED' || state === 'DELETED';
}

function toItem({ id, vault, version, urls, fields, files }: WireItem): Item {
  return {
    id,
    vaultId: vault.id,
    version,
    urls: urls.map(({ label, primary, href }) => ({ label: label ?? '', primary: primary ?? false, value: SecretValue.fromText(href) })),
    fields: fields.map(({ label, type, value }) => ({ label: label ?? '', type, value: SecretValue.fromText(value ?? '') })),
    files: files.map((file) => ({ id: file.id, name: file.name, size: file.size })),
  };
}

/** The whole body, into a buffer of its own: Node's shared pool, which outlives its users, never holds a value. */
async function readBody({ body }: Dispatcher.ResponseData, limit: number, route: ConnectRoute): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(route, limit);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function tooLarge(route: ConnectRoute, limit: number): Failure {
  const size = `${limit / mebibyte} MiB`;
  if (route.endsWith('/content'))
    return new Failure('SecretTooLarge', `a file of the item is larger than the ${size} a Secret can hold; remove it from the item`);
  return protocolFailure(route, `answer larger than ${size}`);
}

/** What JSON.parse says quotes its input, and is dropped. */
function parseJson(bytes: Uint8Array, route: ConnectRoute): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    throw protocolFailure(route, 'not JSON');
  }
}

function protocolFailure(route: ConnectRoute, what: string): Failure {
  return new Failure(
    'ConnectProtocolError',
    `Connect's answer to ${route} cannot be read: ${what}; check that OP_CONNECT_HOST is a Connect server`,
  );
}

/** Where an answer differs from the schema: names the schema knows and positions, never a key that came from the answer. */
function safePath(path: readonly PropertyKey[]): string {
  return path.map(String).join('.') || 'the top';
}

function statusFailure(route: ConnectRoute, { statusCode, headers }: Dispatcher.ResponseData): Failure {
  switch (statusCode) {
    case 401:
      return new Failure(
        'ConnectUnauthorized',
        'Connect refuses the token (401); check OP_CONNECT_TOKEN, and whether the token was revoked',
      );
    case 403:
      return new Failure('ConnectForbidden', 'the token does not reach this vault (403); grant it access to the vault in 1Password');
    case 404:
      return notFound(route);
    default: {
      const retryAfter = askedDelay(headers['retry-after']);
      if (statusCode === 429 || statusCode >= 500) {
        return new Failure(
          'ConnectUnavailable',
          `Connect cannot answer now (${statusCode}); see the logs of Connect if it stays so`,
          retryAfter,
        );
      }
      return protocolFailure(route, `unexpected status ${statusCode}`);
    }
  }
}

function notFound(route: ConnectRoute): Failure {
  switch (route) {
    case '/v1/vaults':
      return protocolFailure(route, 'unexpected status 404');
    case '/v1/vaults/{vault}/items':
      return new Failure('VaultNotFound', 'the vault does not exist (404); check spec.itemPath');
    case '/v1/vaults/{vault}/items/{item}':
      return new Failure('ItemNotFound', 'the item does not exist (404); check spec.itemPath');
    case '/v1/vaults/{vault}/items/{item}/files/{file}/content':
      return new Failure('ItemNotFound', 'a file of the item does not exist (404); save the item in 1Password anew if it stays so');
  }
}
