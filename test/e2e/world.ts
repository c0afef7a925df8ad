import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { run } from '../../dev/node/run.ts';
import { buildGoTool } from '../../dev/tools/build-go-tool.ts';
import { requireForCommonJs } from '../../dev/tools/bundle.ts';
import { ROOT } from '../../dev/tools/command.ts';
import { eventually } from '../support/eventually.ts';
import type { Target } from './targets.ts';

export interface Meta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deletionTimestamp?: string;
}

export interface Pod {
  readonly metadata: Meta;
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly state: { readonly terminated?: { readonly message?: string } };
      readonly lastState: { readonly terminated?: { readonly message?: string } };
    }[];
  };
}

/** What a container of an application has of the Secret. */
export interface Seen {
  readonly env: string;
  readonly file: string;
}

/** Whoever installs Keyturn, with kubectl and helm, in a cluster that has a Connect server. */
export interface World {
  readonly target: Target;
  /** Address of the Connect server, for pods. */
  readonly connectUrl: string;
  readonly connectToken: string;
  /** @returns what it printed @throws Error with what it printed on standard error */
  kubectl(...args: readonly string[]): Promise<string>;
  apply(...objects: readonly object[]): Promise<void>;
  get<T>(namespace: string, type: string, name: string): Promise<T>;
  list<T>(namespace: string, type: string, selector?: string): Promise<readonly T[]>;
  /** Runs helm. @returns what it printed @throws Error with its complaint */
  helm(...args: readonly string[]): Promise<string>;
  /** Gives a field of an item in Connect another value. */
  rotate(title: string, label: string, value: string): Promise<void>;
  /** An application of two pods that reads `password` of a Secret through env and a volume; resolves when it is ready. */
  startApp(namespace: string, name: string, secret: string, annotations?: Readonly<Record<string, string>>): Promise<void>;
  /** The pods of an application that are not being deleted. */
  pods(namespace: string, app: string): Promise<readonly Pod[]>;
  /** What the pods of an application see, one for each pod that is ready. */
  seen(namespace: string, app: string): Promise<readonly Seen[]>;
  stop(): Promise<void>;
}

const connectNamespace = 'keyturn-e2e-connect';
const podDeadline = 120_000;

/** Starts the Connect server in the cluster. */
export async function enterWorld(target: Target, log: (line: string) => void): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-e2e-'));
  const helmFile = await buildGoTool('helm', { log });
  const made = new Set<string>();

  const kubectl = async (...args: readonly string[]): Promise<string> => checked(await target.kubectl(args));
  const apply = async (...objects: readonly object[]): Promise<void> => {
    for (const object of objects as readonly { kind: string; metadata: { name: string } }[]) {
      if (object.kind === 'Namespace') made.add(object.metadata.name);
    }
    checked(
      await target.kubectl(
        ['apply', '--server-side', '--force-conflicts', '--filename=-'],
        JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
      ),
    );
  };
  const get = async <T>(namespace: string, type: string, name: string): Promise<T> =>
    JSON.parse(await kubectl('get', type, name, `--namespace=${namespace}`, '--output=json')) as T;
  const list = async <T>(namespace: string, type: string, selector = ''): Promise<readonly T[]> =>
    (
      JSON.parse(await kubectl('get', type, `--namespace=${namespace}`, `--selector=${selector}`, '--output=json')) as {
        items: readonly T[];
      }
    ).items;
  const pods = async (namespace: string, name: string): Promise<readonly Pod[]> =>
    (await list<Pod>(namespace, 'pods', `app=${name}`)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const inConnect = (...args: readonly string[]): Promise<string> =>
    kubectl('exec', `--namespace=${connectNamespace}`, 'deployment/connect', '--', '/usr/bin/node', '/program/connect.mjs', ...args);

  await apply(...(await connectObjects(target.image)));
  await kubectl('rollout', 'status', 'deployment/connect', `--namespace=${connectNamespace}`, '--timeout=120s');
  const connectToken = (await kubectl('logs', 'deployment/connect', `--namespace=${connectNamespace}`)).trim();
  const { spec } = await get<{ spec: { clusterIP: string } }>(connectNamespace, 'service', 'connect');

  return {
    target,
    // By its address: not every cluster has DNS.
    connectUrl: `http://${spec.clusterIP}:8080`,
    connectToken,
    kubectl,
    apply,
    get,
    list,
    helm: async (...args) => {
      await mkdir(join(folder, 'helm'), { recursive: true });
      const homes = ['CACHE', 'CONFIG', 'DATA'].map((name) => `HELM_${name}_HOME=${join(folder, 'helm')}`);
      return run('env', [...homes, `KUBECONFIG=${target.kubeconfig}`, helmFile, ...args], { deadlineMs: 5 * 60_000 });
    },
    rotate: async (title, label, value) => void (await inConnect('set', title, label, value)),
    async startApp(namespace, name, secret, annotations = {}) {
      await apply(app({ image: target.image, namespace, name, secret, annotations }));
      await kubectl('rollout', 'status', `deployment/${name}`, `--namespace=${namespace}`, `--timeout=${podDeadline / 1000}s`);
    },
    pods,
    async seen(namespace, name) {
      const ready = (await pods(namespace, name)).filter(({ status }) =>
        status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      );
      const path = (pod: Pod): string => `/api/v1/namespaces/${namespace}/pods/${pod.metadata.name}:8080/proxy/`;
      return Promise.all(ready.map(async (pod) => JSON.parse(await kubectl('get', '--raw', path(pod))) as Seen));
    },
    async stop() {
      await rm(folder, { recursive: true, force: true });
      // Other clusters go away as a whole.
      if (target.kind === 'kubeconfig') await kubectl('delete', 'namespace', '--ignore-not-found', '--timeout=100s', ...made);
    },
  };
}

function checked({ code, stdout, stderr }: { readonly code: number; readonly stdout: string; readonly stderr: string }): string {
  if (code !== 0) throw new Error(`kubectl: ${stderr}`);
  return stdout;
}

/** What pods may be in a namespace that enforces the strictest Pod Security Standard. */
export const restricted = { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } };
export const restrictedContainer = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };

export function namespaceObject(name: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
}

/** The dev Connect server runs on the Node of the operator's image. */
async function connectObjects(image: string): Promise<readonly object[]> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [resolve(import.meta.dirname, 'connect-program.ts')],
    bundle: true,
    minify: true,
    write: false,
    platform: 'node',
    format: 'esm',
    banner: { js: requireForCommonJs },
  });
  const metadata = { name: 'connect', namespace: connectNamespace };
  const labels = { app: 'connect' };
  return [
    namespaceObject(connectNamespace),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'connect.mjs': outputFiles[0]?.text ?? '' } },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports: [{ port: 8080 }] } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            securityContext: restricted,
            terminationGracePeriodSeconds: 2,
            containers: [
              {
                name: 'connect',
                image,
                command: ['/usr/bin/node', '/program/connect.mjs'],
                securityContext: restrictedContainer,
                readinessProbe: { httpGet: { path: '/heartbeat', port: 8080 }, periodSeconds: 1 },
                volumeMounts: [
                  { name: 'program', mountPath: '/program' },
                  { name: 'run', mountPath: '/run/connect' },
                ],
              },
            ],
            volumes: [
              { name: 'program', configMap: { name: 'connect' } },
              { name: 'run', emptyDir: {} },
            ],
          },
        },
      },
    },
  ];
}

/** Answers with what it has of the Secret now. */
const appProgram = `
const seen = () => ({ env: process.env.PASSWORD, file: require('node:fs').readFileSync('/secret/password', 'utf8') });
require('node:http').createServer((request, response) => response.end(JSON.stringify(seen()))).listen(8080);
process.on('SIGTERM', () => process.exit(0));
`;

interface AppOptions {
  readonly image: string;
  readonly namespace: string;
  readonly name: string;
  readonly secret: string;
  readonly annotations: Readonly<Record<string, string>>;
}

function app({ image, namespace, name, secret, annotations }: AppOptions): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, annotations },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          automountServiceAccountToken: false,
          securityContext: restricted,
          terminationGracePeriodSeconds: 2,
          containers: [
            {
              name: 'app',
              image,
              command: ['/usr/bin/node', '--eval', appProgram],
              securityContext: restrictedContainer,
              env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: secret, key: 'password' } } }],
              readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
              volumeMounts: [{ name: 'secret', mountPath: '/secret', readOnly: true }],
            },
          ],
          volumes: [{ name: 'secret', secret: { secretName: secret } }],
        },
      },
    },
  };
}

/** The resource that asks for a Secret of an item in the vault of the Connect server. */
export function itemObject(namespace: string, name: string, title: string): object {
  return {
    apiVersion: 'onepassword.com/v1',
    kind: 'OnePasswordItem',
    metadata: { name, namespace },
    spec: { itemPath: `vaults/Demo/items/${title}` },
  };
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** Waits until the condition Ready of a resource has a certain reason. */
export async function untilReason(
  world: World,
  namespace: string,
  name: string,
  reason: string,
  deadline = podDeadline,
): Promise<Condition> {
  return eventually(
    `${name} to be ${reason}`,
    async () => {
      const { status } = await world.get<{ status?: { conditions?: readonly Condition[] } }>(namespace, 'onepassworditem', name);
      return status?.conditions?.find((condition) => condition.type === 'Ready' && condition.reason === reason);
    },
    deadline,
  );
}
