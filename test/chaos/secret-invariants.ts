import { editMark, type History, type Interval, presentOf, sameData, type SecretState, type Version } from './history.ts';
import { merge, subtract } from './intervals.ts';
import { clock, describeDifference, secretHistory, type Violation } from './violation.ts';

/** How long a Secret may be missing while all that it needs answers, in milliseconds: runs show up to 83, on a busy machine. */
export const absenceAllowed = 1_500;
/** After an outage, or a change of leader, so much does not count: the gate, and watches that are opened anew, have pauses of five seconds. */
export const warmUp = 6_000;
/** What the client did shows at the watcher this much later at most: it may have to list anew after an outage. In milliseconds. */
const watchDelay = 30_000;

/** Every Secret of a resource that is there equals the item as it is. */
export function secretsEqualItems(history: History): readonly Violation[] {
  return [...history.items].flatMap(([name, states]) => {
    if (presentOf(history.resources, name) === undefined) return [];
    const wanted = states.at(-1)?.data ?? {};
    const secret = presentOf(history.secrets, name);
    const detail =
      secret === undefined
        ? 'there is none'
        : sameData(secret.state.data, wanted)
          ? undefined
          : describeDifference(history, name, secret.state, wanted);
    return detail === undefined ? [] : [violationOf(history, name, detail)];
  });
}

/**
 * No Secret was absent or empty but by the client, and then no longer than until shortly after Connect and the API server answered. Neither
 * did one ever hold what its item never held, but by the client.
 */
export function secretsStay(history: History): readonly Violation[] {
  return [...history.secrets].flatMap(([name, versions]) => {
    const owing = requestsOf(history, name);
    return versions.flatMap((version, index) => {
      const before = versions[index - 1];
      const wrong = wrongOf(history, name, version);
      if (wrong === undefined || (before !== undefined && isUntouched(before, version))) return [];
      const excused = wasCollected(history, name, version) || owing.take(version);
      return excused ? [] : [violationOf(history, name, `${wrong} at ${version.rv} (${clock(version.at)}), and not by the client`)];
    });
  });
}

/** What the client took away, and what new resources ask for, comes soon where all that it needs answers. */
export function secretsComeBack(history: History, end: number): readonly Violation[] {
  return [...history.resources.keys()].flatMap((name) =>
    lacks(history, name, end).flatMap((lack) => {
      const time = servedTime(history.served, lack);
      if (time <= absenceAllowed) return [];
      const detail = `missing or empty from ${clock(lack.from)} to ${clock(lack.to)}, ${time} ms of which all that it needs answered`;
      return [violationOf(history, name, detail)];
    }),
  );
}

/** The longest that a Secret was missing or empty while all that it needs answered, in milliseconds. */
export function longestLack(history: History, end: number, without = warmUp): number {
  const all = [...history.resources.keys()].flatMap((name) => lacks(history, name, end));
  return all.reduce((longest, lack) => Math.max(longest, servedTime(history.served, lack, without)), 0);
}

/** How much of an interval was served, without the beginning of each part that was, in milliseconds. */
export function servedTime(served: readonly Interval[], { from, to }: Interval, without = warmUp): number {
  return served.reduce((sum, part) => sum + Math.max(0, Math.min(part.to, to) - Math.max(part.from + without, from)), 0);
}

function violationOf(history: History, name: string, detail: string): Violation {
  return { object: `Secret/${name}`, detail, history: () => secretHistory(history, name) };
}

/** What is wrong with one version: undefined when it holds what the item has held. */
function wrongOf(history: History, name: string, { gone, state }: Version<SecretState>): string | undefined {
  if (gone) return 'gone';
  if (Object.keys(state.data).length === 0) return 'empty';
  if (Object.values(state.data).some((value) => value.includes(editMark))) return 'edited';
  return (history.items.get(name) ?? []).some(({ data }) => sameData(data, state.data)) ? undefined : 'with what its item never held';
}

/** Only the metadata moved. */
function isUntouched(before: Version<SecretState>, { gone, uid, state }: Version<SecretState>): boolean {
  return !before.gone && !gone && before.uid === uid && sameData(before.state.data, state.data);
}

/** The resource that it belonged to was gone: then the garbage collector takes it, as often as it was made for that. */
function wasCollected(history: History, name: string, { gone, rv, state: { owners } }: Version<SecretState>): boolean {
  const before = (history.resources.get(name) ?? []).filter((resource) => resource.gone && resource.rv < rv);
  const dead = new Set(before.map(({ uid }) => uid));
  return gone && owners.length > 0 && owners.every((owner) => dead.has(owner));
}

/** The requests of the client that may explain what became of a Secret. Each explains one version. */
function requestsOf(history: History, name: string): { take(version: Version<SecretState>): boolean } {
  const left = history.interventions.filter(({ secret }) => secret === name).map((one) => ({ ...one, left: one.attempts }));
  return {
    take({ at, gone, state }) {
      const explaining = gone
        ? ['delete-secret']
        : Object.keys(state.data).length === 0
          ? ['empty-secret']
          : ['edit-secret', 'create-secret'];
      const found = left.find((one) => one.left > 0 && explaining.includes(one.what) && one.from <= at && at <= one.to + watchDelay);
      if (found !== undefined) found.left -= 1;
      return found !== undefined;
    },
  };
}

/** When a resource was there, and its Secret was not, or empty. */
function lacks(history: History, name: string, end: number): readonly Interval[] {
  // Each version of a resource is a part of the time that it was there.
  const resources = merge(presence(history.resources.get(name) ?? [], end, () => true));
  const secrets = presence(history.secrets.get(name) ?? [], end, ({ state }) => Object.keys(state.data).length > 0);
  return resources.flatMap((there) => subtract(there, secrets));
}

function presence<T>(versions: readonly Version<T>[], end: number, counts: (version: Version<T>) => boolean): readonly Interval[] {
  return versions.flatMap((version, index) => {
    const to = versions[index + 1]?.at ?? end;
    return version.gone || !counts(version) || to <= version.at ? [] : [{ from: version.at, to }];
  });
}
