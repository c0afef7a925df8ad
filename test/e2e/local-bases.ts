import { copyFile, cp, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { run } from '../../dev/node/run.ts';
import { ROOT } from '../../dev/tools/command.ts';
import type { BuildStore } from './build-store.ts';

/** Names of images to build in and on, made of what this machine has: no registry is asked. */
export interface LocalBases {
  /** npm and a shell. */
  readonly BUILD_IMAGE: string;
  /** The C and C++ libraries of Node, and certificates; no shell. */
  readonly BASE_IMAGE: string;
}

const certificates = '/etc/ssl/certs/ca-certificates.crt';

/** Makes both. @throws Error for a program of this machine that fails, such as when npm is not installed */
export async function makeLocalBases(store: BuildStore, folder: string): Promise<LocalBases> {
  const node = await realpath(resolve(ROOT, 'node_modules/.bin/node'));
  const libraries = [...(await run('ldd', [node])).matchAll(/(\/\S+\.so\S*)/g)].map(([, path = '']) => path);

  const base = join(folder, 'base');
  await layOut(
    base,
    // As of images for C++, which have no libatomic.
    libraries.filter((path) => !path.includes('libatomic')),
  );

  const build = join(folder, 'build');
  await layOut(build, libraries);
  await mkdir(join(build, 'bin'));
  await copyFile('/bin/busybox', join(build, 'bin/busybox'));
  const applets = (await run('/bin/busybox', ['--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox');
  await Promise.all(applets.map((name) => symlink('busybox', join(build, 'bin', name))));
  await copyFile(node, join(build, 'usr/bin/node'));
  const npm = dirname(dirname(await realpath((await run('sh', ['-c', 'command -v npm'])).trim())));
  await cp(npm, join(build, 'usr/lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(build, 'usr/bin/npm'));
  await symlink('/bin/env', join(build, 'usr/bin/env'));

  const BUILD_IMAGE = await store.image('build', build, { PATH: '/bin:/usr/bin', NODE_EXTRA_CA_CERTS: certificates });
  const BASE_IMAGE = await store.image('base', base, {});
  await rm(folder, { recursive: true });
  return { BUILD_IMAGE, BASE_IMAGE };
}

async function layOut(root: string, libraries: readonly string[]): Promise<void> {
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await mkdir(join(root, 'tmp'), { recursive: true });
  for (const path of [...libraries, certificates]) {
    const target = join(root, inUsr(path));
    await mkdir(dirname(target), { recursive: true });
    await copyFile(path, target);
  }
  // As in Debian, where these are links.
  for (const name of ['lib', 'lib64']) await symlink(`usr/${name}`, join(root, name));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
}

function inUsr(path: string): string {
  return path.replace(/^\/lib/, '/usr/lib');
}
