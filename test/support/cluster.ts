import type { OnePasswordItemStatus } from '../../src/api/onepassword-item.ts';
import { createKubeClient, KubeError, type KubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import {
  collectionPath,
  deployments,
  events,
  namespaces,
  objectPath,
  replicaSets,
  secrets,
  type ResourceType,
  type WireMeta,
} from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { eventually } from './eventually.ts';
import { grantOperatorRole } from './roles.ts';

/** A Secret as a test reads it: decoded. */
export interface ReadSecret {
  readonly metadata: WireMeta;
  readonly type: string;
  readonly values: Readonly<Record<string, string>>;
}

export interface ReadItem {
  readonly metadata: WireMeta;
  readonly status?: OnePasswordItemStatus;
}

export interface ReadDeployment {
  readonly metadata: WireMeta;
  readonly spec: { readonly template: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } } };
  readonly status: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
  };
}

export interface ReadEvent {
  readonly metadata: WireMeta;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string };
}

/** One namespace of a cluster, as its user sees it. */
export interface TestNamespace {
  readonly name: string;
  readonly kube: KubeClient;
  createItem(name: string, itemPath: string, extra?: { type?: string; annotations?: object; labels?: object }): Promise<ReadItem>;
  patchItem(name: string, patch: object): Promise<ReadItem>;
  item(name: string): Promise<ReadItem | undefined>;
  items(): Promise<readonly ReadItem[]>;
  createSecret(name: string, values: Readonly<Record<string, string>>, metadata?: object): Promise<void>;
  patchSecret(name: string, patch: object): Promise<void>;
  secret(name: string): Promise<ReadSecret | undefined>;
  /** A Deployment of two replicas that reads `secret` through environment variables. */
  createDeployment(name: string, secret: string, annotations?: Annotations, templateAnnotations?: Annotations): Promise<void>;
  deployment(name: string): Promise<ReadDeployment>;
  patchDeployment(name: string, patch: object): Promise<void>;
  /** How many ReplicaSets a Deployment of `createDeployment` has. */
  replicaSets(deployment: string): Promise<number>;
  /** The events on an object. */
  events(kind: 'OnePasswordItem' | 'Deployment', name: string): Promise<readonly ReadEvent[]>;
  delete(type: 'items' | 'secrets' | 'deployments', name: string): Promise<void>;
}

type Annotations = Readonly<Record<string, string>>;

let counter = 0;

/** A name that no other namespace of a test has. */
export function newNamespaceName(): string {
  counter += 1;
  return `t${process.pid}-${counter}-${Date.now().toString(36)}`;
}

/** Makes a namespace of its own for a test file; nothing else uses it, and the operator may. */
export async function createNamespace(kubeconfig: string, annotations: object = {}): Promise<TestNamespace> {
  const namespace = openNamespace(kubeconfig, newNamespaceName());
  await namespace.kube.request({
    method: 'POST',
    path: collectionPath(namespaces),
    body: { metadata: { name: namespace.name, annotations } },
  });
  await grantOperatorRole(namespace);
  return namespace;
}

/** A namespace by its name, which may have yet to be made. */
export function openNamespace(kubeconfig: string, namespace: string): TestNamespace {
  const kube = createKubeClient({ load: credentialsFrom(kubeconfig), clock: systemClock, userAgent: 'keyturn-tests' });
  const types = { items: onePasswordItems, secrets, deployments };

  const path = (type: ResourceType, name: string): string => objectPath(type, { namespace, name });
  const create = <T>(type: ResourceType, body: object): Promise<T> =>
    kube.request<T>({ method: 'POST', path: collectionPath(type, namespace), body });
  const list = async <T>(type: ResourceType, query: Record<string, string> = {}): Promise<readonly T[]> =>
    (await kube.request<{ items: readonly T[] }>({ method: 'GET', path: collectionPath(type, namespace), query })).items;
  const read = async <T>(type: ResourceType, name: string): Promise<T | undefined> => {
    try {
      return await kube.request<T>({ method: 'GET', path: path(type, name) });
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return undefined;
      throw error;
    }
  };

  return {
    name: namespace,
    kube,
    createItem: (name, itemPath, { type, annotations: notes = {}, labels = {} } = {}) =>
      create(onePasswordItems, {
        apiVersion: 'onepassword.com/v1',
        kind: 'OnePasswordItem',
        metadata: { name, annotations: notes, labels },
        ...(type !== undefined && { type }),
        spec: { itemPath },
      }),
    patchItem: (name, body) => kube.request({ method: 'PATCH', path: path(onePasswordItems, name), body }),
    item: (name) => read(onePasswordItems, name),
    items: () => list(onePasswordItems),
    createSecret: (name, values, metadata = {}) => create(secrets, { metadata: { name, ...metadata }, stringData: values }),
    patchSecret: (name, body) => kube.request({ method: 'PATCH', path: path(secrets, name), body }),
    async secret(name) {
      const found = await read<{ metadata: WireMeta; type: string; data?: Record<string, string> }>(secrets, name);
      if (found === undefined) return undefined;
      const values = Object.entries(found.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
      return { metadata: found.metadata, type: found.type, values: Object.fromEntries(values) as Record<string, string> };
    },
    createDeployment: (name, secret, notes = {}, templateNotes = {}) =>
      create(deployments, {
        metadata: { name, annotations: notes },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: name } },
          template: {
            metadata: { labels: { app: name }, annotations: templateNotes },
            spec: { containers: [{ name: 'main', image: 'example.test/app:1', envFrom: [{ secretRef: { name: secret } }] }] },
          },
        },
      }),
    async deployment(name) {
      const found = await read<ReadDeployment>(deployments, name);
      if (found === undefined) throw new Error(`no Deployment ${name}`);
      return found;
    },
    patchDeployment: (name, body) => kube.request({ method: 'PATCH', path: path(deployments, name), body }),
    replicaSets: async (deployment) => (await list(replicaSets, { labelSelector: `app=${deployment}` })).length,
    events: (kind, name) => list(events, { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}` }),
    async delete(type, name) {
      await kube.request({ method: 'DELETE', path: path(types[type], name) });
    },
  };
}

/** Waits until a resource says `expected`: `True`, or a reason. */
export function untilReadiness(namespace: TestNamespace, name: string, expected: string, deadline?: number): Promise<ReadItem> {
  return eventually(
    `OnePasswordItem ${name} to say ${expected}`,
    async () => {
      const item = await namespace.item(name);
      return readiness(item) === expected ? item : undefined;
    },
    deadline,
  );
}

/** Waits for an event of `reason` on an object. */
export function untilEvent(
  namespace: TestNamespace,
  kind: 'OnePasswordItem' | 'Deployment',
  name: string,
  reason: string,
): Promise<ReadEvent> {
  return eventually(`an event ${reason} on ${kind} ${name}`, async () =>
    (await namespace.events(kind, name)).find((event) => event.reason === reason),
  );
}

/** Waits until a Deployment's rollout is complete: its controller has seen the template and all pods run it. */
export function untilRolledOut(namespace: TestNamespace, name: string): Promise<ReadDeployment> {
  return eventually(`Deployment ${name} to be rolled out`, async () => {
    const deployment = await namespace.deployment(name);
    const { observedGeneration, updatedReplicas, availableReplicas, replicas } = deployment.status;
    const seen = observedGeneration === deployment.metadata.generation;
    return seen && updatedReplicas === 2 && availableReplicas === 2 && replicas === 2 ? deployment : undefined;
  });
}

/** `True` or the reason of a resource's Ready condition, or undefined while there is none. */
export function readiness(item: ReadItem | undefined): string | undefined {
  const ready = item?.status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' ? 'True' : ready?.reason;
}
