import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { inject, type TestContext } from 'vitest';
import { connectApi } from '../../dev/control-plane/api.ts';
import type { Features } from '../../dev/control-plane/binaries.ts';
import { isAlive } from '../../dev/control-plane/alive.ts';
import { runKubectl, type KubectlResult } from '../../dev/control-plane/kubectl.ts';
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from '../../dev/control-plane/start.ts';
import { createUser, type User } from '../../dev/control-plane/user.ts';

/** What a test process knows of the control plane that all of them share. Nobody but the global setup stops it. */
export type SharedControlPlane = Pick<ControlPlane, 'url' | 'kubeconfig' | 'adminToken' | 'ca' | 'directory' | 'features' | 'binaries'>;

const RUNS = resolve(import.meta.dirname, '../../.cache/run');

/** The control plane that the global setup started. */
export function sharedControlPlane(): SharedControlPlane {
  return inject('controlPlane');
}

/** Runs kubectl against the shared control plane, as its administrator. */
export function kubectl(args: readonly string[], stdin?: string): Promise<KubectlResult> {
  const { binaries, directory, kubeconfig } = sharedControlPlane();
  return runKubectl(binaries, directory, kubeconfig, args, stdin);
}

/** Makes a ServiceAccount without rights in the shared control plane: `name`, or `namespace/name`. */
export async function sharedUser(name: string): Promise<User> {
  const { url, ca, adminToken, directory } = sharedControlPlane();
  const api = connectApi(url, ca, adminToken);
  try {
    return await createUser(api, { url, ca, directory }, name);
  } finally {
    await api.close();
  }
}

/** Skips a test, with the reason, where the control plane lacks what it needs. */
export function requireFeature(context: TestContext, feature: keyof Features): void {
  const reasons: Readonly<Record<keyof Features, string>> = {
    controllerManager: 'KUBEBUILDER_ASSETS holds no kube-controller-manager',
    pods: 'KUBEBUILDER_ASSETS brings no scheduler and no pod simulator; unset it to build a control plane that has them',
  };
  context.skip(!sharedControlPlane().features[feature], reasons[feature]);
}

/** Starts a control plane for one test alone, of the same binaries; the caller stops it. */
export async function ownControlPlane(options: Omit<ControlPlaneOptions, 'directory' | 'binaries'> = {}): Promise<ControlPlane> {
  return startControlPlane({ ...options, binaries: sharedControlPlane().binaries, directory: await newRunDirectory() });
}

/** Makes a new folder under .cache/run, named after our process, and removes those whose process is gone: it was killed. */
export async function newRunDirectory(): Promise<string> {
  await mkdir(RUNS, { recursive: true });
  const abandoned = (await readdir(RUNS)).filter((name) => /^\d+-/.test(name) && !isAlive(Number.parseInt(name, 10)));
  await Promise.all(abandoned.map((name) => rm(join(RUNS, name), { recursive: true, force: true })));
  return mkdtemp(join(RUNS, `${process.pid}-`));
}
