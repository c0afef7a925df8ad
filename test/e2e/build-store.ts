import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../dev/node/run.ts';

/** Where buildah keeps images for one run; nothing of it is in this machine's own store. */
export interface BuildStore {
  /** What buildah needs in its environment to use it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes an image of a folder. @returns its name */
  image(name: string, root: string, environment: Readonly<Record<string, string>>): Promise<string>;
  /** Runs buildah. @returns what it printed @throws Error with its complaint */
  buildah(...args: readonly string[]): Promise<string>;
  remove(): Promise<void>;
}

const deadlineMs = 5 * 60_000;

/** Opens a store in a folder that is new or empty. */
export async function openBuildStore(folder: string): Promise<BuildStore> {
  const configuration = join(folder, 'storage.conf');
  const graph = join(folder, 'graph');
  await mkdir(folder, { recursive: true });
  await writeFile(configuration, `[storage]\ndriver = "overlay"\ngraphroot = "${graph}"\nrunroot = "${join(folder, 'run')}"\n`);
  const environment = { CONTAINERS_STORAGE_CONF: configuration };
  const buildah = (...args: readonly string[]): Promise<string> =>
    run('env', [`CONTAINERS_STORAGE_CONF=${configuration}`, 'buildah', ...args], { deadlineMs });

  return {
    environment,
    buildah,
    async image(name, root, variables) {
      const container = (await buildah('from', 'scratch')).trim();
      await buildah('copy', '--quiet', container, root, '/');
      for (const [variable, value] of Object.entries(variables)) await buildah('config', '--env', `${variable}=${value}`, container);
      await buildah('commit', '--quiet', '--rm', container, `localhost/keyturn-e2e-${name}:1`);
      return `localhost/keyturn-e2e-${name}:1`;
    },
    async remove() {
      await buildah('rm', '--all').catch(() => undefined);
      await removeWithMounts(folder);
    },
  };
}

/** Arguments that let npm in a build use the registries of this user. */
export function npmSecret(): readonly string[] {
  const file = join(homedir(), '.npmrc');
  return existsSync(file) ? ['--secret', `id=npmrc,src=${file}`] : [];
}

/** Removes a folder in which file systems may be mounted. */
export async function removeWithMounts(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').flatMap((line) => line.split(' ')[1] ?? []);
  for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`)).toReversed()) await run('umount', ['--lazy', mount]);
  await rm(folder, { recursive: true, force: true });
}
