import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { annotations } from '../../src/api/names.ts';
import type { OnePasswordItemStatus } from '../../src/api/onepassword-item.ts';
import { parseRevisions, type Revisions } from '../../src/domain/revisions.ts';
import { type KubeClient, KubeError } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { formatSelector } from '../../src/kube/workload.ts';
import {
  collectionPath,
  deployments,
  objectPath,
  replicaSets,
  type ResourceType,
  secrets,
  type WireMeta,
} from '../../src/kube/resource.ts';
import { type Rollout, rolloutOf, type WireDeployment, type WirePod, type WireReplicaSet } from './rollout.ts';

/** A Secret without its values. */
export interface SecretView {
  /** Names, sorted. */
  readonly keys: readonly string[];
  readonly revisions: Revisions;
  /** Whether the value of `key` is `value`. */
  holds(key: string, value: string): boolean;
}

/** What the tour does and sees in its namespace. Nothing that is not there is an error. */
export interface Cluster {
  readonly namespace: string;
  /** Applies the one object of a YAML file, as `change` makes it. @returns its kind and name */
  apply(file: string, change?: (object: object, kind: string) => object): Promise<string>;
  itemStatus(name: string): Promise<OnePasswordItemStatus | undefined>;
  secret(name: string): Promise<SecretView | undefined>;
  rollout(name: string): Promise<Rollout | undefined>;
  /** All that Keyturn writes but the Secret: resources, Deployments, events; as one text. */
  writtenText(): Promise<string>;
}

const fieldManager = 'keyturn-demo';
const pods: ResourceType = { root: '/api/v1', plural: 'pods' };
const events: ResourceType = { root: '/api/v1', plural: 'events' };
const kinds: Readonly<Record<string, ResourceType>> = { OnePasswordItem: onePasswordItems, Deployment: deployments };

export function createCluster(kube: KubeClient, namespace: string): Cluster {
  const find = async <T>(type: ResourceType, name: string): Promise<T | undefined> => {
    try {
      return await kube.request<T>({ method: 'GET', path: objectPath(type, { namespace, name }) });
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return undefined;
      throw error;
    }
  };
  const list = async <T>(type: ResourceType, labelSelector?: string): Promise<readonly T[]> =>
    (await kube.request<{ items: readonly T[] }>({ method: 'GET', path: collectionPath(type, namespace), query: { labelSelector } })).items;

  return {
    namespace,
    async apply(file, change = (object) => object) {
      const object = parse(await readFile(file, 'utf8')) as { kind: string; metadata: { name: string } };
      const { kind, metadata } = object;
      const type = kinds[kind];
      if (type === undefined) throw new Error(`${file} holds a ${kind}; the demo applies ${Object.keys(kinds).join(' and ')} only`);
      await kube.request({
        method: 'PATCH',
        path: objectPath(type, { namespace, name: metadata.name }),
        query: { fieldManager },
        contentType: 'application/apply-patch+yaml',
        body: change(object, kind),
      });
      return `${kind} ${metadata.name}`;
    },
    itemStatus: async (name) => {
      const found = await find<{ status?: OnePasswordItemStatus }>(onePasswordItems, name);
      return found === undefined ? undefined : (found.status ?? {});
    },
    async secret(name) {
      const found = await find<{ metadata: WireMeta; data?: Readonly<Record<string, string>> }>(secrets, name);
      if (found === undefined) return undefined;
      const { metadata, data = {} } = found;
      return {
        keys: Object.keys(data).toSorted(),
        revisions: parseRevisions(metadata.annotations?.[annotations.revisions]),
        holds: (key, value) => data[key] === Buffer.from(value).toString('base64'),
      };
    },
    async rollout(name) {
      const deployment = await find<WireDeployment>(deployments, name);
      if (deployment === undefined) return undefined;
      const selector = formatSelector(deployment.spec.selector);
      return rolloutOf(deployment, ...(await Promise.all([list<WireReplicaSet>(replicaSets, selector), list<WirePod>(pods, selector)])));
    },
    writtenText: async () => JSON.stringify(await Promise.all([onePasswordItems, deployments, events].map((type) => list(type)))),
  };
}
