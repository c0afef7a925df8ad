import { readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { connectApi, type Api } from './api.ts';
import { featuresOf, type Binaries, type Features, type Role } from './binaries.ts';
import { resolveBinaries } from './build.ts';
import { kubeconfigOf, writeKubeconfigs, writeTokens } from './credentials.ts';
import { apiServerFlags, controllerManagerFlags, etcdFlags, podFlags, schedulerFlags, type Layout } from './flags.ts';
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
  /** Takes progress, a line at a time. */
  readonly log?: (line: string) => void;
}

/** A running Kubernetes API, on loopback only. */
export interface ControlPlane {
  /** `https://127.0.0.1:<port>` */
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
  const features = featuresOf(binaries, options.simulatePods ?? true);
  const layout = await prepareLayout(directory);
  const tokens = await writeTokens(layout.tokenFile);
  const processes = superviseProcesses(binaries, directory, log);
  const url = `https://127.0.0.1:${layout.apiPort}`;
  const kubeconfig = kubeconfigOf(directory, 'admin');
  let api: Api | undefined;

  const startApiServer = async (): Promise<void> => {
    await processes.start('apiserver', apiServerFlags(layout, features.controllerManager));
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
    await processes.start('etcd', etcdFlags(layout, binaries.kind));
    await startApiServer();
    if (api === undefined) throw new Error('the API server is ready without a connection to it');
    const connected: Api = api;
    const ca = await readFile(layout.caFile, 'utf8');
    await writeKubeconfigs(directory, url, ca, tokens);
    await startControllers(processes, layout, features, connected);
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
      kubectl: (args, stdin) => runKubectl(binaries, directory, kubeconfig, args, stdin),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startControllers(processes: Processes, layout: Layout, features: Features, api: Api): Promise<void> {
  if (!features.controllerManager) return;
  await processes.start('controller-manager', controllerManagerFlags(layout, kubeconfigOf(layout.directory, 'controllerManager')));
  if (features.pods) {
    await processes.start('scheduler', schedulerFlags(kubeconfigOf(layout.directory, 'scheduler')));
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
