import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shellQuote } from './shell-quote.ts';

/**
 * Makes a folder with a kubectl of the cluster's own version, for the reader; it keeps its cache with the rest of the run.
 *
 * @param file the program that has it
 */
export async function writeKubectlFolder(folder: string, file: string): Promise<string> {
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const lines = ['#!/bin/sh', `export KUBECACHEDIR=${shellQuote(join(folder, 'kubectl-cache'))}`, `exec ${shellQuote(file)} kubectl "$@"`];
  await writeFile(join(bin, 'kubectl'), `${lines.join('\n')}\n`, { mode: 0o755 });
  return bin;
}
