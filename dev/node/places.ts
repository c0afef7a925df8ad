import { join, resolve } from 'node:path';
import { ROOT } from '../tools/command.ts';

/**
 * The name of the bridge and of the pods' network, and the beginning of all that is named. One machine has one such node at a time:
 * bridge, addresses and the cgroup of a kubelet are there once.
 */
export const networkName = 'keyturn0';

/** The address of this machine on the bridge: the API server and the kubelet listen on it. */
export const bridgeAddress = '10.244.0.1';

/** The addresses of pods. */
export const podNetwork = '10.244.0.0/24';

/**
 * Gone with a restart of the machine, as is all that the state file in it tells of; and the same for every checkout of this repository.
 * The paths of sockets in it stay short: the kernel takes 107 bytes.
 */
export const runtimeFolder = '/run/keyturn-node';

/** Takes everything else. Not among the folders of runs, which others clear away: file systems are mounted in it. */
export const nodeFolder = resolve(ROOT, '.cache/node');

/** What is where in those two. */
export const places = {
  stateFile: join(runtimeFolder, 'state.json'),
  containerdSocket: join(runtimeFolder, 'containerd.sock'),
  containerdState: join(runtimeFolder, 'containerd'),
  runcState: join(runtimeFolder, 'runc'),
  controlPlane: join(nodeFolder, 'control-plane'),
  containerdRoot: join(nodeFolder, 'containerd'),
  kubeletRoot: join(nodeFolder, 'kubelet'),
  podLogs: join(nodeFolder, 'pod-logs'),
  cniConfiguration: join(nodeFolder, 'cni'),
  cniAddresses: join(nodeFolder, 'cni-addresses'),
} as const;
