import type { Store } from '../kube/store.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';

/** How old the pod template is that the pods of a workload run. */
export interface TemplateAges {
  /**
   * Since when it has been the same, as far as we have seen, in milliseconds by `serverTime`. Undefined when that is not known: a Rollout may
   * run the template of another object.
   */
  readonly unchangedSince: (workload: Workload) => number | undefined;
  /** When it came to be, read once as long as it stays; undefined while its controller has not seen it. @throws KubeError */
  readonly birth: (workload: Workload, signal: AbortSignal) => Promise<number | undefined>;
}

export interface TemplateAgesOptions {
  readonly workloads: Store<Workload>;
  readonly serverTime: () => number;
  readonly readBirth: (workload: Workload, signal: AbortSignal) => Promise<number | undefined>;
}

export function createTemplateAges({ workloads, serverTime, readBirth }: TemplateAgesOptions): TemplateAges {
  const seen = new Map<string, { readonly uid: string; readonly generation: number; readonly since: number }>();
  const births = new Map<string, { readonly template: string; readonly birth: number }>();

  workloads.onChange((key, _, after) => {
    if (after === undefined) {
      seen.delete(key);
      births.delete(key);
      return;
    }
    const { uid, generation } = after;
    const known = seen.get(key);
    if (known?.uid !== uid || known.generation !== generation) seen.set(key, { uid, generation, since: serverTime() });
  });

  /** What has to stay the same for the template to be the same. */
  function templateOf({ namespace, uid, generation, templateOf: name, stableHash, restartAt }: Workload): string {
    const source = name === undefined ? undefined : workloads.get(workloadKey({ kind: 'Deployment', namespace, name }))?.generation;
    return [uid, generation, source, stableHash, restartAt].join('/');
  }

  return {
    unchangedSince(workload) {
      const known = seen.get(workloadKey(workload));
      const same = known?.uid === workload.uid && known.generation === workload.generation && workload.templateOf === undefined;
      return same ? known.since : undefined;
    },
    async birth(workload, signal) {
      const key = workloadKey(workload);
      const template = templateOf(workload);
      const known = births.get(key);
      if (known?.template === template) return known.birth;
      const birth = await readBirth(workload, signal);
      // A restart that is planned for later will be a birth of its own.
      const planned = (workload.restartAt ?? 0) > serverTime();
      if (birth !== undefined && !planned && workloads.get(key) !== undefined) births.set(key, { template, birth });
      return birth;
    },
  };
}
