import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../tools/command.ts';

/** A process of the demo: this Node, running a file of the repository. */
export interface ChildOptions {
  /** As a sentence names it, such as `the operator`. */
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Takes stdout and stderr. */
  readonly logFile: string;
  /** Called when it ends although nobody stopped it. */
  readonly onDeath: (death: ChildDeath) => void;
}

export interface Child {
  readonly pid: number;
  /** Asks it to end, and kills it at the deadline. @throws Error when it did not end well */
  stop(): Promise<void>;
}

/** A process ended although nobody stopped it. */
export class ChildDeath extends Error {
  override readonly name = 'ChildDeath';
  readonly logFile: string;

  constructor(name: string, how: string, logFile: string) {
    super(`${name} ended: ${how}`);
    this.logFile = logFile;
  }
}

const stopDeadlineMs = 15_000;
const preload = fileURLToPath(new URL('end-with-parent.ts', import.meta.url));

/**
 * Starts a process in a group of its own, so that a Ctrl-C reaches only us and everything is stopped in order. It ends with us
 * even when we are killed.
 *
 * @throws Error when it cannot be run at all
 */
export async function startChild({ name, args, environment, logFile, onDeath }: ChildOptions): Promise<Child> {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, ['--import', preload, ...args], {
    cwd: ROOT,
    env: { ...environment },
    stdio: ['pipe', log, log],
    detached: true,
  });
  closeSync(log);
  await new Promise<void>((done, fail) => {
    child.once('spawn', done);
    child.once('error', fail);
  });

  let stopping = false;
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise<string | undefined>((done) => {
    child.once('exit', (code, signal) => {
      process.off('exit', kill);
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
      if (!stopping) onDeath(new ChildDeath(name, how, logFile));
      done(code === 0 ? undefined : how);
    });
  });

  return {
    pid: child.pid ?? 0,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      stopping = true;
      child.kill('SIGTERM');
      const late = setTimeout(kill, stopDeadlineMs);
      const problem = await ended;
      clearTimeout(late);
      if (problem !== undefined) throw new Error(`asked to end, ${name} ended with ${problem}`);
    },
  };
}

/** The last lines of a log; empty when there is none. */
export async function logTail(file: string, lines = 15): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-lines);
}
