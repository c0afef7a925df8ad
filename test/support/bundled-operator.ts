import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { bundle } from '../../dev/tools/bundle.ts';
import { startFlags } from '../../dev/tools/start-flags.ts';
import { cpuSecondsOf, memoryOf, type ProcessMemory } from './process-usage.ts';

export interface BundledOperatorOptions {
  /** The bundle, as `bundleInto` made it. */
  readonly bundle: string;
  readonly kubeconfig: string;
  /** URL of the Connect server. */
  readonly connect: string;
  readonly token: string;
  /** None: it watches all. */
  readonly namespaces?: readonly string[];
  /** Seconds; the default of the operator unless it says otherwise. */
  readonly pollingInterval?: number;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Takes its output and its audit log. */
  readonly folder: string;
  /** Of these files and in messages; no two that write into one folder may share it. */
  readonly name: string;
  /** Lets `heap` be asked. Costs a channel and a few kilobytes, so leave it out where a start is timed. */
  readonly inspectable?: boolean;
  /** Its output goes straight into the file, so that it never waits for us to read; that it reconciles is not seen then. */
  readonly unread?: boolean;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** V8's heap right after a full collection, in bytes. */
export interface CollectedHeap {
  readonly heapUsed: number;
  readonly external: number;
  /** How many things keep the event loop busy: sockets, timers, requests. */
  readonly handles: number;
}

/** The operator as users run it: the production bundle as a process of its own, started as the image starts it. */
export interface BundledOperator {
  readonly pid: number;
  /** Takes standard output and standard error. */
  readonly outputFile: string;
  readonly auditFile: string;
  /** Milliseconds from its start until it said that it reconciles; rejects when it ends before. Nobody sees that when its output is unread. */
  readonly reconciling: Promise<number>;
  readonly exit: Promise<Exit>;
  output(): Promise<string>;
  /** `status body` of `/healthz` or `/readyz`. */
  probe(path: string): Promise<string>;
  /** A scrape of `/metrics`. */
  metrics(): Promise<string>;
  memory(): Promise<ProcessMemory>;
  /** Processor time since its start. */
  cpuSeconds(): Promise<number>;
  /** Collects all garbage, then says what is left. @throws Error unless it is inspectable */
  heap(): Promise<CollectedHeap>;
  /** SIGSTOP, SIGCONT, SIGKILL and so on. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when it has not ended half a minute later. */
  stop(): Promise<Exit>;
}

/** Half a minute: longer than it waits for writes under way. */
const patience = 30_000;

/**
 * Runs before the bundle and answers each message with the heap after a collection. Several are needed: what a finalizer lets go is collected
 * by the next.
 */
const heapProbe = `
process.on('message', async () => {
  for (let round = 0; round < 4; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc();
  }
  const { heapUsed, external } = process.memoryUsage();
  process.send({ heapUsed, external, handles: process.getActiveResourcesInfo().length });
});
process.channel.unref();
`;
const probeFlags = ['--expose-gc', `--import=data:text/javascript,${encodeURIComponent(heapProbe)}`];

/** Bundles the operator into a folder, where nobody else builds. @returns the path of the bundle */
export async function bundleInto(folder: string): Promise<string> {
  const file = join(folder, 'keyturn.mjs');
  await bundle(file);
  return file;
}

/** Spawns the operator, which ends with us if not before; the caller stops it. */
export async function startBundledOperator(options: BundledOperatorOptions): Promise<BundledOperator> {
  const { folder, name, inspectable = false, unread = false } = options;
  const outputFile = join(folder, `${name}.output`);
  const auditFile = join(folder, `${name}.audit`);
  const [health = 0, metrics = 0] = await freePorts(2);
  const file = openSync(outputFile, 'a', 0o600);
  const began = performance.now();
  const said = unread ? file : 'pipe';
  const child = spawn(process.execPath, argumentsOf(options, { auditFile, health, metrics }), {
    env: environmentOf(options),
    stdio: ['ignore', said, said, ...(inspectable ? ['ipc' as const] : [])],
  });
  const written = createWriteStream(outputFile, { fd: file });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} cannot be started`);
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);

  const reconciling = Promise.withResolvers<number>();
  // Nobody need wait for it.
  reconciling.promise.catch(() => {});
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    stream.pipe(written, { end: false });
    createInterface({ input: stream }).on('line', (line) => {
      if (line.includes('"msg":"reconciling"')) reconciling.resolve(performance.now() - began);
    });
  }
  const exit = once(child, 'close').then(([code, signal]): Exit => {
    process.off('exit', killAtExit);
    written.end();
    reconciling.reject(new Error(`${name} ended with ${String(code ?? signal)} before it reconciled; see ${outputFile}`));
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });

  return {
    pid,
    outputFile,
    auditFile,
    reconciling: reconciling.promise,
    exit,
    output: () => readFile(outputFile, 'utf8'),
    async probe(path) {
      const response = await fetch(`http://127.0.0.1:${health}${path}`);
      return `${response.status} ${await response.text()}`.trim();
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(),
    memory: () => memoryOf(pid),
    cpuSeconds: () => cpuSecondsOf(pid),
    async heap() {
      if (!inspectable) throw new Error(`${name} was not started as inspectable`);
      const answer = once(child, 'message', { signal: AbortSignal.timeout(patience) });
      child.send('heap');
      const [heap] = (await answer) as [CollectedHeap];
      return heap;
    },
    kill: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), patience);
      const ended = await exit;
      clearTimeout(late);
      return ended;
    },
  };
}

interface Places {
  readonly auditFile: string;
  readonly health: number;
  readonly metrics: number;
}

function argumentsOf(options: BundledOperatorOptions, { auditFile, health, metrics }: Places): readonly string[] {
  return [
    ...startFlags,
    ...(options.inspectable === true ? probeFlags : []),
    options.bundle,
    `--health-probe-bind-address=127.0.0.1:${health}`,
    `--metrics-bind-address=127.0.0.1:${metrics}`,
    `--audit-log-path=${auditFile}`,
    ...(options.flags ?? []),
  ];
}

function environmentOf(options: BundledOperatorOptions): Record<string, string | undefined> {
  const { kubeconfig, connect, token, namespaces = [], pollingInterval, env } = options;
  return {
    PATH: process.env['PATH'],
    KUBECONFIG: kubeconfig,
    OP_CONNECT_HOST: connect,
    OP_CONNECT_TOKEN: token,
    WATCH_NAMESPACE: namespaces.join(','),
    ...(pollingInterval === undefined ? {} : { POLLING_INTERVAL: String(pollingInterval) }),
    ...env,
  };
}
