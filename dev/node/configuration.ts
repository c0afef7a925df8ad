import { join } from 'node:path';
import { nodeName } from '../control-plane/credentials.ts';
import { localImage } from './local-image.ts';
import { bridgeAddress, networkName, nodeFolder, places, podNetwork } from './places.ts';

/** Where Debian's package has the plugins. */
export const cniPlugins = '/usr/lib/cni';

/**
 * The kubelet's configuration. It accepts the API server's certificate, and nobody else.
 * @param clientCaFile what that certificate is verified against
 */
export function kubeletConfiguration({ port, clientCaFile }: { readonly port: number; readonly clientCaFile: string }): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: bridgeAddress,
    port,
    healthzPort: 0,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: clientCaFile } },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: `unix://${places.containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    // Else the kubelet refuses a machine of the older kind of cgroups.
    failCgroupV1: false,
    failSwapOn: false,
    podLogsDir: places.podLogs,
    volumePluginDir: join(places.kubeletRoot, 'volume-plugins'),
    // Pods have no name server: names fail at once, and nothing leaves the machine.
    resolvConf: '',
    // No chains of the kubelet in the machine's iptables.
    makeIPTablesUtilChains: false,
    // An image cannot be pulled again: there is no registry.
    imageGCHighThresholdPercent: 100,
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    // What some virtual machines do not let root change.
    oomScoreAdj: 0,
    maxOpenFiles: 20_000,
    nodeStatusUpdateFrequency: '5s',
    // Secrets in volumes follow within seconds, not a minute.
    syncFrequency: '5s',
  };
}

/** Flags of the kubelet. */
export function kubeletFlags({ configFile, kubeconfig }: { readonly configFile: string; readonly kubeconfig: string }): readonly string[] {
  return [
    `--config=${configFile}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${bridgeAddress}`,
    `--root-dir=${places.kubeletRoot}`,
    `--cert-dir=${join(places.kubeletRoot, 'pki')}`,
  ];
}

/** The configuration of kube-proxy, which changes nothing of the machine but rules of iptables. */
export function proxyConfiguration(ports: { readonly health: number; readonly metrics: number }, kubeconfig: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    bindAddress: bridgeAddress,
    nodePortAddresses: [`${bridgeAddress}/32`],
    healthzBindAddress: `127.0.0.1:${ports.health}`,
    metricsBindAddress: `127.0.0.1:${ports.metrics}`,
    clientConnection: { kubeconfig },
    hostnameOverride: nodeName,
    mode: 'iptables',
    // Without br_netfilter the answer of a pod on the same bridge would not come back by way of the Service's address.
    iptables: { masqueradeAll: true, localhostNodePorts: false },
    clusterCIDR: podNetwork,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

/** The configuration of containerd. */
export function containerdConfiguration(): string {
  return `version = 2
root = "${places.containerdRoot}"
state = "${places.containerdState}"

[grpc]
  address = "${places.containerdSocket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "${join(nodeFolder, 'opt')}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${localImage}"
  # Some virtual machines do not let root lower it, and no container would start.
  restrict_oom_score_adj = true
  # Where all that is mounted can be found again.
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniPlugins}"
    conf_dir = "${places.cniConfiguration}"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "${places.runcState}"
        SystemdCgroup = false
`;
}

/** The network of the pods: a bridge, whose address on this machine is their gateway. */
export function networkConfiguration(): object {
  return {
    cniVersion: '0.4.0',
    name: networkName,
    plugins: [
      {
        type: 'bridge',
        bridge: networkName,
        isDefaultGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: { type: 'host-local', dataDir: places.cniAddresses, ranges: [[{ subnet: podNetwork, gateway: bridgeAddress }]] },
      },
    ],
  };
}
