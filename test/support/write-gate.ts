import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Agent, type Dispatcher } from 'undici';
import type { SharedControlPlane } from './control-plane.ts';

/** A write on its way to the API server. */
export interface GatedWrite {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What the API server answered; absent while it has not, and for good when the write never reached it. */
  readonly status?: number;
}

/** What becomes of a write: `lost` never reaches the API server, `unanswered` does, but its writer never learns of it. */
export type Passage = 'passed' | 'lost' | 'unanswered';

/**
 * A way to the API server on which writes can be held and lost. Reads, watches, events, leases and the counts of consumers, which come at times of
 * their own, pass.
 */
export interface WriteGate {
  /** A file that points at the gate, as the operator that watches namespaces by name. */
  readonly kubeconfig: string;
  /** In order of arrival. */
  readonly writes: readonly GatedWrite[];
  /** Asks for each write from now on; it waits for the decision. */
  decide(decision: (write: GatedWrite) => Passage | Promise<Passage>): void;
  /** Ends open connections too. */
  close(): Promise<void>;
}

export type GatedControlPlane = Pick<SharedControlPlane, 'url' | 'ca' | 'accounts' | 'directory'>;

type Entry = { -readonly [K in keyof GatedWrite]: GatedWrite[K] };

/** Longer than any client keeps an idle connection, so that none is closed under a request: milliseconds. */
const keepAliveTimeout = 120_000;

/** Opens a gate in front of the API server: every write passes until somebody decides otherwise. */
export async function openWriteGate({ url, ca, accounts, directory }: GatedControlPlane): Promise<WriteGate> {
  const upstream = new Agent({ connect: { ca }, allowH2: false, headersTimeout: 0, bodyTimeout: 0 });
  const writes: Entry[] = [];
  let decision: ((write: GatedWrite) => Passage | Promise<Passage>) | undefined;

  const server = createServer({ keepAliveTimeout }, (request, response) => {
    // The asker went away, or the API server did: what it has got of an answer must not look complete.
    serve(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const kubeconfig = join(directory, `gate-${port}.kubeconfig`);
  await writeKubeconfig(kubeconfig, `http://127.0.0.1:${port}`, accounts.namespaced.token);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: target = '/' } = request;
    const { pathname: path } = new URL(target, 'http://gate');
    if (method === 'GET' || isOfNoConcern(path)) {
      await answer(response, await forward(request, method === 'GET' ? null : await buffer(request), response));
      return;
    }
    const body = await buffer(request);
    const entry: Entry = { method, path, body: parse(body) };
    if (isConsumerCount(entry)) {
      await answer(response, await forward(request, body, response));
      return;
    }
    writes.push(entry);
    const passage = (await decision?.(entry)) ?? 'passed';
    if (passage === 'lost') return;
    const given = await forward(request, body);
    if (passage === 'unanswered') await given.body.dump();
    entry.status = given.statusCode;
    if (passage === 'passed') await answer(response, given);
  }

  /** @param asker whose end is the end of the request, as of a watch; a write that has set out arrives in any case */
  function forward(
    { method = 'GET', url: path = '/', headers }: IncomingMessage,
    body: Buffer | null,
    asker?: ServerResponse,
  ): Promise<Dispatcher.ResponseData> {
    const gone = new AbortController();
    asker?.once('close', () => gone.abort());
    return upstream.request({ origin: url, path, method, headers: passedOn(headers), body, signal: gone.signal });
  }

  return {
    kubeconfig,
    writes,
    decide: (made) => void (decision = made),
    async close() {
      server.close();
      server.closeAllConnections();
      await upstream.destroy();
    },
  };
}

async function answer(response: ServerResponse, given: Dispatcher.ResponseData): Promise<void> {
  response.writeHead(given.statusCode, passedOn(given.headers));
  response.flushHeaders();
  await pipeline(given.body, response);
}

function parse(body: Buffer): GatedWrite['body'] {
  return body.length === 0 ? {} : (JSON.parse(body.toString()) as GatedWrite['body']);
}

function isOfNoConcern(path: string): boolean {
  return path.endsWith('/events') || path.includes('/events/') || path.startsWith('/apis/coordination.k8s.io/');
}

function isConsumerCount({ path, body: { status } }: Entry): boolean {
  return path.endsWith('/status') && typeof status === 'object' && status !== null && Object.keys(status).join() === 'consumers';
}

/** What concerns one connection alone stays there. */
const ownHeaders = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'upgrade', 'expect']);

function passedOn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ownHeaders.has(name)));
}

/** Every JSON document is one of YAML. */
function writeKubeconfig(file: string, server: string, token: string): Promise<void> {
  const name = 'gate';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    // Without this client-node refuses plain HTTP.
    clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user: { token } }],
  };
  return writeFile(file, JSON.stringify(config), { mode: 0o600 });
}
