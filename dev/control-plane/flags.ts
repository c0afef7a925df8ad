import type { Binaries } from './binaries.ts';

/** Where things are and what they listen on; shared by the flags of all roles. */
export interface Layout {
  readonly directory: string;
  /** What the API server listens on. */
  readonly address: string;
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

/** What the API server records of requests. */
export interface ApiAudit {
  /** Takes a line of JSON for each request, as it ends. The folder has to be there. */
  readonly file: string;
  /** Whose requests, by the names that RBAC knows them by; nobody else's are recorded. */
  readonly users: readonly string[];
}

/** Certificate and key, in PEM files, by which the API server proves to a kubelet who it is. */
export interface KubeletClient {
  readonly certFile: string;
  readonly keyFile: string;
}

/** What decides the flags of the API server besides the layout. */
export interface ApiServerOptions {
  readonly hasControllerManager: boolean;
  readonly audit: ApiAudit | undefined;
  /** For a real node, whose pods are to reach the API server by its Service; undefined: everything is on loopback. */
  readonly kubeletClient: KubeletClient | undefined;
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
export function apiServerFlags(layout: Layout, options: ApiServerOptions): readonly string[] {
  const { hasControllerManager, audit, kubeletClient } = options;
  return [
    `--etcd-servers=${etcdUrl(layout)}`,
    `--cert-dir=${layout.certDir}`,
    `--bind-address=${layout.address}`,
    `--advertise-address=${layout.address}`,
    `--secure-port=${layout.apiPort}`,
    '--service-cluster-ip-range=10.96.0.0/24',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${layout.serviceAccountPublicKey}`,
    `--service-account-signing-key-file=${layout.serviceAccountKey}`,
    `--token-auth-file=${layout.tokenFile}`,
    '--allow-privileged=true',
    '--profiling=false',
    ...(hasControllerManager ? [] : ['--disable-admission-plugins=ServiceAccount']),
    ...(audit === undefined ? [] : auditFlags(layout, audit)),
    ...(kubeletClient === undefined ? simulatedNodeFlags : realNodeFlags(kubeletClient)),
  ];
}

const simulatedNodeFlags = [
  '--authorization-mode=RBAC',
  // The reconciler would refuse a loopback address, again and again; nothing uses the kubernetes Service.
  '--endpoint-reconciler-type=none',
];

function realNodeFlags({ certFile, keyFile }: KubeletClient): readonly string[] {
  return [
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--kubelet-client-certificate=${certFile}`,
    `--kubelet-client-key=${keyFile}`,
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

/** The file of `--audit-policy-file`: who asked for what, and how it ended, without any content. A document of JSON is one of YAML. */
export function auditPolicy({ users }: ApiAudit): string {
  const omitStages = ['RequestReceived', 'ResponseStarted'];
  const rules = [{ level: 'Metadata', users }, { level: 'None' }];
  return JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages, rules });
}

/** Where that file is. */
export function auditPolicyFile({ directory }: Layout): string {
  return `${directory}/audit-policy.json`;
}

function auditFlags(layout: Layout, { file }: ApiAudit): readonly string[] {
  // Rotation cannot be turned off: in megabytes, more than a run of tests makes.
  return [`--audit-policy-file=${auditPolicyFile(layout)}`, `--audit-log-path=${file}`, '--audit-log-maxsize=100000'];
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
