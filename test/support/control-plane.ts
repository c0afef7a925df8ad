import { appendFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { inject, type TestContext } from 'vitest';
import { connectApi } from '../../dev/control-plane/api.ts';
import type { Features } from '../../dev/control-plane/binaries.ts';
import { isAlive } from '../../dev/control-plane/alive.ts';
import { runKubectl, type KubectlResult } from '../../dev/control-plane/kubectl.ts';
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from '../../dev/control-plane/start.ts';
import { createUser, type User } from '../../dev/control-plane/user.ts';
import type { ApiAuditLog } from '../../dev/tools/api-audit.ts';
import { installOperatorAccounts, operatorNames, type OperatorAccounts } from './operator-accounts.ts';

/** What a test process knows of the control plane that all of them share. Nobody but the global setup stops it. */
export interface SharedControlPlane extends Pick<
  ControlPlane,
  'url' | 'kubeconfig' | 'adminToken' | 'ca' | 'directory' | 'features' | 'binaries'
> {
  readonly accounts: OperatorAccounts;
  /** Takes the audit logs of all API servers of the run. */
  readonly auditDirectory: string;
}

/** A control plane for one test alone, of which operators are the same users as of the shared one. */
export interface OwnControlPlane extends ControlPlane {
  readonly accounts: OperatorAccounts;
}

/** What the file beside an audit log ends with. */
const STARTS = '.starts';
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
export async function ownControlPlane(options: Omit<ControlPlaneOptions, 'directory' | 'binaries'> = {}): Promise<OwnControlPlane> {
  const { binaries, auditDirectory } = sharedControlPlane();
  return startWithAccounts({ ...options, binaries, directory: await newRunDirectory() }, auditDirectory);
}

/** Starts a control plane that knows the operators of tests, and records what they ask of it in a new file in a folder. */
export async function startWithAccounts(options: ControlPlaneOptions, auditDirectory: string): Promise<OwnControlPlane> {
  const audit = { file: join(auditDirectory, `${basename(options.directory)}.log`), users: Object.values(operatorNames) };
  const controlPlane = await startControlPlane({ ...options, audit });
  try {
    return { ...controlPlane, ...notingStarts(controlPlane, audit.file), accounts: await installOperatorAccounts(controlPlane) };
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

/** Notes beside the audit log of an API server when it is started again, until it is ready. */
function notingStarts(controlPlane: ControlPlane, auditLog: string): Pick<ControlPlane, 'startApiServer' | 'restartApiServer'> {
  const start = async (): Promise<void> => {
    const from = new Date();
    await controlPlane.startApiServer();
    await appendFile(`${auditLog}${STARTS}`, `${JSON.stringify({ from, to: new Date() })}\n`);
  };
  return {
    startApiServer: start,
    async restartApiServer() {
      await controlPlane.stopApiServer();
      await start();
    },
  };
}

/** The audit logs of all API servers of a run. */
export async function auditLogsOf(auditDirectory: string): Promise<readonly ApiAuditLog[]> {
  const names = (await readdir(auditDirectory)).filter((name) => !name.endsWith(STARTS));
  return Promise.all(
    names.map(async (name) => {
      const file = join(auditDirectory, name);
      const lines = (await readFile(`${file}${STARTS}`, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
      const starts = lines.map((line) => JSON.parse(line) as { readonly from: string; readonly to: string });
      return { file, starts: starts.map(({ from, to }) => ({ from: new Date(from), to: new Date(to) })) };
    }),
  );
}

/** Makes a new folder under .cache/run, named after our process, and removes those whose process is gone: it was killed. */
export async function newRunDirectory(): Promise<string> {
  await mkdir(RUNS, { recursive: true });
  const abandoned = (await readdir(RUNS)).filter((name) => /^\d+-/.test(name) && !isAlive(Number.parseInt(name, 10)));
  await Promise.all(abandoned.map((name) => rm(join(RUNS, name), { recursive: true, force: true })));
  return mkdtemp(join(RUNS, `${process.pid}-`));
}
