import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { FlagError, type Flags, parseFlags, usage } from './flags.ts';
import { parseSeed, type Seed, SeedError } from './seed.ts';
import { type ConnectServer, startConnectServer } from './server.ts';
import { StoreError } from './store.ts';
import { welcome } from './welcome.ts';

const defaultSeed = fileURLToPath(new URL('seed.yaml', import.meta.url));

async function main(args: readonly string[]): Promise<void> {
  const flags = parseFlags(args);
  if (flags.help) return console.log(usage);
  const server = await start(flags, await loadSeed(flags.seed ?? defaultSeed));
  const token = server.issueToken({ vaults: ['*'], write: true });
  endOnSignal(server, flags.readyFile);
  if (flags.readyFile !== undefined) await announce(server, flags.readyFile, token);
  console.log(welcome(server, token));
}

async function loadSeed(path: string): Promise<Seed> {
  const yaml = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new SeedError(`cannot read the seed ${path} (${codeOf(error)}); name another with --seed`);
  });
  return parseSeed(yaml, path);
}

async function start({ port, readyFile }: Flags, seed: Seed): Promise<ConnectServer> {
  if (readyFile !== undefined) await rm(readyFile, { force: true });
  return startConnectServer({ seed, port }).catch((error: unknown) => {
    if (codeOf(error) === 'EADDRINUSE') throw new FlagError(`port ${port} is in use; name another with --port, or 0 for a free one`);
    if (codeOf(error) === 'EACCES') throw new FlagError(`port ${port} may not be bound; name one above 1023 with --port`);
    throw error;
  });
}

/** Writes the ready file; a server that nobody can find ends. */
async function announce(server: ConnectServer, readyFile: string, token: string): Promise<void> {
  try {
    await writeReadyFile(readyFile, { url: server.url, token });
  } catch (error) {
    await server.close();
    throw new FlagError(`cannot write ${readyFile} (${codeOf(error)}); name another with --ready-file`);
  }
}

/** In one step, so that whoever waits for the file never reads half of it. */
async function writeReadyFile(path: string, content: object): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx' });
  await rename(draft, path);
}

function endOnSignal(server: ConnectServer, readyFile: string | undefined): void {
  const end = async (): Promise<void> => {
    if (readyFile !== undefined) await rm(readyFile, { force: true });
    await server.close();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end());
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const understood = error instanceof FlagError || error instanceof SeedError || error instanceof StoreError;
  console.error(understood ? `${error.message}\n\n${usage}` : error);
  process.exitCode = understood ? 2 : 1;
}
