import { recordedSource } from '../domain/recorded-source.ts';
import { readSecretMetadata } from '../kube/secret-api.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ManagedSecret } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import type { Audit } from '../observability/audit.ts';
import type { Clock } from '../runtime/clock.ts';

export interface SecretDeletionsOptions {
  readonly secrets: Store<ManagedSecret>;
  readonly kube: KubeClient;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  /** Of several replicas one records. */
  readonly isLeading: () => boolean;
}

/** What goes out of sight is recorded by whoever leads. */
export interface SecretDeletions {
  /** We begin to lead. What went out of sight a moment ago may have been recorded by nobody. */
  takeOver(): void;
}

/** A Secret that went out of sight. */
interface Missed {
  readonly secret: ManagedSecret;
  /** Another one has its name. */
  readonly isReplaced: boolean;
  /** On the monotonic clock. */
  readonly since: number;
}

/** Secrets looked for at a time, and those that wait for their turn: a list that is read anew may lack thousands at once. */
const parallel = 4;
const mostWaiting = 10_000;
/** How long one may be without a leader to record it, in milliseconds: a lease that is not renewed is over sooner. */
const leaderless = 60_000;

/**
 * Records each deletion of a Secret of ours that is seen. A Secret goes out of sight too when somebody takes its label away: so it is looked for first,
 * and what cannot be looked for has the result `unknown`. They are recorded one after another, lest the audit have more to hold than it can.
 */
export function recordDeletions({ secrets, kube, audit, clock, isLeading }: SecretDeletionsOptions, signal: AbortSignal): SecretDeletions {
  const waiting: Missed[] = [];
  let busy = 0;

  secrets.onChange((_, before, after) => {
    if (before === undefined || before.uid === after?.uid) return;
    const missed = { secret: before, isReplaced: after !== undefined, since: clock.monotonic() };
    if (!isLeading()) forget(waiting.length < mostWaiting ? 0 : 1);
    if (waiting.length < mostWaiting) waiting.push(missed);
    else void record(missed.secret, missed.isReplaced ? 'success' : 'unknown');
    start();
  });

  /** Drops what has waited too long for a leader, and so many more, the oldest first. */
  function forget(more: number): void {
    const kept = waiting.findIndex(({ since }) => clock.monotonic() - since <= leaderless);
    waiting.splice(0, kept < 0 ? waiting.length : Math.max(kept, more));
  }

  function start(): void {
    while (isLeading() && busy < parallel && waiting.length > 0) {
      busy += 1;
      void work();
    }
  }

  async function work(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = isLeading() ? waiting.shift() : undefined) await lookInto(next);
    busy -= 1;
  }

  async function lookInto({ secret, isReplaced }: Missed): Promise<void> {
    try {
      const found = isReplaced ? undefined : await readSecretMetadata(kube, secret, signal);
      if (found?.uid !== secret.uid) await record(secret, 'success');
    } catch {
      // Why it cannot be looked for makes no difference.
      await record(secret, 'unknown');
    }
  }

  async function record(
    { namespace, name, uid, annotations, ownerReferences }: ManagedSecret,
    result: 'success' | 'unknown',
  ): Promise<void> {
    const requesters = ownerReferences.map((owner) => ({ kind: owner.kind, namespace, name: owner.name, uid: owner.uid }));
    await audit.record({ action: 'secret.delete', secret: { namespace, name, uid }, ...recordedSource(annotations), requesters, result });
  }

  return {
    takeOver() {
      forget(0);
      start();
    },
  };
}
