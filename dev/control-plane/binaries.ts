import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';

/** A part of the control plane that runs as a process of its own; `pods` plays the kubelet. */
export type Role = 'etcd' | 'apiserver' | 'controller-manager' | 'scheduler' | 'pods' | 'kubectl';

/** The single program built from this folder's Go module: every role in one file. */
export interface BuiltBinaries {
  readonly kind: 'built';
  readonly file: string;
}

/** A folder of upstream binaries, as `KUBEBUILDER_ASSETS` names it; only the API server and etcd are sure to be there. */
export interface AssetBinaries {
  readonly kind: 'assets';
  readonly etcd: string;
  readonly apiserver: string;
  readonly controllerManager?: string;
  readonly kubectl?: string;
}

/** What a control plane is started from. */
export type Binaries = BuiltBinaries | AssetBinaries;

/** What a control plane can do; tests that need more skip, and say so. */
export interface Features {
  /** Deployments, ReplicaSets, garbage collection. */
  readonly controllerManager: boolean;
  /** Pods are scheduled and become ready, so rollouts complete. */
  readonly pods: boolean;
}

/** A program and the arguments that come before the role's own. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** The command of a role, or undefined when these binaries lack it. */
export function commandOf(binaries: Binaries, role: Role): Command | undefined {
  if (binaries.kind === 'built') return { file: binaries.file, args: [role] };
  const file = assetOf(binaries, role);
  return file === undefined ? undefined : { file, args: [] };
}

function assetOf(binaries: AssetBinaries, role: Role): string | undefined {
  const files: Partial<Record<Role, string | undefined>> = {
    etcd: binaries.etcd,
    apiserver: binaries.apiserver,
    'controller-manager': binaries.controllerManager,
    kubectl: binaries.kubectl,
  };
  return files[role];
}

/** The features of a control plane of these binaries. */
export function featuresOf(binaries: Binaries, simulatePods: boolean): Features {
  const has = (role: Role): boolean => commandOf(binaries, role) !== undefined;
  return {
    controllerManager: has('controller-manager'),
    pods: simulatePods && has('controller-manager') && has('scheduler') && has('pods'),
  };
}

/**
 * Reads a `KUBEBUILDER_ASSETS` folder.
 *
 * @throws Error when `etcd` or `kube-apiserver` is missing or not executable.
 */
export async function readAssets(folder: string): Promise<AssetBinaries> {
  const find = async (name: string): Promise<string | undefined> => {
    const file = join(folder, name);
    return (await isExecutable(file)) ? file : undefined;
  };
  const [etcd, apiserver, controllerManager, kubectl] = await Promise.all(
    ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'].map(find),
  );
  if (etcd === undefined || apiserver === undefined) {
    throw new Error(
      `KUBEBUILDER_ASSETS=${folder} must hold the executables etcd and kube-apiserver; unset it to build a control plane instead`,
    );
  }
  return {
    kind: 'assets',
    etcd,
    apiserver,
    ...(controllerManager !== undefined && { controllerManager }),
    ...(kubectl !== undefined && { kubectl }),
  };
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
