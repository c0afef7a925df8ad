import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { BuiltBinaries } from '../control-plane/binaries.ts';
import { buildControlPlane } from '../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/start.ts';
import { ChildDeath } from './child.ts';
import { installCrd } from './crd.ts';
import type { Session } from './session.ts';
import { shellQuote } from './shell-quote.ts';
import type { Stage } from './steps.ts';
import type { Target } from './target.ts';
import { orAbort } from './until.ts';

const lookMs = 250;
const podDeadlineMs = 60_000;

/** Starts a control plane with simulated pods and the CRD; it is stopped in the end. */
export async function startLocalCluster(session: Session): Promise<Target> {
  const target = await session.steps.run('Start Kubernetes', async (stage) => {
    const directory = join(session.folder, 'control-plane');
    const binaries: BuiltBinaries = { kind: 'built', file: await orAbort(build(session, stage), session.signal) };
    const starting = startControlPlane({ directory, binaries, log: (line) => stage.show(line) });
    let watching = true;
    session.cleanup.defer('control plane', async () => {
      watching = false;
      await starting.then(
        (controlPlane) => controlPlane.stop(),
        () => undefined,
      );
    });
    const controlPlane = await orAbort(starting, session.signal);
    watchProcesses(controlPlane, session, () => watching);

    const { kubeconfig, url } = controlPlane;
    const kube = createKubeClient({ load: credentialsFrom(kubeconfig), clock: systemClock, userAgent: 'keyturn-demo' });
    session.cleanup.defer('connections', () => kube.close());
    const { gitVersion } = await kube.request<{ gitVersion: string }>({ method: 'GET', path: '/version' });
    stage.show(`${gitVersion} at ${url}; pods are simulated`);
    const kubectlFolder = await writeKubectl(session.folder, binaries);
    return { kubeconfig, kube, namespace: 'default', namespaced: false, kubectlFolder, podDeadlineMs };
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

/** Ends the demo when a process of the control plane dies. */
function watchProcesses(controlPlane: ControlPlane, { fail }: Session, isWatching: () => boolean): void {
  const all = controlPlane.processes().map(({ role }) => role);
  const look = (): void => {
    if (!isWatching()) return;
    const running = new Set(controlPlane.processes().map(({ role }) => role));
    const missing = all.find((role) => !running.has(role));
    if (missing === undefined) setTimeout(look, lookMs).unref();
    else
      fail(
        new ChildDeath(`the control plane's ${missing}`, 'nobody had asked it to', join(controlPlane.directory, 'logs', `${missing}.log`)),
      );
  };
  look();
}

/** A kubectl of the cluster's own version, for the reader; it keeps its cache with the rest of the run. */
async function writeKubectl(folder: string, { file }: BuiltBinaries): Promise<string> {
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const lines = ['#!/bin/sh', `export KUBECACHEDIR=${shellQuote(join(folder, 'kubectl-cache'))}`, `exec ${shellQuote(file)} kubectl "$@"`];
  await writeFile(join(bin, 'kubectl'), `${lines.join('\n')}\n`, { mode: 0o755 });
  return bin;
}
