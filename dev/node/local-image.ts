import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

/**
 * The one image that every node has: busybox, with a shell. Without a command it does nothing until it is ended, and so
 * does for the container that holds a pod's network too.
 */
export const localImage = 'keyturn.local/busybox:1';

const busybox = '/bin/busybox';
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Writes that image as an archive (of the form that `docker save` has), made of this machine's busybox. */
export async function writeLocalImage(folder: string): Promise<string> {
  const root = join(folder, 'root');
  const archive = join(folder, 'busybox.tar');
  await rm(folder, { recursive: true, force: true });
  for (const name of ['bin', 'etc', 'tmp']) await mkdir(join(root, name), { recursive: true });
  await chmod(join(root, 'tmp'), 0o1777);
  await copyFile(busybox, join(root, 'bin/busybox'));
  const applets = (await run(busybox, ['--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox');
  await Promise.all(applets.map((name) => symlink('busybox', join(root, 'bin', name))));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnobody:x:65534:\n');

  await run('tar', [
    '--create',
    '--file',
    join(folder, 'layer.tar'),
    '--directory',
    root,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '.',
  ]);
  const layer = createHash('sha256')
    .update(await readFile(join(folder, 'layer.tar')))
    .digest('hex');
  const config = {
    architecture: architectures[process.arch],
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: ['sleep', '2147483647'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [localImage], Layers: ['layer.tar'] }];
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await run('tar', ['--create', '--file', archive, '--directory', folder, 'manifest.json', 'config.json', 'layer.tar']);
  return archive;
}
