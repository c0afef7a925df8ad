import type { KubeClient } from '../../src/kube/client.ts';
import { collectionPath, type ResourceType, type WireMeta } from '../../src/kube/resource.ts';

/** An object as a watch brings it. */
export interface Watched {
  readonly metadata: WireMeta;
  readonly data?: Readonly<Record<string, string>>;
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  readonly spec?: { readonly template?: { readonly metadata?: WireMeta } };
}

/** An eye on a collection that belongs to no side: when objects come to be as they should. */
export interface Eye {
  /**
   * Resolves when `count` objects, told apart by their names, have been seen for which `wanted` holds; those that were so before do not count.
   * @returns by name, the milliseconds since the epoch at which each was first seen so
   */
  until(what: string, count: number, wanted: (object: Watched) => boolean, deadline: number): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

interface Waiting {
  readonly count: number;
  readonly wanted: (object: Watched) => boolean;
  readonly seen: Map<string, number>;
  readonly done: PromiseWithResolvers<ReadonlyMap<string, number>>;
}

/** Opens a watch, of what happens from now on. */
export async function openEye(kube: KubeClient, type: ResourceType, namespace: string): Promise<Eye> {
  const path = collectionPath(type, namespace);
  const { metadata } = await kube.request<{ metadata: { resourceVersion: string } }>({ method: 'GET', path, query: { limit: '1' } });
  const closing = new AbortController();
  const waits = new Set<Waiting>();
  let resourceVersion = metadata.resourceVersion;

  /** The API server may end a watch at any time: it goes on where it was. */
  async function follow(): Promise<void> {
    while (!closing.signal.aborted) {
      const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: '3600' };
      for await (const line of kube.watch({ method: 'GET', path, query, signal: closing.signal })) {
        if (line === '') continue;
        const { type: event, object } = JSON.parse(line) as { readonly type: string; readonly object: Watched };
        if (event === 'ERROR') throw new Error('the API server ended it with an error');
        ({ resourceVersion } = object.metadata);
        if (event === 'ADDED' || event === 'MODIFIED') look(object);
      }
    }
  }

  function look(object: Watched): void {
    const now = Date.now();
    for (const wait of waits) {
      const { name } = object.metadata;
      if (wait.seen.has(name) || !wait.wanted(object)) continue;
      wait.seen.set(name, now);
      if (wait.seen.size >= wait.count) wait.done.resolve(wait.seen);
    }
  }

  const followed = follow().catch((error: unknown) => {
    for (const { done } of waits) done.reject(new Error(`the watch of ${type.plural} broke`, { cause: error }));
  });

  return {
    async until(what, count, wanted, deadline) {
      const wait: Waiting = { count, wanted, seen: new Map(), done: Promise.withResolvers() };
      waits.add(wait);
      const late = setTimeout(
        () => wait.done.reject(new Error(`${what}: after ${deadline / 1000} s it was so for ${wait.seen.size} of ${count}`)),
        deadline,
      );
      try {
        return await wait.done.promise;
      } finally {
        clearTimeout(late);
        waits.delete(wait);
      }
    },
    async close() {
      closing.abort();
      await followed;
    },
  };
}

/** True for a resource that says it is Ready. */
export function isReady({ status }: Watched): boolean {
  return status?.conditions?.some(({ type, status: said }) => type === 'Ready' && said === 'True') ?? false;
}
