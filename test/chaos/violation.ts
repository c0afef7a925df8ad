import { differingKeys, editMark, type History, type Version } from './history.ts';

/** Something that must not be, with what is known of the object. Holds no value. */
export interface Violation {
  /** `KIND/NAME`, or what else is wrong. */
  readonly object: string;
  readonly detail: string;
  /** A line for each thing that happened: read where it is reported, since many violations are only counted. */
  readonly history?: () => readonly string[];
}

/** Values as they may be told: which of the values that the key has had, as `#3`. */
export function describeData(history: History, secret: string, data: Readonly<Record<string, string>>): string {
  const keys = Object.keys(data).toSorted();
  if (keys.length === 0) return 'nothing';
  return keys.map((key) => `${key}${describeValue(history, secret, key, data[key] ?? '')}`).join(' ');
}

function describeValue(history: History, secret: string, key: string, value: string): string {
  if (value.includes(editMark)) return '=edited';
  const values = [...new Set((history.items.get(secret) ?? []).map(({ data }) => data[key]))].filter((known) => known !== undefined);
  const index = values.indexOf(value);
  return index < 0 ? '=unknown' : `#${index + 1}`;
}

/** What happened to a Secret, a line for each version and intervention. */
export function secretHistory(history: History, name: string): readonly string[] {
  const lines = [
    ...(history.items.get(name) ?? []).map(({ at, data }) => ({ at, line: `item holds ${describeData(history, name, data)}` })),
    ...(history.resources.get(name) ?? []).map(({ at, rv, gone, state: { optIn, recorded } }) => ({
      at,
      line: `resource ${gone ? 'gone' : 'there'} at ${rv}, auto-restart ${optIn ?? 'not set'}, status of item version ${recorded ?? '?'}`,
    })),
    ...(history.secrets.get(name) ?? []).map(({ at, rv, gone, uid, state }) => ({
      at,
      line: gone
        ? `Secret gone at ${rv}`
        : `Secret at ${rv}: ${describeData(history, name, state.data)}, item version ${state.itemVersion ?? '?'}, revision ${state.revision}, uid ${uid.slice(0, 8)}, owner ${state.owners.map((owner) => owner.slice(0, 8)).join()}`,
    })),
    ...history.interventions
      .filter(({ secret }) => secret === name)
      .map(({ what, from, to, attempts }) => ({ at: from, line: `client: ${what}, ${attempts} requests, until ${clock(to)}` })),
  ];
  return inOrder(lines);
}

export function workloadHistory(history: History, name: string): readonly string[] {
  const lines = [
    ...(history.workloads.get(name) ?? []).map(({ at, rv, gone, state: { optIn, uses, restarted, known } }) => ({
      at,
      line: `${gone ? 'gone' : 'version'} at ${rv}: auto-restart ${optIn ?? 'not set'}, uses ${uses.map(({ secret, keys }) => `${secret}[${keys?.join() ?? '*'}]`).join()}, restarted ${restarted ?? 'never'}, template knows ${known ?? 'nothing'}`,
    })),
    ...history.pods.filter(({ workload }) => workload === name).map(({ name: pod, rv, at }) => ({ at, line: `pod ${pod} since ${rv}` })),
  ];
  return inOrder(lines);
}

/** `workload`, and the Secrets that it has ever used. */
export function restartHistory(history: History, workload: string): readonly string[] {
  const secrets = new Set((history.workloads.get(workload) ?? []).flatMap(({ state }) => state.uses.map(({ secret }) => secret)));
  return [...workloadHistory(history, workload), ...[...secrets].flatMap((name) => [`-- ${name}`, ...secretHistory(history, name)])];
}

export function describeDifference(
  history: History,
  secret: string,
  has: Version<{ data: Readonly<Record<string, string>> }>['state'],
  wanted: Readonly<Record<string, string>>,
): string {
  return `${describeData(history, secret, has.data)} instead of ${describeData(history, secret, wanted)} (differs in ${differingKeys(has.data, wanted).join()})`;
}

/** `10:00:00.123` */
export function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}

function inOrder(lines: readonly { readonly at: number; readonly line: string }[]): readonly string[] {
  return lines.toSorted((a, b) => a.at - b.at).map(({ at, line }) => `${clock(at)} ${line}`);
}
