import { setTimeout as pause } from 'node:timers/promises';
import { annotations, managedLabel } from '../../src/api/names.ts';
import { isUncertain, type KubeClient, KubeError } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, objectPath, type ResourceType, secrets, type WireMeta } from '../../src/kube/resource.ts';
import { workloadType } from '../../src/kube/workload.ts';
import { canary } from '../support/canary.ts';
import type { ConnectProcess } from '../support/connect-process.ts';
import { editMark, type Intervention, type ItemState } from './history.ts';
import { usesAnnotation } from './recorder.ts';
import type { ClientAct, World } from './schedule.ts';
import { kindOf, podSpecOf, type Use, type WorkloadPlan, world } from './world.ts';

/** Who uses the cluster and 1Password, and keeps on trying until each act is done. */
export interface BusyClient {
  /** Makes what is there at the beginning. */
  plant(beginning: World): Promise<void>;
  /** Resolves when it is done, or has no object any more; acts on one object are done in order. @throws Error when it cannot be done for long */
  act(act: ClientAct, number: number): Promise<void>;
  readonly items: ReadonlyMap<string, readonly ItemState[]>;
  readonly interventions: readonly Intervention[];
}

export interface BusyClientOptions {
  readonly kube: KubeClient;
  readonly connect: Pick<ConnectProcess, 'edit'>;
}

/** What an act comes to with the API server. */
interface Request {
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
}

const patience = 90_000;
const retryPause = 150;
const apiVersions = { Deployment: 'apps/v1', StatefulSet: 'apps/v1', DaemonSet: 'apps/v1' } as const;

/** The values that items have at the beginning; each value is a canary that no other item, key or time has. */
export function firstItems(): ReadonlyMap<string, Readonly<Record<string, string>>> {
  return new Map(world.items.map((item) => [item, Object.fromEntries(world.keys.map((key) => [key, valueOf(item, key, 'first')]))]));
}

export function createBusyClient({ kube, connect }: BusyClientOptions): BusyClient {
  const items = new Map<string, ItemState[]>();
  const interventions: Intervention[] = [];
  const lanes = new Map<string, Promise<void>>();
  for (const [item, data] of firstItems()) items.set(item, [{ at: Date.now(), data }]);

  /** @returns how many of its attempts may have been carried out */
  async function request(made: Request): Promise<number> {
    const end = performance.now() + patience;
    for (let arrived = 0; ;) {
      try {
        await kube.request({ ...made, timeout: 10_000 });
        return arrived + 1;
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (mayHaveArrived(error)) arrived += 1;
        // What is there already, or gone already, may be so by the attempt before.
        if (error.status === 404 || (error.reason === 'AlreadyExists' && !(await isLeaving(made)))) return arrived;
        // A name whose predecessor is on its way out, an overload, a dead server: all of it passes.
        if (error.status === 422 || error.status === 400 || performance.now() > end) throw error;
        await pause(retryPause);
      }
    }
  }

  /** Whether what is to be created is there still, and about to go. */
  async function isLeaving({ path, body }: Request): Promise<boolean> {
    const { metadata: { name = '' } = {} } = { ...body } as { readonly metadata?: { readonly name?: string } };
    const found = await kube
      .request<{ readonly metadata: WireMeta }>({ method: 'GET', path: `${path}/${name}` })
      // Gone meanwhile, or not to be had now: the next attempt tells.
      .catch(() => undefined);
    return found === undefined || found.metadata.deletionTimestamp !== undefined;
  }

  async function intervene(what: Intervention['what'], secret: string, made: Request): Promise<void> {
    // Known before it is done: whoever sees its effect finds it.
    const open = { what, secret, from: Date.now(), to: Number.POSITIVE_INFINITY, attempts: Number.POSITIVE_INFINITY };
    interventions.push(open);
    open.attempts = await request(made);
    open.to = Date.now();
  }

  async function editItem(item: string, data: Readonly<Record<string, string>>): Promise<void> {
    const states = items.get(item) ?? [];
    states.push({ at: Date.now(), data });
    items.set(item, states);
    await connect.edit('updateItem', world.vault, item, {
      title: item,
      fields: Object.entries(data).map(([label, value]) => ({ id: label, label, value })),
    });
  }

  const present = (item: string): Readonly<Record<string, string>> => items.get(item)?.at(-1)?.data ?? {};

  async function perform(act: ClientAct, number: number): Promise<void> {
    switch (act.what) {
      case 'rotate': {
        const values = act.keys.map((key) => [key, valueOf(act.item, key, String(number))] as const);
        return editItem(act.item, { ...present(act.item), ...Object.fromEntries(values) });
      }
      case 'toggle-extra': {
        const { [world.extra]: _, ...others } = present(act.item);
        return editItem(act.item, { ...others, ...(act.present && { [world.extra]: valueOf(act.item, world.extra, String(number)) }) });
      }
      case 'touch-item':
        await connect.edit('updateItem', world.vault, act.item, { tags: [`touched-${number}`] });
        return;
      case 'edit-secret': {
        const data = { [act.key]: Buffer.from(canary(`${editMark}-${number}`)).toString('base64') };
        return intervene(act.what, act.secret, patch(secrets, act.secret, { data }));
      }
      case 'empty-secret':
        return intervene(act.what, act.secret, patch(secrets, act.secret, { data: null }));
      case 'delete-secret':
        return intervene(act.what, act.secret, { method: 'DELETE', path: pathOf(secrets, act.secret) });
      case 'create-secret':
        await intervene('delete-secret', act.secret, { method: 'DELETE', path: pathOf(secrets, act.secret) });
        // At once: Keyturn is about to make it as well.
        return intervene(act.what, act.secret, {
          method: 'POST',
          path: collectionPath(secrets, world.namespace),
          body: {
            metadata: { name: act.secret, annotations: { [annotations.adopt]: 'true' } },
            data: { password: Buffer.from(canary(`${editMark}-${number}`)).toString('base64') },
          },
        });
      case 'unlabel-secret':
      case 'create-resource':
      case 'delete-resource':
      case 'label-resource':
      case 'opt-resource':
      case 'create-workload':
      case 'delete-workload':
      case 'scale-workload':
      case 'opt-workload':
      case 'edit-workload':
      case 'consume':
        await request(requestOf(act, number));
    }
  }

  return {
    items,
    interventions,
    async plant({ resources, workloads }) {
      for (const [resource, optIn] of Object.entries(resources)) {
        await request(requestOf({ what: 'create-resource', resource, ...(optIn !== undefined && { optIn }) }, 0));
      }
      for (const [workload, plan] of Object.entries(workloads)) await request(requestOf({ what: 'create-workload', workload, plan }, 0));
    },
    act(act, number) {
      const lane = laneOf(act);
      const done = (lanes.get(lane) ?? Promise.resolve()).then(() => perform(act, number));
      lanes.set(
        lane,
        done.catch(() => {}),
      );
      return done;
    },
  };
}

/** Not where nobody listened, nor where it was refused; etcd may have carried out what the API server calls an error of its own. */
function mayHaveArrived(error: KubeError): boolean {
  return (isUncertain(error) && error.reason !== 'ECONNREFUSED') || error.status === 500;
}

function laneOf(act: ClientAct): string {
  if ('item' in act) return `item ${act.item}`;
  if ('workload' in act) return `workload ${act.workload}`;
  return `secret ${'secret' in act ? act.secret : act.resource}`;
}

/** What takes one request to the API server, and touches no value. */
type Requested = Exclude<ClientAct, { readonly what: 'rotate' | 'toggle-extra' | 'touch-item' | Intervention['what'] }>;

function requestOf(act: Requested, number: number): Request {
  switch (act.what) {
    case 'unlabel-secret':
      return patch(secrets, act.secret, { metadata: { labels: { [managedLabel]: null } } });
    case 'create-resource':
      return {
        method: 'POST',
        path: collectionPath(onePasswordItems, world.namespace),
        body: {
          apiVersion: 'onepassword.com/v1',
          kind: 'OnePasswordItem',
          metadata: { name: act.resource, ...(act.optIn !== undefined && { annotations: { [annotations.autoRestart]: act.optIn } }) },
          spec: { itemPath: `vaults/${world.vault}/items/${act.resource}` },
        },
      };
    case 'delete-resource':
      return { method: 'DELETE', path: pathOf(onePasswordItems, act.resource) };
    case 'label-resource':
      return patch(onePasswordItems, act.resource, { metadata: { labels: { touched: String(number) } } });
    case 'opt-resource':
      return patch(onePasswordItems, act.resource, { metadata: { annotations: { [annotations.autoRestart]: act.value } } });
    case 'create-workload':
      return { method: 'POST', path: collectionPath(typeOf(act.workload), world.namespace), body: workloadOf(act.workload, act.plan) };
    case 'delete-workload':
      // In the foreground: where a workload is gone and back while the watch of the garbage collector is broken, it forgets the old pods.
      return { method: 'DELETE', path: pathOf(typeOf(act.workload), act.workload), body: { propagationPolicy: 'Foreground' } };
    case 'scale-workload':
      // A DaemonSet has no number of pods.
      return patch(typeOf(act.workload), act.workload, kindOf(act.workload) === 'DaemonSet' ? {} : { spec: { replicas: act.replicas } });
    case 'opt-workload':
      return patch(typeOf(act.workload), act.workload, { metadata: { annotations: { [annotations.autoRestart]: act.value } } });
    case 'edit-workload':
      return patch(typeOf(act.workload), act.workload, {
        spec: { template: { metadata: { annotations: { 'example.test/edit': String(number) } } } },
      });
    case 'consume':
      return patch(typeOf(act.workload), act.workload, { spec: { template: templateOf(act.workload, act.uses, number) } });
  }
}

function workloadOf(name: string, { kind, replicas, uses, optIn }: WorkloadPlan): object {
  return {
    apiVersion: apiVersions[kind],
    kind,
    metadata: { name, annotations: optIn === undefined ? {} : { [annotations.autoRestart]: optIn } },
    spec: {
      ...(kind !== 'DaemonSet' && { replicas }),
      ...(kind === 'StatefulSet' && { serviceName: name, podManagementPolicy: 'Parallel' }),
      selector: { matchLabels: { app: name } },
      template: templateOf(name, uses, 0),
    },
  };
}

function templateOf(name: string, uses: readonly Use[], image: number): object {
  return {
    metadata: { labels: { app: name }, annotations: { [usesAnnotation]: JSON.stringify(uses) } },
    spec: podSpecOf(uses, image),
  };
}

function typeOf(workload: string): ResourceType {
  return workloadType(kindOf(workload));
}

function pathOf(type: ResourceType, name: string): string {
  return objectPath(type, { namespace: world.namespace, name });
}

function patch(type: ResourceType, name: string, body: object): Request {
  return { method: 'PATCH', path: pathOf(type, name), body };
}

function valueOf(item: string, key: string, when: string): string {
  return canary(`-${item}-${key}-${when}`);
}
