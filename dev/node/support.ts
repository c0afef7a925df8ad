import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ROOT } from '../tools/command.ts';
import { cniPlugins } from './configuration.ts';
import { networkName, nodeFolder } from './places.ts';
import { programFolders, run } from './run.ts';
import { isOwned, readState } from './state.ts';
import { podCgroups } from './undo.ts';

/** Whether this machine can be a node; if not, why, with the cure. */
export type NodeSupport = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Debian's packages that a node is made of. */
const packages = ['containerd', 'runc', 'containernetworking-plugins', 'iptables', 'iproute2', 'busybox-static'] as const;

const programs = [
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
  'runc',
  'iptables-save',
  'iptables-restore',
  'ip',
  'umount',
  'tar',
] as const;
const files = ['/bin/busybox', join(cniPlugins, 'bridge'), join(cniPlugins, 'host-local'), join(cniPlugins, 'loopback')] as const;
const controllers = ['cpu', 'cpuset', 'memory', 'pids'] as const;

const installDeadlineMs = 10 * 60_000;

/** The longest path below the folder of a node that the kernel takes for a socket, of 107 bytes: one of the kubelet's. */
const longestSocket = '/kubelet/plugins_registry/xxxxxxxxxxxxxxxx.sock';

/**
 * Whether a node with a kubelet and containerd can run on this machine. It takes Linux, root, cgroups, overlayfs and Debian's packages
 * (or the same programs at the same places); the packages are installed where that is possible. Nothing else is changed.
 */
export async function nodeSupport(log: (line: string) => void = () => {}): Promise<NodeSupport> {
  for (const check of [wrongMachine, otherNode, missingFromKernel]) {
    const reason = await check();
    if (reason !== undefined) return { ok: false, reason };
  }
  if (missingFiles().length === 0) return { ok: true };
  const problem = await install(log);
  const missing = missingFiles().join(', ');
  if (missing === '') return { ok: true };
  return { ok: false, reason: `${missing}: not there${problem}; install Debian's packages ${packages.join(' ')}` };
}

async function wrongMachine(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `a node needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'a node needs root: containers, mounts and network namespaces are made';
  if (!['x64', 'arm64'].includes(process.arch)) return `no image can be made for ${process.arch}`;
  if (Buffer.byteLength(nodeFolder + longestSocket) > 107) return `the path ${nodeFolder} is too long for sockets in it; use a shorter one`;
  return undefined;
}

async function otherNode(): Promise<string | undefined> {
  const state = await readState();
  if (state !== undefined && (await isOwned(state))) return `process ${state.owner.pid} runs a node on this machine already; end it first`;
  // What a node of ours left is undone before the next one starts.
  if (state !== undefined) return undefined;
  const [cgroup] = await podCgroups();
  if (cgroup !== undefined) return `${cgroup} is there: another kubelet runs here, or one ran; end it and remove its cgroups`;
  if (existsSync(`/sys/class/net/${networkName}`))
    return `the network link ${networkName} is there; remove it: ip link delete ${networkName}`;
  return undefined;
}

async function missingFromKernel(): Promise<string | undefined> {
  await run('modprobe', ['overlay']).catch(() => undefined);
  if (!/\boverlay$/m.test(await readFile('/proc/filesystems', 'utf8'))) return 'the kernel has no overlayfs';
  const available = await availableControllers();
  const missing = controllers.filter((name) => !available.includes(name));
  if (missing.length === 0) return undefined;
  return `there is no cgroup controller ${missing.join(', ')} in /sys/fs/cgroup; mount it, or enable it on the kernel's command line`;
}

/** Of cgroups of version 2, one file says; of version 1, each controller has a tree of its own. */
async function availableControllers(): Promise<readonly string[]> {
  const file = await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').catch(() => undefined);
  return file === undefined ? controllers.filter((name) => existsSync(`/sys/fs/cgroup/${name}/cgroup.procs`)) : file.trim().split(' ');
}

function missingFiles(): readonly string[] {
  return [
    ...programs.filter((name) => !programFolders.some((folder) => existsSync(join(folder, name)))),
    ...files.filter((file) => !existsSync(file)),
  ];
}

/** @returns for the middle of a sentence, why it did not work */
async function install(log: (line: string) => void): Promise<string> {
  log("installing Debian's packages for a node");
  const script = resolve(ROOT, 'dev/tools/install-debian.sh');
  const output = await run('sh', [script, ...packages], { deadlineMs: installDeadlineMs }).catch((error: unknown) => String(error));
  const reason = /^SKIPPED: (.*)$/m.exec(output)?.[1];
  return reason === undefined ? '' : `, and ${reason}`;
}
