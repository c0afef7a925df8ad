import { fork } from 'node:child_process';
import { once } from 'node:events';
import { freePorts } from '../../dev/control-plane/ports.ts';
import type { HeapFindings, Questions } from './heap-scan.ts';

/** What the program in `operator-program.ts` can be told to do. */
export type Command =
  | { readonly do: 'scan'; readonly questions: Questions }
  /** Keep the value of the first field of an item, in a certain form: a leak made on purpose. */
  | { readonly do: 'keep'; readonly as: KeptForm; readonly url: string; readonly token: string };

export type KeptForm = 'string' | 'rope' | 'Uint8Array' | 'Buffer' | 'WebAssembly.Memory' | 'SharedArrayBuffer';

export interface Order {
  readonly id: number;
  readonly command: Command;
}

export type Answer = { readonly ready: true } | { readonly id: number; readonly result?: unknown; readonly error?: string };

export interface OperatorProcess {
  /** Searches the memory of the process; see `scanHeap`. */
  scan<Name extends string>(questions: Questions<Name>): Promise<Readonly<Record<Name, HeapFindings>>>;
  keep(as: KeptForm, item: { readonly url: string; readonly token: string }): Promise<void>;
  /** What it has written to standard output and standard error so far. */
  output(): string;
  /** A scrape of `/metrics`. */
  metrics(): Promise<string>;
  /** The memory that it has resident, in bytes. */
  residentMemory(): Promise<number>;
  stop(): Promise<void>;
}

export interface OperatorProcessOptions {
  readonly kubeconfig: string;
  readonly connect: string;
  readonly token: string;
  readonly namespaces: readonly string[];
  readonly flags?: readonly string[];
}

/** Strings of a snapshot are cut off at this length; no value is longer. */
const stringLimit = 2 ** 24;

/** The operator in a process of its own, logging all it can; resolves once it reconciles. */
export async function startOperatorProcess(options: OperatorProcessOptions): Promise<OperatorProcess> {
  const { kubeconfig, connect, token, namespaces } = options;
  const [port = 0] = await freePorts(1);
  const flags = [
    '--health-probe-bind-address=0',
    `--metrics-bind-address=127.0.0.1:${port}`,
    '--zap-log-level=debug',
    '--restart-debounce=300ms',
    ...(options.flags ?? []),
  ];
  const child = fork(new URL('operator-program.ts', import.meta.url), flags, {
    execArgv: ['--expose-gc', `--heap-snapshot-string-limit=${stringLimit}`],
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: kubeconfig,
      OP_CONNECT_HOST: connect,
      OP_CONNECT_TOKEN: token,
      WATCH_NAMESPACE: namespaces.join(','),
      POLLING_INTERVAL: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text));

  const ready = Promise.withResolvers<void>();
  const asked = new Map<number, PromiseWithResolvers<unknown>>();
  child.on('message', (answer: Answer) => {
    if ('ready' in answer) ready.resolve();
    else if (answer.error === undefined) asked.get(answer.id)?.resolve(answer.result);
    else asked.get(answer.id)?.reject(new Error(answer.error));
  });
  const ended = once(child, 'close').then(([code]) => {
    const error = new Error(`the operator ended with ${String(code)}: ${output.slice(-2_000)}`);
    for (const waiting of [ready, ...asked.values()]) waiting.reject(error);
  });
  await ready.promise;

  function ask<T>(command: Command): Promise<T> {
    const waiting = Promise.withResolvers<unknown>();
    const order: Order = { id: asked.size, command };
    asked.set(order.id, waiting);
    child.send(order, (error) => (error === null ? undefined : waiting.reject(error)));
    return waiting.promise as Promise<T>;
  }

  async function metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  }

  return {
    scan: (questions) => ask({ do: 'scan', questions }),
    keep: (as, item) => ask({ do: 'keep', as, ...item }),
    output: () => output,
    metrics,
    residentMemory: async () => Number(/^process_resident_memory_bytes (.+)$/m.exec(await metrics())?.[1]),
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
