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
 * resource whose Secret is a new one.
 */
export function valueChanges(history: History, secret: string): readonly ValueChange[] {
  const changes: ValueChange[] = [];
  let last: Version<SecretState> | undefined;
  let touched = false;
  const held = new Set((history.items.get(secret) ?? []).map(({ data }) => canonical(data)));
  for (const version of history.secrets.get(secret) ?? []) {
    // What the client writes is in no item.
    if (version.gone || !held.has(canonical(version.state.data))) {
      touched = true;
      continue;
    }
    const begins = last === undefined || (last.uid !== version.uid && !shareOwner(last, version));
    if (!begins && last !== undefined) {
      const unknown = touched || last.uid !== version.uid;
      const keys = differingKeys(last.state.data, version.state.data);
      const { itemVersion } = version.state;
      const moved =
        last.state.itemVersion !== itemVersion || (last.uid !== version.uid && recordedBefore(history, version, secret) !== itemVersion);
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
function recordedBefore(history: History, { rv, state }: Version<SecretState>, secret: string): string | undefined {
  const resource = (history.resources.get(secret) ?? []).findLast((one) => one.rv < rv);
  return resource?.state.recorded ?? state.itemVersion;
}

function canonical(data: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function shareOwner(a: Version<SecretState>, b: Version<SecretState>): boolean {
  return a.state.owners.some((owner) => b.state.owners.includes(owner));
}
