import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { commandOf, featuresOf, readAssets, type Binaries } from '../../../dev/control-plane/binaries.ts';
import { freePorts } from '../../../dev/control-plane/ports.ts';
import { startControlPlane } from '../../../dev/control-plane/start.ts';
import { waitFor } from '../../../dev/control-plane/wait.ts';

const BUILT: Binaries = { kind: 'built', file: '/control-plane' };

async function folder(...names: readonly string[]): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'keyturn-assets-'));
  onTestFinished(() => rm(path, { recursive: true }));
  await Promise.all(names.map((name) => writeFile(join(path, name), '', { mode: 0o755 })));
  return path;
}

describe('a folder of upstream binaries', () => {
  test('needs etcd and the API server', async () => {
    await expect(readAssets(await folder('etcd', 'kubectl'))).rejects.toThrow('must hold the executables etcd and kube-apiserver');
  });

  test('runs without pods', async () => {
    const assets = await readAssets(await folder('etcd', 'kube-apiserver', 'kubectl'));
    expect(featuresOf(assets, true)).toEqual({ controllerManager: false, pods: false });
  });

  test('runs controllers when it holds them', async () => {
    const path = await folder('etcd', 'kube-apiserver', 'kube-controller-manager');
    const assets = await readAssets(path);
    expect(featuresOf(assets, true)).toEqual({ controllerManager: true, pods: false });
    expect(commandOf(assets, 'controller-manager')).toEqual({ file: join(path, 'kube-controller-manager'), args: [] });
    expect(commandOf(assets, 'kubectl')).toBeUndefined();
  });
});

test('the built binary takes every role as its first argument', () => {
  expect(commandOf(BUILT, 'scheduler')).toEqual({ file: '/control-plane', args: ['scheduler'] });
  expect(featuresOf(BUILT, true)).toEqual({ controllerManager: true, pods: true });
  expect(featuresOf(BUILT, false)).toEqual({ controllerManager: true, pods: false });
});

describe('startControlPlane', () => {
  test('names the role that ended, with the end of its log, and leaves nothing behind', async () => {
    const directory = join(await folder(), 'run');
    // Node knows neither etcd's flags nor the API server's, so it ends at once.
    const binaries: Binaries = { kind: 'assets', etcd: process.execPath, apiserver: process.execPath };
    await expect(startControlPlane({ directory, binaries })).rejects.toThrow(/(?:apiserver|etcd) ended early: exit code 9\n.*bad option/s);
    await expect(access(directory)).rejects.toThrow('ENOENT');
  });

  test('refuses a folder that holds something, and leaves it alone', async () => {
    const directory = await folder('precious');
    await expect(startControlPlane({ directory, binaries: BUILT })).rejects.toThrow('is not empty');
    await access(join(directory, 'precious'));
  });
});

test('freePorts finds different ports', async () => {
  expect(new Set(await freePorts(20)).size).toBe(20);
});

describe('waitFor', () => {
  test('returns the first value that comes', async () => {
    const values = [undefined, undefined, 'c', 'd'];
    await expect(waitFor('a value', async () => values.shift(), { deadlineMs: 1_000, intervalMs: 1 })).resolves.toBe('c');
  });

  test('names what it waited for, and the last error', async () => {
    const wait = waitFor('the server', () => Promise.reject(new Error('refused')), { deadlineMs: 10, intervalMs: 1 });
    await expect(wait).rejects.toMatchObject({ message: 'waited 0.01 s for the server', cause: { message: 'refused' } });
  });
});
