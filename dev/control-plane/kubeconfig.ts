import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';

/** A cluster and who to be in it. */
export interface Access {
  readonly url: string;
  /** PEM; the server's certificate is verified against it. */
  readonly ca: string;
  readonly user: string;
  readonly token: string;
}

/** Writes a kubeconfig with the CA and the token embedded, readable by its owner alone. */
export async function writeKubeconfig(file: string, access: Access): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'control-plane',
    contexts: [{ name: 'control-plane', context: { cluster: 'control-plane', user: access.user } }],
    clusters: [
      {
        name: 'control-plane',
        cluster: { server: access.url, 'certificate-authority-data': Buffer.from(access.ca).toString('base64') },
      },
    ],
    users: [{ name: access.user, user: { token: access.token } }],
  };
  await writeFile(file, stringify(config), { mode: 0o600 });
}
