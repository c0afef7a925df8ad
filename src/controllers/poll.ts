import { Failure } from '../api/reasons.ts';
import type { ItemStatus } from '../api/onepassword-item.ts';
import type { ConnectClient } from '../connect/client.ts';
import type { VaultIndex } from '../connect/vault-index.ts';
import { type Clock, pause } from '../runtime/clock.ts';
import { DeadlineExceeded } from '../runtime/deadline.ts';

export interface PollOptions {
  readonly index: Pick<VaultIndex, 'refresh'>;
  readonly connect: Pick<ConnectClient, 'outage' | 'probeIn' | 'reloadToken'>;
  readonly clock: Clock;
  /** Milliseconds between the starts of two looks. */
  readonly interval: number;
  /** A look told what changed. */
  readonly onSuccess?: () => void;
  /** A look failed, for the `failures`th time in a row. */
  readonly onFailure: (failure: Failure, failures: number) => void;
}

/** How often it is looked between two polls whether an outage began, or there is another token; in milliseconds. */
const outageCheck = 5_000;

/**
 * Asks Connect what changed, one look at a time, until `signal` is aborted; no failure ends it. During an outage every look is a probe, made as
 * soon as one is let through, however long the interval is.
 */
export async function runPoll({ index, connect, clock, interval, onSuccess, onFailure }: PollOptions, signal: AbortSignal): Promise<void> {
  let next = clock.monotonic();
  let failures = 0;
  while (!signal.aborted) {
    // What another token reaches may be something else altogether.
    if (connect.reloadToken()) next = clock.monotonic();
    const probe = connect.outage() !== undefined && connect.probeIn === 0;
    if (probe || clock.monotonic() >= next) {
      next = clock.monotonic() + interval;
      try {
        await index.refresh(signal);
        failures = 0;
        onSuccess?.();
      } catch (error) {
        if (signal.aborted) return;
        // The look was that of a reconcile, whose time was over.
        const failure = error instanceof DeadlineExceeded ? new Failure('ConnectUnavailable', 'Connect was not read in time') : error;
        if (!(failure instanceof Failure)) throw failure;
        failures += 1;
        onFailure(failure, failures);
      }
    }
    const wait = next - clock.monotonic();
    await pause(clock, Math.max(0, Math.min(wait, connect.outage() === undefined ? outageCheck : connect.probeIn)), signal);
  }
}

/** True when the index says that an item is not what its Secret holds: it moved, or is gone from the listings. */
export function isMoved(item: ItemStatus | undefined, index: Pick<VaultIndex, 'listed'>): boolean {
  return item === undefined || index.listed(item.vaultId, item.id)?.version !== item.version;
}
