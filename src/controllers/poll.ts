import { Failure } from '../api/reasons.ts';
import type { VaultIndex } from '../connect/vault-index.ts';
import { objectKey } from '../domain/object.ts';
import type { OnePasswordItem } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { type Clock, pause } from '../runtime/clock.ts';

export interface PollOptions {
  readonly index: VaultIndex;
  readonly clock: Clock;
  /** Milliseconds between the starts of two looks. */
  readonly interval: number;
  /** Connect stopped answering. */
  readonly onFailure: (failure: Failure) => void;
  /** Connect answers again. */
  readonly onRecovered: () => void;
}

/** Asks Connect what changed, one look at a time, until `signal` is aborted; no failure ends it. */
export async function runPoll({ index, clock, interval, onFailure, onRecovered }: PollOptions, signal: AbortSignal): Promise<void> {
  let failing = false;
  while (!signal.aborted) {
    const start = clock.monotonic();
    try {
      await index.refresh(signal);
      if (failing) onRecovered();
      failing = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Failure)) throw error;
      if (!failing) onFailure(error);
      failing = true;
    }
    await pause(clock, Math.max(0, interval - (clock.monotonic() - start)), signal);
  }
}

/** Keys of the resources that the index says are not what their Secret holds: moved, gone from the listings, or not in sync. */
export function movedItems(items: Store<OnePasswordItem>, index: VaultIndex): string[] {
  const moved: string[] = [];
  for (const resource of items.values()) {
    const { item, conditions = [] } = resource.status;
    const ready = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
    if (!ready || item === undefined || index.version(item.vaultId, item.id) !== item.version) moved.push(objectKey(resource));
  }
  return moved;
}
