import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { type CollectedHeap, startBundledOperator } from '../support/bundled-operator.ts';
import { cpuSecondsOf, memoryOf, type ProcessMemory } from '../support/process-usage.ts';
import type { World } from './world.ts';

/** An operator that is measured: ours, or the one that `--peer` names. */
export interface Subject {
  readonly name: 'keyturn' | 'peer';
  /** As the API server knows it. */
  readonly user: string;
  start(options: SubjectOptions): Promise<RunningSubject>;
}

export interface SubjectOptions {
  readonly namespace: string;
  /** For Connect. */
  readonly token: string;
  /** Seconds. */
  readonly pollingInterval: number;
  /** For ours alone. */
  readonly flags?: readonly string[];
  /** The heap will be asked for; of ours alone. */
  readonly inspectable?: boolean;
}

export interface RunningSubject {
  /** When its process was spawned: milliseconds since the epoch. */
  readonly spawnedAt: number;
  /** Rejects when it ends before it is stopped. */
  readonly failed: Promise<never>;
  memory(): Promise<ProcessMemory>;
  cpuSeconds(): Promise<number>;
  /** Of ours alone. */
  readonly ours?: {
    heap(): Promise<CollectedHeap>;
    metrics(): Promise<string>;
  };
  stop(): Promise<void>;
}

/** The production bundle as the chart runs it: with leader election, and the audit on standard output. */
export function keyturn(world: World): Subject {
  const { bundle, folder, connect, users } = world;
  let started = 0;
  return {
    name: 'keyturn',
    user: users.operator.username,
    async start({ namespace, token, pollingInterval, flags = [], inspectable = false }) {
      started += 1;
      const spawnedAt = Date.now();
      const operator = await startBundledOperator({
        bundle,
        kubeconfig: users.operator.kubeconfig,
        connect: connect.url,
        token,
        namespaces: [namespace],
        pollingInterval,
        flags: ['--leader-elect', '--audit-log-path=-', ...flags],
        env: { POD_NAMESPACE: 'keyturn', POD_NAME: 'bench' },
        folder,
        name: `keyturn-${started}`,
        inspectable,
        unread: true,
      });
      const { promise: failed, reject } = Promise.withResolvers<never>();
      failed.catch(() => {});
      let stopping = false;
      void operator.exit.then(async ({ code, signal }) => {
        if (!stopping) reject(new Error(`Keyturn ended with ${String(code ?? signal)}: ${(await operator.output()).slice(-2_000)}`));
      });
      return {
        spawnedAt,
        failed,
        memory: () => operator.memory(),
        cpuSeconds: () => operator.cpuSeconds(),
        ours: { heap: () => operator.heap(), metrics: () => operator.metrics() },
        async stop() {
          stopping = true;
          await operator.stop();
        },
      };
    },
  };
}

/** Another operator that speaks the same CRD and environment, by a shell command that runs one program. */
export function peerOf(world: World, command: string): Subject {
  const { folder, connect, users } = world;
  return {
    name: 'peer',
    user: users.peer.username,
    async start({ namespace, token, pollingInterval }) {
      const log = openSync(join(folder, 'peer.output'), 'a', 0o600);
      const spawnedAt = Date.now();
      const child = spawn('/bin/sh', ['-c', `exec ${command}`], {
        env: {
          PATH: process.env['PATH'],
          KUBECONFIG: users.peer.kubeconfig,
          OP_CONNECT_HOST: connect.url,
          OP_CONNECT_TOKEN: token,
          WATCH_NAMESPACE: namespace,
          POLLING_INTERVAL: String(pollingInterval),
          AUTO_RESTART: 'false',
          POD_NAMESPACE: 'keyturn',
        },
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      const { pid } = child;
      if (pid === undefined) throw new Error('the command of --peer cannot be run');
      const kill = (): void => void child.kill('SIGKILL');
      process.once('exit', kill);
      const { promise: failed, reject } = Promise.withResolvers<never>();
      failed.catch(() => {});
      let stopping = false;
      const ended = once(child, 'exit').then(([code, signal]) => {
        process.off('exit', kill);
        if (!stopping) reject(new Error(`the peer ended with ${String(code ?? signal)}; it said why in ${folder}/peer.output`));
      });
      return {
        spawnedAt,
        failed,
        memory: () => memoryOf(pid),
        cpuSeconds: () => cpuSecondsOf(pid),
        async stop() {
          stopping = true;
          child.kill('SIGTERM');
          const late = setTimeout(kill, 30_000);
          await ended;
          clearTimeout(late);
        },
      };
    },
  };
}
