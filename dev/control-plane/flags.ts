import type { Binaries } from './binaries.ts';

/** Where things are and what they listen on; shared by the flags of all roles. */
export interface Layout {
  readonly directory: string;
  readonly apiPort: number;
  readonly etcdPort: number;
  readonly peerPort: number;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
  readonly tokenFile: string;
  readonly certDir: string;
  /** The API server's generated certificate followed by the CA that signed it. */
  readonly caFile: string;
}

/** Flags of etcd: the built one is embedded and knows three, the upstream one is told the same in its own words. */
export function etcdFlags(layout: Layout, kind: Binaries['kind']): readonly string[] {
  const client = etcdUrl(layout);
  const peer = `http://127.0.0.1:${layout.peerPort}`;
  const data = `${layout.directory}/etcd`;
  if (kind === 'built') return [`--data-dir=${data}`, `--client-url=${client}`, `--peer-url=${peer}`];
  return [
    `--data-dir=${data}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

/** Flags of the API server. Without a controller manager nobody makes ServiceAccounts, so pods must not need one. */
export function apiServerFlags(layout: Layout, hasControllerManager: boolean): readonly string[] {
  return [
    `--etcd-servers=${etcdUrl(layout)}`,
    `--cert-dir=${layout.certDir}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    // The reconciler would refuse a loopback address, again and again; nothing here uses the kubernetes Service.
    '--endpoint-reconciler-type=none',
    `--secure-port=${layout.apiPort}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${layout.serviceAccountPublicKey}`,
    `--service-account-signing-key-file=${layout.serviceAccountKey}`,
    `--token-auth-file=${layout.tokenFile}`,
    '--authorization-mode=RBAC',
    '--allow-privileged=true',
    '--profiling=false',
    ...(hasControllerManager ? [] : ['--disable-admission-plugins=ServiceAccount']),
  ];
}

/** Flags of the controller manager. It listens on nothing; its readiness shows in what it does. */
export function controllerManagerFlags(layout: Layout, kubeconfig: string): readonly string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${layout.serviceAccountKey}`,
    `--root-ca-file=${layout.caFile}`,
    '--leader-elect=false',
    '--secure-port=0',
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
  ];
}

/** Flags of the scheduler, which listens on nothing either. */
export function schedulerFlags(kubeconfig: string): readonly string[] {
  return [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0', '--kube-api-qps=500', '--kube-api-burst=1000'];
}

/** Flags of the pod simulator. */
export function podFlags(workDirectory: string, kubeconfig: string): readonly string[] {
  return ['--work-dir', workDirectory, `--kubeconfig=${kubeconfig}`];
}

function etcdUrl(layout: Layout): string {
  return `http://127.0.0.1:${layout.etcdPort}`;
}
