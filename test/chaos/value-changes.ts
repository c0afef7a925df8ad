import { differingKeys, type History, type SecretState, type Version } from './history.ts';

/** A write that brought a Secret other values of its item. */
export interface ValueChange {
  readonly secret: string;
  readonly at: number;
  readonly rv: bigint;
  /** Keys whose value differs from the one before. */
  readonly keys: readonly string[];
  /** Somebody else wrote the Secret, or deleted it, since: what pods have is unknown, and all keys may count as changed. */
  readonly unknown: boolean;
  /** The latest that the Secret names then. */
  readonly revision: number;
}

/**
 * The changes of a Secret's values, in order. What the client wrote and what repaired that is none, nor is the first version, nor that for a new
 * resource whose Secret is a new one. But where the client made that one, what stood in it has changed.
 */
export function valueChanges(history: History, secret: string): readonly ValueChange[] {
  const changes: ValueChange[] = [];
  let last: Version<SecretState> | undefined;
  let touched = false;
  const held = new Set((history.items.get(secret) ?? []).map(({ data }) => canonical(data)));
  const versions = history.secrets.get(secret) ?? [];
  for (const [index, version] of versions.entries()) {
    // What the client writes is in no item.
    if (version.gone || !held.has(canonical(version.state.data))) {
      touched = true;
      continue;
    }
    const begins = last === undefined || (last.uid !== version.uid && !shareOwner(last, version));
    const adopted = adoptedBy(history, version, secret, versions[index - 1]);
    if (adopted !== undefined) {
      const keys = differingKeys(adopted.data, version.state.data);
      changes.push({ secret, at: version.at, rv: version.rv, keys, unknown: false, revision: version.state.revision });
    } else if (!begins && last !== undefined) {
      const unknown = touched || last.uid !== version.uid;
      const keys = differingKeys(last.state.data, version.state.data);
      const { itemVersion } = version.state;
      const moved =
        last.state.itemVersion !== itemVersion ||
        (last.uid !== version.uid && (recordedBefore(history, version, secret) ?? itemVersion) !== itemVersion);
      if (keys.length > 0 || (unknown && moved)) {
        changes.push({ secret, at: version.at, rv: version.rv, keys, unknown, revision: version.state.revision });
      }
    }
    last = version;
    touched = false;
  }
  return changes;
}

/** What the status said when a Secret was made anew: all that was known of the one before, whose last version it may have missed. */
function recordedBefore(history: History, { rv }: Version<SecretState>, secret: string): string | undefined {
  return (history.resources.get(secret) ?? []).findLast((one) => one.rv < rv)?.state.recorded;
}

/**
 * What stood in a Secret that was not the operator's before this version of it, while the status knew of none: pods may have started with it, and
 * what they had before is not known.
 */
function adoptedBy(
  history: History,
  version: Version<SecretState>,
  secret: string,
  before: Version<SecretState> | undefined,
): SecretState | undefined {
  if (before === undefined || before.gone || before.uid !== version.uid || before.state.itemVersion !== undefined) return undefined;
  return recordedBefore(history, version, secret) === undefined ? before.state : undefined;
}

function canonical(data: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function shareOwner(a: Version<SecretState>, b: Version<SecretState>): boolean {
  return a.state.owners.some((owner) => b.state.owners.includes(owner));
}
