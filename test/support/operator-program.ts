import { get } from 'node:http';
import { readConfig } from '../../src/config.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { createLog } from '../../src/observability/log.ts';
import { runOperator } from '../../src/operator.ts';
import { scanHeap } from './heap-scan.ts';
import type { Answer, Command, Order } from './operator-process.ts';

/** The operator as a program of its own, as `main.ts` runs it, that searches its memory when its parent asks. See `operator-process.ts`. */

/** What `keep` put aside: the leak that a scan has to find. */
export const kept: unknown[] = [];

function say(answer: Answer): void {
  process.send?.(answer);
}

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'scan':
      return scanHeap(command.questions);
    case 'keep':
      kept.push(keepable(command.as, await firstValue(command.url, command.token)));
      return undefined;
  }
}

/** The value of an item's first field, asked from Connect past the operator. */
async function firstValue(url: string, token: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get(url, { agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
    const chunks: Uint8Array[] = [];
    response.on('data', (chunk: Uint8Array) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks).toString()));
  }).on('error', reject);
  const { fields } = JSON.parse(await promise) as { readonly fields: readonly { readonly value: string }[] };
  return fields[0]?.value ?? '';
}

function keepable(as: Extract<Command, { do: 'keep' }>['as'], value: string): unknown {
  switch (as) {
    case 'string':
      return value;
    case 'rope': {
      // Two flat halves, neither of which holds the whole value.
      const [left, right] = [Buffer.from(value).subarray(0, 9).toString(), Buffer.from(value).subarray(9).toString()];
      return left + right;
    }
    case 'Uint8Array':
      return Uint8Array.from(value, (letter) => letter.charCodeAt(0));
    case 'Buffer':
      return Buffer.from(value);
    case 'WebAssembly.Memory': {
      const memory = webAssemblyMemory();
      new TextEncoder().encodeInto(value, new Uint8Array(memory.buffer));
      return memory;
    }
    case 'SharedArrayBuffer': {
      const shared = new SharedArrayBuffer(1024);
      new Uint8Array(shared).set(Buffer.from(value));
      return shared;
    }
  }
}

function webAssemblyMemory(): { readonly buffer: ArrayBuffer } {
  const { WebAssembly } = globalThis as unknown as {
    readonly WebAssembly: { readonly Memory: new (options: { readonly initial: number }) => { readonly buffer: ArrayBuffer } };
  };
  return new WebAssembly.Memory({ initial: 1 });
}

process.on('message', ({ id, command }: Order) => {
  obey(command).then(
    (result) => say({ id, result }),
    (error: unknown) => say({ id, error: error instanceof Error ? error.message : 'unknown' }),
  );
});

const stop = new AbortController();
process.once('disconnect', () => stop.abort());
const config = readConfig(process.env, process.argv.slice(2));
await runOperator(
  {
    config,
    credentials: credentialsFrom(process.env['KUBECONFIG']),
    log: createLog(config.logLevel),
    onReady: () => say({ ready: true }),
    times: { settleTime: 0 },
  },
  stop.signal,
);
