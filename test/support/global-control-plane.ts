import type { TestProject } from 'vitest/node';
import { startControlPlane, type ControlPlane } from '../../dev/control-plane/start.ts';
import { newRunDirectory, type SharedControlPlane } from './control-plane.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The control plane that all integration tests of a run share. */
    controlPlane: SharedControlPlane;
  }
}

let running: ControlPlane | undefined;

/** Starts the shared control plane before the first integration test. */
export async function setup(project: TestProject): Promise<void> {
  running = await startControlPlane({ directory: await newRunDirectory(), log: (line) => void process.stderr.write(`${line}\n`) });
  const { url, kubeconfig, adminToken, ca, directory, features, binaries } = running;
  project.provide('controlPlane', { url, kubeconfig, adminToken, ca, directory, features, binaries });
}

/** Ends it after the last one. */
export async function teardown(): Promise<void> {
  await running?.stop();
}
