import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, rm, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { networkName, nodeFolder } from './places.ts';

const cniResults = '/var/lib/cni/results';
const logLinks = '/var/log/containers';
const shimSockets = '/run/containerd/s';

/** Where containerd, the kubelet and the plugins leave something whatever their configuration says; children before parents. */
const folders = [
  cniResults,
  '/var/lib/cni/cache',
  '/var/lib/cni',
  logLinks,
  shimSockets,
  '/run/containerd/fifo',
  '/run/containerd',
  '/var/lib/kubelet/device-plugins',
  '/var/lib/kubelet',
  '/run/netns',
  '/run/mount',
];

/** Those folders that are not there now. */
export async function absentFolders(): Promise<readonly string[]> {
  return folders.filter((folder) => !existsSync(folder));
}

/** Removes what a node left in folders that are not its own, and of these the ones that were not there and are empty. */
export async function clearSharedFolders(absent: readonly string[]): Promise<void> {
  await Promise.all([removeNetworkResults(), removeLogLinks(), removeDeadSockets()]);
  await rm('/var/lib/kubelet/device-plugins/kubelet.sock', { force: true });
  for (const folder of absent) await rmdir(folder).catch(() => undefined);
}

/** The plugins keep a file for each attachment; those to `lo` carry only the container's id. */
async function removeNetworkResults(): Promise<void> {
  const names = await list(cniResults);
  const ids = names
    .filter((name) => name.startsWith(`${networkName}-`))
    .map((name) => name.slice(networkName.length + 1).replace(/-[^-]+$/, ''));
  const ours = names.filter((name) => ids.some((id) => name.includes(`-${id}-`)));
  await Promise.all(ours.map((name) => rm(join(cniResults, name), { force: true })));
}

async function removeLogLinks(): Promise<void> {
  for (const name of await list(logLinks)) {
    const link = join(logLinks, name);
    const target = await readlink(link).catch(() => '');
    if (target.startsWith(`${nodeFolder}/`)) await unlink(link);
  }
}

/** A socket of a shim that nobody listens on is of no use to anybody. */
async function removeDeadSockets(): Promise<void> {
  const names = await list(shimSockets);
  if (names.length === 0) return;
  const open = await readFile('/proc/net/unix', 'utf8');
  const dead = names.filter((name) => !open.includes(join(shimSockets, name)));
  await Promise.all(dead.map((name) => rm(join(shimSockets, name), { force: true })));
}

async function list(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}
