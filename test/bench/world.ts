import { join } from 'node:path';
import { Agent } from 'undici';
import type { Seed } from '../../dev/connect-server/seed.ts';
import { type ControlPlane, startControlPlane } from '../../dev/control-plane/start.ts';
import type { User } from '../../dev/control-plane/user.ts';
import { makeDefinition } from '../../dev/tools/resources.ts';
import { group, kind, version } from '../../src/api/names.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, namespaces } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSemaphore } from '../../src/runtime/semaphore.ts';
import { bundleInto } from '../support/bundled-operator.ts';
import { type ConnectProcess, startConnectProcess } from '../support/connect-process.ts';
import { installOperatorAccounts } from '../support/operator-accounts.ts';
import { type ApiCounts, createApiCounts } from './api-counts.ts';
import { type Form, vaultCount } from './form.ts';

/** All that benchmarks run in. Each has namespaces of its own, and one operator at a time runs in one of them. */
export interface World {
  readonly form: Form;
  readonly folder: string;
  /** As the administrator: for what is planted and watched. */
  readonly kube: KubeClient;
  readonly connect: ConnectProcess;
  /** The production bundle. */
  readonly bundle: string;
  readonly api: ApiCounts;
  /** The operator and the loop with the rights of `deploy/`; a peer may do everything. */
  readonly users: { readonly operator: User; readonly peer: User; readonly loop: User };
  /** A token for Connect that reaches the vaults of one size alone. */
  tokenFor(size: number): Promise<string>;
  /** Delays each answer of Connect, in milliseconds, instead of what was before. */
  delayConnect(ms: number): Promise<void>;
  /** A new namespace. */
  createNamespace(): Promise<string>;
  /** Creates objects of a collection, many at a time. */
  plant(path: string, count: number, body: (index: number) => object): Promise<void>;
  end(): Promise<void>;
}

/** What Connect takes for an answer unless a benchmark says otherwise, in milliseconds. */
export const usualLatency = 5;
/** Characters of a value, so that writes and comparisons have something to carry. */
const valueLength = 64;
/** The title of the item that all Deployments of a fan-out consume, in a vault of its own. */
export const sharedItem = 'shared';

/** The vault of the item of one index, among those of one size. */
export function vaultOf(size: number, index: number): string {
  return `of-${size}-${index % vaultCount}`;
}

/** The name of a resource, and the title of its item. */
export function nameOf(index: number): string {
  return `item-${index}`;
}

/** What an item has after so many rotations. */
export function valueAt(index: number, rotation: number): string {
  return `${index}.${rotation}`.padEnd(valueLength, '.');
}

/** Starts everything but an operator; the caller ends it. */
export async function startWorld(form: Form, folder: string, log: (line: string) => void): Promise<World> {
  const auditFile = join(folder, 'api-audit.log');
  const controlPlane = await startControlPlane({
    directory: join(folder, 'control-plane'),
    audit: { file: auditFile, users: [account('keyturn'), account('peer'), account('loop')] },
    log,
  });
  const ends: (() => Promise<unknown>)[] = [() => controlPlane.stop()];
  const end = async (): Promise<void> => {
    for (const close of ends.toReversed()) await close();
  };
  try {
    const kube = createKubeClient({ load: credentialsFrom(controlPlane.kubeconfig), clock: systemClock, userAgent: 'keyturn-bench' });
    ends.push(() => kube.close());
    await makeDefinition(kube);
    const { clusterWide: operator } = await installOperatorAccounts(controlPlane);
    const peer = await createUser(controlPlane, 'peer', 'cluster-admin');
    const loop = await createUser(controlPlane, 'loop', 'keyturn');
    const connect = await startConnectProcess(seedOf(form));
    ends.push(() => connect.stop());
    const marking = new Agent({ connect: { ca: controlPlane.ca }, allowH2: false });
    ends.push(() => marking.close());
    const mark = async (path: string): Promise<void> => {
      const headers = { authorization: `Bearer ${loop.token}` };
      const { body } = await marking.request({ origin: controlPlane.url, path, method: 'GET', headers });
      await body.dump();
    };
    let delay: { clear(): Promise<number> } | undefined;
    let created = 0;
    return {
      form,
      folder,
      kube,
      connect,
      bundle: await bundleInto(folder),
      api: createApiCounts(auditFile, mark),
      users: { operator, peer, loop },
      tokenFor: (size) => connect.issueToken({ vaults: Array.from({ length: vaultCount }, (_, index) => vaultOf(size, index)) }),
      async delayConnect(ms) {
        await delay?.clear();
        delay = ms === 0 ? undefined : await connect.faults.order({ kind: 'latency', ms });
      },
      async createNamespace() {
        created += 1;
        const name = `bench-${created}`;
        await kube.request({ method: 'POST', path: collectionPath(namespaces), body: { metadata: { name } } });
        return name;
      },
      async plant(path, count, body) {
        const bounded = createSemaphore(24);
        await Promise.all(
          Array.from({ length: count }, (_, index) => bounded(() => kube.request({ method: 'POST', path, body: body(index) }))),
        );
      },
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Creates the resources of one size in a namespace, by the titles of their items. */
export async function plantResources(world: World, namespace: string, size: number): Promise<void> {
  await world.plant(collectionPath(onePasswordItems, namespace), size, (index) => ({
    apiVersion: `${group}/${version}`,
    kind,
    metadata: { name: nameOf(index) },
    spec: { itemPath: `vaults/${vaultOf(size, index)}/items/${nameOf(index)}` },
  }));
}

function account(name: string): string {
  return `system:serviceaccount:keyturn:${name}`;
}

async function createUser(controlPlane: ControlPlane, name: string, role: string): Promise<User> {
  const user = await controlPlane.user(`keyturn/${name}`);
  const args = ['create', 'clusterrolebinding', `bench-${name}`, `--clusterrole=${role}`, `--serviceaccount=keyturn:${name}`];
  const { code, stderr } = await controlPlane.kubectl(args);
  if (code !== 0) throw new Error(`kubectl create clusterrolebinding: ${stderr}`);
  return user;
}

/** The vaults of each size, which hold as many items as there are resources, and one with the item of the fan-out. */
function seedOf({ small, large }: Form): Seed {
  const ofSize = (size: number): Seed['vaults'] =>
    Array.from({ length: vaultCount }, (_, vault) => ({
      name: vaultOf(size, vault),
      items: [...Array(size).keys()]
        .filter((index) => index % vaultCount === vault)
        .map((index) => ({ title: nameOf(index), fields: fieldsOf(valueAt(index, 0)) })),
    }));
  return {
    vaults: [...ofSize(small), ...ofSize(large), { name: sharedItem, items: [{ title: sharedItem, fields: fieldsOf(valueAt(0, 0)) }] }],
  };
}

function fieldsOf(password: string): { readonly label: string; readonly value: string }[] {
  return [
    { label: 'username', value: 'bench' },
    { label: 'password', value: password },
  ];
}
