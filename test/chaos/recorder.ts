import { isDeepStrictEqual } from 'node:util';
import { annotations } from '../../src/api/names.ts';
import { parseRevisions } from '../../src/domain/revisions.ts';
import { type KubeClient, KubeError } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import {
  collectionPath,
  daemonSets,
  deployments,
  type ResourceType,
  secrets,
  statefulSets,
  type WireMeta,
} from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSemaphore } from '../../src/runtime/semaphore.ts';
import { type CanaryFinding, countCanaries } from '../support/canary.ts';
import type { Gap, PodState, ResourceState, SecretState, Version, Versions, WorkloadState } from './history.ts';
import type { Use } from './world.ts';

/** In the pod template of a workload: JSON of its uses. */
export const usesAnnotation = 'chaos.example.test/uses';

/**
 * Records what is said by each version of Secrets, resources and workloads of a namespace, and which pods are there, whatever becomes of the API server.
 * A version that says what the one before said is left out.
 */
export interface Recorder {
  readonly secrets: Versions<SecretState>;
  readonly resources: Versions<ResourceState>;
  readonly workloads: Versions<WorkloadState>;
  pods(): readonly PodState[];
  readonly gaps: readonly Gap[];
  /** Versions of any object, events among them, in which values stood; of Secrets in their metadata. */
  readonly told: readonly CanaryFinding[];
  /** When something other than an event was last written by anybody, in milliseconds since the epoch. */
  lastChange(): number;
  /** Resolves when all that the API server had written by now has been seen. */
  caughtUp(): Promise<void>;
  close(): Promise<void>;
}

interface Wire {
  readonly metadata: WireMeta;
  readonly data?: Readonly<Record<string, string>>;
  readonly status?: { readonly item?: { readonly version?: number } };
  readonly spec?: { readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } } };
}

interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly Wire[];
}

type Seen = (object: Wire, rv: bigint, gone: boolean) => void;

/** One kind that is followed. */
interface Followed {
  readonly type: ResourceType;
  readonly seen: Seen;
  /** Whether what was missed is looked for. */
  readonly whole: boolean;
  readonly present: Map<string, Wire>;
  rv: bigint;
}

const pods: ResourceType = { root: '/api/v1', plural: 'pods' };
const events: ResourceType = { root: '/api/v1', plural: 'events' };
/** Of a longer hole the end is filled, and the rest noted. */
const maxFilled = 1_500n;
const retryPause = 200;

/**
 * Resolves when it has begun. Versions that a watch has missed, but for those of events, are read one by one, at each resource version that there was: the
 * last 1,500 of them.
 */
export async function startRecorder(kube: KubeClient, namespace: string): Promise<Recorder> {
  const stop = new AbortController();
  const secretVersions = new Map<string, Version<SecretState>[]>();
  const resourceVersions = new Map<string, Version<ResourceState>[]>();
  const workloadVersions = new Map<string, Version<WorkloadState>[]>();
  const livePods = new Map<string, PodState>();
  const gaps: Gap[] = [];
  const told: CanaryFinding[] = [];
  const bounded = createSemaphore(8);
  let lastChange = Date.now();

  const podSeen: Seen = ({ metadata }, rv, gone) => {
    if (gone || metadata.deletionTimestamp !== undefined) return void livePods.delete(metadata.uid);
    if (livePods.has(metadata.uid)) return;
    livePods.set(metadata.uid, { name: metadata.name, workload: metadata.labels?.['app'] ?? '', rv, at: Date.now() });
  };

  const workloadSeen = versionsInto(workloadVersions, workloadState);
  const followed: readonly Followed[] = [
    { type: secrets, seen: versionsInto(secretVersions, secretState) },
    { type: onePasswordItems, seen: versionsInto(resourceVersions, resourceState) },
    { type: deployments, seen: workloadSeen },
    { type: statefulSets, seen: workloadSeen },
    { type: daemonSets, seen: workloadSeen },
    { type: pods, seen: podSeen },
    // They are read for values that they tell. A list of each version of all of them would be too much.
    { type: events, seen: () => {}, whole: false },
  ].map((kind) => ({ whole: true, ...kind, present: new Map(), rv: 0n }));

  const list = (type: ResourceType, at?: bigint): Promise<List> =>
    kube.request({
      method: 'GET',
      path: collectionPath(type, namespace),
      ...(at !== undefined && { query: { resourceVersion: String(at), resourceVersionMatch: 'Exact' } }),
    });

  function take(kind: Followed, object: Wire, rv: bigint, gone: boolean): void {
    const { uid } = object.metadata;
    if (gone) kind.present.delete(uid);
    else kind.present.set(uid, object);
    kind.rv = rv;
    if (kind.type !== events) lastChange = Date.now();
    const count = countCanaries(JSON.stringify(kind.type === secrets ? object.metadata : object));
    if (count > 0) told.push({ place: `${kind.type.plural}/${object.metadata.name} at ${rv}`, count });
    kind.seen(object, rv, gone);
  }

  /** What differs from what was known has changed by then. */
  function takeList(kind: Followed, { items }: List, rv: bigint): void {
    const there = new Map(items.map((item) => [item.metadata.uid, item]));
    for (const [uid, object] of kind.present) if (!there.has(uid)) take(kind, object, rv, true);
    for (const item of items) {
      const { uid, resourceVersion } = item.metadata;
      if (kind.present.get(uid)?.metadata.resourceVersion !== resourceVersion) take(kind, item, BigInt(resourceVersion), false);
    }
    kind.rv = rv;
  }

  async function relist(kind: Followed): Promise<void> {
    const now = await list(kind.type);
    const to = BigInt(now.metadata.resourceVersion);
    if (kind.whole && kind.rv > 0n && to > kind.rv + 1n) await fill(kind, to);
    takeList(kind, now, to);
  }

  async function fill(kind: Followed, to: bigint): Promise<void> {
    const from = to - kind.rv > maxFilled ? to - maxFilled : kind.rv;
    const note = (end: bigint): void => void gaps.push({ kind: kind.type.plural, from: kind.rv, to: end });
    if (from > kind.rv) note(from);
    const between = Array.from({ length: Number(to - from) - 1 }, (_, index) => from + BigInt(index) + 1n);
    try {
      const lists = await Promise.all(between.map((rv) => bounded(async () => [rv, await list(kind.type, rv)] as const)));
      for (const [rv, found] of lists) takeList(kind, found, rv);
    } catch (error) {
      if (!(error instanceof KubeError) || ![400, 410].includes(error.status)) throw error;
      note(to);
    }
  }

  async function watch(kind: Followed): Promise<void> {
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: String(kind.rv) };
    const path = collectionPath(kind.type, namespace);
    for await (const line of kube.watch({ method: 'GET', path, query, signal: stop.signal })) {
      const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: Wire & { readonly code?: number } };
      if (type === 'ERROR') throw new KubeError('GET', path, object.code ?? 0, 'Expired');
      const rv = BigInt(object.metadata.resourceVersion);
      if (type === 'BOOKMARK') kind.rv = rv;
      else take(kind, object, rv, type === 'DELETED');
    }
  }

  async function follow(kind: Followed): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        await watch(kind);
      } catch (error) {
        if (stop.signal.aborted) return;
        if (error instanceof KubeError && error.status === 410) await relist(kind).catch(() => {});
        await new Promise<void>((resolve) => systemClock.after(retryPause, resolve));
      }
    }
  }

  await Promise.all(followed.map(relist));
  const ended = Promise.all(followed.map((kind) => follow(kind)));

  return {
    secrets: secretVersions,
    resources: resourceVersions,
    workloads: workloadVersions,
    pods: () => [...livePods.values()],
    gaps,
    told,
    lastChange: () => lastChange,
    async caughtUp() {
      // What is there now and has not been seen comes by the watch, or is there by now.
      for (const kind of followed.filter(({ whole }) => whole)) {
        const { items } = await list(kind.type);
        const missing = (): boolean =>
          items.some(({ metadata }) => {
            const known = kind.present.get(metadata.uid);
            return known === undefined
              ? kind.rv < BigInt(metadata.resourceVersion)
              : BigInt(known.metadata.resourceVersion) < BigInt(metadata.resourceVersion);
          });
        const end = performance.now() + 30_000;
        while (missing()) {
          if (performance.now() > end) throw new Error(`the watcher of ${kind.type.plural} has fallen behind`);
          await new Promise<void>((resolve) => systemClock.after(20, resolve));
        }
      }
    },
    async close() {
      stop.abort();
      await ended;
    },
  };
}

function versionsInto<T>(versions: Map<string, Version<T>[]>, stateOf: (object: Wire) => T): Seen {
  return (object, rv, gone) => {
    const { name, uid } = object.metadata;
    const version = { at: Date.now(), rv, gone, uid, state: stateOf(object) };
    const before = versions.get(name) ?? [];
    const last = before.at(-1);
    if (last?.gone === gone && last.uid === uid && isDeepStrictEqual(last.state, version.state)) return;
    before.push(version);
    versions.set(name, before);
  };
}

function secretState({ metadata, data = {} }: Wire): SecretState {
  return {
    owners: (metadata.ownerReferences ?? []).map(({ uid }) => uid),
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()])),
    itemVersion: metadata.annotations?.[annotations.itemVersion],
    revision: Math.max(0, ...Object.values(parseRevisions(metadata.annotations?.[annotations.revisions])).map(Math.abs)),
  };
}

function resourceState({ metadata, status }: Wire): ResourceState {
  return { optIn: metadata.annotations?.[annotations.autoRestart], recorded: status?.item?.version?.toString() };
}

function workloadState({ metadata, spec }: Wire): WorkloadState {
  const notes = spec?.template?.metadata?.annotations ?? {};
  return {
    optIn: metadata.annotations?.[annotations.autoRestart],
    uses: JSON.parse(notes[usesAnnotation] ?? '[]') as readonly Use[],
    restarted: notes[annotations.lastRestarted],
    known: notes[annotations.knownRevisions],
  };
}
