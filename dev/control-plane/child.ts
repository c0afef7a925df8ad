import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from './binaries.ts';

/** How a role is run. */
export interface ChildOptions<Role extends string> {
  readonly role: Role;
  readonly command: Command;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The folder the process works in. */
  readonly directory: string;
  /** Takes stdout and stderr; appended to. */
  readonly logFile: string;
  /**
   * The program ends by itself when its standard input closes. It then also gets a process group of its own, so that
   * an interrupt typed at the terminal reaches only us, and we can stop everything in order.
   */
  readonly followsInput: boolean;
}

/** One running role. */
export interface Child<Role extends string> {
  readonly role: Role;
  readonly pid: number;
  /** Calls `listener` when the process ends, with how it did, in words. */
  onceExited(listener: (how: string) => void): void;
  /** How it ended, in words; undefined while it runs. */
  ended(): string | undefined;
  /** The last lines of its log. */
  logTail(): Promise<string>;
  /** Sends `signal`, then SIGKILL after the deadline; resolves once the process is gone. */
  stop(signal: NodeJS.Signals, deadlineMs: number): Promise<void>;
  /** Kills without waiting: for the last moment of our own process. */
  kill(): void;
}

const TAIL_LINES = 15;

/**
 * Starts one role.
 *
 * @throws Error when the program cannot be run at all.
 */
export async function startChild<Role extends string>(options: ChildOptions<Role>): Promise<Child<Role>> {
  const child = await spawnLogged(options);
  let ended: string | undefined;
  const listeners: ((how: string) => void)[] = [];
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      ended = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
      for (const listener of listeners) listener(ended);
      resolve();
    });
  });
  return {
    role: options.role,
    pid: child.pid ?? 0,
    onceExited: (listener) => void listeners.push(listener),
    ended: () => ended,
    logTail: () => tail(options.logFile),
    kill: () => void child.kill('SIGKILL'),
    stop: async (signal, deadlineMs) => {
      if (ended !== undefined) return;
      child.kill(signal);
      const cancel = new AbortController();
      const late = sleep(deadlineMs, 'late', { signal: cancel.signal }).catch(() => 'cancelled');
      if ((await Promise.race([gone, late])) === 'late') child.kill('SIGKILL');
      await gone;
      cancel.abort();
    },
  };
}

async function spawnLogged(options: ChildOptions<string>): Promise<ChildProcess> {
  const log = openSync(options.logFile, 'a', 0o600);
  try {
    const child = spawn(options.command.file, [...options.command.args, ...options.args], {
      cwd: options.directory,
      env: options.env,
      stdio: ['pipe', log, log],
      detached: options.followsInput,
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return child;
  } finally {
    closeSync(log);
  }
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
