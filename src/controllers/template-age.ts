import type { Store } from '../kube/store.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';

/**
 * Since when the pod template of a workload has been the same, as far as we have seen, in milliseconds by `serverTime`. Undefined when that is
 * not known: a Rollout may run the template of another object.
 */
export function createTemplateAges(workloads: Store<Workload>, serverTime: () => number): (workload: Workload) => number | undefined {
  const seen = new Map<string, { readonly uid: string; readonly generation: number; readonly since: number }>();

  workloads.onChange((key, _, after) => {
    if (after === undefined) {
      seen.delete(key);
      return;
    }
    const { uid, generation } = after;
    const known = seen.get(key);
    if (known?.uid !== uid || known.generation !== generation) seen.set(key, { uid, generation, since: serverTime() });
  });

  return (workload) => {
    const known = seen.get(workloadKey(workload));
    const same = known?.uid === workload.uid && known.generation === workload.generation && workload.templateOf === undefined;
    return same ? known.since : undefined;
  };
}
