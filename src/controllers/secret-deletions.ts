import { recordedSource } from '../domain/recorded-source.ts';
import { readSecretMetadata } from '../kube/secret-api.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ManagedSecret } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import type { Audit } from '../observability/audit.ts';
import { createSemaphore } from '../runtime/semaphore.ts';

export interface SecretDeletionsOptions {
  readonly secrets: Store<ManagedSecret>;
  readonly kube: KubeClient;
  readonly audit: Pick<Audit, 'record'>;
  /** Of several replicas one records. */
  readonly isLeading: () => boolean;
}

/** Looks under way at a time, and those that wait for their turn. */
const parallel = 4;
const mostWaiting = 1_000;

/**
 * Records each deletion of a Secret of ours that is seen. A Secret goes out of sight too when somebody takes its label away: so it is looked for first,
 * and what cannot be looked for has the result `unknown`.
 */
export function recordDeletions({ secrets, kube, audit, isLeading }: SecretDeletionsOptions, signal: AbortSignal): void {
  const bounded = createSemaphore(parallel);
  let waiting = 0;

  secrets.onChange((_, before, after) => {
    if (!isLeading() || before === undefined || before.uid === after?.uid) return;
    if (after !== undefined) record(before, 'success');
    else if (waiting >= mostWaiting) record(before, 'unknown');
    else void lookFor(before);
  });

  async function lookFor(secret: ManagedSecret): Promise<void> {
    waiting += 1;
    try {
      const found = await bounded(() => readSecretMetadata(kube, secret, signal));
      if (found?.uid !== secret.uid) record(secret, 'success');
    } catch {
      // Why it cannot be looked for makes no difference.
      record(secret, 'unknown');
    } finally {
      waiting -= 1;
    }
  }

  function record({ namespace, name, uid, annotations, ownerReferences }: ManagedSecret, result: 'success' | 'unknown'): void {
    const requesters = ownerReferences.map((owner) => ({ kind: owner.kind, namespace, name: owner.name, uid: owner.uid }));
    void audit.record({ action: 'secret.delete', secret: { namespace, name, uid }, ...recordedSource(annotations), requesters, result });
  }
}
