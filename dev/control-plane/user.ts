import { join } from 'node:path';
import { create, type Api } from './api.ts';
import { writeKubeconfig } from './kubeconfig.ts';

/** A user of limited rights: a ServiceAccount and a token for it, valid for a day. */
export interface User {
  /** As RBAC knows it: `system:serviceaccount:<namespace>:<name>`. */
  readonly username: string;
  readonly kubeconfig: string;
  readonly token: string;
}

/** The cluster that a user is made for. */
export interface UserTarget {
  readonly url: string;
  readonly ca: string;
  /** Takes the kubeconfig. */
  readonly directory: string;
}

const TOKEN_SECONDS = 86_400;

/**
 * Makes a ServiceAccount without any rights and a kubeconfig for it.
 *
 * @param path `name` in the namespace `default`, or `namespace/name`; the namespace is made when it is missing
 */
export async function createUser(api: Api, target: UserTarget, path: string): Promise<User> {
  const slash = path.indexOf('/');
  const namespace = slash < 0 ? 'default' : path.slice(0, slash);
  const name = path.slice(slash + 1);
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await create(api, '/api/v1/namespaces', { metadata: { name: namespace } });
  await create(api, accounts, { metadata: { name } });
  const answer = await create(api, `${accounts}/${name}/token`, { spec: { expirationSeconds: TOKEN_SECONDS } });
  const token = (answer as { status?: { token?: string } } | undefined)?.status?.token;
  if (token === undefined) throw new Error(`no token came for ServiceAccount ${namespace}/${name}`);
  const username = `system:serviceaccount:${namespace}:${name}`;
  const kubeconfig = join(target.directory, `user-${namespace}-${name}.kubeconfig`);
  await writeKubeconfig(kubeconfig, { url: target.url, ca: target.ca, user: username, token });
  return { username, kubeconfig, token };
}
