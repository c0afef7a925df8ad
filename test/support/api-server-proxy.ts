import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Agent, type Dispatcher } from 'undici';
import type { SharedControlPlane } from './control-plane.ts';

/** One request, as it arrived. */
export interface ProxiedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
  readonly isWatch: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** It writes the counts of consumers into the status of a resource, and nothing else. */
  readonly countsConsumers?: boolean;
  /** Absent while it is unanswered, and for good when its connection broke. */
  readonly status?: number;
}

/** What was asked of the proxy. */
export interface ProxyRequests {
  /** In order of arrival; the oldest are dropped beyond 20,000. */
  readonly all: readonly ProxiedRequest[];
  /** All that is not GET, leases left out. */
  writes(): readonly ProxiedRequest[];
  reset(): void;
}

/** Which requests a fault concerns: all of them unless it says otherwise. */
export interface RequestMatch {
  readonly methods?: readonly string[];
  /** Tried on the path without the query; without the flags `g` and `y`, which remember. */
  readonly path?: RegExp;
  /** Only watches, or all but watches. */
  readonly isWatch?: boolean;
  /** Only requests that bear this token. */
  readonly token?: string;
}

/** Answers with a status: with a `reason` as the API server refuses a request, without one in plain text, as it does when it is overloaded. */
interface StatusFault extends RequestMatch {
  readonly kind: 'status';
  readonly status: number;
  readonly reason?: string;
  /** Seconds. */
  readonly retryAfter?: number;
  /** How many requests it spoils; unlimited unless it says otherwise. */
  readonly times?: number;
  /** Only the first matching request of each method and path. */
  readonly firstPerPath?: boolean;
}

/** What may be ordered. */
export type ProxyFault =
  | StatusFault
  /** Breaks the connections of all watches that are open now. */
  | { readonly kind: 'cut-watches' }
  /** Ends all watches that are open now, as the API server does when their time is over. */
  | { readonly kind: 'end-watches' }
  /** Tells all watches that are open now that their place in the history is gone (410, Expired), and ends them. */
  | { readonly kind: 'watch-error' }
  /** Breaks all connections, and every new one. */
  | { readonly kind: 'refuse' };

/** A fault, and how many requests, watches or connections it has struck. */
export interface OrderedProxyFault {
  readonly hits: number;
  /** Withdraws it. */
  clear(): void;
}

/** A running proxy, and everything a test may turn in it. */
export interface ApiServerProxy {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** A file that points at the proxy. */
  readonly kubeconfig: string;
  readonly requests: ProxyRequests;
  readonly faults: {
    /** Of those that match a request the oldest strikes. */
    order(fault: ProxyFault): OrderedProxyFault;
    clear(): void;
  };
  /** Ends open connections too. */
  close(): Promise<void>;
}

export interface ApiServerProxyOptions {
  readonly controlPlane: Pick<SharedControlPlane, 'url' | 'ca' | 'accounts' | 'directory'>;
  /** Who the kubeconfig says to be; the operator that watches namespaces by name unless it says otherwise. */
  readonly user?: { readonly token: string } | { readonly tokenFile: string };
}

interface OpenWatch {
  cut(): void;
  /** Sends `line` and ends in order. */
  end(line?: string): void;
}

interface StandingFault {
  readonly order: StatusFault | { readonly kind: 'refuse' };
  readonly seen: Set<string>;
  hits: number;
}

/** Longer than any client keeps an idle connection, so that none is closed under a request: milliseconds. */
const keepAliveTimeout = 120_000;
const maxRequests = 20_000;

/** Starts an HTTP proxy in front of the API server. Whatever no fault strikes passes as it is, watches by the line. */
export async function startApiServerProxy({ controlPlane, user }: ApiServerProxyOptions): Promise<ApiServerProxy> {
  const upstream = new Agent({ connect: { ca: controlPlane.ca }, allowH2: false, headersTimeout: 0, bodyTimeout: 0 });
  const log = createLog();
  const watches = new Set<OpenWatch>();
  const sockets = new Set<Socket>();
  let standing: StandingFault[] = [];

  const server = createServer({ keepAliveTimeout }, (request, response) => void serve(request, response));
  server.on('connection', (socket) => {
    const fault = standing.find(({ order }) => order.kind === 'refuse');
    if (fault === undefined) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return;
    }
    fault.hits += 1;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = join(controlPlane.directory, `proxy-${new URL(url).port}.kubeconfig`);
  await writeKubeconfig(kubeconfig, url, user ?? { token: controlPlane.accounts.namespaced.token });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const entry = log.begin(request);
    const fault = standing.find(({ order, seen, hits }) => order.kind === 'status' && isDue(order, seen, hits, entry, request.headers));
    if (fault?.order.kind === 'status') {
      fault.seen.add(placeOf(entry));
      fault.hits += 1;
      entry.status = fault.order.status;
      request.resume();
      refuse(response, fault.order);
      return;
    }
    try {
      const answer = await ask(request, response, entry);
      entry.status = answer.statusCode;
      response.writeHead(answer.statusCode, passedOn(answer.headers));
      if (entry.isWatch && answer.statusCode === 200) await passLines(answer, response);
      else await pipeline(answer.body, response);
    } catch {
      // The client went away, or the API server did: what it has got of an answer must not look complete.
      if (!response.writableEnded) response.destroy();
    }
  }

  async function ask(request: IncomingMessage, response: ServerResponse, entry: Entry): Promise<Dispatcher.ResponseData> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const { method = 'GET', url: path = '/', headers } = request;
    const body = method === 'GET' ? null : entry.path.endsWith('/status') ? await buffer(request) : request;
    if (Buffer.isBuffer(body)) entry.countsConsumers = isConsumerCount(body);
    return await upstream.request({
      origin: controlPlane.url,
      path,
      method,
      headers: passedOn(headers),
      body,
      signal: gone.signal,
    });
  }

  /** Passes whole lines only, so that one of ours can stand between any two. */
  async function passLines({ body }: Dispatcher.ResponseData, response: ServerResponse): Promise<void> {
    const watch: OpenWatch = { cut: () => response.destroy(), end: (line = '') => response.end(line) };
    watches.add(watch);
    response.once('close', () => watches.delete(watch));
    response.flushHeaders();
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of body) {
      const text = rest + decoder.decode(chunk as Uint8Array, { stream: true });
      const end = text.lastIndexOf('\n') + 1;
      rest = text.slice(end);
      if (end > 0 && !response.writableEnded) response.write(text.slice(0, end));
    }
    response.end();
  }

  /** Strikes every watch that is open, and none that comes later. */
  function strikeWatches(strike: (watch: OpenWatch) => void): OrderedProxyFault {
    const open = [...watches];
    watches.clear();
    open.forEach(strike);
    return { hits: open.length, clear: () => {} };
  }

  function stand(order: StandingFault['order']): OrderedProxyFault {
    const fault: StandingFault = { order, seen: new Set(), hits: 0 };
    standing.push(fault);
    if (order.kind === 'refuse') for (const socket of sockets) socket.destroy();
    return {
      get hits() {
        return fault.hits;
      },
      clear: () => void (standing = standing.filter((other) => other !== fault)),
    };
  }

  return {
    url,
    kubeconfig,
    requests: log.requests,
    faults: {
      order(fault) {
        switch (fault.kind) {
          case 'cut-watches':
            return strikeWatches((watch) => watch.cut());
          case 'end-watches':
            return strikeWatches((watch) => watch.end());
          case 'watch-error':
            return strikeWatches((watch) => watch.end(`${JSON.stringify({ type: 'ERROR', object: statusObject(410, 'Expired') })}\n`));
          case 'status':
          case 'refuse':
            return stand(fault);
        }
      },
      clear: () => void (standing = []),
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await upstream.destroy();
    },
  };
}

type Entry = { -readonly [K in keyof ProxiedRequest]: ProxiedRequest[K] };

function createLog(): { readonly requests: ProxyRequests; begin(request: IncomingMessage): Entry } {
  let all: Entry[] = [];
  return {
    requests: {
      get all() {
        return all;
      },
      writes: () => all.filter(({ method, path }) => method !== 'GET' && !path.startsWith('/apis/coordination.k8s.io/')),
      reset: () => void (all = []),
    },
    begin({ method = 'GET', url = '/' }) {
      const { pathname, search, searchParams } = new URL(url, 'http://proxy');
      const isWatch = ['true', '1'].includes(searchParams.get('watch') ?? '');
      const entry: Entry = { method, path: pathname, query: search.slice(1), isWatch, at: Date.now() };
      all.push(entry);
      if (all.length >= maxRequests * 2) all = all.slice(-maxRequests);
      return entry;
    },
  };
}

function isDue(order: StatusFault, seen: ReadonlySet<string>, hits: number, request: Entry, headers: IncomingHttpHeaders): boolean {
  const { methods, path, isWatch, token, times = Infinity, firstPerPath = false } = order;
  return (
    (methods === undefined || methods.includes(request.method)) &&
    (path === undefined || path.test(request.path)) &&
    (isWatch === undefined || isWatch === request.isWatch) &&
    (token === undefined || headers.authorization === `Bearer ${token}`) &&
    hits < times &&
    !(firstPerPath && seen.has(placeOf(request)))
  );
}

function isConsumerCount(body: Buffer): boolean {
  const { status = {} } = JSON.parse(body.toString()) as { readonly status?: object };
  return Object.keys(status).join() === 'consumers';
}

function placeOf({ method, path }: Entry): string {
  return `${method} ${path}`;
}

function refuse(response: ServerResponse, { status, reason, retryAfter }: StatusFault): void {
  response.writeHead(status, {
    'content-type': reason === undefined ? 'text/plain; charset=utf-8' : 'application/json',
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
  });
  response.end(reason === undefined ? 'refused by the proxy\n' : JSON.stringify(statusObject(status, reason)));
}

function statusObject(code: number, reason: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'refused by the proxy', reason, code };
}

/** What concerns one connection alone stays there; and answers must come uncompressed, to be told apart by the line. */
const ownHeaders = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'expect', 'accept-encoding']);

function passedOn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ownHeaders.has(name)));
}

/** Every JSON document is one of YAML. */
function writeKubeconfig(file: string, server: string, user: object): Promise<void> {
  const name = 'proxy';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    // Without this client-node refuses plain HTTP.
    clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user }],
  };
  return writeFile(file, JSON.stringify(config), { mode: 0o600 });
}
