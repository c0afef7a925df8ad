import { setInterval } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { objectPath, statefulSets, type WireMeta } from '../../src/kube/resource.ts';
import { type ReadDeployment, untilEvent, untilReadiness } from '../support/cluster.ts';
import { kubectl, requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { recordRollouts, type RolloutHistory, untilNewPods } from '../support/rollout-history.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';
import { type GatedWrite, openWriteGate, type Passage, type WriteGate } from '../support/write-gate.ts';

const optedIn = { [annotations.autoRestart]: 'true' };

/** Ways to bring back the manifest that a workload was made of, which knows nothing of our annotations. */
const reapplications = {
  'applied by the server': ['apply', '--server-side', '--field-manager=helm', '--force-conflicts'],
  'applied by kubectl': ['apply'],
  replaced: ['replace'],
} as const;
type Reapplication = keyof typeof reapplications;
const reapplied = (way: Reapplication): string => way.replaceAll(' ', '-');

const damages = {
  'the annotation of revisions is taken from the Secret': (name) => annotateSecret(name, null),
  'the annotation of revisions on the Secret is malformed': (name) => annotateSecret(name, '{"password":'),
  'the record of the Secret is taken from the status': (name) => patchStatus(name, { secret: null }),
  'the status is wiped': (name) => patchStatus(name, null),
  'both records are lost': async (name) => {
    await patchStatus(name, { secret: null });
    await annotateSecret(name, null);
  },
  'the entry in the metadata of a workload is lost': (name) => annotateWorkload(`${name}-late`, null),
  'the entry in the metadata of a workload is malformed': (name) => annotateWorkload(`${name}-late`, '[1]'),
  'the Secret is deleted and comes back': (name) => scenario.namespace.delete('secrets', name),
} satisfies Record<string, (name: string) => Promise<unknown>>;
type Damage = keyof typeof damages;
const damageNames = Object.keys(damages) as Damage[];
const moments = ['while the operator is on', 'while the operator is off'] as const;
type Moment = (typeof moments)[number];
const damaged = (damage: Damage, moment: Moment): string => `damaged-${damageNames.indexOf(damage)}-${moments.indexOf(moment)}`;

/** Each is the title of an item, and the name of its resource and of a Deployment that consumes its Secret. */
const consumed = {
  single: ['undone', 'undone-midway', 'scaled', 'scaled-midway', 'stripped', 'bare', 'edited', 'edited-late', 'unseen', 'witness'],
  reapplied: (Object.keys(reapplications) as Reapplication[]).map(reapplied),
  damaged: moments.flatMap((moment) => damageNames.map((damage) => damaged(damage, moment))),
};
const withDeployment = Object.values(consumed).flat();
const titles = [...withDeployment, 'stateful', 'born', 'born-late', 'joined'];

let scenario: Scenario;
let gate: WriteGate;
let history: RolloutHistory;

beforeAll(async () => {
  const { features } = sharedControlPlane();
  if (!features.pods) return;
  const fields = [{ label: 'password', value: 'first' }];
  const seed = { vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] };
  gate = await openWriteGate(sharedControlPlane());
  scenario = await startScenario({ seed, kubeconfig: gate.kubeconfig, flags: ['--max-restarts-per-namespace=0'] });
  const { namespace } = scenario;
  history = await recordRollouts(namespace);
  for (const title of titles) await namespace.createItem(title, `vaults/Prod/items/${title}`, { annotations: optedIn });
  const [byServer, ...others] = consumed.reapplied;
  await run(reapplications['applied by the server'], manifestOf(byServer ?? ''));
  await run(['apply'], ...[...others, ...consumed.single, ...consumed.damaged].map((name) => manifestOf(name)));
  await run(['apply'], { ...manifestOf('stateful'), kind: 'StatefulSet' });
  for (const title of titles) await untilReadiness(namespace, title, 'True');
  for (const name of withDeployment) await untilAdopted(name);
  await eventually('the entry of the StatefulSet', async () => {
    const path = objectPath(statefulSets, { namespace: namespace.name, name: 'stateful' });
    const { metadata } = await namespace.kube.request<{ metadata: WireMeta }>({ method: 'GET', path });
    return metadata.annotations?.[annotations.knownRevisions] === undefined ? undefined : true;
  });
});

afterAll(async () => {
  history?.close();
  await scenario?.end();
  await gate?.close();
});

beforeEach((context) => requireFeature(context, 'pods'));

/** What the user keeps in a repository. */
function manifestOf(name: string, secret: string | undefined = name, image = 'example.test/app:1'): object {
  const envFrom = secret === '' ? [] : [{ secretRef: { name: secret } }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image, envFrom }] } },
    },
  };
}

/** Runs kubectl in the namespace. @throws Error when it fails */
async function run(args: readonly string[], ...manifests: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests });
  const files = manifests.length === 0 ? [] : ['-f', '-'];
  const { code, stderr } = await kubectl([...args, ...files, `--namespace=${scenario.namespace.name}`], input);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
}

function untilAdopted(name: string): Promise<true> {
  return eventually(`an entry on ${name}`, async () => {
    const { metadata } = await scenario.namespace.deployment(name);
    return metadata.annotations?.[annotations.knownRevisions] === undefined ? undefined : true;
  });
}

function annotateSecret(name: string, revisions: string | null): Promise<void> {
  return scenario.namespace.patchSecret(name, { metadata: { annotations: { [annotations.revisions]: revisions } } });
}

function annotateWorkload(name: string, known: string | null): Promise<void> {
  return scenario.namespace.patchDeployment(name, { metadata: { annotations: { [annotations.knownRevisions]: known } } });
}

async function patchStatus(name: string, status: object | null): Promise<void> {
  const { kube, name: namespace } = scenario.namespace;
  await kube.request({ method: 'PATCH', path: `${objectPath(onePasswordItems, { namespace, name })}/status`, body: { status } });
}

function isRollOf(name: string, { method, path, body }: GatedWrite): boolean {
  return method === 'PATCH' && path.endsWith(`/${name}`) && body['spec'] !== undefined;
}

function isSecretWrite(name: string, { method, path }: GatedWrite): boolean {
  return method === 'PUT' && path.endsWith(`/secrets/${name}`);
}

/** How often the operator has rolled a workload. */
function rollsOf(name: string): number {
  return gate.writes.filter((write) => isRollOf(name, write) && write.status === 200).length;
}

/** How often it has written to a workload. */
function writesTo(name: string): number {
  // One that lost against the Deployment's controller wrote nothing.
  const made = gate.writes.filter(({ status }) => status !== 409);
  return made.filter(({ method, path }) => method === 'PATCH' && path.endsWith(`/deployments/${name}`)).length;
}

let values = 1;

function changeItem(title: string): void {
  values += 1;
  scenario.connect.store.setField('Prod', title, 'password', `value ${values}`);
}

/** Changes items, and waits until their Secrets have the new values and the pods of their consumers too. */
async function rotate(names: readonly string[], consumersOf = (name: string): readonly string[] => [name]): Promise<void> {
  const after = names.map((name) => ({ name, times: history.changes(name).length + 1 }));
  names.forEach(changeItem);
  for (const { name, times } of after) {
    for (const consumer of consumersOf(name)) await untilNewPods(history, consumer, name, times);
  }
}

/** What happens to the witness comes after whatever there was to do before. */
function untilTakenUp(): Promise<void> {
  return rotate(['witness']);
}

/** Holds the first write that `matches` until it is released; resolves when it has arrived. */
function holdWrite(matches: (write: GatedWrite) => boolean): { readonly arrived: Promise<void>; release(): void } {
  const arrived = Promise.withResolvers<void>();
  const released = Promise.withResolvers<Passage>();
  let held = false;
  gate.decide((write) => {
    if (held || !matches(write)) return 'passed';
    held = true;
    arrived.resolve();
    return released.promise;
  });
  const release = (): void => released.resolve('passed');
  onTestFinished(release);
  return { arrived: arrived.promise, release };
}

/** A tool that looks at a Deployment all the time and takes something away whenever it is there. */
function keepTaking(name: string, isThere: (deployment: ReadDeployment) => boolean, patch: object): { readonly times: () => number } {
  const stop = new AbortController();
  let times = 0;
  const ended = (async () => {
    for await (const _ of setInterval(20, undefined, { signal: stop.signal })) {
      if (!isThere(await scenario.namespace.deployment(name))) continue;
      await scenario.namespace.patchDeployment(name, patch);
      times += 1;
    }
  })().catch(() => {});
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return { times: () => times };
}

async function scale(name: string, replicas: number): Promise<void> {
  await run(['scale', `deployment/${name}`, `--replicas=${replicas}`]);
  await eventually(`${name} to have ${replicas} pods`, () => (history.pods(name).length === replicas ? true : undefined));
}

/** Changes an item, and lets its Secret be written when somebody has changed a workload, whose pods then run. */
async function whileSecretIsHeld(title: string, delay: number, change: () => Promise<void>): Promise<void> {
  const write = holdWrite((candidate) => isSecretWrite(title, candidate));
  changeItem(title);
  await write.arrived;
  const end = performance.now() + delay;
  await eventually('the moment', () => (performance.now() >= end ? true : undefined));
  await change();
  await run(['rollout', 'status', `deployment/${title}`]);
  await eventually('pods with the old value', () => (history.pods(title).length > 0 ? true : undefined));
  write.release();
  await untilNewPods(history, title, title, 1);
  await untilTakenUp();
}

describe('a rollout that is undone', () => {
  it.each([
    ['deployment', 'undone'],
    ['statefulset', 'stateful'],
  ])('of a %s leads to one more at the most, and the next rotation is not lost', async (kind, name) => {
    await rotate([name]);
    const templates = history.templates(name).length;
    await run(['rollout', 'undo', `${kind}/${name}`]);
    await eventually('the older template', () => (history.templates(name).length > templates ? true : undefined));
    await untilTakenUp();
    await untilNewPods(history, name, name, 1);
    const extra = rollsOf(name) - 1;
    await rotate([name]);
    await untilTakenUp();
    expect([[0, 1], rollsOf(name) - 1 - extra]).toEqual([expect.arrayContaining([extra]), 1]);
  });

  it('at the moment of the next one does not keep that from its pods', async () => {
    const name = 'undone-midway';
    await rotate([name]);
    const roll = holdWrite((write) => isRollOf(name, write));
    changeItem(name);
    await roll.arrived;
    await run(['rollout', 'undo', `deployment/${name}`]);
    roll.release();
    await untilNewPods(history, name, name, 2);
    await untilTakenUp();
    expect(rollsOf(name)).toBe(2);
  });
});

describe('a workload that is scaled', () => {
  it('is rolled once for a rotation that comes at that moment', async () => {
    const name = 'scaled-midway';
    const roll = holdWrite((write) => isRollOf(name, write));
    changeItem(name);
    await roll.arrived;
    await scale(name, 3);
    roll.release();
    await untilNewPods(history, name, name, 1);
    await untilTakenUp();
    expect(rollsOf(name)).toBe(1);
  });

  it('is not rolled for it', async () => {
    await rotate(['scaled']);
    await scale('scaled', 4);
    await scale('scaled', 2);
    await untilTakenUp();
    expect(rollsOf('scaled')).toBe(1);
  });
});

describe('a workload whose manifest is', () => {
  it.each(Object.keys(reapplications) as Reapplication[])(
    '%s once more after a rotation is rolled once more at the most, and not less for the next one',
    async (way) => {
      const name = reapplied(way);
      await rotate([name]);
      await run(reapplications[way], manifestOf(name));
      await untilTakenUp();
      await untilNewPods(history, name, name, 1);
      const extra = rollsOf(name) - 1;
      await rotate([name]);
      await untilTakenUp();
      expect([[0, 1], rollsOf(name) - 1 - extra]).toEqual([expect.arrayContaining([extra]), 1]);
    },
  );
});

describe('a tool that takes our annotations', () => {
  it('out of the pod template each time makes one further roll and a warning, and no rotation is lost', async () => {
    const name = 'stripped';
    const ours = { [annotations.knownRevisions]: null, [annotations.lastRestarted]: null };
    keepTaking(
      name,
      // As soon as the pods are replaced: sooner, they would never be.
      ({ metadata, spec, status }) =>
        spec.template.metadata.annotations?.[annotations.knownRevisions] !== undefined &&
        status.observedGeneration === metadata.generation &&
        status.updatedReplicas === 1 &&
        status.replicas === 1,
      { spec: { template: { metadata: { annotations: ours } } } },
    );
    await rotate([name]);
    await untilEvent(scenario.namespace, 'Deployment', name, 'RestartReverted');
    await untilEvent(scenario.namespace, 'OnePasswordItem', name, 'RestartReverted');
    await untilTakenUp();
    await untilTakenUp();
    const first = rollsOf(name);
    await rotate([name]);
    await untilTakenUp();
    expect([first, rollsOf(name)]).toEqual([2, 4]);
  });

  it('out of the metadata each time finds nobody who puts them back, and no rotation is lost', async () => {
    const name = 'bare';
    const tool = keepTaking(name, ({ metadata }) => metadata.annotations?.[annotations.knownRevisions] !== undefined, {
      metadata: { annotations: { [annotations.knownRevisions]: null } },
    });
    await eventually('the tool to have begun', () => (tool.times() > 0 ? true : undefined));
    await untilTakenUp();
    const atRest = writesTo(name);
    await rotate([name]);
    await rotate([name]);
    await untilTakenUp();
    // The adoption at first, the one before the first rotation, and two rolls.
    expect([atRest, writesTo(name), rollsOf(name)]).toEqual([1, 4, 2]);
  });
});

describe('a rotation', () => {
  /** Longer than the pods of a new template are given to have what a Secret holds, in milliseconds. */
  const late = 6_000;

  it.each([
    ['born', 0],
    ['born-late', late],
  ])('reaches a workload that is made while the Secret is being written (%s)', async (name, delay) => {
    await whileSecretIsHeld(name, delay, () => run(['apply'], manifestOf(name)));
    expect(rollsOf(name)).toBe(1);
  });

  it.each([
    ['edited', 0],
    ['edited-late', late],
  ])('reaches a workload that its owner edits while the Secret is being written (%s)', async (name, delay) => {
    await whileSecretIsHeld(name, delay, () => run(['apply'], manifestOf(name, name, 'example.test/app:2')));
    expect(rollsOf(name)).toBe(1);
  });

  it('reaches a workload that begins to consume the Secret while that is being written', async () => {
    await run(['apply'], manifestOf('joined', ''));
    await whileSecretIsHeld('joined', 0, () => run(['apply'], manifestOf('joined')));
    expect(rollsOf('joined')).toBe(1);
  });

  it('that nobody saw, for the Secret was away, rolls once', async () => {
    const { namespace } = scenario;
    await scenario.stopOperator();
    await namespace.delete('secrets', 'unseen');
    changeItem('unseen');
    await scenario.restartOperator();
    await untilNewPods(history, 'unseen', 'unseen', 1);
    await untilTakenUp();
    expect(rollsOf('unseen')).toBe(1);
  });
});

describe.each(moments)('nobody is restarted when, %s,', (moment) => {
  const names = damageNames.map((damage) => damaged(damage, moment));
  const workloads = names.flatMap((name) => [name, `${name}-late`]);
  let before: ReadonlyMap<string, number>;

  /** After a first rotation there is a second consumer of each, whose entry stands in its metadata. */
  beforeAll(async () => {
    if (!sharedControlPlane().features.pods) return;
    await rotate(names);
    const revision = Date.now();
    // What is made sooner may have started on the value before.
    await eventually('all to be of the new value', () => (Date.now() > revision + 6_500 ? true : undefined));
    await run(['apply'], ...names.map((name) => manifestOf(`${name}-late`, name)));
    for (const name of names) await untilAdopted(`${name}-late`);
    await untilTakenUp();
    before = new Map(workloads.map((name) => [name, rollsOf(name)]));
    if (moment === 'while the operator is off') await scenario.stopOperator();
    await Promise.all(damageNames.map((damage) => damages[damage](damaged(damage, moment))));
    if (moment === 'while the operator is off') await scenario.restartOperator();
    for (const name of names) await eventually(`Secret ${name}`, () => scenario.namespace.secret(name));
    await untilTakenUp();
  });

  it.each(damageNames)('%s', (damage) => {
    const name = damaged(damage, moment);
    expect(rollsOf(name) + rollsOf(`${name}-late`)).toBe((before.get(name) ?? 0) + (before.get(`${name}-late`) ?? 0));
  });

  it('and everybody once at the next rotation', async () => {
    await rotate(names, (name) => [name, `${name}-late`]);
    await untilTakenUp();
    const rolled = workloads.map((name) => rollsOf(name) - (before.get(name) ?? 0));
    expect(rolled).toEqual(workloads.map(() => 1));
  });
});
