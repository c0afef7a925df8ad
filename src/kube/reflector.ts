import type { ObjectMeta } from '../domain/object.ts';
import { backoffDelay } from '../runtime/backoff.ts';
import { type Clock, pause } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { KubeError, type KubeClient } from './client.ts';
import { isWireObject, type Reduce, type WireObject } from './resource.ts';
import { isNewer, type Store } from './store.ts';

export interface ReflectorOptions<T extends ObjectMeta> {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  /** What to list and watch, for instance `/api/v1/namespaces/prod/secrets`. */
  readonly path: string;
  readonly labelSelector?: string;
  /** Ask for metadata alone: the API server then sends nothing else. */
  readonly metadataOnly?: boolean;
  readonly reduce: Reduce<T>;
  readonly store: Store<T>;
  /** Which objects of the store this reflector speaks for. */
  readonly covers: (object: T) => boolean;
  /** The collection may be unknown to the cluster, or forbidden: then it is empty, and looked for again after a while. */
  readonly optional?: boolean;
  /** Called after the first complete list, and after the first that follows a 403. */
  readonly onSynced: () => void;
  /** Called after the first complete list of an optional collection that was not there, or not for us. */
  readonly onReturned?: () => void;
  /** A list or watch failed, for the `failures`th time in a row; it is tried again after `delay` milliseconds. */
  readonly onFailure: (error: KubeError, failures: number, delay: number) => void;
}

const pageSize = '500';
/** How soon an optional collection that is not there is looked for again, in milliseconds. */
const absencePause = 30_000;
/** One that may not be read is looked for sooner at first: an API server that has just started refuses what its caches do not allow yet. */
const refusalBackoff = { base: 1_000, max: absencePause };
const backoff = { base: 200, max: 5_000 };
/**
 * A watch that for so long, in milliseconds, brought nothing, not even a bookmark, may wait for versions that will not come: etcd was restored
 * from a backup. A new list tells.
 */
const silentWatch = 80_000;
/** A watch that ends sooner, in milliseconds, is a failure: taken up at once again, it would be a hot loop. */
const shortestWatch = 1_000;

interface WireList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items?: readonly WireObject[];
}

interface WireEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: WireObject & { readonly code?: unknown };
}

/** Keeps a store equal to a collection of the API server until `signal` is aborted; no failure ends it. */
export async function runReflector<T extends ObjectMeta>(options: ReflectorOptions<T>, signal: AbortSignal): Promise<void> {
  const { clock, random, onFailure } = options;
  let position: string | undefined;
  let listed = false;
  let synced = false;
  let absent = false;
  let failures = 0;
  let refusals = 0;
  while (!signal.aborted) {
    let start: number | undefined;
    let heard = false;
    try {
      if (position === undefined || !listed) {
        position = await list(options, position, signal);
        listed = true;
        if (!synced) options.onSynced();
        synced = true;
        if (absent) options.onReturned?.();
        absent = false;
        refusals = 0;
      }
      start = clock.monotonic();
      for await (const next of watch(options, position, signal)) {
        position = next;
        heard = true;
        failures = 0;
      }
      if (clock.monotonic() - start < shortestWatch && !signal.aborted) throw new KubeError('WATCH', options.path, 0, 'WatchEndedEarly');
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KubeError)) throw error;
      if (options.optional && isAbsent(error)) {
        options.store.forget(options.covers);
        listed = false;
        position = undefined;
        failures = 0;
        if (!synced) options.onSynced();
        synced = true;
        absent = true;
        refusals = error.status === 403 ? refusals + 1 : 0;
        const delay = refusals === 0 ? absencePause : backoffDelay(refusals, refusalBackoff, random);
        onFailure(error, 1, delay);
        await pause(clock, delay, signal);
        continue;
      }
      if (isRefused(error)) listed = false;
      if (error.status === 403) synced = false;
      failures = start !== undefined && clock.monotonic() - start >= shortestWatch ? 1 : failures + 1;
      const delay = Math.max(backoffDelay(failures, backoff, random), error.retryAfter ?? 0);
      onFailure(error, failures, delay);
      await pause(clock, delay, signal);
    }
    if (start !== undefined && !heard && clock.monotonic() - start >= silentWatch) listed = false;
  }
}

/**
 * True when the same request would be refused again: for a watch that may be because of where it begins, which a list tells anew.
 * Neither a token nor the load of the server says anything of that.
 */
function isRefused({ status }: KubeError): boolean {
  return status >= 400 && status < 500 && ![401, 408, 429].includes(status);
}

/** True for a collection that is not there, or not for us. */
export function isAbsent(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 404 || error.status === 403);
}

/** What a list needs to know. */
export type ListOptions<T extends ObjectMeta> = Pick<ReflectorOptions<T>, 'client' | 'path' | 'labelSelector' | 'metadataOnly' | 'reduce'>;

/** All objects of a collection as they were at `resourceVersion`, read in pages. @throws KubeError */
export async function listObjects<T extends ObjectMeta>(
  { client, path, labelSelector, metadataOnly, reduce }: ListOptions<T>,
  signal: AbortSignal,
): Promise<{ readonly objects: readonly T[]; readonly resourceVersion: string }> {
  const objects: T[] = [];
  let next: string | undefined;
  let resourceVersion: string;
  do {
    const page: WireList = await client.request<WireList>({
      method: 'GET',
      path,
      query: { labelSelector, limit: pageSize, continue: next },
      accept: accept('PartialObjectMetadataList', metadataOnly),
      signal,
    });
    if (!isObject(page) || !Array.isArray(page.items ?? [])) throw malformed('GET', path);
    for (const item of page.items ?? []) objects.push(reduced(reduce, item, 'GET', path));
    resourceVersion = page.metadata.resourceVersion;
    next = page.metadata.continue || undefined;
  } while (next !== undefined);
  return { objects, resourceVersion };
}

/**
 * Lists in pages; the store changes only when the last one is in. Returns where the watch goes on.
 * @param last where the one before had come to: a list that is older was read from a restored etcd, and what we have is of no use
 */
async function list<T extends ObjectMeta>(options: ReflectorOptions<T>, last: string | undefined, signal: AbortSignal): Promise<string> {
  const { objects, resourceVersion } = await listObjects(options, signal);
  const rewound = last !== undefined && isNewer(last, resourceVersion);
  options.store.replace(objects, rewound ? undefined : resourceVersion, options.covers);
  return resourceVersion;
}

/** Watches from `position`, puts what comes into the store, and yields each position that was reached. */
async function* watch<T extends ObjectMeta>(options: ReflectorOptions<T>, position: string, signal: AbortSignal): AsyncGenerator<string> {
  const { client, path, labelSelector, metadataOnly, reduce, store, random } = options;
  const lines = client.watch({
    method: 'GET',
    path,
    query: {
      labelSelector,
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: position,
      timeoutSeconds: String(300 + Math.floor(300 * random())),
    },
    accept: accept('PartialObjectMetadata', metadataOnly),
    signal,
  });
  for await (const line of lines) {
    const { type, object } = parseEvent(line, path);
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        store.put(reduced(reduce, object, 'WATCH', path));
        break;
      case 'DELETED':
        store.remove(reduced(reduce, object, 'WATCH', path));
        break;
      case 'BOOKMARK':
        break;
      case 'ERROR':
        throw new KubeError('WATCH', path, Number.isInteger(object.code) ? Number(object.code) : 500, 'WatchError');
    }
    yield object.metadata.resourceVersion;
  }
}

/** An object that cannot be read is a fault of the server's, or of something before it: none that it serves is of another form. @throws KubeError */
function reduced<T extends ObjectMeta>(reduce: Reduce<T>, object: WireObject, method: string, path: string): T {
  try {
    if (isWireObject(object)) return reduce(object);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  throw malformed(method, path);
}

function malformed(method: string, path: string): KubeError {
  return new KubeError(method, path, 0, 'MalformedAnswer');
}

function parseEvent(line: string, path: string): WireEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    throw malformed('WATCH', path);
  }
  if (!isEvent(event)) throw malformed('WATCH', path);
  return event;
}

function isEvent(value: unknown): value is WireEvent {
  if (typeof value !== 'object' || value === null || !('type' in value) || !('object' in value)) return false;
  return value.type === 'ERROR' ? typeof value.object === 'object' && value.object !== null : isObject(value.object);
}

/** True for what has a place in the history of the collection that a watch can begin at: objects, bookmarks and lists. */
function isObject(value: unknown): boolean {
  const metadata = typeof value === 'object' && value !== null && 'metadata' in value ? value.metadata : undefined;
  const version = typeof metadata === 'object' && metadata !== null && 'resourceVersion' in metadata ? metadata.resourceVersion : undefined;
  // Half of a sign has no place in a URL.
  return typeof version === 'string' && version.isWellFormed();
}

function accept(kind: string, metadataOnly = false): string {
  return metadataOnly ? `application/json;as=${kind};g=meta.k8s.io;v=v1` : 'application/json';
}
