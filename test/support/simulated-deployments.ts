import type { Clock } from '../../src/runtime/clock.ts';
import type { Random } from '../../src/runtime/random.ts';
import type { ObjectStore, SimulatedObject } from './simulated-objects.ts';

export const deployments = '/apis/apps/v1/deployments';
export const replicaSets = '/apis/apps/v1/replicasets';
export const secrets = '/api/v1/secrets';

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly env?: readonly {
    readonly name: string;
    readonly valueFrom: { readonly secretKeyRef: { readonly name: string; readonly key: string; readonly optional?: boolean } };
  }[];
  readonly envFrom?: readonly { readonly secretRef: { readonly name: string } }[];
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly Container[] };
}

export interface Deployment extends SimulatedObject {
  readonly spec: {
    readonly replicas: number;
    readonly paused?: boolean;
    readonly selector: object;
    readonly template: PodTemplate;
  };
}

/** A pod that runs, or waits to start. */
export interface Pod {
  /** The uid of its Deployment. */
  readonly owner: string;
  /** The name of its ReplicaSet. */
  readonly set: string;
  readonly template: PodTemplate;
  /** What its containers got when they started, by `secret/key`, and the store's version then; undefined before. */
  started: { readonly version: number; readonly values: ReadonlyMap<string, string> } | undefined;
}

/** What a template gets of Secrets: `key` is undefined for all of one. */
export interface Need {
  readonly secret: string;
  readonly key: string | undefined;
  readonly required: boolean;
}

export function needsOf({ spec }: PodTemplate): readonly Need[] {
  return spec.containers.flatMap(({ env = [], envFrom = [] }) => [
    ...env.map(({ valueFrom: { secretKeyRef } }) => ({
      secret: secretKeyRef.name,
      key: secretKeyRef.key,
      required: secretKeyRef.optional !== true,
    })),
    ...envFrom.map(({ secretRef }) => ({ secret: secretRef.name, key: undefined, required: true })),
  ]);
}

/** The part of a controller-manager, a scheduler and a kubelet that Deployments meet. */
export interface SimulatedDeployments {
  readonly pods: ReadonlySet<Pod>;
  /** The template before the present one, if the history has any. */
  previousTemplate(deployment: Deployment): PodTemplate | undefined;
}

const manager = 'kube-controller-manager';
const revisionNote = 'deployment.kubernetes.io/revision';
const delays = { controller: 1_500, start: 20_000, retry: 10_000 };

export function createSimulatedDeployments({
  store,
  clock,
  random,
}: {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
}): SimulatedDeployments {
  const pods = new Set<Pod>();

  store.onChange(({ collection, before, after }) => {
    if (collection !== deployments) return;
    if (after === undefined && before !== undefined) collect(before.metadata.uid);
    else if (after !== undefined && before?.metadata.generation !== after.metadata.generation)
      schedule(after, random() * delays.controller);
  });

  function schedule({ metadata: { namespace = '', name, uid } }: SimulatedObject, delay: number): void {
    clock.after(delay, () => {
      const present = store.get(deployments, namespace, name);
      if (present?.metadata.uid === uid) control(present as Deployment);
    });
  }

  function collect(uid: string): void {
    for (const pod of podsOf(uid)) pods.delete(pod);
    for (const set of setsOf(uid)) store.remove(replicaSets, set, manager);
  }

  function podsOf(uid: string): readonly Pod[] {
    return [...pods].filter(({ owner }) => owner === uid);
  }

  /** The last one first. */
  function setsOf(uid: string): readonly SimulatedObject[] {
    const owned = store.list(replicaSets).filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === uid);
    return owned.toSorted((a, b) => revisionOf(b) - revisionOf(a));
  }

  function control(deployment: Deployment): void {
    const { paused = false, replicas } = deployment.spec;
    const set = paused ? setsOf(deployment.metadata.uid)[0] : ensureSet(deployment);
    if (set !== undefined) scale(deployment, set, replicas);
    writeStatus(deployment, set?.metadata.name ?? '');
  }

  function ensureSet(deployment: Deployment): SimulatedObject {
    const { uid, name, namespace, labels } = deployment.metadata;
    const sets = setsOf(uid);
    const latest = sets[0] === undefined ? 0 : revisionOf(sets[0]);
    const text = JSON.stringify(deployment.spec.template);
    const found = sets.find((set) => JSON.stringify(templateOf(set)) === text);
    if (found === undefined) {
      const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid }];
      const metadata = {
        name: `${name}-${latest + 1}`,
        namespace,
        labels,
        ownerReferences,
        annotations: { [revisionNote]: `${latest + 1}` },
      };
      return store.create(replicaSets, { metadata, spec: { template: deployment.spec.template } }, manager);
    }
    if (found === sets[0]) return found;
    const metadata = { ...found.metadata, annotations: { [revisionNote]: String(latest + 1) } };
    return store.replace(replicaSets, found, { ...found, metadata }, manager);
  }

  /** One new pod at a time; an old one goes when a new one has started. */
  function scale(deployment: Deployment, set: SimulatedObject, replicas: number): void {
    const { uid } = deployment.metadata;
    const all = podsOf(uid);
    const present = all.filter((pod) => pod.set === set.metadata.name);
    const old = all.filter((pod) => pod.set !== set.metadata.name);
    for (const pod of present.slice(replicas)) pods.delete(pod);
    const started = present.filter((pod) => pod.started !== undefined).length;
    const stay = new Set(old.filter((pod) => pod.started !== undefined).slice(0, Math.max(0, replicas - started)));
    for (const pod of old) if (!stay.has(pod)) pods.delete(pod);
    if (present.length >= replicas || started < present.length) return;
    const pod: Pod = { owner: uid, set: set.metadata.name, template: templateOf(set), started: undefined };
    pods.add(pod);
    start(pod, deployment, random() * delays.start);
  }

  function start(pod: Pod, deployment: Deployment, delay: number): void {
    clock.after(delay, () => {
      if (!pods.has(pod)) return;
      const values = readValues(pod, deployment.metadata.namespace ?? '');
      if (values === undefined) {
        start(pod, deployment, delays.retry);
        return;
      }
      pod.started = { version: store.version, values };
      schedule(deployment, 0);
    });
  }

  /** Undefined when something is missing that it needs. */
  function readValues({ template }: Pod, namespace: string): ReadonlyMap<string, string> | undefined {
    const values = new Map<string, string>();
    for (const { secret, key, required } of needsOf(template)) {
      const data = store.get(secrets, namespace, secret)?.['data'] as Readonly<Record<string, string>> | undefined;
      const keys = key === undefined ? Object.keys(data ?? {}) : [key];
      if (required && (data === undefined || keys.some((name) => data[name] === undefined))) return undefined;
      for (const name of keys) if (data?.[name] !== undefined) values.set(`${secret}/${name}`, data[name]);
    }
    return values;
  }

  function writeStatus(deployment: Deployment, set: string): void {
    const all = podsOf(deployment.metadata.uid);
    const present = all.filter((pod) => pod.set === set);
    const status = {
      observedGeneration: deployment.metadata.generation,
      replicas: all.length,
      updatedReplicas: present.length,
      availableReplicas: all.filter((pod) => pod.started !== undefined).length,
    };
    store.replace(deployments, deployment, { ...deployment, status }, manager);
    const settled = present.length === deployment.spec.replicas && all.length === present.length;
    if (!settled && !deployment.spec.paused && all.every((pod) => pod.started !== undefined)) schedule(deployment, delays.controller);
  }

  return {
    pods,
    previousTemplate(deployment) {
      const [, previous] = setsOf(deployment.metadata.uid);
      return previous && templateOf(previous);
    },
  };
}

function templateOf(set: SimulatedObject): PodTemplate {
  return (set['spec'] as { readonly template: PodTemplate }).template;
}

function revisionOf({ metadata }: SimulatedObject): number {
  return Number(metadata.annotations?.[revisionNote] ?? 0);
}
