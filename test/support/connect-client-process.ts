import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { HeapFindings, Questions } from './heap-scan.ts';

export interface ClientOrder {
  readonly host: string;
  readonly token: string;
  readonly ca?: string;
  readonly proxy?: string;
  readonly vaultId: string;
  readonly itemId: string;
  /** What its memory is searched for once the item is read and forgotten. */
  readonly questions?: Questions;
}

export interface ClientAnswer {
  /** `read`, or the message of the failure. */
  readonly outcome: string;
  readonly findings: Readonly<Record<string, HeapFindings>> | undefined;
}

/** Reads an item in a process of its own, with `environment`, and ends it. */
export async function readInProcess(order: ClientOrder, environment: Readonly<Record<string, string>> = {}): Promise<ClientAnswer> {
  const child = fork(new URL('connect-client-program.ts', import.meta.url), {
    execArgv: ['--expose-gc', `--heap-snapshot-string-limit=${2 ** 24}`],
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const answer = once(child, 'message');
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the client ended with ${String(code)}`);
  });
  child.send(order);
  const [message] = (await Promise.race([answer, ended])) as [ClientAnswer];
  await ended.catch(() => {});
  return message;
}
