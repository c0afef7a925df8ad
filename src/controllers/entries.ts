import { annotations } from '../api/names.ts';
import type { KnownRevisions } from '../domain/restart-plan.ts';
import { parseRevisions, type Revisions, wholeSecret } from '../domain/revisions.ts';
import type { Store } from '../kube/store.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';

/** What workloads are known to have of the Secrets they consume. */
export interface Entries {
  /** As the workload states it, or where its annotation was taken away or could not be written, as we remember it. */
  of(workload: Workload): KnownRevisions;
  /** Remembers what was adopted, whether the workload can be made to state it or not. */
  remember(workload: Workload, adopted: Revisions): void;
}

/** @param memoryFirst nothing is written to workloads, so that what they state gets old */
export function createEntries(workloads: Store<Workload>, memoryFirst: boolean): Entries {
  /** With the annotation that stood there when it was remembered: as long as it does, ours has not been written. */
  const remembered = new Map<string, { readonly uid: string; readonly adopted: Revisions; readonly over: string | undefined }>();

  function remember(workload: Workload, adopted: Revisions): void {
    const key = workloadKey(workload);
    const over = annotationOf(workload);
    if (Object.keys(adopted).length === 0 && over === undefined) remembered.delete(key);
    else remembered.set(key, { uid: workload.uid, adopted, over });
  }

  workloads.onChange((key, before, after) => {
    if (before?.uid !== after?.uid) remembered.delete(key);
    else if (before !== undefined && after !== undefined && annotationOf(before) === annotationOf(after)) return;
    if (after === undefined || memoryFirst) return;
    // Who puts back what we replaced, as a tool does that applies a manifest again and again, is not answered.
    if (annotationOf(after) !== undefined && remembered.get(key)?.over === annotationOf(after)) return;
    const { adopted } = statedRevisions(after);
    if (Object.keys(adopted).length > 0) remember(after, adopted);
  });

  return {
    of(workload) {
      const stated = statedRevisions(workload);
      const memory = remembered.get(workloadKey(workload));
      if (memory?.uid !== workload.uid) return stated;
      const isOverruled = Object.keys(stated.adopted).length > 0 && annotationOf(workload) !== memory.over;
      return isOverruled && !memoryFirst ? stated : { ...stated, adopted: memory.adopted };
    },
    remember,
  };
}

function annotationOf({ annotations: own }: Workload): string | undefined {
  return own[annotations.knownRevisions];
}

/** What a workload states in its annotations. */
export function statedRevisions(workload: Workload): KnownRevisions {
  const { kind, annotations: own, templateAnnotations } = workload;
  const rolled = kind === 'Rollout' ? restartedRevisions(workload) : parseRevisions(templateAnnotations[annotations.knownRevisions]);
  return { adopted: parseRevisions(own[annotations.knownRevisions]), rolled };
}

/** The annotation that says for what a Rollout is restarted: no template is there to go with the restart, so it names its time. */
export function restartRecord(known: Revisions, restartAt: string): string {
  return JSON.stringify({ ...known, [wholeSecret]: Date.parse(restartAt) });
}

/**
 * An entry is good for the restart that it names, when that is still to come or has been carried out: who takes it back before leaves pods behind that
 * are not restarted, and who puts it off does too.
 */
function restartedRevisions({ annotations: own, restartAt, restartedAt = 0 }: Workload): Revisions {
  const { [wholeSecret]: time = 0, ...known } = parseRevisions(own[annotations.restartedRevisions]);
  return restartAt === time || restartedAt >= time ? known : {};
}
