import { join } from 'node:path';

/** The environment of every process of a control plane. Nothing of the caller's: no proxy, no kubeconfig, no home. */
export function childEnvironment(directory: string): Record<string, string> {
  return { HOME: join(directory, 'home'), TMPDIR: join(directory, 'tmp'), PATH: '/usr/bin:/bin' };
}
