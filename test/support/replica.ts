import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { type ApiServerProxy, type ApiServerProxyOptions, startApiServerProxy } from './api-server-proxy.ts';
import { eventually } from './eventually.ts';

/** One of several operators, a process of its own, with what it asks of the API server and of Connect told apart from what others ask. */
export interface Replica {
  readonly name: string;
  readonly api: ApiServerProxy;
  /** When it asked Connect something: milliseconds since the epoch. */
  readonly asked: readonly number[];
  /** When it wrote something that is no lease, or asked Connect. */
  acted(): readonly number[];
  /** Resolves when it has read the cluster. */
  warm(): Promise<void>;
  /** Resolves when it reconciles. */
  reconciles(): Promise<void>;
  /** `status body` of `/healthz` or `/readyz`. */
  probe(path: string): Promise<string>;
  metrics(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Its exit code; null when a signal ended it. */
  readonly exit: Promise<number | null>;
  /** What it has written so far. */
  output(): string;
  /** Ends it and all that belongs to it. */
  end(): Promise<void>;
}

export interface ReplicaOptions extends ApiServerProxyOptions {
  /** The name of its pod. */
  readonly name: string;
  readonly namespace: string;
  readonly connect: string;
  readonly token: string;
  readonly flags: readonly string[];
}

/** Spawns an operator that asks Connect every second; the caller ends it. */
export async function startReplica({ name, namespace, connect: target, token, flags, ...proxied }: ReplicaOptions): Promise<Replica> {
  const api = await startApiServerProxy(proxied);
  const way = await openCountedWay(target);
  const [health = 0, metrics = 0] = await freePorts(2);
  const addresses = [`--health-probe-bind-address=127.0.0.1:${health}`, `--metrics-bind-address=127.0.0.1:${metrics}`];
  const child = spawn(process.execPath, ['--disable-sigusr1', 'src/main.ts', ...addresses, '--restart-debounce=200ms', ...flags], {
    cwd: new URL('../..', import.meta.url),
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: api.kubeconfig,
      OP_CONNECT_HOST: way.url,
      OP_CONNECT_TOKEN: token,
      WATCH_NAMESPACE: namespace,
      POD_NAMESPACE: namespace,
      POD_NAME: name,
      POLLING_INTERVAL: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  const untilSaid = async (text: string): Promise<void> => {
    await eventually(`${name} to say "${text}"`, () => (output.includes(text) ? true : undefined), 30_000);
  };
  return {
    name,
    api,
    asked: way.asked,
    acted: () => [...api.requests.writes().map(({ at }) => at), ...way.asked].toSorted((a, b) => a - b),
    warm: () => untilSaid('"msg":"the cluster has been read'),
    reconciles: () => untilSaid('"msg":"reconciling"'),
    async probe(path) {
      const response = await fetch(`http://127.0.0.1:${health}${path}`);
      return `${response.status} ${await response.text()}`.trim();
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(),
    kill: (signal) => void child.kill(signal),
    exit,
    output: () => output,
    async end() {
      child.kill('SIGKILL');
      await exit;
      await Promise.all([api.close(), way.close()]);
    },
  };
}

/** A way to a server on which it is seen when something is asked. */
async function openCountedWay(
  target: string,
): Promise<{ readonly url: string; readonly asked: readonly number[]; close(): Promise<void> }> {
  const { port, hostname } = new URL(target);
  const asked: number[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((caller) => {
    const answerer = connect(Number(port), hostname);
    sockets.add(caller);
    caller.on('data', () => asked.push(Date.now()));
    caller.on('error', () => answerer.destroy()).on('close', () => answerer.destroy());
    answerer.on('error', () => caller.destroy());
    caller.pipe(answerer).pipe(caller);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
