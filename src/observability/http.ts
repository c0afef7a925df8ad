import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** What an endpoint is told of a request. */
export interface EndpointRequest {
  readonly query: URLSearchParams;
  /** The header of that name. */
  readonly authorization: string | undefined;
}

/** What a path answers. */
export type Endpoint = (request: EndpointRequest) => Promise<{
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}>;

/** A certificate and its key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface Listener {
  readonly port: number;
  /** New connections are served with this certificate from now on; of no meaning for plain HTTP. */
  renew(pair: KeyPair): void;
  close(): Promise<void>;
}

/** An address cannot be listened on; the message names the flag that sets it. */
export class ListenError extends Error {
  constructor(flag: string, port: number, code: string) {
    super(`cannot listen on port ${port} (${code}): choose another address with ${flag}, or none with ${flag}=0`);
    this.name = 'ListenError';
  }
}

const timeouts = { requestTimeout: 10_000, headersTimeout: 5_000 };

/**
 * Serves GET of a few fixed paths.
 * @param flag the flag that sets the address, for the error
 * @param pair for TLS; without it plain HTTP
 * @throws ListenError when the address is taken or not ours
 */
export async function listen(
  flag: string,
  address: { readonly host: string | undefined; readonly port: number },
  endpoints: Readonly<Record<string, Endpoint>>,
  pair?: KeyPair,
): Promise<Listener> {
  const serve: RequestListener = (request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const endpoint = request.method === 'GET' && Object.hasOwn(endpoints, path) ? endpoints[path] : undefined;
    if (endpoint === undefined) {
      response.writeHead(404).end();
      return;
    }
    endpoint({ query: new URLSearchParams(query), authorization: request.headers.authorization }).then(
      ({ status, contentType, body, headers }) => response.writeHead(status, { ...headers, 'content-type': contentType }).end(body),
      () => response.writeHead(500).end(),
    );
  };
  const secure = pair && createSecureServer({ ...timeouts, ...pair }, serve);
  const server = secure ?? createServer(timeouts, serve);
  // Also those that have not shaken hands: the server itself knows none of them.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new ListenError(flag, address.port, error.code ?? error.name)));
    server.listen({ port: address.port, ...(address.host !== undefined && { host: address.host }) }, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    renew: (next) => secure?.setSecureContext({ ...next }),
    close: () => close(server, sockets),
  };
}

function close(server: Server | SecureServer, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}

/** One thing that has to be well. */
export interface HealthCheck {
  readonly name: string;
  /** What is wrong, in words for everybody; undefined when nothing is. */
  readonly problem: () => string | undefined;
}

/**
 * Answers as the endpoints of Kubernetes do: `ok`, or with `?verbose` and when something is wrong a line for each check.
 * @param checks by the name of the endpoint, for instance `healthz`; that the process answers is checked by its answering
 */
export function healthEndpoints(checks: Readonly<Record<string, readonly HealthCheck[]>>): Readonly<Record<string, Endpoint>> {
  return Object.fromEntries(
    Object.entries(checks).map(([name, all]): [string, Endpoint] => [
      `/${name}`,
      async ({ query }) => health(name, all, query.has('verbose')),
    ]),
  );
}

function health(endpoint: string, checks: readonly HealthCheck[], verbose: boolean): Awaited<ReturnType<Endpoint>> {
  const results = checks.map(({ name, problem }) => ({ name, problem: problem() }));
  const passed = results.every(({ problem }) => problem === undefined);
  if (passed && !verbose) return text(200, 'ok');
  const lines = results.map(({ name, problem }) => (problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`));
  return text(passed ? 200 : 503, ['[+]ping ok', ...lines, `${endpoint} check ${passed ? 'passed' : 'failed'}`, ''].join('\n'));
}

/** Whether somebody may read an endpoint: yes, not known who it is, not allowed to, or too many ask at a time. */
export type Access = 'allowed' | 'unauthenticated' | 'forbidden' | 'busy';

const refusals = {
  unauthenticated: { ...text(401, 'Unauthorized'), headers: { 'www-authenticate': 'Bearer' } },
  forbidden: text(403, 'Forbidden'),
  busy: text(503, 'too many reviews of access at a time'),
} as const;

/** An endpoint for those alone who may read it. */
export function authorized(endpoint: Endpoint, review: (authorization: string | undefined) => Promise<Access>): Endpoint {
  return async (request) => {
    const access = await review(request.authorization);
    return access === 'allowed' ? endpoint(request) : refusals[access];
  };
}

function text(status: number, body: string): Awaited<ReturnType<Endpoint>> {
  return { status, contentType: 'text/plain', body };
}
