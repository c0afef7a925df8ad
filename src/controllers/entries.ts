import { annotations } from '../api/names.ts';
import { type KnownRevisions, parseKnownRevisions } from '../domain/restart-plan.ts';
import type { Revisions } from '../domain/revisions.ts';
import type { Store } from '../kube/store.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';

/** What workloads are known to have of the Secrets they consume. */
export interface Entries {
  /** As the workload states it, or where its annotation was taken away, as we remember it. */
  of(workload: Workload): KnownRevisions;
  /** Remembers what was adopted, whether the workload can be made to state it or not. */
  remember(workload: Workload, adopted: Revisions): void;
}

/** @param memoryFirst nothing is written to workloads, so that what they state gets old */
export function createEntries(workloads: Store<Workload>, memoryFirst: boolean): Entries {
  const remembered = new Map<string, { readonly uid: string; readonly adopted: Revisions }>();

  function remember(workload: Workload, adopted: Revisions): void {
    const key = workloadKey(workload);
    if (Object.keys(adopted).length === 0) remembered.delete(key);
    else remembered.set(key, { uid: workload.uid, adopted });
  }

  workloads.onChange((key, before, after) => {
    if (before?.uid !== after?.uid) remembered.delete(key);
    if (after === undefined || memoryFirst) return;
    const { adopted } = statedRevisions(after);
    if (Object.keys(adopted).length > 0) remember(after, adopted);
  });

  return {
    of(workload) {
      const stated = statedRevisions(workload);
      const memory = remembered.get(workloadKey(workload));
      if (memory?.uid !== workload.uid || (!memoryFirst && Object.keys(stated.adopted).length > 0)) return stated;
      return { ...stated, adopted: memory.adopted };
    },
    remember,
  };
}

/** What a workload states in its annotations. */
export function statedRevisions({ annotations: own, templateAnnotations }: Workload): KnownRevisions {
  return parseKnownRevisions(own[annotations.knownRevisions], templateAnnotations[annotations.knownRevisions]);
}
