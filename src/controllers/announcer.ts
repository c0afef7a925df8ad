import type { Readiness } from '../domain/conditions.ts';
import { keyList } from '../domain/key-list.ts';
import type { EventRecorder, EventSubject } from '../kube/events.ts';
import type { Log } from '../observability/log.ts';
import type { Synced } from './item-reconciler.ts';

/** Tells people what became of a claim: in the log, and by events on its owner. */
export interface Announcer {
  /** What is said of a claim has another reason than before. */
  readonly transition: (owner: EventSubject, readiness: Readiness) => void;
  /** A Secret was synced: tells what is worth a word beside that. */
  readonly synced: (owner: EventSubject, result: Synced) => void;
}

export function createAnnouncer(log: Log, events: EventRecorder): Announcer {
  return {
    transition(owner, { ready, reason, message }) {
      const { kind, namespace, name } = owner;
      log[ready ? 'info' : 'warn']({ kind, namespace, name, reason }, message);
      events.record(owner, ready ? 'Normal' : 'Warning', reason, message);
    },
    synced(owner, { record, write, repaired, collisions, lowered }) {
      const about = { namespace: owner.namespace, secret: record.secret.name, itemVersion: record.item.version };
      if (write !== 'none') log.info(about, `Secret ${write}`);
      if (write !== 'none' && collisions.length > 0) {
        const message = `several fields of the item want the same key, the last has it: ${keyList(collisions)}`;
        events.record(owner, 'Warning', 'KeyCollision', message);
      }
      if (repaired.length > 0) {
        log.warn({ ...about, keys: repaired, reason: 'DriftRepaired' }, 'values that somebody else wrote were replaced');
        events.record(owner, 'Warning', 'DriftRepaired', `somebody else changed Secret "${about.secret}"; restored: ${keyList(repaired)}`);
      }
      if (lowered !== undefined) {
        const message = `all listings of Connect give version ${about.itemVersion} of the item, lower than ${lowered} that was there before: it is taken for true`;
        log.warn({ ...about, reason: 'OlderVersionAccepted' }, message);
        events.record(owner, 'Warning', 'OlderVersionAccepted', message);
      }
    },
  };
}
