import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { collectionPath, namespaces } from '../../src/kube/resource.ts';
import { type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import type { TestOperator } from '../support/operator.ts';
import { type OwnScenario, startOwnScenario } from '../support/own-scenario.ts';
import {
  changesOf,
  containerOf,
  createWorkload,
  patchWorkload,
  readWorkload,
  recordsOf,
  untilAdopted,
  untilChanged,
  untilToldOf,
  type WorkloadName,
} from '../support/workloads.ts';

/** A value so much older than a pod template, in milliseconds, is surely known to its pods: 5 s, and the second that a creation time is cut to. */
const wellKnown = 6_500;
const said = ['true', 'false', undefined] as const;
type Said = (typeof said)[number];
const web: WorkloadName = { kind: 'Deployment', name: 'web' };

/** A place in which an annotation can say whether a Deployment is restarted, with a namespace of its own. */
interface Place {
  readonly namespace: TestNamespace;
  /** Writes the annotation, or with null takes it away. */
  readonly say: (value: string | null) => Promise<unknown>;
}

/** By name. */
type Places = Readonly<Record<'resource' | 'workload' | 'namespace', Place>>;

let scenario: OwnScenario;
let operator: TestOperator | undefined;
let control: TestNamespace;
let switched: Places;
let misread: Places;

beforeAll(async () => {
  const fields = [{ label: 'password', value: 'first' }];
  const titles = ['db', 'switched', 'misread', 'control'];
  scenario = await startOwnScenario({ vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] });
  control = await scenario.createNamespace({ [annotations.autoRestart]: 'true' });
  await run('false');
  await createItem(control, 'db', 'control');
  await createDeployment(control, 'web', 'db');
  [switched, misread] = await Promise.all([createPlaces('switched'), createPlaces('misread')]);
  await untilAdopted(control, web, 'db');
  await rotate('switched', namespacesOf(switched));
});

beforeEach((context) => requireFeature(context, 'controllerManager'));

afterAll(() => scenario?.end());

/** Starts the operator, instead of the one that runs, with a setting for where no annotation says anything. */
async function run(autoRestart: 'true' | 'false'): Promise<void> {
  await operator?.stop();
  const flags = ['--max-restarts-per-namespace=0'];
  operator = await scenario.startOperator([], { environment: { AUTO_RESTART: autoRestart }, flags });
}

async function createItem(namespace: TestNamespace, name: string, title: string, autoRestart?: string): Promise<void> {
  await namespace.createItem(name, `vaults/Prod/items/${title}`, { annotations: saying(autoRestart) });
  await untilReadiness(namespace, name, 'True');
}

function createDeployment(namespace: TestNamespace, name: string, secret: string, autoRestart?: string): Promise<void> {
  const options = { annotations: saying(autoRestart), spec: { replicas: 0 } };
  return createWorkload(namespace, { kind: 'Deployment', name }, { containers: [containerOf(secret, 'password')] }, options);
}

function saying(autoRestart: string | undefined): Readonly<Record<string, string>> {
  return autoRestart === undefined ? {} : { [annotations.autoRestart]: autoRestart };
}

/** Places in each of which there is a Secret `db` of an item, and nothing yet that consumes it. */
async function createPlaces(title: string): Promise<Places> {
  const made = [await scenario.createNamespace(), await scenario.createNamespace(), await scenario.createNamespace()] as const;
  await Promise.all(made.map((namespace) => createItem(namespace, 'db', title)));
  const [resource, workload, namespace] = made;
  return {
    resource: { namespace: resource, say: (value) => resource.patchItem('db', patchSaying(value)) },
    workload: { namespace: workload, say: (value) => patchWorkload(workload, web, patchSaying(value)) },
    namespace: {
      namespace,
      say: (value) => namespace.kube.request({ method: 'PATCH', path: pathOf(namespace), body: patchSaying(value) }),
    },
  };
}

function patchSaying(value: string | null): object {
  return { metadata: { annotations: { [annotations.autoRestart]: value } } };
}

function pathOf({ name }: TestNamespace): string {
  return `${collectionPath(namespaces)}/${name}`;
}

function namespacesOf(places: Places): readonly TestNamespace[] {
  return Object.values(places).map(({ namespace }) => namespace);
}

/** Lets every place say the same, and waits until the operator has heard of it: what it does later shows that. */
async function say(places: Places, value: string | null): Promise<void> {
  await Promise.all(Object.values(places).map((place) => place.say(value)));
  await rollControl();
}

/** Gives an item a new value, and waits until it is in the Secrets `name` of all `where`. */
async function rotate(title: string, where: readonly TestNamespace[], name = 'db'): Promise<void> {
  const password = crypto.randomUUID();
  scenario.connect.store.setField('Prod', title, 'password', password);
  for (const namespace of where) {
    await eventually('the new value', async () => ((await namespace.secret(name))?.values['password'] === password ? true : undefined));
  }
}

/** Lets a later rotation roll another Deployment: who has not been rolled by then is not rolled for what came before. */
async function rollControl(): Promise<void> {
  const before = await changesOf(control, web);
  await rotate('control', [control]);
  await untilChanged(control, web, before + 1);
}

/** How often the Deployment in each place was rolled. */
async function rolls(places: Places): Promise<Readonly<Record<string, number>>> {
  const counts = Object.entries(places).map(async ([place, { namespace }]) => [place, await changesOf(namespace, web)] as const);
  return Object.fromEntries(await Promise.all(counts));
}

async function untilRolled(places: Places, times: number): Promise<void> {
  await Promise.all(namespacesOf(places).map((namespace) => untilChanged(namespace, web, times)));
}

const everywhere = (count: number): object => ({ resource: count, workload: count, namespace: count });

describe('what is said of restarts', () => {
  const combinations = said.flatMap((resource) => said.map((workload) => ({ resource, workload, name: `${resource}-${workload}` })));
  /** One for each thing that its annotation can say. */
  let speaking: readonly { readonly said: Said; readonly namespace: TestNamespace }[];

  beforeAll(async () => {
    speaking = await Promise.all(said.map(async (value) => ({ said: value, namespace: await scenario.createNamespace(saying(value)) })));
    await run('true');
    for (const { namespace } of speaking) {
      await Promise.all(said.map((value) => createItem(namespace, `db-${value}`, 'db', value)));
      await Promise.all(combinations.map(({ resource, workload, name }) => createDeployment(namespace, name, `db-${resource}`, workload)));
    }
    await rollControl();
  });

  /** Who is restarted where `fallback` is the operator's setting, as resource-workload-namespace. */
  function expected(fallback: 'true' | 'false'): readonly string[] {
    const all = speaking.flatMap(({ said: namespace }) => combinations.map((combination) => ({ ...combination, namespace })));
    const chosen = all.filter(({ resource, workload, namespace }) => (resource ?? workload ?? namespace ?? fallback) === 'true');
    return chosen.map(({ name, namespace }) => `${name}-${namespace}`);
  }

  async function counted(): Promise<readonly (readonly [name: string, count: number])[]> {
    const counts = speaking.flatMap(({ said: value, namespace }) =>
      combinations.map(async ({ name }) => [`${name}-${value}`, await changesOf(namespace, { kind: 'Deployment', name })] as const),
    );
    return await Promise.all(counts);
  }

  /** Who is restarted by `change`, once `count` are: by name, as often as they are. */
  async function restartedBy(change: () => Promise<void>, count: number): Promise<readonly string[]> {
    const before = new Map(await counted());
    const restarted = async (): Promise<readonly string[]> =>
      (await counted()).flatMap(([name, times]) => Array.from({ length: times - (before.get(name) ?? 0) }, () => name));
    await change();
    await eventually(`${count} restarts`, async () => ((await restarted()).length >= count ? true : undefined));
    await rollControl();
    return await restarted();
  }

  async function rotateAll(): Promise<void> {
    const all = speaking.map(({ namespace }) => namespace);
    await rotate('db', all, 'db-true');
  }

  it.each(['true', 'false'] as const)(
    'is decided by resource, workload, namespace, in that order, before AUTO_RESTART=%s',
    async (fallback) => {
      await run(fallback);
      expect(await restartedBy(rotateAll, expected(fallback).length)).toEqual(expected(fallback));
    },
  );

  it('is AUTO_RESTART where no annotation says anything: switched on again it rolls nobody for what changed meanwhile', async () => {
    await run('false');
    await rotateAll();
    await rollControl();
    expect(await restartedBy(() => run('true'), 0)).toEqual([]);
    expect(await restartedBy(rotateAll, expected('true').length)).toEqual(expected('true'));
  });
});

describe('a Deployment whose opt-in changes while the operator runs: on its resource, on itself, or on its namespace', () => {
  beforeAll(async () => {
    await run('false');
    const records = namespacesOf(switched).map(async (namespace) => (await namespace.secret('db'))?.metadata.annotations);
    const revisions = (await Promise.all(records)).map(
      (notes) => JSON.parse(notes?.[annotations.revisions] ?? '{}') as { password: number },
    );
    const last = Math.max(...revisions.map(({ password }) => password));
    await eventually('the new value to be old', () => (Date.now() > last + wellKnown ? true : undefined));
    for (const namespace of namespacesOf(switched)) await createDeployment(namespace, 'web', 'db');
    await rollControl();
  });

  it('states nothing while it is off', async () => {
    const workloads = await Promise.all(namespacesOf(switched).map((namespace) => readWorkload(namespace, web)));
    expect(workloads.map(recordsOf)).toEqual(workloads.map(() => ({ adopted: {}, rolled: {} })));
  });

  it('is adopted without a roll when it is switched on', async () => {
    const before = await rolls(switched);
    await say(switched, 'true');
    for (const namespace of namespacesOf(switched)) await untilAdopted(namespace, web, 'db');
    expect(await rolls(switched)).toEqual(before);
  });

  it('is rolled once for what changes from then on', async () => {
    await say(switched, 'true');
    await rotate('switched', namespacesOf(switched));
    await untilRolled(switched, 1);
    await rollControl();
    expect(await rolls(switched)).toEqual(everywhere(1));
  });

  it.each(['false', null])(
    'is not rolled any more when it is switched off with %j, nor for what changed meanwhile when on again',
    async (off) => {
      const before = await rolls(switched);
      await say(switched, off);
      await rotate('switched', namespacesOf(switched));
      await rollControl();
      expect(await rolls(switched)).toEqual(before);
      await say(switched, 'true');
      expect(await rolls(switched)).toEqual(before);
      await rotate('switched', namespacesOf(switched));
      await Promise.all(Object.entries(switched).map(([place, { namespace }]) => untilChanged(namespace, web, (before[place] ?? 0) + 1)));
    },
  );
});

describe('an annotation that says neither yes nor no', () => {
  beforeAll(async () => {
    await run('true');
    for (const namespace of namespacesOf(misread)) await createDeployment(namespace, 'web', 'db');
    for (const namespace of namespacesOf(misread)) await untilAdopted(namespace, web, 'db');
    await say(misread, 'yes');
  });

  it('means no, whatever AUTO_RESTART says', async () => {
    await rotate('misread', namespacesOf(misread));
    await rollControl();
    expect(await rolls(misread)).toEqual(everywhere(0));
  });

  it('is named by an event on the workload', async () => {
    const told = Object.values(misread).map(async ({ namespace }) => await untilToldOf(namespace, web, 'InvalidAnnotation'));
    const places = ['who asks for Secret db', 'this workload', `namespace ${misread.namespace.namespace.name}`];
    expect((await Promise.all(told)).map(({ type, message }) => ({ type, message }))).toEqual(
      places.map((place) => ({
        type: 'Warning',
        message: `the annotation ${annotations.autoRestart} of ${place} is neither true nor false: it means false`,
      })),
    );
  });

  it('is heeded again once it is mended', async () => {
    const before = await rolls(misread);
    await say(misread, 'true');
    await rotate('misread', namespacesOf(misread));
    await eventually('each to be rolled', async () => {
      const after = await rolls(misread);
      return Object.keys(after).every((place) => (after[place] ?? 0) > (before[place] ?? 0)) ? true : undefined;
    });
  });
});
