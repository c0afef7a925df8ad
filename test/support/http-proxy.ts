import { once } from 'node:events';
import { createServer, type IncomingMessage, request as sendRequest, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Certificate } from './certificates.ts';

/** A proxy as companies have them: tunnels by CONNECT, and passes plain requests on. */
export interface HttpProxy {
  /** `http://127.0.0.1:PORT`, or `https:` with a certificate. */
  readonly url: string;
  /** What was asked of it, such as `CONNECT 127.0.0.1:443`, or `GET http://…`. */
  readonly asked: readonly string[];
  /** `Proxy-Authorization` of each of these. */
  readonly credentials: readonly (string | undefined)[];
  close(): Promise<void>;
}

export interface HttpProxyOptions {
  /** `user:password` that it insists on. */
  readonly credentials?: string;
  /** Answers every request for a tunnel so, or never. */
  readonly tunnel?: number | 'hang';
  readonly certificate?: Certificate;
}

/** Starts a proxy on loopback; the caller closes it. */
export async function startHttpProxy({ credentials, tunnel, certificate }: HttpProxyOptions = {}): Promise<HttpProxy> {
  const asked: string[] = [];
  const shown: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const server: Server = certificate === undefined ? createServer() : createTlsServer({ key: certificate.key, cert: certificate.cert });

  function admits({ method, url, headers }: IncomingMessage): boolean {
    asked.push(`${method} ${url}`);
    shown.push(headers['proxy-authorization']);
    const wanted = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
    return wanted === undefined || headers['proxy-authorization'] === wanted;
  }

  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (request: IncomingMessage, caller: Socket) => {
    caller.on('error', () => caller.destroy());
    if (tunnel === 'hang') return;
    const status = admits(request) ? (tunnel ?? 200) : 407;
    if (status !== 200) {
      caller.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const { hostname, port } = new URL(`http://${request.url}`);
    const target = connect(Number(port || 443), hostname, () => {
      caller.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.pipe(caller).pipe(target);
    });
    target.on('error', () => caller.destroy());
    caller.once('close', () => target.destroy());
  });
  server.on('request', (request: IncomingMessage, response) => {
    if (!admits(request)) {
      response.writeHead(407).end('no');
      return;
    }
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const passed = sendRequest(request.url ?? '', { method: request.method ?? 'GET', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.writeHead(502).end());
    request.pipe(passed);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    asked,
    credentials: shown,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
