import { isDeepStrictEqual } from 'node:util';
import type { Agent, Dispatcher } from 'undici';
import type { Clock } from '../runtime/clock.ts';
import { createAgent } from '../runtime/http-agent.ts';
import { lateAbort, withDeadline } from '../runtime/deadline.ts';
import { askedDelay, transportCode } from '../runtime/transport.ts';
import type { Authentication, Credentials, LoadCredentials } from './credentials.ts';

/** The API server refused a request, or could not be asked. The message never holds what the server said. */
export class KubeError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** `reason` of the answer's Status object, for instance `AlreadyExists`, or a transport error's code. */
  readonly reason: string;
  /** Milliseconds the server asked us to wait, if it did. */
  readonly retryAfter: number | undefined;

  constructor(method: string, path: string, status: number, reason: string, retryAfter?: number) {
    super(`${method} ${path}: ${status === 0 ? '' : `${status} `}${reason}`);
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/** True for a write that lost against a faster one: nothing is wrong, it is planned anew. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409;
}

/** True for a write that admission refuses, that is not allowed, or whose object is gone; 500 is a webhook that does not answer. */
export function isRefusal(error: unknown): error is KubeError {
  return error instanceof KubeError && [400, 403, 404, 422, 500].includes(error.status);
}

/** True when a request may have been carried out though it failed. */
export function isUncertain(error: unknown): boolean {
  return error instanceof KubeError && !isUnsent(error) && (error.status === 0 || error.status > 500);
}

/** The reason of a write that was not begun, because this process does not lead, or may not for much longer. */
const notLeader = 'NotLeader';

/** The reason of a request that was not begun, because its signal had been aborted. */
const cancelled = 'Cancelled';

/** True for a write that was never sent: another process may be the one who writes now. */
export function isFenced(error: unknown): boolean {
  return error instanceof KubeError && error.status === 0 && error.reason === notLeader;
}

/** True for a request that was never sent, for whatever reason. */
export function isUnsent(error: unknown): boolean {
  return isFenced(error) || (error instanceof KubeError && error.status === 0 && error.reason === cancelled);
}

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Defaults to JSON, and for PATCH to a merge patch. */
  readonly contentType?: string;
  readonly accept?: string;
  /** A read ends with it. A write that has set out is waited for a while, for nobody would know whether it arrived. */
  readonly signal?: AbortSignal;
  /** Milliseconds for the whole of it, instead of the usual minute. */
  readonly timeout?: number;
}

export interface KubeClient {
  /** The parsed answer. @throws KubeError */
  request<T>(request: KubeRequest): Promise<T>;
  /** The lines of a watch, as they come, until the server ends it. @throws KubeError */
  watch(request: KubeRequest): AsyncIterable<string>;
  /** The API server's time in milliseconds, as its answers tell it (they give whole seconds). */
  serverTime(): number;
  /** The namespace of the credentials. */
  readonly namespace: string | undefined;
  close(): Promise<void>;
}

export interface KubeClientOptions {
  readonly load: LoadCredentials;
  readonly clock: Clock;
  readonly userAgent: string;
  /** After each request: for metrics. `host` is that of the API server, with its port. */
  readonly onRequest?: (method: string, status: number, host: string) => void;
  /** Asked before each write, at the moment its first byte would leave; false refuses it (`isFenced`). Without it every write may go. */
  readonly mayWrite?: () => boolean;
}

/** Tokens on disk are read again after this long, as client-go does; in milliseconds. */
const authenticationLifetime = 60_000;
const headersTimeout = 35_000;
/** From the first byte of a request to the last of its answer, in milliseconds; watches have no such end. */
const requestTime = 60_000;
/** A watch is quiet between bookmarks, which come about once a minute. Deaf for longer, we could miss that a workload was born into a rotation. */
const watchSilence = 90_000;
/** Requests to the API server at one time; watches have connections of their own. */
export const maxConnections = 48;
/** How long a write under way may go on when its signal is aborted, in milliseconds: within what a shutdown may take. */
const writeGrace = 6_000;

/** A client for the API server over connections that are kept; requests at the same time are bounded, watches are not. */
export function createKubeClient({ load, clock, userAgent, onRequest, mayWrite = () => true }: KubeClientOptions): KubeClient {
  let credentials: Credentials = load();
  let session: { authentication: Authentication; requests: Agent; watches: Agent; since: number } | undefined;
  let refreshing: Promise<void> | undefined;
  /** To the monotonic clock: our wall clock may be set at any moment. */
  let serverOffset = clock.now() - clock.monotonic();

  async function refresh(fromFiles: boolean): Promise<void> {
    if (fromFiles) credentials = load();
    const authentication = await credentials.authenticate();
    const since = clock.monotonic();
    if (session !== undefined && isDeepStrictEqual(session.authentication.tls, authentication.tls)) {
      session = { ...session, authentication, since };
      return;
    }
    const connect = { ...authentication.tls, timeout: 10_000, allowH2: false };
    const shared = { connect, allowH2: false, headersTimeout, keepAliveTimeout: 30_000 };
    // The old connections end by themselves: requests under way are not cut off.
    void session?.requests.close();
    void session?.watches.close();
    session = {
      authentication,
      since,
      requests: createAgent({ ...shared, connections: maxConnections, bodyTimeout: headersTimeout }),
      watches: createAgent({ ...shared, bodyTimeout: watchSilence }),
    };
  }

  async function currentSession(rejected?: Authentication): Promise<NonNullable<typeof session>> {
    const stale = session === undefined || clock.monotonic() - session.since > authenticationLifetime;
    const refused = rejected !== undefined && session?.authentication === rejected;
    if (stale || refused) {
      refreshing ??= refresh(refused).finally(() => (refreshing = undefined));
      await refreshing;
    }
    return session as NonNullable<typeof session>;
  }

  async function send(request: KubeRequest, kind: 'requests' | 'watches'): Promise<Dispatcher.ResponseData> {
    const first = await attempt(request, kind);
    if (first.response.statusCode !== 401) return first.response;
    await first.response.body.dump();
    return (await attempt(request, kind, first.authentication)).response;
  }

  async function attempt(
    { method, path, query = {}, body, contentType, accept = 'application/json', signal }: KubeRequest,
    kind: 'requests' | 'watches',
    rejected?: Authentication,
  ): Promise<{ response: Dispatcher.ResponseData; authentication: Authentication }> {
    try {
      const { authentication, [kind]: agent } = await currentSession(rejected);
      const response = await (isRead(method) ? agent : agent.compose(fence(mayWrite))).request({
        origin: credentials.server,
        path,
        method,
        query: Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)),
        headers: {
          ...authentication.headers,
          accept,
          'user-agent': userAgent,
          ...(body !== undefined && { 'content-type': contentType ?? defaultContentType(method) }),
        },
        body: body === undefined ? null : encode(body),
        signal: signal ?? null,
      });
      readServerTime(response.headers['date']);
      onRequest?.(method, response.statusCode, new URL(credentials.server).host);
      return { response, authentication };
    } catch (error) {
      const reason = transportCode(error) ?? 'RequestFailed';
      if (reason !== notLeader) onRequest?.(method, 0, new URL(credentials.server).host);
      throw new KubeError(method, path, 0, reason);
    }
  }

  function readServerTime(date: string | string[] | undefined): void {
    const time = typeof date === 'string' ? Date.parse(date) : Number.NaN;
    if (!Number.isNaN(time)) serverOffset = time + 500 - clock.monotonic();
  }

  return {
    async request<T>(request: KubeRequest): Promise<T> {
      const { timeout = requestTime } = request;
      const patience = isRead(request.method) ? undefined : lateAbort(clock, writeGrace, request.signal);
      try {
        if (request.signal?.aborted) throw new KubeError(request.method, request.path, 0, cancelled);
        return await withDeadline(clock, timeout, patience?.signal ?? request.signal, async (signal) => {
          const response = await send({ ...request, signal }, 'requests');
          if (response.statusCode >= 400) throw await refusal(request, response, clock.now());
          return await readJson<T>(request, response);
        });
      } catch (error) {
        if (error instanceof KubeError) throw error;
        throw new KubeError(request.method, request.path, 0, transportCode(error) ?? 'RequestFailed');
      } finally {
        patience?.end();
      }
    },
    async *watch(request: KubeRequest): AsyncGenerator<string> {
      const response = await send(request, 'watches');
      if (response.statusCode >= 400) throw await refusal(request, response, clock.now());
      try {
        yield* linesOf(response.body);
      } catch (error) {
        throw new KubeError(request.method, request.path, 0, transportCode(error) ?? 'RequestFailed');
      }
    },
    serverTime: () => clock.monotonic() + serverOffset,
    get namespace() {
      return credentials.namespace;
    },
    async close() {
      await Promise.all([session?.requests.destroy(), session?.watches.destroy()]);
    },
  };
}

/** What stands after the last end of a line is dropped. A long line is put together once, at its end: its time grows with its length alone. */
async function* linesOf(body: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let begun: string[] = [];
  for await (const chunk of body) {
    const [first = '', ...others] = decoder.decode(chunk as Uint8Array, { stream: true }).split('\n');
    begun.push(first);
    const next = others.pop();
    if (next === undefined) continue;
    yield begun.join('');
    yield* others;
    begun = [next];
  }
}

function isRead(method: KubeRequest['method']): boolean {
  return method === 'GET';
}

/** Refuses a request at the moment it would be written to its connection, however long it waited for one. */
function fence(mayWrite: () => boolean): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart(controller, context) {
        if (!mayWrite()) throw Object.assign(new Error('not the leader'), { code: notLeader });
        handler.onRequestStart?.(controller, context);
      },
      onResponseStart: (...args) => handler.onResponseStart?.(...args),
      onResponseData: (...args) => handler.onResponseData?.(...args),
      onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
      onResponseError: (...args) => handler.onResponseError?.(...args),
    });
}

/** A body in a buffer of its own: a string would go through Node's shared pool, where the values of a Secret stay readable. */
function encode(body: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(body));
}

/** What JSON.parse says may quote the answer: only the kind of failure goes on. */
async function readJson<T>({ method, path }: KubeRequest, { statusCode, body }: Dispatcher.ResponseData): Promise<T> {
  try {
    return (await body.json()) as T;
  } catch (error) {
    throw error instanceof SyntaxError ? new KubeError(method, path, statusCode, 'MalformedAnswer') : error;
  }
}

function defaultContentType(method: string): string {
  return method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
}

/** What an answer of 400 and above means; its body may be no Status at all, as with an overloaded API server or a proxy. */
async function refusal(
  { method, path }: KubeRequest,
  { statusCode, headers, body }: Dispatcher.ResponseData,
  now: number,
): Promise<KubeError> {
  const answer: unknown = await body.json().catch(() => undefined);
  return new KubeError(method, path, statusCode, statusReason(answer), askedDelay(headers['retry-after'], now));
}

function statusReason(answer: unknown): string {
  const reason = typeof answer === 'object' && answer !== null && 'reason' in answer ? answer.reason : undefined;
  return typeof reason === 'string' && /^[A-Za-z]{1,64}$/.test(reason) ? reason : 'Refused';
}
