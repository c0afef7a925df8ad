import { annotations } from '../../src/api/names.ts';
import { parseRevisions } from '../../src/domain/revisions.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { collectionPath, deployments, type ResourceType, secrets, statefulSets, type WireMeta } from '../../src/kube/resource.ts';
import { eventually } from './eventually.ts';
import type { TestNamespace } from './cluster.ts';

/**
 * What happened in a namespace, in the order in which the API server wrote it: resource versions of all kinds come from one sequence. It relies on
 * nothing that the operator says.
 */
export interface RolloutHistory {
  /** Every pod template that a Deployment or StatefulSet has had, the first included. */
  templates(workload: string): readonly TemplateSeen[];
  /** The writes that changed a value of a Secret, its creation left out, as resource versions; of some keys, or of any. */
  changes(secret: string, keys?: readonly string[]): readonly bigint[];
  /** The same writes, each with the revision that it brought. */
  valueChanges(secret: string, keys?: readonly string[]): readonly ValueChange[];
  /** The pods of a workload that are there and were created before `change`. */
  olderPods(workload: string, change: bigint): readonly string[];
  /** The pods of a workload that are there. */
  pods(workload: string): readonly string[];
  close(): void;
}

export interface TemplateSeen {
  readonly at: bigint;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A write that changed what somebody consumes of a Secret. */
export interface ValueChange {
  readonly secret: string;
  readonly at: bigint;
  /** The latest that the Secret names: the write's own. */
  readonly revision: number;
}

interface Seen {
  readonly metadata: WireMeta;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } } };
}

interface ValuesChanged extends ValueChange {
  readonly keys: readonly string[];
}

interface SeenPod {
  readonly workload: string;
  readonly at: bigint;
}

const pods: ResourceType = { root: '/api/v1', plural: 'pods' };

/** Watches a namespace from now on. Its pods are told apart by the label `app`. */
export async function recordRollouts({ kube, name: namespace }: TestNamespace): Promise<RolloutHistory> {
  const stop = new AbortController();
  const templates = new Map<string, { readonly text: string; readonly seen: TemplateSeen }[]>();
  const values = new Map<string, { readonly data: Readonly<Record<string, string>>; readonly changes: readonly ValuesChanged[] }>();
  const livePods = new Map<string, SeenPod>();

  const workloadSeen = (type: string, { metadata, spec }: Seen): void => {
    if (type === 'DELETED') return void templates.delete(metadata.name);
    const text = JSON.stringify(spec?.template);
    const before = templates.get(metadata.name) ?? [];
    if (before.at(-1)?.text === text) return;
    const seen = { at: BigInt(metadata.resourceVersion), annotations: spec?.template?.metadata?.annotations ?? {} };
    templates.set(metadata.name, [...before, { text, seen }]);
  };
  const secretSeen = (type: string, { metadata, data = {} }: Seen): void => {
    // A Secret that comes back with the same values has not changed.
    if (type === 'DELETED') return;
    const before = values.get(metadata.name);
    const keys = [...new Set([...Object.keys(data), ...Object.keys(before?.data ?? {})])].filter((key) => data[key] !== before?.data[key]);
    const revision = Math.max(0, ...Object.values(parseRevisions(metadata.annotations?.[annotations.revisions])));
    const change = { secret: metadata.name, at: BigInt(metadata.resourceVersion), revision, keys };
    const changes = before === undefined ? [] : [...before.changes, ...(keys.length > 0 ? [change] : [])];
    values.set(metadata.name, { data, changes });
  };
  const podSeen = (type: string, { metadata }: Seen): void => {
    if (type === 'DELETED' || metadata.deletionTimestamp !== undefined) return void livePods.delete(metadata.uid);
    const at = livePods.get(metadata.uid)?.at ?? BigInt(metadata.resourceVersion);
    livePods.set(metadata.uid, { workload: metadata.labels?.['app'] ?? '', at });
  };

  const followed = [
    follow(kube, deployments, namespace, workloadSeen, stop.signal),
    follow(kube, statefulSets, namespace, workloadSeen, stop.signal),
    follow(kube, secrets, namespace, secretSeen, stop.signal),
    follow(kube, pods, namespace, podSeen, stop.signal),
  ];
  await Promise.all(followed);

  const valueChanges = (secret: string, keys?: readonly string[]): readonly ValueChange[] =>
    (values.get(secret)?.changes ?? []).filter((change) => keys === undefined || change.keys.some((key) => keys.includes(key)));
  const podsOf = (workload: string): [string, SeenPod][] => [...livePods].filter(([, pod]) => pod.workload === workload);
  return {
    templates: (workload) => (templates.get(workload) ?? []).map(({ seen }) => seen),
    changes: (secret, keys) => valueChanges(secret, keys).map(({ at }) => at),
    valueChanges,
    olderPods: (workload, change) => podsOf(workload).flatMap(([uid, { at }]) => (at < change ? [uid] : [])),
    pods: (workload) => podsOf(workload).map(([uid]) => uid),
    close: () => stop.abort(),
  };
}

/** True when a workload has pods, and none that is older than the last change of a Secret's values. */
export function hasNewPods(history: RolloutHistory, workload: string, secret: string, keys?: readonly string[]): boolean {
  const old = history.olderPods(workload, history.changes(secret, keys).at(-1) ?? 0n);
  return old.length === 0 && history.pods(workload).length > 0;
}

/** Waits until the values of a Secret have changed `times` times, and a workload has pods, none of which is older than that. */
export function untilNewPods(history: RolloutHistory, workload: string, secret: string, times: number): Promise<true> {
  return eventually(`${workload} to have pods with the new values of ${secret}`, () =>
    history.changes(secret).length >= times && hasNewPods(history, workload, secret) ? true : undefined,
  );
}

/** Lists, and then watches until `signal` is aborted; resolves after the list. */
async function follow(
  kube: KubeClient,
  type: ResourceType,
  namespace: string,
  seen: (type: string, object: Seen) => void,
  signal: AbortSignal,
): Promise<void> {
  const path = collectionPath(type, namespace);
  const list = await kube.request<{ readonly metadata: { readonly resourceVersion: string }; readonly items: readonly Seen[] }>({
    method: 'GET',
    path,
  });
  for (const item of list.items) seen('ADDED', item);
  void watch(list.metadata.resourceVersion).catch(() => {});

  async function watch(from: string): Promise<void> {
    let resourceVersion = from;
    while (!signal.aborted) {
      // Without bookmarks a namespace in which nothing happens is silent for so long that the client gives up.
      const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion };
      for await (const line of kube.watch({ method: 'GET', path, query, signal })) {
        const event = JSON.parse(line) as { readonly type: string; readonly object: Seen };
        if (event.type === 'ERROR') throw new Error('the watch lost its place');
        ({ resourceVersion } = event.object.metadata);
        if (event.type !== 'BOOKMARK') seen(event.type, event.object);
      }
    }
  }
}
