import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { selfSignedCertificate } from '../../src/observability/self-signed-certificate.ts';
import { connectApi } from '../control-plane/api.ts';
import type { Role as ControlPlaneRole } from '../control-plane/binaries.ts';
import { buildControlPlane, buildNode } from '../control-plane/build.ts';
import { kubeconfigOf, nodeName } from '../control-plane/credentials.ts';
import type { KubeletClient } from '../control-plane/flags.ts';
import { freePorts } from '../control-plane/ports.ts';
import { type Processes, superviseProcesses } from '../control-plane/processes.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/start.ts';
import type { ProgressSink } from '../tools/progress.ts';
import { containerdConfiguration, kubeletConfiguration, kubeletFlags, networkConfiguration, proxyConfiguration } from './configuration.ts';
import { writeLocalImage } from './local-image.ts';
import { bridgeAddress, networkName, nodeFolder, places, podNetwork } from './places.ts';
import { run } from './run.ts';
import { isOwned, readState, writeState } from './state.ts';
import { nodeSupport } from './support.ts';
import { undo } from './undo.ts';

/** What runs on the node beside the control plane. */
type NodeRole = 'containerd' | 'kubelet' | 'proxy';

/** A process of the cluster that can be restarted. */
export type Component = NodeRole | Exclude<ControlPlaneRole, 'pods' | 'kubectl'>;

export interface NodeOptions {
  /** Takes progress, a line at a time. */
  readonly log?: (line: string) => void;
  /** Where the progress of a build goes; default: a line through `log` every ten seconds. */
  readonly progress?: ProgressSink;
}

/** A process that is no more. */
export interface DeadProcess {
  readonly component: Component;
  readonly logFile: string;
}

/** A Kubernetes cluster of one node, whose pods are real. There is no DNS in pods: they reach Services by their addresses. */
export interface OneNode extends Pick<ControlPlane, 'url' | 'kubeconfig' | 'adminToken' | 'ca' | 'kubectl' | 'user'> {
  /** Takes logs, among other things: `logs/` and `control-plane/logs/` have one for each process. */
  readonly directory: string;
  /** The program that is a kubectl with the first argument `kubectl`. */
  readonly kubectlFile: string;
  /**
   * Makes the images of an archive known to the node, as `docker save` or buildah's `docker-archive:` and `oci-archive:` write it.
   * @returns their names, as containerd has them
   */
  importImages(archive: string): Promise<readonly string[]>;
  /** Kills a process and starts it again; resolves when the API server answers and the node says anew that it is ready. */
  restart(component: Component): Promise<void>;
  /** The processes that have ended though nobody asked them to. */
  dead(): readonly DeadProcess[];
  /** Ends everything, and takes back all that was done to the machine. @throws Error that names what could not be undone */
  stop(): Promise<void>;
}

/**
 * Starts a cluster of one node and waits until pods can be made: the node ready, the `default` ServiceAccount there. What a node that was
 * killed left on the machine is undone first.
 *
 * @throws Error with the reason, and the cure, when this machine cannot be a node, or that names the failing process, with the end of
 * its log; nothing is left of it then
 */
export async function startNode({ log = () => {}, progress }: NodeOptions = {}): Promise<OneNode> {
  await undoLeftovers(log);
  const support = await nodeSupport(log);
  if (!support.ok) throw new Error(support.reason);
  const buildOptions = { log, ...(progress && { progress }) };
  const controlPlaneFile = await buildControlPlane(buildOptions);
  const nodeFile = await buildNode(buildOptions);

  const began = performance.now();
  const state = await writeState();
  const processes = superviseNode(nodeFile, log);
  let starting: Promise<ControlPlane> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      const controlPlane = await starting?.catch(() => undefined);
      await Promise.all([processes.stopAll(), controlPlane?.stop()]);
      await undo(state);
    })();
    return stopping;
  };

  try {
    await makeFolders();
    await makeBridge();
    const kubeletClient = await writeKubeletClient();
    starting = startControlPlane({
      directory: places.controlPlane,
      // Removed with the rest, when nothing is mounted any more.
      keep: true,
      binaries: { kind: 'built', file: controlPlaneFile },
      realNode: { address: bridgeAddress, kubeletClient },
      log,
    });
    const controlPlane = await firstOf(starting, startContainerd(processes));
    await startAgents(processes, kubeletClient);
    await untilReady(controlPlane, processes, { since: 0 });
    log(`node ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return oneNode(controlPlane, { processes, kubectlFile: controlPlaneFile, stop });
  } catch (error) {
    // Why it did not start matters more than what could not be undone, which the next start tries again.
    await stop().catch((problem: unknown) => log((problem as Error).message));
    throw error;
  }
}

/** What `first` gives, when `second` is done too. It fails no sooner than both have ended: then no process is started any more. */
async function firstOf<T>(first: Promise<T>, second: Promise<void>): Promise<T> {
  await Promise.allSettled([first, second]);
  await second;
  return first;
}

/** Undoes what a node left whose process was killed. @returns whether there was something; false while that process lives */
export async function undoLeftovers(log: (line: string) => void): Promise<boolean> {
  const left = await readState();
  if (left === undefined || (await isOwned(left))) return false;
  log(`undoing what a node left that process ${left.owner.pid} had started`);
  await undo(left);
  return true;
}

function superviseNode(nodeFile: string, log: (line: string) => void): Processes<NodeRole> {
  return superviseProcesses<NodeRole>({
    directory: nodeFolder,
    commandOf: (role) => (role === 'containerd' ? { file: 'containerd', args: [] } : { file: nodeFile, args: [role] }),
    followsInput: (role) => role !== 'containerd',
    stopOrder: [['kubelet', 'proxy'], ['containerd']],
    log,
  });
}

interface NodeParts extends Pick<OneNode, 'kubectlFile' | 'stop'> {
  readonly processes: Processes<NodeRole>;
}

function oneNode(controlPlane: ControlPlane, { processes, kubectlFile, stop }: NodeParts): OneNode {
  const { url, kubeconfig, adminToken, ca } = controlPlane;
  const started = (): readonly Component[] => [...controlPlane.processes(), ...processes.running()].map(({ role }) => role as Component);
  const all = started();
  return {
    url,
    kubeconfig,
    adminToken,
    ca,
    directory: nodeFolder,
    kubectlFile,
    kubectl: (args, stdin) => controlPlane.kubectl(args, stdin),
    user: (name) => controlPlane.user(name),
    importImages,
    restart: async (component) => {
      const since = Date.now();
      if (isNodeRole(component)) await processes.restart(component);
      else await controlPlane.restart(component);
      if (component === 'containerd') await untilContainerdAnswers(processes);
      await untilReady(controlPlane, processes, { since });
    },
    dead: () => {
      const running = started();
      return all.filter((component) => !running.includes(component)).map((component) => ({ component, logFile: logOf(component) }));
    },
    stop,
  };
}

function isNodeRole(component: Component): component is NodeRole {
  return component === 'containerd' || component === 'kubelet' || component === 'proxy';
}

function logOf(component: Component): string {
  return join(isNodeRole(component) ? nodeFolder : places.controlPlane, 'logs', `${component}.log`);
}

async function makeFolders(): Promise<void> {
  const { kubeletRoot, podLogs, cniConfiguration } = places;
  const folders = [...['logs', 'home', 'tmp'].map((name) => join(nodeFolder, name)), kubeletRoot, podLogs, cniConfiguration];
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 });
}

async function makeBridge(): Promise<void> {
  const prefix = podNetwork.slice(podNetwork.indexOf('/'));
  await run('ip', ['link', 'add', networkName, 'type', 'bridge']);
  await run('ip', ['address', 'add', bridgeAddress + prefix, 'dev', networkName]);
  await run('ip', ['link', 'set', networkName, 'up']);
}

/** It signs itself: the kubelet is told to trust it and no other. */
async function writeKubeletClient(): Promise<KubeletClient> {
  const files = { certFile: join(nodeFolder, 'kubelet-client.crt'), keyFile: join(nodeFolder, 'kubelet-client.key') };
  const { cert, key } = selfSignedCertificate(Date.now());
  await writeFile(files.certFile, cert);
  await writeFile(files.keyFile, key, { mode: 0o600 });
  return files;
}

async function startContainerd(processes: Processes<NodeRole>): Promise<void> {
  const image = writeLocalImage(join(nodeFolder, 'image'));
  const configFile = join(nodeFolder, 'containerd.toml');
  await writeFile(configFile, containerdConfiguration());
  await writeFile(join(places.cniConfiguration, '10-pods.conflist'), JSON.stringify(networkConfiguration()));
  await processes.start('containerd', [`--config=${configFile}`]);
  await untilContainerdAnswers(processes);
  await importImages(await image);
}

async function untilContainerdAnswers(processes: Processes<NodeRole>): Promise<void> {
  await processes.waitFor('containerd to answer', ['containerd'], async () => {
    await ctr('version');
    return true;
  });
}

async function importImages(archive: string): Promise<readonly string[]> {
  const printed = await ctr('images', 'import', archive);
  return [...printed.matchAll(/^unpacking (\S+) \(sha256:/gm)].map(([, name = '']) => name);
}

function ctr(...args: readonly string[]): Promise<string> {
  return run('ctr', [`--address=${places.containerdSocket}`, '--namespace=k8s.io', ...args]);
}

async function startAgents(processes: Processes<NodeRole>, { certFile }: KubeletClient): Promise<void> {
  const [port = 0, health = 0, metrics = 0] = await freePorts(3);
  const kubelet = join(nodeFolder, 'kubelet.yaml');
  const proxy = join(nodeFolder, 'proxy.yaml');
  await writeFile(kubelet, stringify(kubeletConfiguration({ port, clientCaFile: certFile })));
  await writeFile(proxy, stringify(proxyConfiguration({ health, metrics }, kubeconfigOf(places.controlPlane, 'proxy'))));
  await processes.start('kubelet', kubeletFlags({ configFile: kubelet, kubeconfig: kubeconfigOf(places.controlPlane, 'kubelet') }));
  await processes.start('proxy', [`--config=${proxy}`]);
}

interface WireNode {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly lastHeartbeatTime?: string }[];
  };
  readonly spec?: { readonly taints?: readonly unknown[] };
}

/** Waits until the node says that it is ready, later than `since` (milliseconds since the epoch), and takes pods. */
async function untilReady(
  { url, ca, adminToken }: ControlPlane,
  processes: Processes<NodeRole>,
  { since }: { readonly since: number },
): Promise<void> {
  const api = connectApi(url, ca, adminToken);
  try {
    await processes.waitFor('the node to be ready', ['kubelet', 'containerd', 'proxy'], async () => {
      const { body } = await api.get(`/api/v1/nodes/${nodeName}`);
      const { status, spec } = body as WireNode;
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      const isReady = ready?.status === 'True' && Date.parse(ready.lastHeartbeatTime ?? '') >= since;
      return isReady && (spec?.taints ?? []).length === 0 ? true : undefined;
    });
  } finally {
    await api.close();
  }
}
