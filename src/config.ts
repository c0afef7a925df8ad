import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseDuration } from './runtime/duration.ts';

/** What the process was asked to do: the environment and flags of the old operator, with the same meanings. */
export interface Config {
  readonly connectHost: string;
  readonly connectToken: string;
  /** Certificates in PEM to trust when Connect is asked, instead of the usual ones. */
  readonly connectCa: string | undefined;
  /** Empty: all namespaces. */
  readonly watchNamespaces: readonly string[];
  /** Milliseconds between looks at Connect. */
  readonly pollingInterval: number;
  readonly autoRestart: boolean;
  readonly enableAnnotations: boolean;
  readonly allowEmptyValues: boolean;
  readonly healthAddress: ListenAddress | undefined;
  readonly metricsAddress: ListenAddress | undefined;
  /** Metrics of resources and restarts have a label `namespace`. */
  readonly metricsNamespaceLabel: boolean;
  /** `report` says which workloads would be restarted, and restarts none. */
  readonly restartMode: 'restart' | 'report';
  /** Milliseconds between the last change and the rollout that it calls for. */
  readonly restartDebounce: number;
  /** How many rollouts that we began may be under way at a time; 0 is no limit. */
  readonly maxRestarts: { readonly inAll: number; readonly perNamespace: number };
  /** Say what would be done, and do nothing. */
  readonly plan: boolean;
  readonly logLevel: 'debug' | 'info' | 'error';
  /** Things that were accepted but mean something else, or nothing, here. */
  readonly warnings: readonly string[];
}

export interface ListenAddress {
  /** Undefined: all interfaces. */
  readonly host: string | undefined;
  readonly port: number;
}

/** Everything that is wrong with the configuration, each problem with its cure. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((p) => `  - ${p}\n`).join('')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const defaultPollingInterval = 10_000;
const maxPollingSeconds = 24 * 60 * 60;

/** Flags of the old operator that have no meaning here; those that take a value say so. */
const ignoredFlags = new Map<string, 'boolean' | 'value'>([
  ['zap-devel', 'boolean'],
  ['zap-encoder', 'value'],
  ['zap-stacktrace-level', 'value'],
  ['zap-time-encoding', 'value'],
  ['metrics-secure', 'boolean'],
  ['enable-http2', 'boolean'],
  ['metrics-cert-path', 'value'],
  ['metrics-cert-name', 'value'],
  ['metrics-cert-key', 'value'],
  ['webhook-cert-path', 'value'],
  ['webhook-cert-name', 'value'],
  ['webhook-cert-key', 'value'],
  ['kubeconfig', 'value'],
]);

const knownFlags = new Map<string, 'boolean' | 'value'>([
  ['leader-elect', 'boolean'],
  ['enable-annotations', 'boolean'],
  ['allow-empty-values', 'boolean'],
  ['health-probe-bind-address', 'value'],
  ['metrics-bind-address', 'value'],
  ['metrics-namespace-label', 'boolean'],
  ['zap-log-level', 'value'],
  ['plan', 'boolean'],
  ['restart-mode', 'value'],
  ['restart-debounce', 'value'],
  ['max-restarts', 'value'],
  ['max-restarts-per-namespace', 'value'],
]);

const booleanSchema = z
  .string()
  .regex(/^(1|t|true|0|f|false)$/i)
  .transform((text) => /^(1|t|true)$/i.test(text));

const restartModeSchema = z.enum(['restart', 'report']);

/** A Go duration → milliseconds. */
const debounceSchema = z
  .string()
  .transform((text) => parseDuration(text) ?? Number.NaN)
  .pipe(z.number().max(600_000));

const limitSchema = z
  .string()
  .regex(/^\d{1,6}$/)
  .transform(Number);

const hostSchema = z.url({ protocol: /^https?$/ });

const namespaceSchema = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);

/** As zap's: a number above 0 is a degree of verbosity, `panic` less than we ever log. */
const logLevelSchema = z
  .string()
  .toLowerCase()
  .regex(/^(debug|info|error|panic|0*[1-9]\d{0,2})$/)
  .transform((text) => (text === 'info' ? 'info' : text === 'error' || text === 'panic' ? 'error' : 'debug'));

/**
 * Reads the configuration.
 * @param found problems that came up elsewhere, to be reported with the others
 * @throws ConfigError with every problem at once
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  args: readonly string[],
  found: readonly string[] = [],
): Config {
  const problems = [...found];
  const warnings: string[] = [];
  const variable = (name: string): string | undefined => environment[name]?.trim() || undefined;

  function parsed<T>(schema: z.ZodType<T>, text: string, problem: string, fallback: T): T {
    const result = schema.safeParse(text);
    if (result.success) return result.data;
    problems.push(problem);
    return fallback;
  }

  const flags = readFlags(args, problems, warnings);
  const flag = (name: string, fallback = false): boolean => {
    const text = flags.get(name);
    return text === undefined ? fallback : parsed(booleanSchema, text, `--${name} must be true or false`, fallback);
  };

  const limit = (name: string, fallback: string): number =>
    parsed(limitSchema, flags.get(name) ?? fallback, `--${name} must be a whole number; 0 is no limit`, 0);

  const host = variable('OP_CONNECT_HOST');
  const token = variable('OP_CONNECT_TOKEN');
  if (host === undefined && variable('OP_SERVICE_ACCOUNT_TOKEN') !== undefined) {
    problems.push(
      'OP_SERVICE_ACCOUNT_TOKEN is set, but items are read from a Connect server only: set OP_CONNECT_HOST and OP_CONNECT_TOKEN',
    );
  } else {
    if (host === undefined)
      problems.push('OP_CONNECT_HOST is not set: give the URL of the Connect server, for instance http://onepassword-connect:8080');
    else parsed(hostSchema, host, 'OP_CONNECT_HOST must be a URL that begins with http:// or https://', '');
    if (token === undefined) problems.push('OP_CONNECT_TOKEN is not set: give an access token of the Connect server');
    else if (/\s/.test(token)) problems.push('OP_CONNECT_TOKEN has white space inside: give the token alone, on one line');
  }

  const watchNamespaces = (variable('WATCH_NAMESPACE') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of watchNamespaces) parsed(namespaceSchema, name, `WATCH_NAMESPACE: "${name}" is no name of a namespace`, '');

  const autoRestart = variable('AUTO_RESTART');
  if (variable('MANAGE_CONNECT')?.toLowerCase() === 'true') {
    warnings.push('MANAGE_CONNECT has no effect: deploy the Connect server beside the operator, for instance with its own chart');
  }
  if (flag('leader-elect')) {
    warnings.push('--leader-elect has no effect in this version: run one replica, and none of the old operator beside it');
  }

  const config: Config = {
    connectHost: host ?? '',
    connectToken: token ?? '',
    connectCa: certificates(variable('SSL_CERT_FILE'), problems),
    watchNamespaces: [...new Set(watchNamespaces)],
    pollingInterval: pollingInterval(variable('POLLING_INTERVAL'), warnings),
    autoRestart: autoRestart !== undefined && parsed(booleanSchema, autoRestart, 'AUTO_RESTART must be true or false', false),
    enableAnnotations: flag('enable-annotations'),
    allowEmptyValues: flag('allow-empty-values'),
    healthAddress: listenAddress(flags.get('health-probe-bind-address') ?? ':8081', '--health-probe-bind-address', problems),
    metricsNamespaceLabel: flag('metrics-namespace-label'),
    metricsAddress: listenAddress(flags.get('metrics-bind-address') ?? ':8080', '--metrics-bind-address', problems),
    restartMode: parsed(
      restartModeSchema,
      flags.get('restart-mode') ?? 'restart',
      '--restart-mode must be restart, or report, which restarts nothing',
      'restart',
    ),
    restartDebounce: parsed(
      debounceSchema,
      flags.get('restart-debounce') ?? '2s',
      '--restart-debounce must be a duration of at most 10m, for instance 2s',
      0,
    ),
    maxRestarts: {
      inAll: limit('max-restarts', '50'),
      perNamespace: limit('max-restarts-per-namespace', '10'),
    },
    plan: flag('plan'),
    logLevel: parsed(
      logLevelSchema,
      flags.get('zap-log-level') ?? 'info',
      '--zap-log-level must be debug, info, error, panic or a number above 0',
      'info',
    ),
    warnings,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Flags as Go reads them: one dash or two, `--name=value` or `--name value`, a boolean alone means true. */
function readFlags(args: readonly string[], problems: string[], warnings: string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const ignored = new Set<string>();
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    const [, name, given] = /^--?([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(argument) ?? [];
    const type = name === undefined ? undefined : (knownFlags.get(name) ?? ignoredFlags.get(name));
    if (name === undefined || type === undefined) {
      problems.push(
        `unknown argument ${name === undefined ? `in position ${index + 1}` : `--${name}`}: the flags are ${[...knownFlags.keys()].map((flag) => `--${flag}`).join(', ')}`,
      );
      continue;
    }
    let value = given ?? 'true';
    if (given === undefined && type === 'value') {
      index += 1;
      value = args[index] ?? '';
    }
    if (ignoredFlags.has(name)) ignored.add(`--${name}`);
    else if (value === '') problems.push(`--${name} needs a value`);
    else values.set(name, value);
  }
  if (ignored.size > 0) warnings.push(`accepted, but without effect here: ${[...ignored].join(', ')}`);
  return values;
}

/** The certificates of a file in PEM. */
function certificates(file: string | undefined, problems: string[]): string | undefined {
  if (file === undefined) return undefined;
  try {
    const pem = readFileSync(file, 'utf8');
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem;
    problems.push('SSL_CERT_FILE names a file without a certificate: give one in PEM, or unset it');
  } catch {
    problems.push('SSL_CERT_FILE names a file that cannot be read: check its path and permissions, or unset it');
  }
  return undefined;
}

/** Seconds → milliseconds. What cannot be read means the default, as with the old operator, and a warning. */
function pollingInterval(text: string | undefined, warnings: string[]): number {
  if (text === undefined) return defaultPollingInterval;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= maxPollingSeconds) return seconds * 1000;
  warnings.push(
    `POLLING_INTERVAL must be a whole number of seconds from 1 to ${maxPollingSeconds}: using ${defaultPollingInterval / 1000}`,
  );
  return defaultPollingInterval;
}

/** `host:port`, `:port`, or `0` for none. */
function listenAddress(text: string, name: string, problems: string[]): ListenAddress | undefined {
  if (text === '0') return undefined;
  const [, host, port] = /^(?:\[?([^[\]]*?)\]?):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    problems.push(`${name} must be host:port, :port, or 0 for none`);
    return undefined;
  }
  return { host: host || undefined, port: Number(port) };
}
