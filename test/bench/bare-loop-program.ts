/**
 * The bare loop: what the same work takes without an operator. It makes the requests that Keyturn makes for it, to the same API server and the same
 * Connect server, and nothing else: no queue, no store, no index, no gate, no comparison, no audit, no log.
 *
 * It is fair, for
 * - it sends the same requests with bodies of the same shape and about the same size: for a new resource the item, the Secret, the status and the
 *   event; for a rotation the item, the Secret as it is (which a comparison needs), the Secret, the status; for a restart the patch of the
 *   template and the events. The patch is guarded by the version that was listed, as Keyturn's is. Both sides' requests are counted, by the audit log of
 *   the API server and by Connect: a count that differs fails the run.
 * - it has as many requests under way as Keyturn has workers, over as many connections, by undici with one request at a time on each: the numbers
 *   are those of the sources of Keyturn.
 * - it holds open the watches that Keyturn has, and reads them to nowhere, so that the API server sends every change to both.
 * - it runs under the same Node with the same flags, and its requests are audited as Keyturn's are, and authorized by the same role.
 * - one eye, a watch of the benchmark's own process, says for both when the last object was as it should be.
 */
import { readFileSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher } from 'undici';
import { annotations, fieldManager, group, kind, managedLabel, version } from '../../src/api/names.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import {
  collectionPath,
  daemonSets,
  deployments,
  events,
  objectPath,
  type ResourceType,
  secrets,
  statefulSets,
  type WireMeta,
} from '../../src/kube/resource.ts';
import type { LoopAnswer, LoopCommand, LoopOptions, LoopOrder } from './bare-loop.ts';

interface WireResource {
  readonly metadata: WireMeta;
  readonly spec: { readonly itemPath: string };
}

interface WireItem {
  readonly id: string;
  readonly title: string;
  readonly version: number;
  readonly vault: { readonly id: string };
  readonly fields: readonly { readonly label: string; readonly value: string }[];
}

interface WireSecret {
  readonly metadata: WireMeta;
  readonly [field: string]: unknown;
}

const metadataAccept = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
const json = 'application/json';
const mergePatch = 'application/merge-patch+json';

async function open({ kubeconfig, connect, token, namespace, limits }: LoopOptions) {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const cluster = config.getCurrentCluster();
  const ca = cluster?.caData === undefined ? readFileSync(cluster?.caFile ?? '', 'utf8') : Buffer.from(cluster.caData, 'base64');
  const shared = { connect: { ca }, allowH2: false };
  const api = new Agent({ ...shared, connections: limits.connections });
  const watching = new Agent({ ...shared, bodyTimeout: 0 });
  const asking = new Agent({ connections: limits.resources });
  const origin = cluster?.server ?? '';
  const headers = { authorization: `Bearer ${config.getCurrentUser()?.token}`, 'user-agent': 'bare-loop' };

  async function send(method: Dispatcher.HttpMethod, path: string, body?: object, accept = json): Promise<Dispatcher.ResponseData['body']> {
    const type = method === 'PATCH' ? mergePatch : json;
    const response = await api.request({
      origin,
      path,
      method,
      headers: { ...headers, accept, ...(body !== undefined && { 'content-type': type }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (response.statusCode >= 400) throw new Error(`${method} ${path}: ${response.statusCode} ${await response.body.text()}`);
    return response.body;
  }

  async function ask<T>(path: string): Promise<T> {
    const response = await asking.request({
      origin: connect,
      path,
      method: 'GET',
      headers: { authorization: `Bearer ${token}`, accept: json, 'user-agent': 'bare-loop' },
    });
    if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode}`);
    return (await response.body.json()) as T;
  }

  /** Lists in pages, then watches. */
  async function follow<T>(type: ResourceType, query = '', metadataOnly = false): Promise<readonly T[]> {
    const path = collectionPath(type, namespace);
    const objects: T[] = [];
    const listAccept = metadataOnly ? 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' : json;
    let next: string | undefined = '';
    let position = '';
    while (next !== undefined) {
      const body = await send('GET', `${path}?limit=500&continue=${encodeURIComponent(next)}${query}`, undefined, listAccept);
      const page = (await body.json()) as { items: T[] | null; metadata: { continue?: string; resourceVersion: string } };
      objects.push(...(page.items ?? []));
      next = page.metadata.continue || undefined;
      position = page.metadata.resourceVersion;
    }
    const watch = await watching.request({
      origin,
      path: `${path}?watch=true&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion=${position}${query}`,
      method: 'GET',
      headers: { ...headers, accept: metadataOnly ? metadataAccept : json },
    });
    watch.body.resume();
    return objects;
  }

  const [resources, , planted] = await Promise.all([
    follow<WireResource>(onePasswordItems),
    follow(secrets, `&labelSelector=${encodeURIComponent(`${managedLabel}=true`)}`, true),
    follow<{ readonly metadata: WireMeta }>(deployments),
    follow(statefulSets),
    follow(daemonSets),
  ]);

  const positions = new Map(planted.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));

  /** What Keyturn asks for once at each look at which something changed: the vaults, and a listing of each that is in use. */
  async function locate(wanted: readonly WireResource[]): Promise<(resource: WireResource) => string> {
    const inUse = new Set(wanted.map(({ spec }) => spec.itemPath.split('/')[1]));
    const vaults = (await ask<{ id: string; name: string }[]>('/v1/vaults')).filter(({ name }) => inUse.has(name));
    const places = new Map<string, string>();
    await Promise.all(
      vaults.map(async ({ id, name }) => {
        for (const item of await ask<WireItem[]>(`/v1/vaults/${id}/items`)) {
          places.set(`vaults/${name}/items/${item.title}`, `/v1/vaults/${id}/items/${item.id}`);
        }
      }),
    );
    return ({ spec }) => places.get(spec.itemPath) ?? '';
  }

  function contentOf({ metadata: { name, uid } }: WireResource, item: WireItem) {
    const now = Date.now();
    const revisions = Object.fromEntries(item.fields.map(({ label }) => [label, now]));
    return {
      revisions,
      metadata: {
        labels: { [managedLabel]: 'true' },
        annotations: {
          [annotations.itemPath]: `vaults/${item.vault.id}/items/${item.id}`,
          [annotations.itemVersion]: String(item.version),
          [annotations.revisions]: JSON.stringify(revisions),
          [annotations.copied]: JSON.stringify({}),
        },
        ownerReferences: [{ apiVersion: `${group}/${version}`, kind, name, uid }],
      },
      data: Object.fromEntries(item.fields.map(({ label, value }) => [label, Buffer.from(value).toString('base64')])),
    };
  }

  async function writeStatus(resource: WireResource, item: WireItem, secret: WireSecret, revisions: object): Promise<void> {
    const { name, uid, generation = 0 } = resource.metadata;
    const lastTransitionTime = `${new Date().toISOString().slice(0, 19)}Z`;
    const message = `version ${item.version}, ${item.fields.length} keys`;
    const status = {
      observedGeneration: generation,
      conditions: [{ type: 'Ready', status: 'True', reason: 'Synced', message, lastTransitionTime, observedGeneration: generation }],
      item: { path: resource.spec.itemPath, vaultId: item.vault.id, id: item.id, version: item.version },
      secret: { name, resourceVersion: secret.metadata.resourceVersion, revisions },
    };
    const path = `${objectPath(onePasswordItems, { namespace, name })}/status?fieldManager=${fieldManager}`;
    // Keyturn reads what it comes to.
    await (await send('PATCH', path, { metadata: { uid }, status })).json();
  }

  function eventWriter(): {
    add(about: { kind: string; apiVersion: string; metadata: WireMeta }, reason: string): void;
    end(): Promise<void>;
  } {
    const waiting: object[] = [];
    const writing = new Set<Promise<void>>();
    const write = async (): Promise<void> => {
      for (let event = waiting.shift(); event !== undefined; event = waiting.shift()) {
        await (await send('POST', collectionPath(events, namespace), event)).dump();
      }
    };
    return {
      add({ kind: ofKind, apiVersion, metadata: { name, uid, resourceVersion } }, reason) {
        const time = `${new Date().toISOString().slice(0, 19)}Z`;
        waiting.push({
          apiVersion: 'v1',
          kind: 'Event',
          metadata: { namespace, generateName: `${name}.` },
          involvedObject: { apiVersion, kind: ofKind, namespace, name, uid, resourceVersion },
          type: 'Normal',
          reason,
          message: 'what happened, in about as many words as it is told in',
          source: { component: fieldManager },
          reportingComponent: fieldManager,
          firstTimestamp: time,
          lastTimestamp: time,
          count: 1,
        });
        if (writing.size >= limits.events) return;
        const one = write().finally(() => writing.delete(one));
        writing.add(one);
      },
      async end() {
        await Promise.all(writing);
      },
    };
  }

  async function sync(): Promise<void> {
    const placeOf = await locate(resources);
    const news = eventWriter();
    await inParallel(limits.resources, resources, async (resource) => {
      const item = await ask<WireItem>(placeOf(resource));
      const { metadata, revisions, data } = contentOf(resource, item);
      const { name } = resource.metadata;
      const path = `${collectionPath(secrets, namespace)}?fieldManager=${fieldManager}`;
      const body = { apiVersion: 'v1', kind: 'Secret', metadata: { ...metadata, namespace, name }, type: 'Opaque', data };
      const secret = (await (await send('POST', path, body, metadataAccept)).json()) as WireSecret;
      await writeStatus(resource, item, secret, revisions);
      news.add({ ...resource, kind, apiVersion: `${group}/${version}` }, 'Synced');
    });
    await news.end();
  }

  async function rotate(names: ReadonlySet<string>): Promise<void> {
    const wanted = resources.filter(({ metadata }) => names.has(metadata.name));
    const placeOf = await locate(wanted);
    await inParallel(limits.resources, wanted, async (resource) => {
      const item = await ask<WireItem>(placeOf(resource));
      const { metadata, revisions, data } = contentOf(resource, item);
      const path = objectPath(secrets, { namespace, name: resource.metadata.name });
      const before = (await (await send('GET', path)).json()) as WireSecret;
      const body = { ...before, metadata: { ...before.metadata, ...metadata, managedFields: undefined }, data };
      const answer = await send('PUT', `${path}?fieldManager=${fieldManager}`, body, metadataAccept);
      await writeStatus(resource, item, (await answer.json()) as WireSecret, revisions);
    });
  }

  async function restart(names: readonly string[], eventsEach: number): Promise<void> {
    const news = eventWriter();
    await inParallel(limits.workloads, names, async (name) => {
      const now = Date.now();
      const notes = {
        [annotations.lastRestarted]: `${new Date(now).toISOString().slice(0, 19)}Z`,
        [annotations.knownRevisions]: JSON.stringify({ shared: now }),
      };
      const path = `${objectPath(deployments, { namespace, name })}?fieldManager=${fieldManager}`;
      const answer = await send('PATCH', path, {
        metadata: { resourceVersion: positions.get(name) },
        spec: { template: { metadata: { annotations: notes } } },
      });
      const { metadata } = (await answer.json()) as { metadata: WireMeta };
      for (let event = 0; event < eventsEach; event += 1) news.add({ kind: 'Deployment', apiVersion: 'apps/v1', metadata }, 'Restarted');
    });
    await news.end();
  }

  return async (command: LoopCommand): Promise<void> => {
    if (command.do === 'sync') await sync();
    else if (command.do === 'rotate') await rotate(new Set(command.names));
    else await restart(command.names, command.eventsEach);
  };
}

async function inParallel<T>(limit: number, all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const worker = async (): Promise<void> => {
    for (const one of left) await work(one);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}

let run: ((command: LoopCommand) => Promise<void>) | undefined;

async function obey(order: LoopOrder): Promise<LoopAnswer> {
  if (order.do === 'open') run = await open(order);
  const began = Date.now();
  if (order.do !== 'open') await run?.(order);
  return { began };
}

process.on('message', (order: LoopOrder) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : 'unknown' } satisfies LoopAnswer),
  );
});
process.once('disconnect', () => process.exit());
