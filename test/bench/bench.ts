import type { ColdSync } from './cold-sync.ts';
import type { Measures } from './result.ts';
import type { Subject } from './subject.ts';
import type { World } from './world.ts';

/** What all runs of one call of `make bench` share. */
export interface Bench {
  readonly world: World;
  /** Ours first. A peer that failed is not among them any more. */
  readonly subjects: readonly Subject[];
  /** Tells why a peer failed, and leaves it out from now on. */
  readonly leaveOutPeer: (error: unknown) => void;
  /** The names of the benchmarks whose figures are asked for. */
  readonly only: ReadonlySet<string>;
  /** Takes what is being done, a line at a time. */
  readonly log: (line: string) => void;
  /** Cold syncs at the usual latency that were made already, by who made them and of how many resources; their namespaces are in sync. */
  readonly synced: Map<string, ColdSync[]>;
}

/** What came of a run, by the names of the operators. */
export type Measured = Readonly<Partial<Record<Subject['name'], Measures>>>;

export type Run = (bench: Bench) => Promise<Measured>;

/** Measures each operator, one after the other: a peer that fails takes nothing from the figures of ours. @throws what ours fails with */
export async function bySubject(bench: Bench, measure: (subject: Subject) => Promise<Measures>): Promise<Measured> {
  const all: [Subject['name'], Measures][] = [];
  for (const subject of bench.subjects) {
    const measures = await attempt(bench, subject, () => measure(subject));
    if (measures !== undefined) all.push([subject.name, measures]);
  }
  return Object.fromEntries(all);
}

/** Undefined when it is a peer that fails. @throws what ours fails with */
export async function attempt<T>(bench: Bench, subject: Subject, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (subject.name !== 'peer') throw error;
    bench.leaveOutPeer(error);
    return undefined;
  }
}
