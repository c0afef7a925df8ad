import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { KubeClientOptions } from '../../../src/kube/client.ts';
import type { Clock } from '../../../src/runtime/clock.ts';

/** A request that has come and has no answer yet. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Answers: an object as JSON, text as it is. */
  readonly answer: (status: number, body: object | string, headers?: Readonly<Record<string, string>>) => void;
  /** Begins an answer of status 200, or goes on with it: text as it is, objects each as a line of JSON. */
  readonly write: (...parts: readonly (object | string | Uint8Array)[]) => void;
  /** Ends the answer in order. */
  readonly end: () => void;
  /** Breaks the connection. */
  readonly reset: () => void;
}

/** An API server of which the test answers every request itself. */
export interface FakeApiServer {
  readonly url: string;
  /** The next request, in order of arrival. */
  readonly next: () => Promise<Exchange>;
  /** How many requests have come. */
  readonly count: number;
  close(): Promise<void>;
}

/** A queue that is waited for. */
export function createInbox<T>(): { readonly put: (value: T) => void; readonly next: () => Promise<T> } {
  const values: T[] = [];
  const takers: ((value: T) => void)[] = [];
  return {
    put(value) {
      const taker = takers.shift();
      if (taker === undefined) values.push(value);
      else taker(value);
    },
    next: () => (values.length > 0 ? Promise.resolve(values.shift() as T) : new Promise((resolve) => takers.push(resolve))),
  };
}

/** Ends with the test. */
export async function startApiServer(): Promise<FakeApiServer> {
  const inbox = createInbox<Exchange>();
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://server');
      const { method = '', headers } = request;
      inbox.put({ method, path: pathname, query: searchParams, headers, body: Buffer.concat(chunks).toString(), ...replies(response) });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: inbox.next,
    get count() {
      return count;
    },
    close,
  };
}

function replies(response: ServerResponse): Pick<Exchange, 'answer' | 'write' | 'end' | 'reset'> {
  return {
    answer(status, body, headers = {}) {
      response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
    },
    write(...parts) {
      for (const part of parts) {
        response.write(typeof part === 'string' || part instanceof Uint8Array ? part : `${JSON.stringify(part)}\n`);
      }
    },
    end: () => void response.end(),
    reset: () => void response.socket?.resetAndDestroy(),
  };
}

/** Options of a client for the server; `tokens` says which token each reading of the credentials gives, the last for good. */
export function clientOptions(server: FakeApiServer, clock: Clock, tokens: readonly string[] = ['token']): KubeClientOptions {
  let reads = 0;
  return {
    clock,
    userAgent: 'test',
    load: () => {
      const token = tokens[Math.min(reads, tokens.length - 1)];
      reads += 1;
      return {
        server: server.url,
        namespace: 'ns',
        authenticate: async () => ({ tls: { rejectUnauthorized: true }, headers: { authorization: `Bearer ${token}` } }),
      };
    },
  };
}
