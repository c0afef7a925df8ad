import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeServiceAccountKeys } from './credentials.ts';
import type { Layout } from './flags.ts';
import { freePorts } from './ports.ts';

/**
 * Makes a control plane's folder, with keys, and chooses its ports.
 *
 * @param address what the API server is to listen on
 * @throws Error when the folder holds something, which would be removed in the end
 */
export async function prepareLayout(directory: string, address: string): Promise<Layout> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0) throw new Error(`${directory} is not empty, and stop() would remove what it holds`);
  await Promise.all(['home', 'logs', 'certs', 'tmp'].map((name) => mkdir(join(directory, name), { mode: 0o700 })));
  const [apiPort = 0, etcdPort = 0, peerPort = 0] = await freePorts(3);
  const certDir = join(directory, 'certs');
  const serviceAccountKey = join(certDir, 'service-account.key');
  const serviceAccountPublicKey = join(certDir, 'service-account.pub');
  await writeServiceAccountKeys(serviceAccountKey, serviceAccountPublicKey);
  return {
    directory,
    address,
    apiPort,
    etcdPort,
    peerPort,
    certDir,
    serviceAccountKey,
    serviceAccountPublicKey,
    tokenFile: join(certDir, 'tokens.csv'),
    caFile: join(certDir, 'apiserver.crt'),
  };
}
