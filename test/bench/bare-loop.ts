import { fork } from 'node:child_process';
import { once } from 'node:events';
import { startFlags } from '../../dev/tools/start-flags.ts';
import { maxConnections } from '../../src/kube/client.ts';
import { eventWriters } from '../../src/kube/events.ts';
import { workers } from '../../src/operator.ts';
import { cpuSecondsOf } from '../support/process-usage.ts';
import type { World } from './world.ts';

export interface LoopOptions {
  readonly kubeconfig: string;
  /** URL of the Connect server. */
  readonly connect: string;
  readonly token: string;
  readonly namespace: string;
  /** How much may be under way at one time. */
  readonly limits: Readonly<Record<'resources' | 'workloads' | 'events' | 'connections', number>>;
}

/** The work of an operator, as the bare loop does it. */
export type LoopCommand =
  /** Makes the Secrets of all resources, and their statuses. */
  | { readonly do: 'sync' }
  /** Writes the items of some resources into their Secrets anew. */
  | { readonly do: 'rotate'; readonly names: readonly string[] }
  /** Patches the templates of Deployments, and tells as many events of each. */
  | { readonly do: 'restart'; readonly names: readonly string[]; readonly eventsEach: number };

export type LoopOrder = ({ readonly do: 'open' } & LoopOptions) | LoopCommand;

/** When it began, in milliseconds since the epoch; sent when it has come to its end. */
export type LoopAnswer = { readonly began: number } | { readonly error: string };

/** The bare loop, a process of its own as the operator is; `bare-loop-program.ts` says what it does and why it is fair. */
export interface BareLoop {
  /** Resolves when all of it is done, events included. @returns milliseconds since the epoch at which it began */
  run(command: LoopCommand): Promise<number>;
  /** Processor time since its start. */
  cpuSeconds(): Promise<number>;
  close(): Promise<void>;
}

/** Those of Keyturn. */
const limits = { resources: workers.onepassworditem, workloads: workers.workload, events: eventWriters, connections: maxConnections };

/** Starts it with its watches open. */
export async function openBareLoop(world: World, options: Pick<LoopOptions, 'namespace' | 'token'>): Promise<BareLoop> {
  const child = fork(new URL('bare-loop-program.ts', import.meta.url), {
    execArgv: [...startFlags],
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the bare loop ended with ${String(code ?? signal)}`);
  });
  ended.catch(() => {});
  const send = async (order: LoopOrder): Promise<number> => {
    child.send(order);
    const [answer] = (await Promise.race([once(child, 'message'), ended])) as [LoopAnswer];
    if ('error' in answer) throw new Error(`the bare loop: ${answer.error}`);
    return answer.began;
  };
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended.catch(() => {});
  };
  try {
    await send({ do: 'open', kubeconfig: world.users.loop.kubeconfig, connect: world.connect.url, limits, ...options });
  } catch (error) {
    await close();
    throw error;
  }
  return { run: send, cpuSeconds: () => cpuSecondsOf(child.pid ?? 0), close };
}
