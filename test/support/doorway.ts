import { once } from 'node:events';
import { connect, createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { freePorts } from '../../dev/control-plane/ports.ts';
import type { Certificate } from './certificates.ts';

/** An address of its own in front of a server, so that the server can be out of reach and keep what it holds. */
export interface Doorway {
  /** `http://127.0.0.1:PORT`, or `https:` with a certificate; it stays the same. */
  readonly url: string;
  /** Nobody listens any more, and what was open is reset. */
  shut(): Promise<void>;
  /** Listens again, at the same port. */
  open(): Promise<void>;
  /** Shows another certificate from now on; what was open is reset. Only for a doorway over TLS. */
  show(certificate: Certificate): void;
}

/** Opens a doorway to a server that speaks plain HTTP; it speaks TLS itself when there is a certificate. It ends with `shut`. */
export async function openDoorway(target: string, certificate?: Certificate): Promise<Doorway> {
  const [port = 0] = await freePorts(1);
  const carriers = new Set<Socket>();
  const { port: targetPort, hostname } = new URL(target);

  /** A connection over TLS cannot be reset itself. */
  const breakOff = (socket: Socket): void => void (carriers.has(socket) ? socket.resetAndDestroy() : socket.destroy());
  const pass = (caller: Socket): void => {
    const server = connect(Number(targetPort), hostname);
    caller.on('error', () => server.destroy());
    server.on('error', () => breakOff(caller));
    caller.once('close', () => server.destroy());
    caller.pipe(server).pipe(caller);
  };

  const tls = certificate && createTlsServer({ key: certificate.key, cert: certificate.cert }, pass);
  const server: Server = tls ?? createPlainServer(pass);
  server.on('connection', (socket: Socket) => {
    carriers.add(socket);
    socket.once('close', () => carriers.delete(socket));
  });
  const reset = (): void => {
    for (const socket of carriers) socket.resetAndDestroy();
  };
  const open = async (): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await open();
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    open,
    async shut() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      reset();
      await closed;
    },
    show({ key, cert }) {
      if (tls === undefined) throw new Error('this doorway has no certificate');
      tls.setSecureContext({ key, cert });
      reset();
    },
  };
}
