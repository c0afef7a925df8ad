import { join } from 'node:path';
import { createKubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { BuiltBinaries } from '../control-plane/binaries.ts';
import { buildControlPlane } from '../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/start.ts';
import { installCrd } from './crd.ts';
import { writeKubectlFolder } from './kubectl-folder.ts';
import type { Session } from './session.ts';
import type { Stage } from './steps.ts';
import type { Target } from './target.ts';
import { orAbort } from './until.ts';
import { type DeadProcess, watchProcesses } from './watch-processes.ts';

const podDeadlineMs = 60_000;

/** Starts a control plane with simulated pods and the CRD; it is stopped in the end. */
export async function startLocalCluster(session: Session): Promise<Target> {
  const target = await session.steps.run('Start Kubernetes', async (stage) => {
    const directory = join(session.folder, 'control-plane');
    const binaries: BuiltBinaries = { kind: 'built', file: await orAbort(build(session, stage), session.signal) };
    const starting = startControlPlane({ directory, binaries, log: (line) => stage.show(line) });
    let stopWatching: (() => void) | undefined;
    session.cleanup.defer('control plane', async () => {
      stopWatching?.();
      await starting.then(
        (controlPlane) => controlPlane.stop(),
        () => undefined,
      );
    });
    const controlPlane = await orAbort(starting, session.signal);
    stopWatching = watchProcesses(session, deathsOf(controlPlane));

    const { kubeconfig, url } = controlPlane;
    const kube = createKubeClient({ load: credentialsFrom(kubeconfig), clock: systemClock, userAgent: 'keyturn-demo' });
    session.cleanup.defer('connections', () => kube.close());
    const { gitVersion } = await kube.request<{ gitVersion: string }>({ method: 'GET', path: '/version' });
    stage.show(`${gitVersion} at ${url}; pods are simulated`);
    const kubectlFolder = await writeKubectlFolder(session.folder, binaries.file);
    return { kubeconfig, kube, namespace: 'default', namespaced: false, kubectlFolder, pods: undefined, podDeadlineMs };
  });
  await installCrd(session, target.kube, { keep: true });
  return target;
}

/** Without pods no rollout completes, so an own build is needed even where `KUBEBUILDER_ASSETS` names other binaries. */
async function build({ screen, cleanup }: Session, stage: Stage): Promise<string> {
  const log = (line: string): void => (screen.interactive ? stage.show(line) : screen.print(line));
  const building = buildControlPlane({ log, progress: { kind: 'lines', log, everyMs: screen.interactive ? 1_000 : 10_000 } });
  // It must not be left half done: an interrupt waits for it, or goes to the compiler as well and ends it.
  cleanup.defer('build of the control plane', () =>
    building.then(
      () => undefined,
      () => undefined,
    ),
  );
  return building;
}

/** What finds a process of the control plane that has died. */
function deathsOf(controlPlane: ControlPlane): () => DeadProcess | undefined {
  const all = controlPlane.processes().map(({ role }) => role);
  return () => {
    const running = new Set(controlPlane.processes().map(({ role }) => role));
    const role = all.find((one) => !running.has(one));
    return role && { name: `the control plane's ${role}`, logFile: join(controlPlane.directory, 'logs', `${role}.log`) };
  };
}
