import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeKubeconfig } from './kubeconfig.ts';

/** The name of the node that has a kubelet: it decides as whom the kubelet speaks. */
export const nodeName = 'node';

/** Whoever needs a static token: the API server reads them once, at its start. */
const identities = {
  admin: { user: 'admin', group: 'system:masters' },
  // The controllers share one connection, so that connection needs the rights of all of them.
  controllerManager: { user: 'system:kube-controller-manager', group: 'system:masters' },
  scheduler: { user: 'system:kube-scheduler', group: '' },
  pods: { user: 'pod-simulator', group: 'system:masters' },
  kubelet: { user: `system:node:${nodeName}`, group: 'system:nodes' },
  proxy: { user: 'system:kube-proxy', group: '' },
} as const;

/** One of those. */
type Identity = keyof typeof identities;

/** The token of each identity. */
export type Tokens = Readonly<Record<Identity, string>>;

const all = Object.keys(identities) as readonly Identity[];

/** Makes new tokens and writes them where the API server reads them. */
export async function writeTokens(file: string): Promise<Tokens> {
  const tokens = Object.fromEntries(all.map((identity) => [identity, newToken()])) as Tokens;
  const lines = all.map((identity) => {
    const { user, group } = identities[identity];
    return `${tokens[identity]},${user},${user}${group === '' ? '' : `,"${group}"`}\n`;
  });
  await writeFile(file, lines.join(''), { mode: 0o600 });
  return tokens;
}

/** Makes the key pair that ServiceAccount tokens are signed with and verified by. */
export async function writeServiceAccountKeys(privateFile: string, publicFile: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await writeFile(privateFile, privateKey, { mode: 0o600 });
  await writeFile(publicFile, publicKey, { mode: 0o600 });
}

/** Where the kubeconfig of an identity is. */
export function kubeconfigOf(directory: string, identity: Identity): string {
  return join(directory, `${identity}.kubeconfig`);
}

/** Writes the kubeconfigs of all identities. */
export async function writeKubeconfigs(directory: string, url: string, ca: string, tokens: Tokens): Promise<void> {
  const write = (identity: Identity): Promise<void> =>
    writeKubeconfig(kubeconfigOf(directory, identity), { url, ca, user: identities[identity].user, token: tokens[identity] });
  await Promise.all(all.map(write));
}

function newToken(): string {
  return randomBytes(24).toString('hex');
}
