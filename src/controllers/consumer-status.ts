import { annotations } from '../api/names.ts';
import type { ConsumerStatus } from '../api/onepassword-item.ts';
import type { ManagedSecret, OnePasswordItem } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import { done, type Outcome, requeue } from '../runtime/controller.ts';
import type { Consumers } from './consumers.ts';
import type { ItemStatuses } from './item-status.ts';
import type { Rollouts } from './rollouts.ts';
import type { WorkloadReconciler } from './workload-reconciler.ts';

export interface ConsumerStatusOptions {
  readonly items: Store<OnePasswordItem>;
  readonly secrets: Store<ManagedSecret>;
  readonly consumers: Consumers;
  readonly rollouts: Pick<Rollouts, 'isUnderway'>;
  readonly restarts: Pick<WorkloadReconciler, 'isWaiting'>;
  readonly statuses: Pick<ItemStatuses, 'reportConsumers'>;
  readonly clock: Clock;
  /** Nothing is restarted: nobody knows then who is current. */
  readonly reportOnly: boolean;
}

/** How long counts have to stay the same before they are written, in milliseconds. */
export const settleTime = 2_000;
/** Between two writes of the counts of one resource, in milliseconds; counts that do not settle are written as often. */
const writeInterval = 10_000;

interface Seen {
  readonly counts: ConsumerStatus;
  /** When they were first unlike those in the status, and when they were last written, by the monotonic clock. */
  readonly since: number;
  readonly writtenAt: number | undefined;
}

/** Keeps the counts of consumers in the status of resources: who is current, and who waits for a restart or is in one. */
export function createConsumerStatus(options: ConsumerStatusOptions): {
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly forget: (key: string) => void;
} {
  const { items, secrets, consumers, rollouts, restarts, statuses, clock, reportOnly } = options;
  const seen = new Map<string, Seen>();

  return {
    async reconcile(key, signal) {
      const resource = items.get(key);
      if (resource === undefined || resource.deleting) return done;
      const counts = count(key);
      const now = clock.monotonic();
      const before = seen.get(key);
      if (isSame(resource.status.consumers ?? none, counts)) {
        if (before?.writtenAt === undefined) seen.delete(key);
        else seen.set(key, { ...before, counts });
        return done;
      }
      const since = before === undefined || isSame(before.counts, resource.status.consumers ?? none) ? now : before.since;
      const settled = before !== undefined && isSame(before.counts, counts);
      seen.set(key, { counts, since, writtenAt: before?.writtenAt });
      const early = (before?.writtenAt ?? -Infinity) + writeInterval - now;
      if (early > 0) return requeue(early);
      if (!settled && now - since < writeInterval) return requeue(settleTime);
      await statuses.reportConsumers(resource, counts, signal);
      seen.set(key, { counts, since: now, writtenAt: now });
      return done;
    },
    forget: (key) => void seen.delete(key),
  };

  function count(key: string): ConsumerStatus {
    const secret = secrets.get(key);
    if (secret === undefined || reportOnly) return none;
    const opted = consumers.of(key).filter((workload) => isCounted(workload) && consumers.optIn(secret, workload).restarts);
    const waiting = opted.filter((workload) => {
      const of = workloadKey(workload);
      return restarts.isWaiting(of, secret.name) || rollouts.isUnderway(of);
    }).length;
    return { current: opted.length - waiting, waiting };
  }
}

/** Whose pods stay as they are neither waits nor is known to be current. */
function isCounted({ deleting, annotations: { [annotations.restart]: restart } }: Workload): boolean {
  return !deleting && restart !== 'skip';
}

const none: ConsumerStatus = { current: 0, waiting: 0 };

function isSame(a: ConsumerStatus, b: ConsumerStatus): boolean {
  return a.current === b.current && a.waiting === b.waiting;
}
