import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from './config/config-error.ts';
import { readConfigFile } from './config/config-file.ts';
import { readFlags } from './config/flags.ts';
import { hostOf, isInCluster, isLoopback } from './config/host.ts';
import { proxyFor } from './config/proxy.ts';
import type { ListenAddress, VaultPolicy } from './config/setting-type.ts';
import { accessToken, trueOrFalse } from './config/setting-type.ts';
import type { SettingName, Values } from './config/settings.ts';
import { readSmallFile } from './config/small-file.ts';
import { type ReadValues, readValues } from './config/values.ts';

export { ConfigError } from './config/config-error.ts';
export { helpText } from './config/help.ts';
export type { ListenAddress, VaultPolicy } from './config/setting-type.ts';

/** What the process was asked to do, by flags, the environment and a file. Those of the old operator have the same meanings. */
export interface Config {
  readonly connectHost: string;
  /** Empty when the token is in a file. */
  readonly connectToken: string;
  /** A file that holds the token, and may change. */
  readonly connectTokenFile: string | undefined;
  /** Certificates in PEM to trust when Connect is asked, instead of the usual ones. */
  readonly connectCa: string | undefined;
  /** URL of the proxy by which Connect is reached; may hold a password. */
  readonly connectProxy: string | undefined;
  readonly requireConnectTls: boolean;
  /** Empty: all namespaces. */
  readonly watchNamespaces: readonly string[];
  /** Milliseconds between looks at Connect. */
  readonly pollingInterval: number;
  readonly autoRestart: boolean;
  readonly enableAnnotations: boolean;
  readonly allowEmptyValues: boolean;
  readonly healthAddress: ListenAddress | undefined;
  readonly metricsAddress: ListenAddress | undefined;
  /** Undefined: plain HTTP. Without files a certificate is made. */
  readonly metricsSecure: { readonly certFile: string | undefined; readonly keyFile: string | undefined } | undefined;
  readonly metricsNamespaceLabel: boolean;
  /** `report` says which workloads would be restarted, and restarts none. */
  readonly restartMode: 'restart' | 'report';
  /** Milliseconds between the last change and the rollout that it calls for. */
  readonly restartDebounce: number;
  /** How many rollouts that we began may be under way at a time; 0 is no limit. */
  readonly maxRestarts: { readonly inAll: number; readonly perNamespace: number };
  /** Times are milliseconds. */
  readonly leaderElection: {
    readonly enabled: boolean;
    readonly leaseDuration: number;
    readonly renewDeadline: number;
    readonly retryPeriod: number;
    /** Undefined: that of the credentials. */
    readonly namespace: string | undefined;
    readonly identity: string;
  };
  readonly audit: {
    /** Undefined: standard output. */
    readonly path: string | undefined;
    /** Bytes. */
    readonly maxSize: number;
    readonly maxBackups: number;
    readonly required: boolean;
  };
  readonly clusterName: string;
  readonly podName: string;
  /** Say what would be done, and do nothing. */
  readonly plan: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logFormat: 'json' | 'text';
  readonly configFile: string | undefined;
  /** Undefined: every namespace may use every vault. */
  readonly vaultPolicy: VaultPolicy | undefined;
  /** Things that were accepted but mean something else, or nothing, here. */
  readonly warnings: readonly string[];
}

export interface Circumstances {
  /** Problems that came up elsewhere, to be reported with the others. */
  readonly problems?: readonly string[];
  /** Standard output is a terminal. */
  readonly terminal?: boolean;
}

/** The environment of a process: name → value. */
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration, and the files that it names.
 * @throws ConfigError with every problem at once
 */
export function readConfig(environment: Environment, args: readonly string[], circumstances: Circumstances = {}): Config {
  const flags = readFlags(args);
  const filePath = flags.values.get('config');
  const file = filePath === undefined ? undefined : readConfigFile(filePath);
  const problems = [...(circumstances.problems ?? []), ...flags.problems, ...(file?.problems ?? [])];
  const warnings = [...flags.warnings];
  const variable = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const sources = { flags: flags.values, variable, file: file?.values ?? new Map<SettingName, unknown>(), filePath: filePath ?? '' };
  const read = readValues(sources, problems, warnings);
  const { values } = read;

  checkConnect(read, variable, problems);
  if (variable('MANAGE_CONNECT')?.toLowerCase() === 'true') {
    warnings.push('MANAGE_CONNECT has no effect: deploy the Connect server beside the operator, for instance with its own chart');
  }
  const podName = values.podName ?? hostname();
  const config: Config = {
    connectHost: values.connectHost ?? '',
    connectToken: values.connectToken ?? '',
    connectTokenFile: givesWay(read) ? undefined : values.connectTokenFile,
    connectCa: certificates(read, problems),
    connectProxy: connectProxy(values, problems, warnings),
    requireConnectTls: values.requireConnectTls,
    watchNamespaces: values.watchNamespace,
    pollingInterval: values.pollingInterval,
    autoRestart: values.autoRestart,
    enableAnnotations: values.enableAnnotations,
    allowEmptyValues: values.allowEmptyValues,
    healthAddress: values.healthProbeBindAddress,
    metricsAddress: values.metricsBindAddress,
    metricsSecure: metricsSecure(read, warnings),
    metricsNamespaceLabel: values.metricsNamespaceLabel,
    restartMode: values.restartMode,
    restartDebounce: values.restartDebounce,
    maxRestarts: { inAll: values.maxRestarts, perNamespace: values.maxRestartsPerNamespace },
    leaderElection: leaderElection(values, podName, problems),
    audit: {
      path: values.auditLogPath === '-' ? undefined : values.auditLogPath,
      maxSize: values.auditLogMaxsize,
      maxBackups: values.auditLogMaxbackup,
      required: values.auditRequired,
    },
    clusterName: values.clusterName,
    podName,
    plan: values.plan,
    logLevel: (flags.values.has('log-level') ? values.logLevel : (values.zapLogLevel ?? values.logLevel)) ?? 'info',
    logFormat: values.logFormat ?? (circumstances.terminal === true ? 'text' : 'json'),
    configFile: values.config,
    vaultPolicy: values.vaultPolicy,
    warnings,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Whether to print something and end, before anything else is looked at. */
export function wantsPrinted(args: readonly string[]): 'help' | 'version' | undefined {
  const { values } = readFlags(args);
  return (['help', 'version'] as const).find((name) => trueOrFalse.schema.safeParse(values.get(name)).data === true);
}

/** The kubeconfig that a flag names: before the configuration is read, so that what is wrong with it is told with all else. */
export function kubeconfigFlag(args: readonly string[]): string | undefined {
  return readFlags(args).values.get('kubeconfig');
}

/** What to do instead of running the operator, whatever is wrong with the rest. */
export function commandOf(args: readonly string[]): 'doctor' | undefined {
  return readFlags(args).command;
}

/** The environment as the process needs it no more, for whoever it starts: without tokens. */
export function takeEnvironment(environment: Record<string, string | undefined>): Environment {
  const taken = { ...environment };
  for (const name of tokenVariables) Reflect.deleteProperty(environment, name);
  return taken;
}

const tokenVariables = ['OP_CONNECT_TOKEN', 'OP_SERVICE_ACCOUNT_TOKEN'];

/** What the configuration file says of vaults: a policy, nothing, or something that cannot be read. */
export type VaultPolicyFile = { readonly policy: VaultPolicy | undefined } | { readonly problem: string };

/** Reads the vault policy of a file that may have changed. Nothing of a file that has a mistake anywhere is believed. */
export function readVaultPolicy(path: string): VaultPolicyFile {
  const { values: file, problems } = readConfigFile(path);
  // Nothing at all is more likely a file in the making than the wish that everything be allowed.
  if (file.size === 0 && problems.length === 0) return { problem: `${path} holds no settings` };
  const found = [...problems];
  const { values } = readValues({ flags: new Map(), variable: () => undefined, file, filePath: path }, found, []);
  return found.length > 0 ? { problem: found.join('; ') } : { policy: values.vaultPolicy };
}

/** A variable wins over the file: the token itself, too, over the file of a token that is named there. */
function givesWay({ kind }: ReadValues): boolean {
  return kind('connectToken') === 'variable' && kind('connectTokenFile') === 'file';
}

/** Where Connect is, and the token for it. */
function checkConnect(read: ReadValues, variable: (name: string) => string | undefined, problems: string[]): void {
  const { values, source } = read;
  const host = source('connectHost');
  const token = source('connectToken');
  const tokenFile = givesWay(read) ? undefined : source('connectTokenFile');
  if (host === undefined && variable('OP_SERVICE_ACCOUNT_TOKEN') !== undefined) {
    problems.push(
      'OP_SERVICE_ACCOUNT_TOKEN is set, but items are read from a Connect server only: set OP_CONNECT_HOST and OP_CONNECT_TOKEN',
    );
    return;
  }
  if (host === undefined)
    problems.push('OP_CONNECT_HOST is not set: give the URL of the Connect server, for instance http://onepassword-connect:8080');
  if (token !== undefined && tokenFile !== undefined)
    problems.push(`${token} and ${tokenFile} are both set: unset one of them, best ${token}, for a file can be renewed without a restart`);
  else if (token === undefined && tokenFile === undefined)
    problems.push(
      'OP_CONNECT_TOKEN is not set: give an access token of the Connect server, or a file that holds it with OP_CONNECT_TOKEN_FILE',
    );
  if (tokenFile !== undefined && values.connectTokenFile !== undefined) {
    const wrong = tokenFileProblem(values.connectTokenFile);
    if (wrong !== undefined) problems.push(`${tokenFile} names ${wrong}`);
  }
}

function tokenFileProblem(path: string): string | undefined {
  const file = readSmallFile(path);
  if ('problem' in file) return file.problem;
  const token = file.text.trim();
  if (token === '') return 'an empty file: write an access token of the Connect server into it';
  if (!accessToken.schema.safeParse(token).success) return 'a file with white space inside the token: give the token alone, on one line';
  return undefined;
}

/** The certificates of a file in PEM. */
function certificates({ values, source }: ReadValues, problems: string[]): string | undefined {
  if (values.connectCaFile === undefined) return undefined;
  const file = readSmallFile(values.connectCaFile);
  const wrong =
    'problem' in file
      ? file.problem
      : file.text.includes('-----BEGIN CERTIFICATE-----')
        ? undefined
        : 'a file without a certificate: give one in PEM';
  if (wrong !== undefined) problems.push(`${source('connectCaFile')} names ${wrong}, or unset it`);
  return 'text' in file && wrong === undefined ? file.text : undefined;
}

/** The proxy for Connect; and a word about a token that would travel in plain text. */
function connectProxy(values: Values, problems: string[], warnings: string[]): string | undefined {
  const url = values.connectHost === undefined ? null : URL.parse(values.connectHost);
  if (url === null) return undefined;
  const found = proxyFor(url, values);
  if ('problem' in found) problems.push(found.problem);
  const proxy = 'proxy' in found ? found.proxy : undefined;
  const said = url.protocol === 'http:' ? plainText(url, proxy) : undefined;
  if (said !== undefined && values.requireConnectTls) problems.push(`${said}, or unset --require-connect-tls`);
  else if (said !== undefined) warnings.push(said);
  return proxy;
}

/** What is to be said of a server that is asked by plain http: a proxy outside of the cluster reads all that it passes on, wherever the server is. */
function plainText(server: URL, proxy: string | undefined): string | undefined {
  if (!isNear(hostOf(server)))
    return 'the Connect server is asked by plain http outside of the cluster, which shows the token and all values on the way: use https';
  if (proxy !== undefined && !isNear(hostOf(new URL(proxy))))
    return 'the Connect server is asked by plain http through the proxy of HTTP_PROXY, which shows it the token and all values: name the Connect server in NO_PROXY, or use https';
  return undefined;
}

function isNear(host: string): boolean {
  return isLoopback(host) || isInCluster(host);
}

function metricsSecure({ values, source }: ReadValues, warnings: string[]): Config['metricsSecure'] {
  const { metricsSecure: secure, metricsCertPath: folder, metricsCertName, metricsCertKey } = values;
  const idle = (['metricsCertPath', 'metricsCertName', 'metricsCertKey'] as const).flatMap((name) => source(name) ?? []);
  if (idle.length > 0 && !(secure && folder !== undefined)) {
    warnings.push(`without effect: ${idle.join(', ')}; certificates are for --metrics-secure with --metrics-cert-path`);
  }
  if (!secure) return undefined;
  return folder === undefined
    ? { certFile: undefined, keyFile: undefined }
    : { certFile: join(folder, metricsCertName), keyFile: join(folder, metricsCertKey) };
}

/** As client-go has it: somebody who cannot renew must stop before others may begin. */
function leaderElection(values: Values, identity: string, problems: string[]): Config['leaderElection'] {
  const { leaderElectLeaseDuration: leaseDuration, leaderElectRenewDeadline: renewDeadline, leaderElectRetryPeriod: retryPeriod } = values;
  if (leaseDuration <= renewDeadline)
    problems.push('--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline, for instance 15s and 10s');
  if (renewDeadline <= retryPeriod * 1.2)
    problems.push('--leader-elect-renew-deadline must be longer than 1.2 times --leader-elect-retry-period, for instance 10s and 2s');
  return { enabled: values.leaderElect, leaseDuration, renewDeadline, retryPeriod, namespace: values.podNamespace, identity };
}
