import { randomUUID } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { freezingTag } from '../api/names.ts';
import { Failure, type Reason } from '../api/reasons.ts';
import type { Item, ItemFile, ItemSummary, Vault } from '../domain/item.ts';
import { SecretValue } from '../domain/secret-value.ts';
import type { Clock } from '../runtime/clock.ts';
import { withDeadline } from '../runtime/deadline.ts';
import { createSemaphore } from '../runtime/semaphore.ts';
import { askedDelay, transportCode } from '../runtime/transport.ts';
import { createConnectAgent, timeouts, transportCure } from './agent.ts';
import { createGate, type Gate, type Outage, type Verdict } from './gate.ts';
import { connectIdPattern, itemContentSchema, itemSummaryListSchema, vaultListSchema, type WireItem } from './schema.ts';
import type { AccessToken, ConnectToken } from './token.ts';

/**
 * A Connect server, as far as the operator asks it. Every method throws `Failure` with a reason of its own: `ConnectUnauthorized`,
 * `ConnectForbidden`, `ItemNotFound` (or `VaultNotFound`), `ConnectUnavailable`, `ConnectProtocolError`, `SecretTooLarge`.
 */
export interface ConnectClient {
  /** Every vault in the token's scope. */
  listVaults(signal: AbortSignal): Promise<readonly Vault[]>;
  /** Every item of a vault that is neither archived nor deleted, without values. */
  listItems(vaultId: string, signal: AbortSignal): Promise<readonly ItemSummary[]>;
  getItem(vaultId: string, itemId: string, signal: AbortSignal, witness?: Witness): Promise<Item>;
  getFile(vaultId: string, itemId: string, file: ItemFile, signal: AbortSignal, witness?: Witness): Promise<SecretValue>;
  /** While Connect as a whole, or a vault, is not asked because it just failed: why, and since when. */
  outage(vaultId?: string): Outage | undefined;
  /** The same for a vault alone, whatever is with Connect as a whole. */
  vaultOutage(vaultId: string): Outage | undefined;
  /** Milliseconds until Connect is asked again during an outage of the whole; 0 when there is none. */
  readonly probeIn: number;
  /**
   * Looks whether there is another token by now. If so, what the last one was refused is asked again at once: whatever is shut for it, of
   * Connect or of a vault, lets a probe through. True when there is another one.
   */
  reloadToken(): boolean;
  close(): Promise<void>;
}

export interface ConnectClientOptions {
  /** For instance `http://onepassword-connect:8080`. */
  readonly host: string;
  readonly token: ConnectToken;
  readonly userAgent: string;
  readonly clock: Clock;
  /** Requests under way at a time; the others wait. */
  readonly parallelRequests?: number;
  /** After each request: its route, its HTTP status (0 without an answer) and how long it took, in milliseconds. */
  readonly onRequest?: (route: ConnectRoute, status: number, duration: number) => void;
  /** With every new connection: when Connect's certificate expires, in milliseconds since the epoch. */
  readonly onCertificate?: (expiry: number) => void;
  /** An outage began, or was over: of Connect as a whole, or of one vault. */
  readonly onOutage?: (outage: Outage | undefined, vaultId: string | undefined) => void;
  /** Certificates to trust instead of the usual ones, in PEM. */
  readonly ca?: string | undefined;
  /** URL of the proxy that leads to the server, with user and password when it asks for them. */
  readonly proxy?: string | undefined;
}

export type ConnectRoute =
  '/v1/vaults' | '/v1/vaults/{vault}/items' | '/v1/vaults/{vault}/items/{item}' | '/v1/vaults/{vault}/items/{item}/files/{file}/content';

/** A request for an item or a file, and what came of it. */
export interface Retrieval {
  /** Our own: Connect's answers name none. It is sent as `X-Request-Id`. */
  readonly requestId: string;
  /** The id of the token that it was made with. */
  readonly token: string;
  /** Of the answer; 0 without one. With 200 Connect has given the values away, whatever became of them. */
  readonly status: number;
  /** Of the item that the answer holds, if that could be read. */
  readonly itemVersion: number | undefined;
  /** Why it did not bring what was asked for; `Cancelled` when we gave up. Undefined when it did. */
  readonly reason: Reason | 'Cancelled' | undefined;
}

/** Is told of every request that was made, before anybody gets what it brought. Nobody does when it throws. */
export type Witness = (retrieval: Retrieval) => Promise<void>;

/** One request: what it asks, and how long the answer may be, in bytes. */
interface Question {
  readonly route: ConnectRoute;
  readonly path: string;
  readonly limit: number;
  readonly vaultId?: string;
  readonly witness?: Witness | undefined;
}

/** A request under way. */
interface Attempt {
  requestId: string;
  status: number;
  /** Tells the witness. */
  readonly end: (reason: Retrieval['reason']) => Promise<void>;
}

/** Makes something of the body of an answer, and notes the version of the item in it. @throws Failure */
type Read<T> = (body: Uint8Array, noteVersion: (version: number) => void) => T;

const mebibyte = 1024 * 1024;
/** Bounds of answers in bytes. A Secret holds 1 MiB at most, so a file that is larger can never be written. */
const limits = { listing: 64 * mebibyte, item: 8 * mebibyte, file: mebibyte };

/** A failure to get an answer that can be used, with what it says of other requests. */
class ConnectFailure extends Failure {
  readonly verdict: Verdict;
  readonly route: ConnectRoute;

  constructor(verdict: Verdict, route: ConnectRoute, ...rest: ConstructorParameters<typeof Failure>) {
    super(...rest);
    this.verdict = verdict;
    this.route = route;
  }
}

export function createConnectClient(options: ConnectClientOptions): ConnectClient {
  const { host, token, userAgent, clock, parallelRequests = 32, onRequest, onCertificate, onOutage, ca, proxy } = options;
  const base = new URL(host.endsWith('/') ? host : `${host}/`);
  const agent = createConnectAgent({ ca, proxy, onCertificate, connections: parallelRequests });
  const bounded = createSemaphore(parallelRequests);
  const gate = createGate({ clock, judge: judgeForAll, onTurn: (outage) => onOutage?.(outage, undefined) });
  const vaultGates = new Map<string, Gate>();

  function vaultGate(vaultId: string): Gate {
    const known = vaultGates.get(vaultId);
    if (known !== undefined) return known;
    const made = createGate({ clock, judge: judgeForVault, onTurn: (outage) => onOutage?.(outage, vaultId) });
    vaultGates.set(vaultId, made);
    return made;
  }

  function reloadToken(refused?: AccessToken): boolean {
    if (!token.reload(refused)) return false;
    for (const shut of [gate, ...vaultGates.values()]) {
      if (shut.outage?.failure.reason === 'ConnectUnauthorized' || shut.outage?.failure.reason === 'ConnectForbidden') shut.hurry();
    }
    return true;
  }

  /** One request and its answer, or two: a connection that was kept may be closed just when it is used again, which is worth another at once. */
  async function transfer(used: AccessToken, { route, path, limit }: Question, attempt: Attempt, signal: AbortSignal): Promise<Uint8Array> {
    const start = clock.monotonic();
    try {
      return await withDeadline(clock, timeouts.whole, signal, async (within) => {
        const send = (): Promise<Dispatcher.ResponseData> =>
          agent.request({
            origin: base.origin,
            path: `${base.pathname}${path}`,
            method: 'GET',
            headers: {
              authorization: `Bearer ${used.expose()}`,
              accept: 'application/json',
              'user-agent': userAgent,
              'x-request-id': attempt.requestId,
            },
            signal: within,
          });
        const response = await send().catch(async (error: unknown) => {
          if (!staleConnectionCodes.has(transportCode(error) ?? '')) throw error;
          await attempt.end('ConnectUnavailable');
          attempt.requestId = randomUUID();
          return await send();
        });
        attempt.status = response.statusCode;
        if (response.statusCode === 200) return await readBody(response, limit, route);
        await response.body.dump({ limit: 64 * 1024 }).catch(() => {});
        throw statusFailure(route, response, clock.now());
      });
    } catch (error) {
      if (error instanceof Failure || signal.aborted) throw error;
      throw transportFailure(route, transportCode(error) ?? 'no answer', attempt.status === 0, proxy !== undefined);
    } finally {
      onRequest?.(route, attempt.status, clock.monotonic() - start);
    }
  }

  /** A token that is refused may have been replaced a moment ago: with another one it is asked once more. */
  async function ask<T>(question: Question, signal: AbortSignal, read: Read<T>): Promise<T> {
    const used = token.current ?? (token.reload() ? token.current : undefined);
    if (used === undefined) throw noToken(question.route);
    try {
      return await askWith(used, question, signal, read);
    } catch (error) {
      if (!(error instanceof Failure) || error.reason !== 'ConnectUnauthorized') throw error;
      reloadToken(used);
      const other = token.current;
      if (other === undefined || other.equals(used)) throw error;
      return await askWith(other, question, signal, read);
    }
  }

  async function askWith<T>(used: AccessToken, question: Question, signal: AbortSignal, read: Read<T>): Promise<T> {
    let itemVersion: number | undefined;
    const attempt: Attempt = {
      requestId: randomUUID(),
      status: 0,
      end: async (reason) =>
        await question.witness?.({ requestId: attempt.requestId, token: used.id, status: attempt.status, itemVersion, reason }),
    };
    let answer: T;
    try {
      answer = read(await transfer(used, question, attempt, signal), (version) => (itemVersion = version));
    } catch (error) {
      await attempt.end(error instanceof Failure ? error.reason : 'Cancelled');
      throw error;
    }
    await attempt.end(undefined);
    return answer;
  }

  /** The gates are looked at last: what waited for its turn while one was shut is not sent. */
  function get<T>(question: Question, signal: AbortSignal, read: Read<T>): Promise<T> {
    const { path, vaultId } = question;
    const throughGate = (): Promise<T> => gate.pass(() => ask(question, signal, read), path);
    return bounded(() => (vaultId === undefined ? throughGate() : vaultGate(vaultId).pass(throughGate)));
  }

  function getJson<S extends z.ZodType>(question: Question, schema: S, signal: AbortSignal): Promise<z.output<S>> {
    return get(question, signal, (body) => parsed(body, schema, question.route));
  }

  return {
    async listVaults(signal) {
      const question = { route: '/v1/vaults', path: 'v1/vaults', limit: limits.listing } as const;
      const vaults = await getJson(question, vaultListSchema, signal);
      return vaults.map(({ id, name, contentVersion, createdAt }) => ({ id, name, contentVersion, createdAt: toTime(createdAt) }));
    },
    async listItems(vaultId, signal) {
      const path = `v1/vaults/${checkedId(vaultId)}/items`;
      const question = { route: '/v1/vaults/{vault}/items', path, limit: limits.listing, vaultId } as const;
      const items = await getJson(question, itemSummaryListSchema, signal);
      return items
        .filter(({ state }) => !isGone(state))
        .map(({ id, title, version, createdAt, updatedAt, tags }) => ({
          id,
          title,
          version,
          createdAt: toTime(createdAt),
          updatedAt: toTime(updatedAt),
          frozen: isFrozen(tags),
        }));
    },
    async getItem(vaultId, itemId, signal, witness) {
      const path = `v1/vaults/${checkedId(vaultId)}/items/${checkedId(itemId)}`;
      const route = '/v1/vaults/{vault}/items/{item}';
      return await get({ route, path, limit: limits.item, vaultId, witness }, signal, (body, noteVersion) => {
        const wire = parsed(body, itemContentSchema, route);
        if (wire.id !== itemId || wire.vault.id !== vaultId) throw protocolFailure(route, 'another item than was asked for');
        noteVersion(wire.version);
        if (!isGone(wire.state)) return toItem(wire);
        throw new Failure('ItemNotFound', 'the item is archived or deleted; restore it in 1Password, or change spec.itemPath');
      });
    },
    async getFile(vaultId, itemId, file, signal, witness) {
      const route = '/v1/vaults/{vault}/items/{item}/files/{file}/content';
      if (!connectIdPattern.test(file.id)) throw protocolFailure(route, 'the item names a file without an id');
      const path = `v1/vaults/${checkedId(vaultId)}/items/${checkedId(itemId)}/files/${file.id}/content`;
      return await get({ route, path, limit: limits.file, vaultId, witness }, signal, (bytes) => SecretValue.fromBytes(bytes));
    },
    outage: (vaultId) => gate.outage ?? (vaultId === undefined ? undefined : vaultGates.get(vaultId)?.outage),
    vaultOutage: (vaultId) => vaultGates.get(vaultId)?.outage,
    get probeIn() {
      return gate.probeIn;
    },
    reloadToken: () => reloadToken(),
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

function isFrozen(tags: readonly string[]): boolean {
  return tags.includes(freezingTag);
}

function toItem({ id, vault, version, tags, urls, fields, files }: WireItem): Item {
  return {
    id,
    vaultId: vault.id,
    version,
    frozen: isFrozen(tags),
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

/** @throws Failure `ConnectProtocolError` */
function parsed<S extends z.ZodType>(body: Uint8Array, schema: S, route: ConnectRoute): z.output<S> {
  const result = schema.safeParse(parseJson(body, route));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw protocolFailure(route, `unexpected ${issue === undefined ? 'shape' : `value at ${safePath(issue.path)}`}`);
}

/** What JSON.parse says quotes its input, and is dropped. */
function parseJson(bytes: Uint8Array, route: ConnectRoute): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    throw protocolFailure(route, 'not JSON');
  }
}

/** That an answer cannot be read may be a matter of one item. */
function protocolFailure(route: ConnectRoute, what: string): Failure {
  return new ConnectFailure(
    'unknown',
    route,
    'ConnectProtocolError',
    `Connect's answer to ${route} cannot be read: ${what}; check that OP_CONNECT_HOST is a Connect server`,
  );
}

/** Where an answer differs from the schema: names the schema knows and positions, never a key that came from the answer. */
function safePath(path: readonly PropertyKey[]): string {
  return path.map(String).join('.') || 'the top';
}

const staleConnectionCodes = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);
const timeoutCodes = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'DEADLINE_EXCEEDED']);

/** One slow or broken answer may be a matter of one item; a connection that cannot be made is a matter of all. */
function transportFailure(route: ConnectRoute, code: string, unanswered: boolean, proxied: boolean): ConnectFailure {
  const verdict = unanswered && !timeoutCodes.has(code) ? 'shuts' : 'suspect';
  return new ConnectFailure(verdict, route, 'ConnectUnavailable', `Connect could not be asked (${code}); ${transportCure(code, proxied)}`);
}

function noToken(route: ConnectRoute): Failure {
  return new ConnectFailure(
    'shuts',
    route,
    'ConnectUnauthorized',
    'there is no access token for Connect; see that the file of OP_CONNECT_TOKEN_FILE holds one',
  );
}

function statusFailure(route: ConnectRoute, { statusCode, headers }: Dispatcher.ResponseData, now: number): Failure {
  switch (statusCode) {
    case 401:
      return new ConnectFailure(
        'shuts',
        route,
        'ConnectUnauthorized',
        'Connect refuses the token (401); check OP_CONNECT_TOKEN or its file, and whether the token was revoked',
      );
    case 403:
      if (route === '/v1/vaults')
        return new ConnectFailure('shuts', route, 'ConnectForbidden', 'the token may not list vaults (403); issue one that may');
      return new Failure('ConnectForbidden', 'the token does not reach this vault (403); grant it access to the vault in 1Password');
    case 404:
      return notFound(route);
    default: {
      if (statusCode !== 429 && statusCode < 500) return protocolFailure(route, `unexpected status ${statusCode}`);
      const retryAfter = askedDelay(headers['retry-after'], now);
      const asksAll = statusCode === 429 || retryAfter !== undefined;
      const message = `Connect cannot answer now (${statusCode}); see the logs of Connect if it stays so`;
      return new ConnectFailure(asksAll ? 'shuts' : 'suspect', route, 'ConnectUnavailable', message, retryAfter);
    }
  }
}

function judgeForAll(failure: Failure): Verdict {
  if (!(failure instanceof ConnectFailure)) return 'answers';
  // Without the list of vaults nothing is known of anything.
  return failure.route === '/v1/vaults' ? 'shuts' : failure.verdict;
}

/** A vault that cannot be listed cannot be followed, whatever the reason. */
function judgeForVault(failure: Failure): Verdict {
  if (failure.reason === 'ConnectForbidden' || failure.reason === 'VaultNotFound') return 'shuts';
  if (failure instanceof ConnectFailure)
    return failure.route === '/v1/vaults/{vault}/items' && failure.verdict !== 'shuts' ? 'shuts' : 'unknown';
  return failure.reason === 'ItemNotFound' ? 'answers' : 'unknown';
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
