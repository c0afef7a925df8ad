/** `node dev/tools/build-go-tool.ts NAME` builds a tool that dev/go-tools/go.mod pins, unless that was done before, and prints its path. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ROOT } from './command.ts';
import { buildGoProgram, type BuildOptions } from './go-build.ts';
import { sinkFor } from './progress.ts';

const tools = {
  helm: { main: 'helm.sh/helm/v4/cmd/helm', notice: 'for tests of the chart: about 4 minutes on 2 cores, once' },
  actionlint: { main: 'github.com/rhysd/actionlint/cmd/actionlint', notice: 'for checks of the workflows: half a minute, once' },
} as const;

export type GoTool = keyof typeof tools;

const module = resolve(ROOT, 'dev/go-tools');

/** Where a tool is; builds it unless that was done before. @throws Error when Go is missing, or with the compiler's complaint */
export async function buildGoTool(name: GoTool, options: BuildOptions): Promise<string> {
  const files = await Promise.all(['go.mod', 'go.sum'].map(async (file) => [file, await readFile(join(module, file), 'utf8')] as const));
  const flags = ['-mod=readonly', '-trimpath', '-ldflags=-s -w'];
  return buildGoProgram({ name, title: name, module, flags, sources: Object.fromEntries(files), ...tools[name] }, options);
}

const log = (line: string): void => console.error(line);

async function main(): Promise<void> {
  const name = process.argv[2] ?? '';
  try {
    if (!Object.hasOwn(tools, name)) throw new Error(`usage: node dev/tools/build-go-tool.ts ${Object.keys(tools).join('|')}`);
    console.log(await buildGoTool(name as GoTool, { log, progress: sinkFor(process.stderr, log) }));
  } catch (error) {
    log((error as Error).message);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
