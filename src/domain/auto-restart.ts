/** What an `auto-restart` annotation says; `invalid` means no. */
export type AutoRestart = 'yes' | 'no' | 'unset' | 'invalid';

/** Reads booleans as the old operator did (Go's ParseBool), in any case. */
export function parseAutoRestart(value: string | undefined): AutoRestart {
  if (value === undefined) return 'unset';
  if (/^(1|t|true)$/i.test(value)) return 'yes';
  return /^(0|f|false)$/i.test(value) ? 'no' : 'invalid';
}

/**
 * Whether a change of a Secret restarts a workload: the first of `annotations` that is set decides (in the order Secret, workload,
 * namespace), else the operator's own setting.
 */
export function isOptedIn(annotations: readonly (string | undefined)[], fallback: boolean): boolean {
  const set = annotations.map(parseAutoRestart).find((value) => value !== 'unset');
  return set === undefined ? fallback : set === 'yes';
}
