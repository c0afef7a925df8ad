/** What an `auto-restart` annotation says; `invalid` means no. */
export type AutoRestart = 'yes' | 'no' | 'unset' | 'invalid';

/** Reads booleans as the old operator did (Go's ParseBool), in any case. */
export function parseAutoRestart(value: string | undefined): AutoRestart {
  if (value === undefined) return 'unset';
  if (/^(1|t|true)$/i.test(value)) return 'yes';
  return /^(0|f|false)$/i.test(value) ? 'no' : 'invalid';
}

/** Whether a change restarts, and why. */
export interface OptIn {
  readonly restarts: boolean;
  /** The place of the annotation that decided; undefined when none is set. */
  readonly by: number | undefined;
  /** That annotation says neither yes nor no. */
  readonly invalid: boolean;
}

/**
 * Whether a change of a Secret restarts a workload: the first of `annotations` that is set decides (in the order Secret, workload,
 * namespace), else the operator's own setting.
 */
export function optIn(annotations: readonly (string | undefined)[], fallback: boolean): OptIn {
  const said = annotations.map(parseAutoRestart);
  const by = said.findIndex((value) => value !== 'unset');
  if (by < 0) return { restarts: fallback, by: undefined, invalid: false };
  return { restarts: said[by] === 'yes', by, invalid: said[by] === 'invalid' };
}
