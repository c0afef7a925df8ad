import type { ColdSync } from './cold-sync.ts';
import type { Measures } from './result.ts';
import type { Subject } from './subject.ts';
import type { World } from './world.ts';

/** What all runs of one call of `make bench` share. */
export interface Bench {
  readonly world: World;
  /** Ours first. */
  readonly subjects: readonly Subject[];
  /** Takes what is being done, a line at a time. */
  readonly log: (line: string) => void;
  /** Cold syncs at the usual latency that were made already, by who made them and of how many resources; their namespaces are in sync. */
  readonly synced: Map<string, ColdSync[]>;
}

/** One run: what came of it, by the names of the operators. */
export type Run = (bench: Bench) => Promise<Readonly<Partial<Record<Subject['name'], Measures>>>>;
