import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isAlive } from '../control-plane/alive.ts';

const runs = resolve(import.meta.dirname, '../../.cache/run');

/** Makes a folder for one run under .cache/run, named after our process, and removes those whose process was killed. */
export async function makeRunFolder(purpose = 'demo'): Promise<string> {
  await mkdir(runs, { recursive: true });
  const abandoned = (await readdir(runs)).filter((name) => /^\d+-/.test(name) && !isAlive(Number.parseInt(name, 10)));
  await Promise.all(abandoned.map((name) => rm(join(runs, name), { recursive: true, force: true })));
  return mkdtemp(join(runs, `${process.pid}-${purpose}-`));
}
