import { execFile } from 'node:child_process';
import { basename } from 'node:path';

/** Where the programs of a node are; not in everybody's PATH. */
export const programFolders = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

export interface RunOptions {
  /** For its standard input. */
  readonly input?: string;
  /** Two minutes unless told. */
  readonly deadlineMs?: number;
}

/**
 * Runs a program of this machine.
 *
 * @returns what it printed on standard output
 * @throws Error with what it printed on standard error, when it fails or does not end in time
 */
export function run(file: string, args: readonly string[], { input = '', deadlineMs = 120_000 }: RunOptions = {}): Promise<string> {
  return new Promise((done, fail) => {
    const env = { ...process.env, PATH: [...programFolders, process.env['PATH']].join(':'), LC_ALL: 'C' };
    const options = { env, timeout: deadlineMs, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else fail(new Error(`${basename(file)} ${args[0] ?? ''} failed: ${stderr.trim() || error.message}`, { cause: error }));
    });
    // A program that ends without reading its input tells by its exit code why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
