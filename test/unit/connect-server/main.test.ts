import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FlagError, parseFlags } from '../../../dev/connect-server/flags.ts';

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'connect-server-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

function start(...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, ['dev/connect-server/main.ts', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  if (child.stdout === null || child.stderr === null) throw new Error('the output is piped');
  return { child, exit, stdout: text(child.stdout), stderr: text(child.stderr) };
}

describe('the command', () => {
  it('writes where it is and how to get in for its owner alone, and ends on a signal', async () => {
    const readyFile = join(await temporaryDirectory(), 'ready.json');
    const { child, exit, stdout } = start('--port', '0', '--ready-file', readyFile);
    const { url, token } = await vi.waitFor(async () => JSON.parse(await readFile(readyFile, 'utf8')) as { url: string; token: string }, {
      timeout: 8000,
    });
    expect((await stat(readyFile)).mode & 0o777).toBe(0o600);
    expect((await fetch(`${url}/v1/vaults`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
    child.kill('SIGINT');
    expect(await exit).toBe(0);
    const printed = await stdout;
    expect(printed).toContain('for demonstration and tests only');
    expect(printed).toContain(`export OP_CONNECT_HOST=${url}`);
    expect(printed).toContain('-X PATCH');
    await expect(stat(readyFile)).rejects.toThrow('ENOENT');
  });

  it('ends with 2 and says where a seed is wrong', async () => {
    const seed = join(await temporaryDirectory(), 'seed.yaml');
    await writeFile(seed, 'vaults: [{}]');
    const { exit, stderr } = start('--port', '0', '--seed', seed);
    expect(await exit).toBe(2);
    expect(await stderr).toContain(`${seed}: vaults[0].name: `);
  });

  it('ends with 2 when the ready file cannot be written', async () => {
    const readyFile = join(await temporaryDirectory(), 'missing', 'ready.json');
    const { exit, stderr } = start('--port', '0', '--ready-file', readyFile);
    expect(await exit).toBe(2);
    expect(await stderr).toContain(`cannot write ${readyFile} (ENOENT)`);
  });

  it('ends with 2 when the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const { exit, stderr } = start('--port', String(port));
    expect(await exit).toBe(2);
    expect(await stderr).toContain(`port ${port} is in use; name another with --port`);
  });
});

describe('flags', () => {
  it('have defaults', () => {
    expect(parseFlags([])).toStrictEqual({ port: 8090, seed: undefined, readyFile: undefined, help: false });
  });

  it.each([['--port', 'x'], ['--port', '65536'], ['--port=-1'], ['--unknown'], ['positional'], ['--seed']])('refuse %s %s', (...args) => {
    expect(() => parseFlags(args)).toThrow(FlagError);
  });
});
