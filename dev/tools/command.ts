import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

/** The repository's root. */
export const ROOT = resolve(import.meta.dirname, '../..');

/** A program to run in the repository's root, its output on our terminal. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** How a command ended. */
export type CommandResult =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'not-run'; readonly reason: string };

/** After the signals that ask a command to end, this long until the one that does not ask. */
const GRACE_MS = 15_000;

/**
 * Runs a command in a process group of its own, so that a time limit ends all that it started. Programs of
 * node_modules/.bin come first, Node among them.
 */
export function runCommand(command: Command): Promise<CommandResult> {
  const path = [resolve(ROOT, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(':');
  const child = spawn(command.file, command.args, {
    cwd: ROOT,
    env: { ...process.env, ...command.env, PATH: path },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const end = (signal: NodeJS.Signals): void => killGroup(child.pid, signal);
  let timedOut = false;
  let kill: NodeJS.Timeout | undefined;
  const limit = setTimeout(() => {
    timedOut = true;
    end('SIGTERM');
    kill = setTimeout(() => end('SIGKILL'), GRACE_MS);
  }, command.timeoutMs);
  const stopListening = passSignalsOn(end);
  return new Promise((done) => {
    const finish = (result: CommandResult): void => {
      clearTimeout(limit);
      clearTimeout(kill);
      stopListening();
      // Whatever the command left behind in its group ends with it.
      end('SIGKILL');
      done(result);
    };
    child.once('error', (error) => finish({ kind: 'not-run', reason: error.message }));
    child.once('exit', (code, signal) => {
      if (timedOut) finish({ kind: 'timed-out' });
      else if (signal !== null) finish({ kind: 'signalled', signal });
      else finish({ kind: 'exited', code: code ?? 1 });
    });
  });
}

/** An interrupt of ours ends the command's group as well, and then us. */
function passSignalsOn(end: (signal: NodeJS.Signals) => void): () => void {
  const listener = (): void => {
    interrupted = true;
    process.exitCode = 130;
    end('SIGTERM');
    setTimeout(() => {
      end('SIGKILL');
      process.exit(130);
    }, GRACE_MS).unref();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

let interrupted = false;

/** Whether somebody asked us to end: no further command should start. */
export function wasInterrupted(): boolean {
  return interrupted;
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // EPERM is what macOS says of a group of which only a zombie is left.
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
