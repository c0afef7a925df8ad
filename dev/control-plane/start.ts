import { readFile, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { connectApi, type Api } from './api.ts';
import { commandOf, featuresOf, type Binaries, type Features, type Role } from './binaries.ts';
import { resolveBinaries } from './build.ts';
import { kubeconfigOf, writeKubeconfigs, writeTokens } from './credentials.ts';
import {
  apiServerFlags,
  auditPolicy,
  auditPolicyFile,
  controllerManagerFlags,
  etcdFlags,
  podFlags,
  schedulerFlags,
  type ApiAudit,
  type KubeletClient,
  type Layout,
} from './flags.ts';
import { runKubectl, type KubectlResult } from './kubectl.ts';
import { prepareLayout } from './layout.ts';
import { createNode, isNodeReady } from './node.ts';
import { superviseProcesses, type Processes } from './processes.ts';
import { createUser, type User } from './user.ts';

/** What to start. */
export interface ControlPlaneOptions {
  /** Takes everything: data, keys, kubeconfigs, logs. New or empty; `stop` removes it. */
  readonly directory: string;
  /** Leaves the directory in place after `stop`, for a look at the logs. */
  readonly keep?: boolean;
  /** Default: `KUBEBUILDER_ASSETS`, else built from this folder's Go module (once). */
  readonly binaries?: Binaries;
  /** Runs a scheduler, a simulated kubelet and one node with room for any pod. Default true. */
  readonly simulatePods?: boolean;
  /** Leaves the node to a kubelet, which the caller starts: a scheduler runs, and no pod is simulated. */
  readonly realNode?: RealNode;
  /** Has the API server record requests. */
  readonly audit?: ApiAudit;
  /** Takes progress, a line at a time. */
  readonly log?: (line: string) => void;
}

/** A node that is no part of the control plane. */
export interface RealNode {
  /** IPv4 address of this machine that pods reach: the API server listens on it. */
  readonly address: string;
  readonly kubeletClient: KubeletClient;
}

/** A running Kubernetes API, on loopback only unless there is a real node. */
export interface ControlPlane {
  /** `https://<address>:<port>` */
  readonly url: string;
  /** Path of a kubeconfig of the group `system:masters`. */
  readonly kubeconfig: string;
  readonly adminToken: string;
  /** PEM of what the server's certificate is verified against. */
  readonly ca: string;
  readonly directory: string;
  readonly features: Features;
  readonly binaries: Binaries;
  /** The processes that run now. */
  processes(): readonly { readonly role: Role; readonly pid: number }[];
  /** Makes a ServiceAccount without any rights, `name` in `default` or `namespace/name`, and a kubeconfig for it. */
  user(name: string): Promise<User>;
  /** Ends the API server alone; its port stays its own. Default: SIGKILL, as in a crash. */
  stopApiServer(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port with the same data; resolves when it is ready. */
  startApiServer(): Promise<void>;
  /** Both of the above. */
  restartApiServer(): Promise<void>;
  /** Kills one of the processes and starts it again; resolves when the API is ready. */
  restart(role: Role): Promise<void>;
  /** Runs kubectl as the administrator; ended after two minutes. */
  kubectl(args: readonly string[], stdin?: string): Promise<KubectlResult>;
  /** Ends all processes and removes the directory. */
  stop(): Promise<void>;
}

/**
 * Starts a control plane and waits until it serves: its API ready, the `default` ServiceAccount made, its node ready.
 * Several can run side by side.
 *
 * @throws Error that names the failing role, with the end of its log; nothing is left running then.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const directory = resolve(options.directory);
  const log = options.log ?? (() => {});
  const binaries = options.binaries ?? (await resolveBinaries(log));
  const { audit, realNode } = options;
  const features = featuresOf(binaries, realNode === undefined && (options.simulatePods ?? true));
  const layout = await prepareLayout(directory, realNode?.address ?? '127.0.0.1');
  const tokens = await writeTokens(layout.tokenFile);
  const processes = superviseProcesses<Role>({
    directory,
    commandOf: (role) => commandOf(binaries, role),
    followsInput: () => binaries.kind === 'built',
    stopOrder: [['pods', 'scheduler', 'controller-manager'], ['apiserver'], ['etcd']],
    log,
  });
  const url = `https://${layout.address}:${layout.apiPort}`;
  const kubeconfig = kubeconfigOf(directory, 'admin');
  let api: Api | undefined;

  const startApiServer = async (): Promise<void> => {
    const { controllerManager: hasControllerManager } = features;
    const { kubeletClient } = realNode ?? {};
    await processes.start('apiserver', apiServerFlags(layout, { hasControllerManager, audit, kubeletClient }));
    await apiReady();
  };
  const apiReady = async (): Promise<void> => {
    await processes.waitFor('the API server to be ready', ['apiserver', 'etcd'], async () => {
      api ??= connectApi(url, await readFile(layout.caFile, 'utf8'), tokens.admin);
      try {
        return (await api.get('/readyz')).status === 200 ? true : undefined;
      } catch (error) {
        // The file of the certificate may have been half written when it was read.
        await api.close();
        api = undefined;
        throw error;
      }
    });
  };

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      await processes.stopAll();
      await api?.close();
      if (options.keep !== true) await rm(directory, { recursive: true, force: true });
    })();
    return stopping;
  };

  try {
    const began = performance.now();
    if (audit !== undefined) await writeFile(auditPolicyFile(layout), auditPolicy(audit));
    await processes.start('etcd', etcdFlags(layout, binaries.kind));
    await startApiServer();
    if (api === undefined) throw new Error('the API server is ready without a connection to it');
    const connected: Api = api;
    const ca = await readFile(layout.caFile, 'utf8');
    await writeKubeconfigs(directory, url, ca, tokens);
    await startControllers(processes, layout, { features, realNode: realNode !== undefined }, connected);
    log(`control plane ready at ${url} after ${((performance.now() - began) / 1000).toFixed(1)} s`);

    return {
      url,
      kubeconfig,
      adminToken: tokens.admin,
      ca,
      directory,
      features,
      binaries,
      processes: () => processes.running(),
      user: (name) => createUser(connected, { url, ca, directory }, name),
      stopApiServer: (signal = 'SIGKILL') => processes.stop('apiserver', signal),
      startApiServer,
      restartApiServer: async () => {
        await processes.stop('apiserver', 'SIGKILL');
        await startApiServer();
      },
      restart: async (role) => {
        await processes.restart(role);
        await apiReady();
      },
      kubectl: (args, stdin) => runKubectl(binaries, directory, kubeconfig, args, stdin),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startControllers(
  processes: Processes<Role>,
  layout: Layout,
  { features, realNode }: { readonly features: Features; readonly realNode: boolean },
  api: Api,
): Promise<void> {
  if (!features.controllerManager) return;
  await processes.start('controller-manager', controllerManagerFlags(layout, kubeconfigOf(layout.directory, 'controllerManager')));
  if (features.pods || realNode) await processes.start('scheduler', schedulerFlags(kubeconfigOf(layout.directory, 'scheduler')));
  if (features.pods) {
    await processes.start('pods', podFlags(layout.directory, kubeconfigOf(layout.directory, 'pods')));
    await createNode(api);
    await processes.waitFor('the node to be ready', ['pods', 'apiserver'], async () => ((await isNodeReady(api)) ? true : undefined));
  }
  await processes.waitFor('the default ServiceAccount', ['controller-manager', 'apiserver'], async () => {
    const { status } = await api.get('/api/v1/namespaces/default/serviceaccounts/default');
    return status === 200 ? true : undefined;
  });
  for (const role of ['scheduler', 'pods'] as const) await processes.assertRunning(role);
}
