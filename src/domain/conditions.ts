import type { Condition } from '../api/onepassword-item.ts';
import type { Reason } from '../api/reasons.ts';

export interface Readiness {
  readonly ready: boolean;
  readonly reason: Reason;
  readonly message: string;
}

/**
 * The conditions of a resource with `Ready` brought up to date; the same array when nothing changed, so that nothing is written.
 * `lastTransitionTime` moves only with the status. Conditions of other types are left alone.
 * @param now milliseconds since the epoch
 */
export function withReady(
  conditions: readonly Condition[],
  { ready, reason, message }: Readiness,
  generation: number,
  now: number,
): readonly Condition[] {
  const previous = readyCondition(conditions);
  const status = ready ? 'True' : 'False';
  const next: Condition = {
    type: 'Ready',
    status,
    reason,
    message,
    lastTransitionTime:
      previous?.status === status && previous.lastTransitionTime
        ? previous.lastTransitionTime
        : `${new Date(now).toISOString().slice(0, 19)}Z`,
    observedGeneration: generation,
  };
  if (previous !== undefined && sameCondition(previous, next)) return conditions;
  return [...conditions.filter(({ type }) => type !== 'Ready'), next];
}

/** The condition `Ready`, if there is one. */
export function readyCondition(conditions: readonly Condition[] = []): Condition | undefined {
  return conditions.find(({ type }) => type === 'Ready');
}

function sameCondition(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.lastTransitionTime === b.lastTransitionTime &&
    a.observedGeneration === b.observedGeneration
  );
}
