import { objectKey } from '../domain/object.ts';
import { latestRevision, recordedRevisions } from '../domain/revisions.ts';
import type { ManagedSecret } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';

/** When the write of a revision of a Secret was carried out, in milliseconds (whole seconds); undefined when that is not known. */
export type RevisionTimes = (secret: Pick<ManagedSecret, 'namespace' | 'name'>, revision: number) => number | undefined;

/** Of so many Secrets that are away it is remembered. */
const maxAway = 1_000;

/**
 * A revision is the time at which its write was begun. When it was done is the time of our field manager, which moves with later writes: what counts
 * is how it stood when the revision was seen first.
 */
export function createRevisionTimes(secrets: Store<ManagedSecret>): RevisionTimes {
  /** By the key of a Secret; of one that is away, too: it comes back with its record. */
  const known = new Map<string, ReadonlyMap<number, number | undefined>>();
  const away = new Set<string>();

  function leave(key: string): void {
    away.add(key);
    for (const oldest of away) {
      if (away.size <= maxAway) return;
      away.delete(oldest);
      known.delete(oldest);
    }
  }

  secrets.onChange((key, _, after) => {
    if (after === undefined) {
      leave(key);
      return;
    }
    away.delete(key);
    const revisions = recordedRevisions(after);
    const latest = latestRevision(revisions);
    const times = known.get(key);
    if (latest === 0 || times?.has(latest)) return;
    const present = new Set(Object.values(revisions).map(Math.abs));
    known.set(key, new Map([...[...(times ?? [])].filter(([revision]) => present.has(revision)), [latest, after.writtenAt]]));
  });

  return (secret, revision) => known.get(objectKey(secret))?.get(revision);
}
