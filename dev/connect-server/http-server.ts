import { createServer as createPlainServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** A certificate (its chain, leaf first) and the key of it, both as PEM. */
export interface TlsOptions {
  readonly key: string;
  readonly cert: string;
}

/** Longer than any client keeps an idle connection, so that none is closed under a request: milliseconds. */
const keepAliveTimeout = 120_000;

/** The TCP connection below each TLS connection: only that can be reset. */
const carriers = new WeakMap<Socket, Socket>();

/** A server that does not listen yet, over TLS when there is a certificate. Throws what OpenSSL says of a certificate it cannot use. */
export function createHttpServer(tls: TlsOptions | undefined, listener: RequestListener): Server {
  if (tls === undefined) return createPlainServer({ keepAliveTimeout }, listener);
  const server = createTlsServer({ key: tls.key, cert: tls.cert, keepAliveTimeout }, listener);
  const open = trackCarriers(server);
  const closeAllConnections = server.closeAllConnections.bind(server);
  // Node takes a connection for one of the server's only once its handshake is over.
  server.closeAllConnections = () => {
    closeAllConnections();
    for (const carrier of open.values()) carrier.destroy();
  };
  return server;
}

/** The TCP connections of a server by the port at their other end, which is what they share with the TLS connections above them. */
function trackCarriers(server: TlsServer): ReadonlyMap<number | undefined, Socket> {
  const open = new Map<number | undefined, Socket>();
  server.on('connection', (carrier: Socket) => {
    const { remotePort } = carrier;
    open.set(remotePort, carrier);
    carrier.once('close', () => open.get(remotePort) === carrier && open.delete(remotePort));
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    const carrier = open.get(socket.remotePort);
    if (carrier !== undefined) carriers.set(socket, carrier);
  });
  return open;
}

/** Resets the connection of an answer: the client sees ECONNRESET, over TLS too. */
export function resetConnection({ socket }: ServerResponse): void {
  if (socket !== null) (carriers.get(socket) ?? socket).resetAndDestroy();
}
