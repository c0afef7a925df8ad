import { join } from 'node:path';

/** The environment of every process of a cluster. Nothing of the caller's: no proxy, no kubeconfig, no home. */
export function childEnvironment(directory: string): Record<string, string> {
  return { HOME: join(directory, 'home'), TMPDIR: join(directory, 'tmp'), PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
}
