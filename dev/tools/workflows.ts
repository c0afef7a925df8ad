/** `node dev/tools/workflows.ts` checks the workflows of GitHub with actionlint, and their scripts with shellcheck where that is installed. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { buildGoTool } from './build-go-tool.ts';
import { ROOT, runCommand } from './command.ts';
import { sinkFor } from './progress.ts';

const folder = '.github/workflows';
const log = (line: string): void => console.error(line);

try {
  const files = (await readdir(resolve(ROOT, folder))).map((name) => join(folder, name));
  const actionlint = await buildGoTool('actionlint', { log, progress: sinkFor(process.stderr, log) });
  const result = await runCommand({ file: actionlint, args: ['-no-color', ...files], timeoutMs: 60_000 });
  if (result.kind !== 'exited' || result.code !== 0) process.exitCode = 1;
} catch (error) {
  log((error as Error).message);
  process.exitCode = 1;
}
