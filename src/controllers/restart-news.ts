import type { RestartResult } from '../api/outcomes.ts';
import type { Reason } from '../api/reasons.ts';
import { keyList } from '../domain/key-list.ts';
import { objectKey } from '../domain/object.ts';
import type { KeysOfSecret } from '../domain/restart-plan.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { Workload } from '../kube/workload.ts';
import type { Log } from '../observability/log.ts';
import type { Owners } from './owners.ts';
import type { Cause } from './rollouts.ts';

/** What a restart is about: the keys that changed, and the revision that tells one change from the next. */
export interface Change {
  readonly changed: readonly KeysOfSecret[];
  readonly revision: string;
}

/** Tells people what becomes of restarts: in the log, and by events on the workload and on who asks for the Secret. Names of keys, never values. */
export interface RestartNews {
  restarted(workload: Workload, change: Change): void;
  /** `--restart-mode=report` */
  wouldRestart(workload: Workload, change: Change): void;
  skipped(workload: Workload, change: Change): void;
  /** @param wait what it waits for */
  queued(workload: Workload, change: Change, wait: string): void;
  held(workload: Workload, change: Change, cause: Cause): void;
  reverted(workload: Workload, change: Change): void;
  refused(workload: Workload, change: Change, message: string): void;
  /** No new pod would start: it names keys that are gone. */
  blocked(workload: Workload, missing: readonly KeysOfSecret[]): void;
  /** What its pods know could not be recorded. */
  adoptionRefused(workload: Workload, message: string): void;
  /** An annotation cannot be read. */
  invalid(workload: Workload, message: string): void;
}

export function createRestartNews({
  log,
  events,
  owners,
  onResult,
}: {
  readonly log: Log;
  readonly events: EventRecorder;
  readonly owners: Owners;
  readonly onResult?: (workload: Workload, result: RestartResult) => void;
}): RestartNews {
  function tell(workload: Workload, level: 'info' | 'warn', reason: Reason, message: string, about: string): boolean {
    const news = events.record(workload, level === 'info' ? 'Normal' : 'Warning', reason, message, about);
    const { kind, namespace, name } = workload;
    if (news) log[level]({ kind, namespace, name, reason }, message);
    return news;
  }

  function tellOwners(
    workload: Workload,
    change: Change,
    type: 'Normal' | 'Warning',
    reason: Reason,
    message: string,
    about: string,
  ): void {
    for (const { secret } of change.changed) {
      for (const owner of owners.of(objectKey({ namespace: workload.namespace, name: secret }))) {
        if (owner.uid !== workload.uid) events.record(owner, type, reason, message, about);
      }
    }
  }

  function tellBoth(workload: Workload, change: Change, level: 'info' | 'warn', reason: Reason, message: string): void {
    if (!tell(workload, level, reason, message, change.revision)) return;
    tellOwners(workload, change, level === 'info' ? 'Normal' : 'Warning', reason, message, `${workload.uid} ${change.revision}`);
  }

  return {
    restarted(workload, change) {
      onResult?.(workload, workload.onDelete ? 'on_delete' : 'restarted');
      const changed = why(change.changed);
      if (workload.onDelete) {
        const message = `${nameOf(workload)} has the update strategy OnDelete: delete its pods for them to get the new values (${changed})`;
        tellBoth(workload, change, 'warn', 'DeletePodsToUpdate', message);
        return;
      }
      tellBoth(workload, change, 'info', 'Restarted', `Restarted ${nameOf(workload)}: ${changed}`);
      if (workload.partition === 0) return;
      const left = `pods below the partition ${workload.partition} are not replaced: delete them for them to get the new values (${changed})`;
      tell(workload, 'warn', 'DeletePodsToUpdate', left, change.revision);
    },
    wouldRestart(workload, change) {
      onResult?.(workload, 'would_restart');
      tellBoth(workload, change, 'info', 'WouldRestart', `Would restart ${nameOf(workload)}: ${why(change.changed)}`);
    },
    skipped(workload, change) {
      onResult?.(workload, 'skipped');
      tell(workload, 'info', 'RestartSkipped', `not restarted, as its annotation says: ${why(change.changed)}`, change.revision);
    },
    queued: (workload, change, wait) =>
      void tell(workload, 'info', 'RestartQueued', `waits ${wait}: ${why(change.changed)}`, `${change.revision} ${wait}`),
    held(workload, change, { version }) {
      const cure = `mend the item, or annotate who asks for the Secret with keyturn.dev/resume="${version}" to go on`;
      const message = `rollouts for version ${version} of the item failed and none succeeded: the others are held; ${cure}`;
      tell(workload, 'warn', 'RolloutsHeld', message, change.revision);
      tellOwners(workload, change, 'Warning', 'RolloutsHeld', message, version);
    },
    reverted: (workload, change) =>
      tellBoth(
        workload,
        change,
        'warn',
        'RestartReverted',
        `somebody takes our annotations out of the pod template of ${nameOf(workload)} again and again; trying at growing intervals`,
      ),
    refused(workload, change, message) {
      onResult?.(workload, 'refused');
      tellBoth(workload, change, 'warn', 'RestartRefused', `${nameOf(workload)} cannot be restarted (${message}); trying again`);
    },
    blocked(workload, missing) {
      const keys = missing.map(({ secret, keys: names }) => `${secret}: ${keyList(names)}`).join('; ');
      const message = `not restarted, though Secrets changed: its pods name keys that are gone, so no new one would start (${keys})`;
      tell(workload, 'warn', 'KeyMissing', message, keys);
    },
    adoptionRefused: (workload, message) =>
      void tell(
        workload,
        'warn',
        'RestartRefused',
        `cannot be annotated (${message}); what its pods know is kept in memory alone`,
        'adoption',
      ),
    invalid: (workload, message) => void tell(workload, 'warn', 'InvalidAnnotation', message, message),
  };
}

function nameOf({ kind, name }: Workload): string {
  return `${kind} ${name}`;
}

/** `Secret db changed in password, user; Secret api changed` */
function why(changed: readonly KeysOfSecret[]): string {
  return changed.map(({ secret, keys }) => `Secret ${secret} changed${keys.includes('*') ? '' : ` in ${keyList(keys)}`}`).join('; ');
}
