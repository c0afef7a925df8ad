import { fieldManager } from '../api/names.ts';
import type { Reason } from '../api/reasons.ts';
import type { ObjectMeta } from '../domain/object.ts';
import type { KubeClient } from './client.ts';
import { collectionPath, events } from './resource.ts';
import type { Clock } from '../runtime/clock.ts';

/** What an event is about. */
export interface EventSubject extends ObjectMeta {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Tells people what happened, on the object it happened to. Best effort: nothing waits for an event, and nothing fails by one. */
export interface EventRecorder {
  /**
   * @param about tells apart what happened more than once for the same reason
   * @returns false when it was said a short while ago
   */
  record(subject: EventSubject, type: 'Normal' | 'Warning', reason: Reason, message: string, about?: string): boolean;
}

export interface EventRecorderOptions {
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** An event was dropped, or could not be written: why. */
  readonly onLost?: (why: string) => void;
}

/** One object gets an event of one reason, about one thing, at most this often, in milliseconds. */
const quietTime = 600_000;
/** Events that wait to be written; what comes on top is dropped. */
const maxWaiting = 1_000;
/** Events that are written at one time. */
export const eventWriters = 2;
const maxMessage = 1_024;

export function createEventRecorder({ kube, clock, signal, onLost }: EventRecorderOptions): EventRecorder {
  /** When an object last had an event of a reason, oldest first. */
  const last = new Map<string, number>();
  const waiting: object[] = [];
  let writing = 0;

  function isRepeated(key: string, now: number): boolean {
    for (const [oldest, time] of last) {
      if (now - time < quietTime) break;
      last.delete(oldest);
    }
    return last.has(key);
  }

  async function write(): Promise<void> {
    writing += 1;
    for (let event = waiting.shift(); event !== undefined && !signal.aborted; event = waiting.shift()) {
      const { namespace } = (event as { readonly metadata: { readonly namespace: string } }).metadata;
      await kube
        .request({ method: 'POST', path: collectionPath(events, namespace), body: event, signal })
        .catch((error: unknown) => onLost?.(error instanceof Error ? error.message : 'unknown'));
    }
    writing -= 1;
  }

  return {
    record(subject, type, reason, message, about = '') {
      const now = clock.monotonic();
      const key = `${subject.uid}/${reason}/${about}`;
      if (signal.aborted || isRepeated(key, now)) return false;
      if (waiting.length >= maxWaiting) {
        onLost?.('too many wait');
        return true;
      }
      last.set(key, now);
      waiting.push(eventOf(subject, type, reason, message, kube.serverTime()));
      if (writing < eventWriters) void write();
      return true;
    },
  };
}

function eventOf(
  { apiVersion, kind, namespace, name, uid, resourceVersion }: EventSubject,
  type: string,
  reason: string,
  message: string,
  now: number,
): object {
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, generateName: `${name.slice(0, 200)}.` },
    involvedObject: { apiVersion, kind, namespace, name, uid, resourceVersion },
    type,
    reason,
    message: message.slice(0, maxMessage),
    source: { component: fieldManager },
    reportingComponent: fieldManager,
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}
