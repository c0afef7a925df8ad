import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'vitest';

/** The programs of Debian's package `prometheus`, which `make test` installs where it may. */
export type Program = 'promtool' | 'prometheus';

export interface ProgramResult {
  readonly code: number;
  /** Standard output and standard error, in this order. */
  readonly output: string;
}

/** Runs a program to its end; exit code 127 where it is not installed. */
export function runProgram(program: Program, args: readonly string[], input = ''): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code === 'ENOENT' ? 127 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, output: stdout + stderr });
    });
    // It may end, or not even begin, before it has read everything.
    child.stdin?.on('error', () => {}).end(input);
  });
}

/** Skips a test, with the reason, where a program is not installed. */
export async function requireProgram(context: TestContext, program: Program): Promise<void> {
  const { code } = await runProgram(program, ['--version']);
  context.skip(code === 127, `${program} is not installed: on Debian, run sh dev/tools/install-debian.sh prometheus as root`);
}

/** Starts a program that ends with the test process, if not before; `stop` resolves once it is gone. */
export function startProgram(program: Program, args: readonly string[]): { readonly output: () => string; stop(): Promise<void> } {
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close').catch(() => {});
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    output: () => output,
    async stop() {
      kill();
      await ended;
      process.off('exit', kill);
    },
  };
}
