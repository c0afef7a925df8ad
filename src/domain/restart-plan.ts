import { type ConsumedRevision, revisionOf, type Revisions } from './revisions.ts';

/** A Secret that a workload consumes. */
export interface ConsumedSecret {
  readonly name: string;
  /** What became of the keys it consumes; undefined while there is no such Secret of ours. */
  readonly consumed: ConsumedRevision | undefined;
  /** When the write of its last revision was carried out, in milliseconds: it may have been under way for long. */
  readonly revisedAt?: number | undefined;
  /** Whether a change restarts the workload. */
  readonly restarts: boolean;
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
  /** The birth of the current pod template decides: read it and plan again. */
  | { readonly action: 'read-birth' }
  /** Record what the pods know, in the workload's metadata: nothing rolls. */
  | { readonly action: 'adopt'; readonly stated: Revisions }
  /** Roll, because `changed` are newer than what the pods know. */
  | { readonly action: 'roll'; readonly known: Revisions; readonly changed: readonly KeysOfSecret[] }
  /** To be rolled, but for keys that are gone: no new pod would start. */
  | { readonly action: 'blocked'; readonly changed: readonly KeysOfSecret[]; readonly missing: readonly KeysOfSecret[] };

/** What is known of the current pod template, in milliseconds. */
export interface TemplateAge {
  /** When it came to be. */
  readonly birth?: number | undefined;
  /** It has been the same at least since then: for what changed later, its birth need not be read. */
  readonly unchangedSince?: number | undefined;
}

/** Keys of a Secret, `*` for all. */
export interface KeysOfSecret {
  readonly secret: string;
  readonly keys: readonly string[];
}

/** Caches between a write of a Secret and a pod that starts with it, in milliseconds. */
const cacheSlack = 5_000;
/** A workload born so shortly before a change may have started on the old value, in milliseconds. */
const birthWindow = 120_000;
/** A write is under way for no longer, in milliseconds. */
const longestWrite = 60_000;

/**
 * What a workload needs for the Secrets it consumes.
 * @param age of its pod template
 */
export function planRestart(
  secrets: readonly ConsumedSecret[],
  known: KnownRevisions,
  age: { readonly birth: number },
): Exclude<RestartPlan, { action: 'read-birth' }>;
export function planRestart(secrets: readonly ConsumedSecret[], known: KnownRevisions, age: TemplateAge): RestartPlan;
export function planRestart(secrets: readonly ConsumedSecret[], { adopted, rolled }: KnownRevisions, age: TemplateAge): RestartPlan {
  const known: Record<string, number> = {};
  /** What the metadata may say: what holds whatever template comes. What the birth of this one tells does not. */
  const stated: Record<string, number> = {};
  const changed: KeysOfSecret[] = [];
  for (const { name, consumed, revisedAt, restarts } of secrets) {
    const entry = knownRevision(name, { adopted, rolled });
    if (!restarts) {
      // An entry in the template stays there until the next roll: one beside it keeps up with the Secret, so that opting in again does not
      // roll for what happened in between.
      if (revisionOf(rolled, name) !== undefined) stated[name] = known[name] = Math.max(entry ?? 0, consumed?.revision ?? 0);
      continue;
    }
    // A Secret that is away for a moment may come back changed, or as it was: whatever else rolls the workload meanwhile, its entry stays.
    const revision = consumed?.revision ?? entry;
    if (revision === undefined) continue;
    known[name] = Math.max(entry ?? 0, revision);
    const own = entry === undefined ? revision : revisionOf(adopted, name);
    if (own !== undefined) stated[name] = own;
    if (consumed === undefined || revision === 0 || (entry !== undefined && entry >= revision)) continue;
    const outdated = isOutdated(entry, { revision, revisedAt }, age);
    if (outdated === undefined) return { action: 'read-birth' };
    if (outdated) changed.push({ secret: name, keys: consumed.changedSince(Math.max(entry ?? 0, (age.birth ?? 0) - birthWindow)) });
  }
  if (changed.length > 0) {
    const missing = secrets.flatMap(({ name, consumed }) => (consumed?.missing.length ? [{ secret: name, keys: consumed.missing }] : []));
    return missing.length > 0 ? { action: 'blocked', changed, missing } : { action: 'roll', known, changed };
  }
  return sameRecord(withoutRolled(stated, rolled), withoutRolled(adopted, rolled)) ? { action: 'none' } : { action: 'adopt', stated };
}

/** A revision, and when its write was carried out. */
interface Revised {
  readonly revision: number;
  readonly revisedAt?: number | undefined;
}

/** Whether pods may lack a revision that is later than their entry; undefined when the birth of their template has to tell. */
function isOutdated(entry: number | undefined, revised: Revised, { birth, unchangedSince }: TemplateAge): boolean | undefined {
  if (entry !== undefined && unchangedSince !== undefined && unchangedSince <= revised.revision) return true;
  if (birth === undefined) return undefined;
  return entry === undefined ? isBornInto(revised, birth) : !isBornAfter(revised, birth);
}

/**
 * What a workload without an entry for a Secret must record before the Secret's data change. Pods that may still have to be rolled for the
 * present revision are given one below it.
 */
export function planAdoption(
  name: string,
  { revision, revisedAt }: Revised,
  known: KnownRevisions,
  birth: number | undefined,
): Exclude<RestartPlan, { action: 'roll' | 'blocked' }> {
  if (knownRevision(name, known) !== undefined) return { action: 'none' };
  if (revision > 0 && birth === undefined) return { action: 'read-birth' };
  const pending = birth !== undefined && revision > 0 && isBornInto({ revision, revisedAt }, birth);
  return { action: 'adopt', stated: { ...known.adopted, [name]: pending ? revision - 1 : revision } };
}

/** What pods are known to have of a Secret; undefined when nothing is. */
export function knownRevision(name: string, { adopted, rolled }: KnownRevisions): number | undefined {
  const entries = [revisionOf(adopted, name), revisionOf(rolled, name)].filter((entry) => entry !== undefined);
  return entries.length === 0 ? undefined : Math.max(...entries);
}

/** Pods of a template that came to be so late have the revision. */
function isBornAfter({ revision, revisedAt }: Revised, birth: number): boolean {
  // The time of a write is given in whole seconds: it may have been at the end of that one.
  const landed = revisedAt === undefined ? revision : Math.min(Math.max(revision, revisedAt + 999), revision + longestWrite);
  return birth > landed + cacheSlack;
}

/** Pods of a template that came to be about then may have started on the older value. */
function isBornInto(revised: Revised, birth: number): boolean {
  return birth >= revised.revision - birthWindow && !isBornAfter(revised, birth);
}

/** Entries that the template states as well, or better, need not stand in the metadata. */
function withoutRolled(record: Revisions, rolled: Revisions): Revisions {
  return Object.fromEntries(Object.entries(record).filter(([name, revision]) => revision > (revisionOf(rolled, name) ?? -1)));
}

function sameRecord(a: Revisions, b: Revisions): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
