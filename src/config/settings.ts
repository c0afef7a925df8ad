import type { z } from 'zod';
import {
  accessToken,
  anyText,
  duration,
  filePath,
  folderPath,
  listenAddress,
  namespaceNames,
  oneOf,
  type SettingType,
  trueOrFalse,
  vaultPolicy,
  webAddress,
  wholeNumber,
  zapLevel,
} from './setting-type.ts';

/** In the order in which `--help` and the reference show them. */
export const groups = [
  'Connect server',
  'Cluster',
  'Secrets',
  'Restarts',
  'Health and metrics',
  'Log and audit',
  'Leader election',
  'Process',
] as const;

/** One thing that can be set. Its key in the configuration file is its name in the table. */
export interface Setting<T, Default extends string | undefined = string | undefined> {
  readonly group: (typeof groups)[number];
  readonly type: SettingType<T>;
  /** Without dashes. */
  readonly flag?: string;
  /** The first that is set counts. */
  readonly variables?: readonly string[];
  /** False: it has no key in the file. */
  readonly inFile?: false;
  /** As somebody would write it. */
  readonly default: Default;
  /** What stands for a default that is not written here. */
  readonly otherwise?: string;
  /** One sentence. */
  readonly about: string;
}

function setting<T, const Default extends string | undefined>(given: Setting<T, Default>): Setting<T, Default> {
  return given;
}

export const maxPollingSeconds = 24 * 60 * 60;

const limit = wholeNumber({ min: 0, max: 999_999, takes: 'number', must: 'must be a whole number; 0 is no limit' });
const mebibyte = 1024 * 1024;
const electionTime = (example: string): SettingType<number> => duration({ min: 100, max: 600_000, example });

/** Everything that can be set. Flags, variables, the file, `--help` and docs/reference/config.md are made from it. */
export const settings = {
  connectHost: setting({
    group: 'Connect server',
    type: webAddress,
    flag: 'connect-host',
    variables: ['OP_CONNECT_HOST'],
    default: undefined,
    otherwise: 'required',
    about: 'URL of the Connect server.',
  }),
  connectToken: setting({
    group: 'Connect server',
    type: accessToken,
    variables: ['OP_CONNECT_TOKEN'],
    inFile: false,
    default: undefined,
    otherwise: 'this or the file is required',
    about: 'Access token of the Connect server; it is taken out of the environment at once.',
  }),
  connectTokenFile: setting({
    group: 'Connect server',
    type: filePath,
    flag: 'connect-token-file',
    variables: ['OP_CONNECT_TOKEN_FILE'],
    default: undefined,
    about: 'File that holds the access token instead, read again when it changes.',
  }),
  connectCaFile: setting({
    group: 'Connect server',
    type: filePath,
    flag: 'connect-ca-file',
    variables: ['OP_CONNECT_CA_FILE', 'SSL_CERT_FILE'],
    default: undefined,
    otherwise: 'the usual ones',
    about: 'File of certificates in PEM to trust when Connect is asked.',
  }),
  requireConnectTls: setting({
    group: 'Connect server',
    type: trueOrFalse,
    flag: 'require-connect-tls',
    default: 'false',
    about:
      'Refuse plain http to a Connect server, or by a proxy, that is neither in the cluster nor on this machine; without it that is a warning.',
  }),
  httpsProxy: setting({
    group: 'Connect server',
    type: anyText,
    variables: ['HTTPS_PROXY', 'https_proxy'],
    inFile: false,
    default: undefined,
    about: 'Proxy for a Connect server with https, as URL or host:port; never for this machine.',
  }),
  httpProxy: setting({
    group: 'Connect server',
    type: anyText,
    variables: ['HTTP_PROXY', 'http_proxy'],
    inFile: false,
    default: undefined,
    about: 'The same for one with http.',
  }),
  noProxy: setting({
    group: 'Connect server',
    type: anyText,
    variables: ['NO_PROXY', 'no_proxy'],
    inFile: false,
    default: undefined,
    about:
      'Hosts that are asked without a proxy, separated by commas: names with all below them, .names for those below alone, addresses, networks such as 10.0.0.0/8, each also with :port, or * for all.',
  }),
  pollingInterval: setting({
    group: 'Connect server',
    type: wholeNumber({
      min: 1,
      max: maxPollingSeconds,
      takes: 'seconds',
      must: `must be a whole number of seconds from 1 to ${maxPollingSeconds}`,
      scale: 1000,
    }),
    flag: 'polling-interval',
    variables: ['POLLING_INTERVAL'],
    default: '10',
    about: 'Seconds between looks at Connect; a quiet one costs one request. A malformed variable is a warning, and counts for nothing.',
  }),
  vaultPolicy: setting({
    group: 'Connect server',
    type: vaultPolicy,
    default: undefined,
    otherwise: 'every namespace may use every vault',
    about:
      'Which namespaces (names, in which * is any text) may use which vaults (names, ids, or * for all); when it is there, all else is denied.',
  }),

  watchNamespace: setting({
    group: 'Cluster',
    type: namespaceNames,
    flag: 'watch-namespace',
    variables: ['WATCH_NAMESPACE'],
    default: '',
    otherwise: 'all',
    about: 'Namespaces to watch.',
  }),
  clusterName: setting({
    group: 'Cluster',
    type: anyText,
    flag: 'cluster-name',
    variables: ['CLUSTER_NAME'],
    default: '',
    about: 'Name of the cluster, for audit records.',
  }),
  kubeconfig: setting({
    group: 'Cluster',
    type: filePath,
    flag: 'kubeconfig',
    variables: ['KUBECONFIG'],
    inFile: false,
    default: undefined,
    otherwise: '~/.kube/config, or the service account of the pod',
    about: 'Kubeconfig to use.',
  }),
  podName: setting({
    group: 'Cluster',
    type: anyText,
    variables: ['POD_NAME'],
    inFile: false,
    default: undefined,
    otherwise: 'the host name',
    about: 'Name of this pod: its identity in leader election and in audit records.',
  }),
  podNamespace: setting({
    group: 'Cluster',
    type: anyText,
    variables: ['POD_NAMESPACE'],
    inFile: false,
    default: undefined,
    otherwise: 'that of the service account',
    about: 'Namespace of this pod, where its lease is.',
  }),

  enableAnnotations: setting({
    group: 'Secrets',
    type: trueOrFalse,
    flag: 'enable-annotations',
    default: 'false',
    about: 'Copy annotations of the resource to the Secret.',
  }),
  allowEmptyValues: setting({
    group: 'Secrets',
    type: trueOrFalse,
    flag: 'allow-empty-values',
    default: 'false',
    about: 'Keep keys whose value is empty.',
  }),

  autoRestart: setting({
    group: 'Restarts',
    type: trueOrFalse,
    flag: 'auto-restart',
    variables: ['AUTO_RESTART'],
    default: 'false',
    about: 'Roll consumers where no annotation says otherwise.',
  }),
  restartMode: setting({
    group: 'Restarts',
    type: oneOf(['restart', 'report'], 'must be restart, or report, which restarts nothing'),
    flag: 'restart-mode',
    default: 'restart',
    about: 'With report: say what would be restarted, restart nothing.',
  }),
  restartDebounce: setting({
    group: 'Restarts',
    type: duration({ max: 600_000, example: '2s' }),
    flag: 'restart-debounce',
    default: '2s',
    about: 'Time between the last change and the rollout it calls for.',
  }),
  maxRestarts: setting({
    group: 'Restarts',
    type: limit,
    flag: 'max-restarts',
    default: '50',
    about: 'Rollouts under way at a time; 0 is no limit.',
  }),
  maxRestartsPerNamespace: setting({
    group: 'Restarts',
    type: limit,
    flag: 'max-restarts-per-namespace',
    default: '10',
    about: 'The same, in each namespace.',
  }),

  healthProbeBindAddress: setting({
    group: 'Health and metrics',
    type: listenAddress,
    flag: 'health-probe-bind-address',
    default: ':8081',
    about: 'Address of /healthz and /readyz; 0 for none.',
  }),
  metricsBindAddress: setting({
    group: 'Health and metrics',
    type: listenAddress,
    flag: 'metrics-bind-address',
    default: ':8080',
    about: 'Address of /metrics; 0 for none.',
  }),
  metricsSecure: setting({
    group: 'Health and metrics',
    type: trueOrFalse,
    flag: 'metrics-secure',
    default: 'false',
    about: 'Serve /metrics by https, to those whom the cluster lets get it.',
  }),
  metricsCertPath: setting({
    group: 'Health and metrics',
    type: folderPath,
    flag: 'metrics-cert-path',
    default: undefined,
    otherwise: 'a certificate made at the start',
    about: 'Folder of the certificate of /metrics.',
  }),
  metricsCertName: setting({
    group: 'Health and metrics',
    type: filePath,
    flag: 'metrics-cert-name',
    default: 'tls.crt',
    about: 'Name of the certificate in that folder.',
  }),
  metricsCertKey: setting({
    group: 'Health and metrics',
    type: filePath,
    flag: 'metrics-cert-key',
    default: 'tls.key',
    about: 'Name of its key in that folder.',
  }),
  metricsNamespaceLabel: setting({
    group: 'Health and metrics',
    type: trueOrFalse,
    flag: 'metrics-namespace-label',
    default: 'false',
    about: 'Give metrics about resources a label with their namespace, which makes a series of each.',
  }),

  logLevel: setting({
    group: 'Log and audit',
    type: oneOf(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error'),
    flag: 'log-level',
    default: undefined,
    otherwise: 'info',
    about: 'The least that is worth a line.',
  }),
  zapLogLevel: setting({
    group: 'Log and audit',
    type: zapLevel,
    flag: 'zap-log-level',
    inFile: false,
    default: undefined,
    about: 'The same as the Go operator has it: debug, info, error, panic, or a number above 0 for debug; --log-level wins.',
  }),
  logFormat: setting({
    group: 'Log and audit',
    type: oneOf(['json', 'text'], 'must be json or text'),
    flag: 'log-format',
    default: undefined,
    otherwise: 'json, and text on a terminal',
    about: 'Lines of JSON, or lines to read.',
  }),
  auditLogPath: setting({
    group: 'Log and audit',
    type: filePath,
    flag: 'audit-log-path',
    default: undefined,
    otherwise: 'standard output',
    about: 'File for audit records, or - for standard output.',
  }),
  auditLogMaxsize: setting({
    group: 'Log and audit',
    type: wholeNumber({
      min: 1,
      max: 102_400,
      takes: 'MiB',
      must: 'must be a whole number of MiB from 1 to 102400',
      scale: mebibyte,
    }),
    flag: 'audit-log-maxsize',
    default: '100',
    about: 'Size in MiB at which that file is put aside and another begun.',
  }),
  auditLogMaxbackup: setting({
    group: 'Log and audit',
    type: wholeNumber({ min: 0, max: 1_000, takes: 'number', must: 'must be a whole number up to 1000; 0 keeps all' }),
    flag: 'audit-log-maxbackup',
    default: '10',
    about: 'How many files that were put aside are kept; 0 keeps all.',
  }),
  auditRequired: setting({
    group: 'Log and audit',
    type: trueOrFalse,
    flag: 'audit-required',
    default: 'false',
    about: 'Read no item while audit records cannot be written.',
  }),

  leaderElect: setting({
    group: 'Leader election',
    type: trueOrFalse,
    flag: 'leader-elect',
    default: 'false',
    about: 'Of several replicas only the one that holds the lease works; the others wait.',
  }),
  leaderElectLeaseDuration: setting({
    group: 'Leader election',
    type: duration({ min: 1_000, max: 600_000, example: '15s' }),
    flag: 'leader-elect-lease-duration',
    default: '15s',
    about: 'How long a lease that is not renewed keeps others from taking it.',
  }),
  leaderElectRenewDeadline: setting({
    group: 'Leader election',
    type: electionTime('10s'),
    flag: 'leader-elect-renew-deadline',
    default: '10s',
    about: 'How long the leader goes on without having renewed its lease; less than the lease duration.',
  }),
  leaderElectRetryPeriod: setting({
    group: 'Leader election',
    type: electionTime('2s'),
    flag: 'leader-elect-retry-period',
    default: '2s',
    about: 'Time between attempts to take or renew the lease; less than the renew deadline.',
  }),

  plan: setting({
    group: 'Process',
    type: trueOrFalse,
    flag: 'plan',
    inFile: false,
    default: 'false',
    about: 'Say what would be done, do nothing, and end.',
  }),
  config: setting({
    group: 'Process',
    type: filePath,
    flag: 'config',
    inFile: false,
    default: undefined,
    about: 'File in YAML with settings by their keys.',
  }),
  help: setting({ group: 'Process', type: trueOrFalse, flag: 'help', inFile: false, default: 'false', about: 'Print this, and end.' }),
  version: setting({
    group: 'Process',
    type: trueOrFalse,
    flag: 'version',
    inFile: false,
    default: 'false',
    about: 'Print the version, and end.',
  }),
};

export type SettingName = keyof typeof settings;

/** What was set, or its default. */
export type Values = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends Setting<infer T, infer Default>
    ? Default extends string
      ? T
      : T | undefined
    : never;
};

export const settingNames = Object.keys(settings) as readonly SettingName[];

/** Any setting, of whatever type. */
export type AnySetting = Omit<Setting<unknown>, 'type'> & {
  readonly type: Omit<SettingType<unknown>, 'schema'> & { readonly schema: z.ZodType };
};

export function settingOf(name: SettingName): AnySetting {
  return settings[name];
}

/** Keys that the file may have. */
export const fileKeys = settingNames.filter((name) => settingOf(name).inFile !== false);

/** Flags of the Go operator that have no meaning here; those that take a value say so. */
export const ignoredFlags: ReadonlyMap<string, 'switch' | 'value'> = new Map([
  ['zap-devel', 'switch'],
  ['zap-encoder', 'value'],
  ['zap-stacktrace-level', 'value'],
  ['zap-time-encoding', 'value'],
  ['enable-http2', 'switch'],
  ['webhook-cert-path', 'value'],
  ['webhook-cert-name', 'value'],
  ['webhook-cert-key', 'value'],
]);

/** A name under which somebody may look for a place to put the token itself: `connect-token`, `OP_CONNECT_TOKEN`, `token`. */
export function meansToken(name: string): boolean {
  return /^(op)?(connect)?(access|api)?token$/i.test(name.replace(/[-_]/g, ''));
}

export const tokenPlaces = 'the token has no place there: name a file that holds it with OP_CONNECT_TOKEN_FILE, or set OP_CONNECT_TOKEN';
