import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';

/** TLS material and headers that authenticate requests for a while. */
export interface Authentication {
  readonly tls: {
    readonly ca?: Buffer;
    readonly cert?: Buffer;
    readonly key?: Buffer;
    readonly servername?: string;
    readonly rejectUnauthorized: boolean;
  };
  readonly headers: Readonly<Record<string, string>>;
}

/** Where the API server is, and how to prove who we are. */
export interface Credentials {
  /** For instance `https://10.96.0.1:443`. */
  readonly server: string;
  /** The namespace of the current context, or of the pod's service account. */
  readonly namespace: string | undefined;
  /** Reads token files and asks exec plugins anew, where they are due. */
  authenticate(): Promise<Authentication>;
}

/** Starts from the files again, forgetting every cached token. @throws Error when the kubeconfig is unreadable or names no cluster, or no URL of it */
export type LoadCredentials = () => Credentials;

/** From `file`, or without one from `KUBECONFIG`, `~/.kube/config`, or the service account of the pod. */
export function credentialsFrom(file?: string): LoadCredentials {
  return () => {
    const config = new KubeConfig();
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
    const cluster = config.getCurrentCluster();
    // What client-node falls back to when it finds nothing: a server that nobody asked for.
    const nothing = cluster?.name === 'cluster' && cluster.server === 'http://localhost:8080';
    if (nothing) throw new Error('there is neither a kubeconfig nor a service account: set KUBECONFIG');
    if (cluster === null)
      throw new Error('the kubeconfig has no current context with a cluster: choose one with `kubectl config use-context`');
    if (!URL.canParse(cluster.server)) throw new Error("the server of the kubeconfig's cluster is no URL such as https://10.96.0.1:443");
    const tokenFile = tokenFileOf(config.getCurrentUser()?.name, file);
    return {
      server: cluster.server.replace(/\/$/, ''),
      namespace: config.getContextObject(config.getCurrentContext())?.namespace,
      authenticate: () => authenticate(config, tokenFile),
    };
  };
}

/** What client-node fills in, of all that a request of Node's can have. */
interface HttpsOptions {
  headers: Record<string, string>;
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
  servername?: string;
  rejectUnauthorized?: boolean;
  auth?: string;
}

/** A user's `tokenFile`, which client-node does not read: it looks for `token-file`. */
function tokenFileOf(user: string | undefined, file: string | undefined): string | undefined {
  if (user === undefined) return undefined;
  const named = process.env['KUBECONFIG']?.split(delimiter).filter((name) => name !== '') ?? [];
  const files = file !== undefined ? [file] : named.length > 0 ? named : [join(homedir(), '.kube', 'config')];
  for (const path of files) {
    const tokenFile = usersOf(path).find(({ name }) => name === user)?.user?.tokenFile;
    if (tokenFile) return resolve(dirname(path), tokenFile);
  }
  return undefined;
}

interface NamedUser {
  readonly name?: string;
  readonly user?: { readonly tokenFile?: string };
}

function usersOf(path: string): readonly NamedUser[] {
  try {
    return (parse(readFileSync(path, 'utf8')) as { readonly users?: readonly NamedUser[] } | null)?.users ?? [];
  } catch {
    return [];
  }
}

async function authenticate(config: KubeConfig, tokenFile: string | undefined): Promise<Authentication> {
  const options: HttpsOptions = { headers: {} };
  await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  const { ca, cert, key, servername, auth, headers } = options;
  return {
    tls: {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(servername !== undefined && { servername }),
      // Said outright, for a variable of Node's can switch verification off wherever nothing is said.
      rejectUnauthorized: options.rejectUnauthorized ?? true,
    },
    headers:
      tokenFile !== undefined
        ? { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` }
        : auth
          ? { ...headers, authorization: `Basic ${Buffer.from(auth).toString('base64')}` }
          : headers,
  };
}
