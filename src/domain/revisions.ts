import { annotations } from '../api/names.ts';
import type { ConsumedKeys } from './consumed-keys.ts';
import type { SecretData } from './secret-value.ts';

/**
 * Key of a Secret → when its value last changed, in milliseconds by the API server's clock; below 0 when it was removed then. Numbers only grow,
 * but for their sign. A key that is not in the record has not changed since the Secret was first written; `*` speaks for all keys.
 */
export type Revisions = Readonly<Record<string, number>>;

/** A record larger than this, in bytes of JSON, collapses to one entry for the whole Secret. */
const maxRecordSize = 64 * 1024;

/** Stands for all keys of a Secret. */
export const wholeSecret = '*';
const latestTime = Date.UTC(9999, 11, 31);

/** Reads a record from an annotation; a malformed one is as good as none, and the next write repairs it. */
export function parseRevisions(annotation: string | undefined): Revisions {
  if (annotation === undefined) return {};
  try {
    return readRevisions(JSON.parse(annotation));
  } catch {
    return {};
  }
}

/** The entries of a record that can be revisions. */
export function readRevisions(record: unknown): Revisions {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return {};
  return Object.fromEntries(Object.entries(record).filter((entry): entry is [string, number] => isRevision(entry[1])));
}

/** Of a later year than 9999 it is no time, and so large that nothing could come after it. */
function isRevision(value: unknown): boolean {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= latestTime;
}

/** The entry of a name, if there is one. (`record[name]` finds a function for the Secret `constructor`.) */
export function revisionOf(revisions: Revisions, name: string): number | undefined {
  return Object.hasOwn(revisions, name) ? revisions[name] : undefined;
}

/** The record that a Secret carries. */
export function recordedRevisions(secret: { readonly annotations: Readonly<Record<string, string>> }): Revisions {
  return parseRevisions(secret.annotations[annotations.revisions]);
}

/** A Secret, as far as it tells when its revisions were written. */
export interface RevisedSecret {
  readonly annotations: Readonly<Record<string, string>>;
  /** When we last wrote anything into it, in milliseconds (whole seconds); undefined when that is not known. */
  readonly writtenAt?: number | undefined;
}

/**
 * When the write of a revision was carried out, in milliseconds; undefined when that is not known. The revision itself is the time at which the
 * write was begun. Of the latest revision our last write tells, until a later one notes what it would hide.
 */
export function revisedAt(secret: RevisedSecret, revision: number): number | undefined {
  return timesOf(secret)(revision);
}

function timesOf({ annotations: notes, writtenAt }: RevisedSecret): (revision: number) => number | undefined {
  const noted = parseRevisions(notes[annotations.revisedAt]);
  const latest = latestRevision(recordedRevisions({ annotations: notes }));
  return (revision) => revisionOf(noted, String(revision)) ?? (revision === latest ? writtenAt : undefined);
}

/**
 * The annotation in which a write that leaves `revisions` notes when those were written that are not its own; undefined when it has nothing to note.
 * @param moved the latest of them is its own; otherwise, where nothing else is known, it was written when it was made
 */
export function notedTimes(before: RevisedSecret, revisions: Revisions, moved: boolean): string | undefined {
  const latest = latestRevision(revisions);
  const timeOf = timesOf(before);
  const times = [...new Set(Object.values(revisions).map(Math.abs))].flatMap((revision) => {
    const time = timeOf(revision) ?? (revision === latest && !moved ? latest : undefined);
    return time === undefined ? [] : [[revision, time] as const];
  });
  const noted = Object.fromEntries(times);
  return times.length > 0 && fits(noted) ? JSON.stringify(noted) : undefined;
}

/** The last revision of anything in the Secret; 0 when nothing has changed since it was first written. */
export function latestRevision(revisions: Revisions): number {
  return Object.values(revisions).reduce((latest, revision) => Math.max(latest, Math.abs(revision)), 0);
}

/** What became of the keys that somebody consumes. */
export interface ConsumedRevision {
  /** When one of them last changed; 0 when none has. */
  readonly revision: number;
  /** The keys that changed after a revision, `*` for all. */
  readonly changedSince: (known: number) => readonly string[];
  /** Keys that are gone, and without which no pod would start. */
  readonly missing: readonly string[];
}

export function consumedRevision(revisions: Revisions, { whole, required, optional }: ConsumedKeys): ConsumedRevision {
  const names = new Set([...(whole ? Object.keys(revisions) : []), ...required, ...optional]);
  names.delete(wholeSecret);
  const changes = [...names].map((key) => [key, Math.abs(revisionOf(revisions, key) ?? 0)] as const);
  const all = Math.abs(revisionOf(revisions, wholeSecret) ?? 0);
  return {
    revision: changes.reduce((latest, [, revision]) => Math.max(latest, revision), all),
    changedSince: (known) => (all > known ? [wholeSecret] : changes.flatMap(([key, revision]) => (revision > known ? [key] : []))),
    missing: required.filter((key) => (revisionOf(revisions, key) ?? 0) < 0),
  };
}

/** Two records of one Secret as one: of each key the later revision, but what is older than an entry for all keys is as that says. */
export function latestOf(a: Revisions, b: Revisions): Revisions {
  const later = (key: string): number => {
    const [one, other] = [revisionOf(a, key) ?? 0, revisionOf(b, key) ?? 0];
    return Math.abs(one) < Math.abs(other) ? other : one;
  };
  const all = Math.abs(later(wholeSecret));
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return Object.fromEntries(keys.map((key) => [key, later(key)] as const).filter(([, revision]) => Math.abs(revision) >= all));
}

/**
 * The record after `keys` changed at `now`. Later than every revision before, even when the clock stepped back.
 * @param gone keys of the record, or of those that changed, that the Secret does not have any more
 */
export function revise(revisions: Revisions, keys: readonly string[] | 'all', now: number, gone: readonly string[] = []): Revisions {
  const revision = Math.max(Math.floor(now), latestRevision(revisions) + 1);
  const removed = new Set(gone);
  const whole = { ...Object.fromEntries(gone.map((key) => [key, -revision])), [wholeSecret]: revision };
  if (keys === 'all') return fits(whole) ? whole : { [wholeSecret]: revision };
  if (keys.length === 0) return revisions;
  const revised = { ...revisions, ...Object.fromEntries(keys.map((key) => [key, removed.has(key) ? -revision : revision])) };
  return fits(revised) ? revised : fits(whole) ? whole : { [wholeSecret]: revision };
}

function fits(revisions: Revisions): boolean {
  return JSON.stringify(revisions).length <= maxRecordSize;
}

/** Keys whose value differs between two states of a Secret: added, changed or removed. */
export function changedKeys(before: SecretData, after: SecretData): string[] {
  const changed: string[] = [];
  for (const [key, value] of after) {
    const previous = before.get(key);
    if (previous === undefined || !previous.equals(value)) changed.push(key);
  }
  for (const key of before.keys()) if (!after.has(key)) changed.push(key);
  return changed;
}
