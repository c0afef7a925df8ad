import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a path answers. */
export type Endpoint = () => Promise<{ readonly status: number; readonly contentType: string; readonly body: string }>;

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** An address cannot be listened on; the message names the flag that sets it. */
export class ListenError extends Error {
  constructor(flag: string, port: number, code: string) {
    super(`cannot listen on port ${port} (${code}): choose another address with ${flag}, or none with ${flag}=0`);
    this.name = 'ListenError';
  }
}

/**
 * Serves GET of a few fixed paths.
 * @param flag the flag that sets the address, for the error
 * @throws ListenError when the address is taken or not ours
 */
export async function listen(
  flag: string,
  address: { readonly host: string | undefined; readonly port: number },
  endpoints: Readonly<Record<string, Endpoint>>,
): Promise<Listener> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const endpoint = request.method === 'GET' ? endpoints[(request.url ?? '').split('?', 1)[0] ?? ''] : undefined;
    if (endpoint === undefined) {
      response.writeHead(404).end();
      return;
    }
    endpoint().then(
      ({ status, contentType, body }) => response.writeHead(status, { 'content-type': contentType }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new ListenError(flag, address.port, error.code ?? error.name)));
    server.listen({ port: address.port, ...(address.host !== undefined && { host: address.host }) }, () => resolve());
  });
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** `/healthz` as long as the process answers; `/readyz` once it has seen the cluster. */
export function healthEndpoints(isReady: () => boolean): Readonly<Record<string, Endpoint>> {
  return {
    '/healthz': async () => text(200, 'ok'),
    '/readyz': async () => (isReady() ? text(200, 'ok') : text(503, 'still reading the cluster')),
  };
}

function text(status: number, body: string): Awaited<ReturnType<Endpoint>> {
  return { status, contentType: 'text/plain', body };
}
