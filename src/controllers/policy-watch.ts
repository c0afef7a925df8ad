import { isDeepStrictEqual } from 'node:util';
import type { VaultPolicy } from '../domain/vault-policy.ts';
import { type Clock, pause } from '../runtime/clock.ts';

export interface PolicyWatchOptions {
  /** The policy as it is in the file now, or why that cannot be told. */
  readonly read: () => { readonly policy: VaultPolicy | undefined } | { readonly problem: string };
  /** The policy that holds at the start. */
  readonly initial: VaultPolicy | undefined;
  readonly clock: Clock;
  /** Milliseconds between two looks at the file. */
  readonly interval?: number;
  readonly onChange: (policy: VaultPolicy | undefined) => void;
  /** The file cannot be read, and the last good policy goes on; said once for each problem. */
  readonly onProblem: (problem: string) => void;
}

const lookInterval = 10_000;
/** A change has to be there still after this long, in milliseconds: a file that is being written may say less than it will. */
const settleTime = 1_000;

/** Follows the vault policy in its file until `signal` is aborted. The content is compared: what Kubernetes mounts changes by a link above it. */
export async function watchPolicy(
  { read, initial, clock, interval = lookInterval, onChange, onProblem }: PolicyWatchOptions,
  signal: AbortSignal,
): Promise<void> {
  let applied = initial;
  let seen: { readonly policy: VaultPolicy | undefined } | undefined;
  let problem: string | undefined;
  for (;;) {
    await pause(clock, seen === undefined ? interval : Math.min(settleTime, interval), signal);
    if (signal.aborted) return;
    const found = read();
    if ('problem' in found) {
      if (found.problem !== problem) onProblem(found.problem);
      problem = found.problem;
      seen = undefined;
      continue;
    }
    problem = undefined;
    if (isDeepStrictEqual(found.policy, applied)) {
      seen = undefined;
    } else if (seen === undefined || !isDeepStrictEqual(found.policy, seen.policy)) {
      seen = found;
    } else {
      seen = undefined;
      applied = found.policy;
      onChange(applied);
    }
  }
}
