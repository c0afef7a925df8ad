import { existsSync } from 'node:fs';
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../control-plane/wait.ts';
import { mountsIn, processesOfNode, type ProcessView, removalOfKubeChains } from './leftovers.ts';
import { networkName, runtimeFolder } from './places.ts';
import { run } from './run.ts';
import { clearSharedFolders } from './shared-folders.ts';
import type { NodeState } from './state.ts';
import { restoreSysctls } from './sysctls.ts';

const deadlineMs = 20_000;
const cgroupRoot = '/sys/fs/cgroup';

/**
 * Takes back all that a node did to this machine: processes, pods, mounts, network, rules of iptables, cgroups, files, settings of the kernel.
 * It asks nobody: containerd need not run. What is gone already is no problem, so that it can be repeated.
 *
 * @throws Error that names what could not be undone; the state file stays, so that the next attempt knows
 */
export async function undo(state: NodeState): Promise<void> {
  const folders = [state.folder, runtimeFolder];
  await endProcesses(folders);
  await unmount(folders);
  await removeNetwork();
  await removeCgroups();
  await clearSharedFolders(state.absent);
  await restoreSysctls(state.sysctls);
  await rm(state.folder, { recursive: true, force: true });
  // The state is in here: last.
  await rm(runtimeFolder, { recursive: true, force: true });
}

/** Kills them again until none is left: a shim that lost its containerd may be starting something. */
async function endProcesses(folders: readonly string[]): Promise<void> {
  await waitFor(
    'the processes of the node and of its pods to end',
    async () => {
      const pids = [...processesOfNode(await allProcesses(), folders), ...(await processesInCgroups())];
      for (const pid of pids) kill(pid);
      return pids.length === 0 ? true : undefined;
    },
    { deadlineMs },
  );
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function allProcesses(): Promise<readonly ProcessView[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return { pid: Number(pid), commandLine: text.split('\0') };
    }),
  );
}

/** Cgroups of pods: `kubepods` of each controller, or where there is one tree the one of it. */
export async function podCgroups(): Promise<readonly string[]> {
  const controllers = await readdir(cgroupRoot).catch(() => []);
  const folders = [cgroupRoot, ...controllers.map((name) => join(cgroupRoot, name))];
  return folders.map((folder) => join(folder, 'kubepods')).filter((folder) => existsSync(folder));
}

/** Innermost first. */
async function cgroupsBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const children = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  return [...(await Promise.all(children.map(cgroupsBelow))).flat(), folder];
}

async function allPodCgroups(): Promise<readonly string[]> {
  return (await Promise.all((await podCgroups()).map(cgroupsBelow))).flat();
}

async function processesInCgroups(): Promise<readonly number[]> {
  const lists = (await allPodCgroups()).map((folder) => readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => ''));
  const pids = (await Promise.all(lists)).flatMap((text) => text.split('\n').filter((line) => line !== ''));
  return [...new Set(pids)].map(Number);
}

async function removeCgroups(): Promise<void> {
  await waitFor(
    'the cgroups of the pods to be empty',
    async () => {
      for (const folder of await allPodCgroups()) await rmdir(folder);
      return true;
    },
    { deadlineMs },
  );
}

async function unmount(folders: readonly string[]): Promise<void> {
  for (const path of mountsIn(await readFile('/proc/self/mounts', 'utf8'), folders)) await run('umount', ['--lazy', path]);
}

/** The ends of the pods' links go with the pods' network namespaces. */
async function removeNetwork(): Promise<void> {
  if (existsSync(`/sys/class/net/${networkName}`)) await run('ip', ['link', 'delete', networkName]);
  for (const program of ['iptables', 'ip6tables']) {
    const saved = await run(`${program}-save`, []).catch(() => '');
    const removal = removalOfKubeChains(saved);
    if (removal !== undefined) await run(`${program}-restore`, ['--noflush'], { input: removal });
  }
}
