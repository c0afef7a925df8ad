import { parseRevisions, revisionOf, type Revisions } from './revisions.ts';

/** A Secret that a workload consumes and whose changes restart it. */
export interface ConsumedSecret {
  readonly name: string;
  /** The last revision of what is consumed; 0 when it never changed. */
  readonly revision: number;
}

/** What a workload says its pods know: Secret → revision. */
export interface KnownRevisions {
  /** Written by adopting, in the workload's own metadata. */
  readonly adopted: Revisions;
  /** Written by rolling, in the pod template. */
  readonly rolled: Revisions;
}

export type RestartPlan =
  | { readonly action: 'none' }
  /** The creation of the current ReplicaSet decides: read it and plan again. */
  | { readonly action: 'read-birth' }
  /** Record what the pods know, in the workload's metadata: nothing rolls. */
  | { readonly action: 'adopt'; readonly known: Revisions }
  /** Roll, because `changed` are newer than what the pods know. */
  | { readonly action: 'roll'; readonly known: Revisions; readonly changed: readonly string[] };

/** Caches between a write of a Secret and a pod that starts with it, in milliseconds. */
const cacheSlack = 5_000;
/** A workload born so shortly before a change may have started on the old value, in milliseconds. */
const birthWindow = 120_000;

/**
 * What a workload needs for the Secrets it consumes.
 * @param birth when the current pod template came to be, in milliseconds; undefined while it has not been read
 */
export function planRestart(
  secrets: readonly ConsumedSecret[],
  { adopted, rolled }: KnownRevisions,
  birth: number | undefined,
): RestartPlan {
  const known: Record<string, number> = {};
  const changed: string[] = [];
  for (const { name, revision } of secrets) {
    const entry = Math.max(revisionOf(adopted, name) ?? -1, revisionOf(rolled, name) ?? -1);
    known[name] = Math.max(entry, revision);
    if (entry >= revision) continue;
    if (revision === 0) continue;
    if (birth === undefined) return { action: 'read-birth' };
    const bornWithIt = birth > revision + cacheSlack;
    const bornBeforeWindow = entry === -1 && birth < revision - birthWindow;
    if (!bornWithIt && !bornBeforeWindow) changed.push(name);
  }
  if (changed.length > 0) return { action: 'roll', known, changed };
  return sameRecord(withoutRolled(known, rolled), withoutRolled(adopted, rolled)) ? { action: 'none' } : { action: 'adopt', known };
}

/** What consumers must have recorded before a Secret's data change: the known revisions with each missing entry added. */
export function adoptMissing(secrets: readonly ConsumedSecret[], { adopted, rolled }: KnownRevisions): Revisions | undefined {
  const missing = secrets.filter(({ name }) => revisionOf(adopted, name) === undefined && revisionOf(rolled, name) === undefined);
  if (missing.length === 0) return undefined;
  return { ...adopted, ...Object.fromEntries(missing.map(({ name, revision }) => [name, revision])) };
}

/** Entries that the template states as well, or better, need not stand in the metadata. */
function withoutRolled(record: Revisions, rolled: Revisions): Revisions {
  return Object.fromEntries(Object.entries(record).filter(([name, revision]) => revision > (revisionOf(rolled, name) ?? -1)));
}

function sameRecord(a: Revisions, b: Revisions): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** Reads the entries of a workload from its annotation and its template's. */
export function parseKnownRevisions(metadata: string | undefined, template: string | undefined): KnownRevisions {
  return { adopted: parseRevisions(metadata), rolled: parseRevisions(template) };
}
