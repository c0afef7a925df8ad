import { isConnectReason, type Reason } from '../api/reasons.ts';
import { keyList } from './key-list.ts';
import { printable } from './printable.ts';

/** What the operator would do with a Secret that somebody asks for. */
export type SecretForecast =
  | {
      readonly action:
        | 'in-sync'
        /** The Secret of another operator has the values already: only our metadata would be added. */
        | 'adopt'
        /** A Secret of ours has the values already: only its labels, annotations or owner would change. */
        | 'metadata'
        | 'create'
        /** The owner is being deleted and only waits for the old operator's finalizer, which we take out: its Secret goes with it. */
        | 'release';
    }
  | { readonly action: 'change'; /** Names of the keys whose value would change. */ readonly keys: readonly string[] }
  | { readonly action: 'refuse'; readonly reason: Reason; readonly message: string };

/** One who asks for a Secret, with what would come of it. */
export interface PlannedSecret {
  readonly namespace: string;
  readonly kind: 'OnePasswordItem' | 'Deployment';
  /** Of the resource or the Deployment. */
  readonly name: string;
  /** The name of the Secret; undefined when none is given. */
  readonly secret: string | undefined;
  readonly forecast: SecretForecast;
  /** What else there is to say of it. */
  readonly notes: readonly string[];
}

/** A Deployment that would be rolled. */
export interface PlannedRestart {
  /** `Deployment`, for instance. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** The Secrets that call for it. */
  readonly secrets: readonly string[];
  /** It would be rolled when it is resumed. */
  readonly paused: boolean;
}

/** What the operator would do, as things stand. */
export interface PlanReport {
  readonly secrets: readonly PlannedSecret[];
  readonly restarts: readonly PlannedRestart[];
  /** Namespaces that could not be read. */
  readonly unread: readonly { readonly namespace: string; readonly message: string }[];
  /** What is worth knowing of the settings and the cluster. */
  readonly notes: readonly string[];
}

/** The report for people: namespace by namespace, one line for each who asks for a Secret; the last line is the sum. */
export function formatPlan(report: PlanReport): string {
  const { secrets, restarts, unread, notes } = report;
  const namespaces = [...new Set([...secrets, ...restarts, ...unread].map(({ namespace }) => namespace))].toSorted();
  const blocks = [
    ...namespaces.map((namespace) => [`namespace ${namespace}`, ...indented(namespaceLines(report, namespace))]),
    ...(notes.length === 0 ? [] : [['worth knowing', ...indented(notes)]]),
    [summary(report)],
  ];
  return blocks.map((lines) => lines.map((line) => `${printable(line)}\n`).join('')).join('\n');
}

/**
 * 0 when no existing value and no pod would change, and that is known surely; else 1. Secrets that would be made, and refusals that leave
 * everything as it is, count as no change.
 */
export function planExitCode({ secrets, restarts, unread }: PlanReport): 0 | 1 {
  const changes = secrets.some(({ forecast }) => forecast.action === 'change' || forecast.action === 'release' || isUnknown(forecast));
  return changes || restarts.length > 0 || unread.length > 0 ? 1 : 0;
}

/** A refusal that is a matter of the moment, or of who asks, says nothing of what will be done later. */
function isUnknown(forecast: SecretForecast): boolean {
  if (forecast.action !== 'refuse') return false;
  const { reason } = forecast;
  return reason === 'KubernetesForbidden' || (isConnectReason(reason) && reason !== 'ConnectForbidden');
}

function namespaceLines({ secrets, restarts, unread }: PlanReport, namespace: string): string[] {
  const here = <T extends { readonly namespace: string }>(things: readonly T[]): T[] =>
    things.filter((thing) => thing.namespace === namespace);
  const asked = here(secrets).toSorted(byName);
  const rolled = here(restarts).toSorted((a, b) => compare(a.name, b.name));
  const names = new Set(asked.map(({ secret }) => secret));
  return [
    ...here(unread).map(({ message }) => `not read: ${message}`),
    ...asked.flatMap((one) => [
      secretLine(one),
      ...indented([
        ...one.notes,
        ...rolled.filter((restart) => one.secret !== undefined && restart.secrets.includes(one.secret)).map(restartLine),
      ]),
    ]),
    ...rolled.flatMap((restart) =>
      restart.secrets.flatMap((secret) => (names.has(secret) ? [] : [`Secret ${secret}`, ...indented([restartLine(restart)])])),
    ),
  ];
}

function secretLine({ kind, name, secret, forecast }: PlannedSecret): string {
  const target = kind === 'Deployment' && secret !== undefined ? ` (Secret ${secret})` : '';
  return `${kind} ${name}${target}: ${describe(forecast)}`;
}

function restartLine({ kind, name, paused }: PlannedRestart): string {
  return `would restart: ${kind} ${name}${paused ? ', once it is resumed' : ''}`;
}

function describe(forecast: SecretForecast): string {
  switch (forecast.action) {
    case 'in-sync':
      return 'in sync';
    case 'adopt':
      return 'adopt';
    case 'metadata':
      return 'update metadata';
    case 'create':
      return 'create';
    case 'release':
      return 'let go: it is being deleted and waits for a finalizer of the old operator; its Secret goes with it';
    case 'change':
      return `change keys: ${keyList(forecast.keys)}`;
    case 'refuse':
      return `refuse ${forecast.reason}: ${forecast.message}`;
  }
}

function summary({ secrets, restarts, unread }: PlanReport): string {
  const count = (action: SecretForecast['action']): number => secrets.filter(({ forecast }) => forecast.action === action).length;
  const unknown = secrets.filter(({ forecast }) => isUnknown(forecast)).length;
  return [
    `${count('in-sync')} in sync`,
    `${count('adopt')} to adopt`,
    ...sometimes(count('metadata'), 'to update in metadata alone'),
    `${count('create')} to create`,
    `${count('refuse') - unknown} refused`,
    ...sometimes(unknown, 'unknown'),
    ...sometimes(count('release'), 'to let go'),
    `${count('change')} would change`,
    `${restarts.length} ${restarts.length === 1 ? 'workload' : 'workloads'} would restart`,
    ...sometimes(unread.length, unread.length === 1 ? 'namespace not read' : 'namespaces not read'),
  ].join(', ');
}

/** Nothing, when there is none of it: what is rare stays out of the sum. */
function sometimes(number: number, text: string): string[] {
  return number === 0 ? [] : [`${number} ${text}`];
}

function byName(a: PlannedSecret, b: PlannedSecret): number {
  return compare(a.name, b.name) || compare(b.kind, a.kind);
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
