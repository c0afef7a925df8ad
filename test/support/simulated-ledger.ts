import { isDeepStrictEqual } from 'node:util';
import { annotations, fieldManager } from '../../src/api/names.ts';
import { namespace, type SimulatedCluster } from './simulated-cluster.ts';
import { type Deployment, deployments, needsOf, type Pod, type PodTemplate, secrets } from './simulated-deployments.ts';
import type { ObjectChange, SimulatedObject } from './simulated-objects.ts';

export const onePasswordItems = '/apis/onepassword.com/v1/onepassworditems';
export const namespaces = '/api/v1/namespaces';

/** Who writes to workloads, as far as it matters: managers of their fields. */
export const managers = { user: 'kubectl', undo: 'undo', strip: 'gitops' } as const;

/** Keeps the books of a simulated cluster: what changed for whom, who was rolled how often, and what of that is against the promises. */
export interface Ledger {
  /** To be called when nothing is on its way to the operator: from now on it knows who opted in. */
  level(): void;
  /** What is wrong when everything has come to rest, in sentences. */
  complaints(): readonly string[];
  /** How often workloads were rolled, all together. */
  rolls(): number;
}

/** What happened to a workload. */
interface Account {
  readonly name: string;
  readonly created: number;
  /** Times at which its owner made or changed its pod template, with whether a change came near. */
  readonly births: { readonly at: number; near: boolean }[];
  /** When writes changed what it consumed, and it has not been rolled since. */
  open: readonly number[];
  /** How often it may be rolled though nothing that it consumes changed. */
  extras: number;
  rolls: number;
  /** How often it was. */
  unasked: number;
  readonly optIns: Map<string, OptIn>;
}

interface OptIn {
  opted: boolean;
  /** The version since which the operator knows for sure that it opted in. */
  since: number | undefined;
  /** When that was switched last. */
  flipped: number;
}

/** Of a key, by an item: not by who edits the Secret. */
interface KeyChange {
  readonly version: number;
  readonly at: number;
}

type Data = Readonly<Record<string, string>>;

/** A template that came to be so long before a change may have been started on the old value, and so long after it too; in milliseconds. */
const window = { before: 121_000, after: 7_000 };
/** Of the operator, in milliseconds. */
const debounce = 2_000;

export function createLedger(cluster: SimulatedCluster, secretNames: readonly string[], autoRestart: boolean): Ledger {
  const { store } = cluster;
  const accounts = new Map<string, Account>();
  const applied = new Map<string, Data>();
  const touched = new Set<string>();
  const changes = new Map<string, KeyChange>();
  /** When a Secret last got revisions for all of its keys, though not all of them changed. */
  const unseen = new Map<string, number>();
  const broken: string[] = [];
  let leveled = 0;

  store.onChange((change) => {
    if (change.collection === secrets) secretChanged(change);
    if (change.collection === deployments) deploymentChanged(change);
    updateOptIns(change.version);
  });

  function secretChanged({ before, after, manager, version }: ObjectChange): void {
    const { name } = (after ?? before ?? nothing).metadata;
    if (manager !== fieldManager || after === undefined) {
      touched.add(name);
      return;
    }
    const data = after['data'] as Data;
    const held = applied.get(name);
    const changed = held === undefined ? [] : changedKeys(held, data);
    for (const key of changed) changes.set(`${name}/${key}`, { version, at: cluster.now() });
    const isUnseen = touched.has(name) && isNews(after);
    if (isUnseen) unseen.set(name, cluster.now());
    for (const deployment of allDeployments()) countChange(deployment, name, changed, isUnseen);
    applied.set(name, data);
    touched.delete(name);
  }

  /** The version of the item is another than the one that is recorded, so what the Secret held before is not known. */
  function isNews({ metadata: { name, annotations: notes } }: SimulatedObject): boolean {
    const status = store.get(onePasswordItems, namespace, name)?.['status'] as { readonly item?: { readonly version: number } } | undefined;
    return String(status?.item?.version) !== notes?.[annotations.itemVersion];
  }

  function countChange(deployment: Deployment, secret: string, changed: readonly string[], isUnseen: boolean): void {
    const account = accounts.get(deployment.metadata.uid);
    const needs = needsOf(deployment.spec.template).filter((need) => need.secret === secret);
    if (account === undefined || needs.length === 0) return;
    const isChanged = needs.some(({ key }) => (key === undefined ? changed.length > 0 : changed.includes(key)));
    const { opted = false, flipped = 0 } = account.optIns.get(secret) ?? {};
    if (isUnseen) account.extras += 1;
    if (isChanged && (opted || flipped > leveled)) account.open = [...account.open, cluster.now()];
    if (!isChanged && !isUnseen) return;
    for (const birth of account.births) if (cluster.now() - birth.at <= window.before) birth.near = true;
  }

  function deploymentChanged({ before, after, manager, version }: ObjectChange): void {
    if (after === undefined) return;
    const { uid, name } = after.metadata;
    const opened: Account = { name, created: version, births: [], open: [], extras: 0, rolls: 0, unasked: 0, optIns: new Map() };
    const account = accounts.get(uid) ?? opened;
    accounts.set(uid, account);
    const template = templateOf(after);
    if (before !== undefined && isDeepStrictEqual(templateOf(before), template)) return;
    if (manager === fieldManager) {
      account.rolls += 1;
      if (account.open.length === 0) account.unasked += 1;
      // One roll answers all changes that have been there for the debounce: later ones may call for another.
      account.open = account.open.filter((at) => at > cluster.now() - debounce);
      if ((after as Deployment).spec.paused) broken.push(`${name} was rolled while it was paused`);
      return;
    }
    account.births.push({ at: cluster.now(), near: isNearChange(template) });
    if (manager === managers.undo || manager === managers.strip) account.extras += 1;
  }

  function isNearChange(template: PodTemplate): boolean {
    const consumed = new Set(needsOf(template).map(({ secret }) => secret));
    const times = [...changes.entries().map(([path, { at }]) => [path.slice(0, path.indexOf('/')), at] as const), ...unseen];
    return times.some(([secret, at]) => consumed.has(secret) && cluster.now() - at <= window.after);
  }

  function updateOptIns(version: number): void {
    const ofNamespace = store.get(namespaces, '', namespace)?.metadata.annotations?.[annotations.autoRestart];
    for (const deployment of allDeployments()) {
      const { optIns, created } = accounts.get(deployment.metadata.uid) as Account;
      for (const name of secretNames) {
        const secret = store.get(secrets, namespace, name);
        const before = optIns.get(name);
        // What is away for a moment comes back as it was.
        if (before !== undefined && secret === undefined) continue;
        const resource = store.get(onePasswordItems, namespace, name);
        const said = [resource?.metadata, deployment.metadata].map((metadata) => metadata?.annotations?.[annotations.autoRestart]);
        const first = [...said, ofNamespace].find((value) => value !== undefined);
        const opted = first === undefined ? autoRestart : first === 'true';
        if (opted === before?.opted) continue;
        optIns.set(name, { opted, since: opted && created === version ? version : undefined, flipped: version });
      }
    }
  }

  function allDeployments(): readonly Deployment[] {
    return store.list(deployments) as readonly Deployment[];
  }

  function staleKeys(account: Account, pod: Pod): readonly string[] {
    const { started, template } = pod;
    if (started === undefined) return [];
    return needsOf(template).flatMap(({ secret, key }) => {
      const data = dataOf(secret);
      const names = key === undefined ? keysOf(secret) : [key];
      return names.filter((name) => {
        const path = `${secret}/${name}`;
        const change = changes.get(path);
        const { opted = false, since = Infinity } = account.optIns.get(secret) ?? {};
        const owed = change !== undefined && opted && change.version > Math.max(since, account.created);
        return owed && started.values.get(path) !== data[name] && started.version < change.version;
      });
    });
  }

  function dataOf(secret: string): Data {
    return (store.get(secrets, namespace, secret)?.['data'] ?? {}) as Data;
  }

  function keysOf(secret: string): readonly string[] {
    return changes
      .keys()
      .flatMap((path) => (path.startsWith(`${secret}/`) ? [path.slice(secret.length + 1)] : []))
      .toArray();
  }

  /** No new pod of it would start. */
  function lacksKey({ spec }: Deployment): boolean {
    return needsOf(spec.template).some(({ secret, key, required }) => required && key !== undefined && dataOf(secret)[key] === undefined);
  }

  return {
    level() {
      leveled = store.version;
      for (const { optIns } of accounts.values()) for (const optIn of optIns.values()) if (optIn.opted) optIn.since ??= leveled;
    },
    complaints() {
      const lost = allDeployments().flatMap((deployment) => {
        const account = accounts.get(deployment.metadata.uid);
        if (account === undefined || deployment.spec.paused || lacksKey(deployment)) return [];
        const pods = [...cluster.deployments.pods].filter(({ owner }) => owner === deployment.metadata.uid);
        return pods.flatMap((pod) => staleKeys(account, pod).map((path) => `a pod of ${account.name} runs with an old value of ${path}`));
      });
      const doubled = accounts.values().flatMap(({ name, unasked, extras, births }) => {
        const near = births.filter((birth) => birth.near).length;
        if (unasked <= extras + near) return [];
        return [`${name} was rolled ${unasked} times without a change, for ${extras} undone or unseen, and ${near} births near a change`];
      });
      return [...new Set([...broken, ...lost, ...doubled])];
    },
    rolls: () => accounts.values().reduce((sum, { rolls }) => sum + rolls, 0),
  };
}

const nothing: SimulatedObject = { metadata: { name: '', uid: '', resourceVersion: '' } };

function templateOf(object: SimulatedObject): PodTemplate {
  return (object as Deployment).spec.template;
}

function changedKeys(before: Data, after: Data): readonly string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => before[key] !== after[key]);
}
