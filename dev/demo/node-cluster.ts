import { createKubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { localImage } from '../node/local-image.ts';
import { type OneNode, startNode } from '../node/start.ts';
import { nodeSupport } from '../node/support.ts';
import { installCrd } from './crd.ts';
import { FlagError } from './flags.ts';
import { writeKubectlFolder } from './kubectl-folder.ts';
import type { Session } from './session.ts';
import type { Target } from './target.ts';
import { orAbort } from './until.ts';
import { watchProcesses } from './watch-processes.ts';

const podDeadlineMs = 60_000;
const namespace = 'default';

/** What is to be undone on this machine, as the cleanup names it. */
export const nodePart = 'node';

/**
 * Starts a cluster whose node has real pods, and the CRD; it is stopped in the end.
 *
 * @throws FlagError when this machine cannot be a node
 */
export async function startNodeCluster(session: Session): Promise<Target> {
  const { screen, cleanup, signal } = session;
  const target = await session.steps.run('Start Kubernetes with a real node', async (stage) => {
    const log = (line: string): void => (screen.interactive ? stage.show(line) : screen.print(line));
    const support = await nodeSupport(log);
    if (!support.ok) throw new FlagError(`NODE=1 does not work here: ${support.reason}. Without NODE=1 the pods are simulated, anywhere.`);

    const starting = startNode({ log, progress: { kind: 'lines', log, everyMs: screen.interactive ? 1_000 : 10_000 } });
    let stopWatching: (() => void) | undefined;
    cleanup.defer(nodePart, async () => {
      stopWatching?.();
      const node = await starting.catch(() => undefined);
      await node?.stop();
    });
    const node = await orAbort(starting, signal);
    stopWatching = watchProcesses(session, () => {
      const [dead] = node.dead();
      return dead && { name: `the node's ${dead.component}`, logFile: dead.logFile };
    });

    const { kubeconfig, url } = node;
    const kube = createKubeClient({ load: credentialsFrom(kubeconfig), clock: systemClock, userAgent: 'keyturn-demo' });
    cleanup.defer('connections', () => kube.close());
    const { gitVersion } = await kube.request<{ gitVersion: string }>({ method: 'GET', path: '/version' });
    stage.show(`${gitVersion} at ${url}; kubelet and containerd run the pods`);
    const kubectlFolder = await writeKubectlFolder(session.folder, node.kubectlFile);
    const pods = { image: localImage, log: (pod: string) => logOf(node, pod) };
    return { kubeconfig, kube, namespace, namespaced: false, kubectlFolder, pods, podDeadlineMs };
  });
  await installCrd(session, target.kube, { keep: true });
  return target;
}

async function logOf(node: OneNode, pod: string): Promise<string> {
  const { code, stdout, stderr } = await node.kubectl(['logs', pod, `--namespace=${namespace}`]);
  if (code !== 0) throw new Error(`kubectl logs ${pod}: ${stderr.trim()}`);
  return stdout;
}
