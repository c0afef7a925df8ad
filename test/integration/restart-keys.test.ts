import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { latestRevision, parseRevisions, type Revisions } from '../../src/domain/revisions.ts';
import { untilReadiness } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';
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

const image = 'example.test/app:1';
/** A value so much older than a pod template, in milliseconds, is surely known to its pods: 5 s, and the second that a creation time is cut to. */
const wellKnown = 6_500;

const plain = { name: 'main', image };
const mounting = (...paths: readonly object[]): object => ({
  ...plain,
  volumeMounts: paths.map((path, index) => ({ name: 'values', mountPath: `/values/${index}`, ...path })),
});
const whole = { name: 'values', secret: { secretName: 'db' } };
const items = [{ key: 'password', path: 'conf/password' }];

/** Ways to consume the password of the Secret `db` alone. */
const ofPassword = {
  env: { containers: [containerOf('db', 'password')] },
  'env-optional': {
    containers: [{ ...plain, env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'db', key: 'password', optional: true } } }] }],
  },
  'volume-items': { containers: [mounting({})], volumes: [{ name: 'values', secret: { secretName: 'db', items } }] },
  'sub-path': { containers: [mounting({ subPath: 'password' })], volumes: [whole] },
  'sub-path-of-items': {
    containers: [mounting({ subPath: 'conf' })],
    volumes: [{ name: 'values', secret: { secretName: 'db', items: [...items, { key: 'user', path: 'other/user' }] } }],
  },
  'projected-items': {
    containers: [mounting({})],
    volumes: [{ name: 'values', projected: { sources: [{ secret: { name: 'db', items } }] } }],
  },
  init: { containers: [plain], initContainers: [{ ...containerOf('db', 'password'), name: 'init' }] },
  sidecar: { containers: [plain], initContainers: [{ ...containerOf('db', 'password'), name: 'sidecar', restartPolicy: 'Always' }] },
};

/** Ways to consume all of it. */
const ofAll = {
  'env-from-prefix': { containers: [{ ...plain, envFrom: [{ prefix: 'DB_', secretRef: { name: 'db' } }] }] },
  volume: { containers: [mounting({})], volumes: [whole] },
  projected: { containers: [mounting({})], volumes: [{ name: 'values', projected: { sources: [{ secret: { name: 'db' } }] } }] },
};

/** Ways to name it without any container that gets a value. */
const ofNothing = {
  'image-pull': { containers: [plain], imagePullSecrets: [{ name: 'db' }] },
  unmounted: { containers: [plain], volumes: [whole] },
};

/** Asks for a Secret of its own, of the same item. */
const asking = 'asking';
const consumersOfAll = [...Object.keys(ofAll), asking];

let scenario: Scenario;

beforeAll(async () => {
  const fields = ['password', 'user'].map((label) => ({ label, value: 'first' }));
  const titles = ['db', 'tokens', 'edited', 'added', 'control'];
  scenario = await startScenario({
    seed: { vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] },
    flags: ['--max-restarts-per-namespace=0'],
  });
  const { namespace } = scenario;
  const notes = { [annotations.autoRestart]: 'true' };
  for (const title of titles) await namespace.createItem(title, `vaults/Prod/items/${title}`, { annotations: notes });
  for (const title of titles) await untilReadiness(namespace, title, 'True');
  // These get old while other things are tested.
  await rotate('edited', 'user');
  await rotate('added', 'user');
  await create('control', { containers: [containerOf('control', 'password')] }, 'control');
});

beforeEach((context) => requireFeature(context, 'controllerManager'));

afterAll(() => scenario?.end());

const deployment = (name: string): WorkloadName => ({ kind: 'Deployment', name });
const changes = (name: string): Promise<number> => changesOf(scenario.namespace, deployment(name));

/** Makes a Deployment, and waits until it is adopted by what it knows of a Secret. */
async function create(name: string, podSpec: object, secret: string, notes: Readonly<Record<string, string>> = {}): Promise<void> {
  await createWorkload(scenario.namespace, deployment(name), podSpec, { annotations: notes });
  await untilAdopted(scenario.namespace, deployment(name), secret);
}

/** Changes a key of an item, and waits until its Secret has the new value. */
async function rotate(item: string, key: string): Promise<void> {
  const value = crypto.randomUUID();
  scenario.connect.store.setField('Prod', item, key, value);
  await untilSecret(item, (values) => values[key] === value);
}

async function untilSecret(name: string, isRight: (values: Readonly<Record<string, string>>) => boolean): Promise<void> {
  await eventually(`the new values of Secret ${name}`, async () => {
    const { values } = (await scenario.namespace.secret(name)) ?? {};
    return values !== undefined && isRight(values) ? true : undefined;
  });
}

/** Lets a later rotation roll another Deployment: who has not been rolled by then is not rolled for what came before. */
async function rollControl(): Promise<void> {
  const before = await changes('control');
  await rotate('control', 'password');
  await untilChanged(scenario.namespace, deployment('control'), before + 1);
}

/** What the pod template of a Deployment states once it has been changed so many times. */
async function statedAfter(name: string, times: number): Promise<Revisions> {
  return recordsOf(await untilChanged(scenario.namespace, deployment(name), times)).rolled;
}

/** Secrets, with the time of the last change of anything in them. */
async function lastRevisions(...names: readonly string[]): Promise<Revisions> {
  const entries = names.map(async (name) => {
    const annotation = (await scenario.namespace.secret(name))?.metadata.annotations?.[annotations.revisions];
    return [name, latestRevision(parseRevisions(annotation))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function secretOf(name: string): string {
  return name === asking ? asking : 'db';
}

describe('a change of a key', () => {
  beforeAll(async () => {
    const { namespace } = scenario;
    const consuming = Object.entries({ ...ofPassword, ...ofAll });
    for (const [name, podSpec] of consuming) await createWorkload(namespace, deployment(name), podSpec);
    for (const [name, podSpec] of Object.entries(ofNothing)) await createWorkload(namespace, deployment(name), podSpec);
    const asks = { [annotations.itemPath]: 'vaults/Prod/items/db', [annotations.itemName]: asking, [annotations.autoRestart]: 'true' };
    await createWorkload(namespace, deployment(asking), { containers: [plain] }, { annotations: asks });
    for (const [name] of consuming) await untilAdopted(namespace, deployment(name), 'db');
    await untilAdopted(namespace, deployment(asking), asking);
    await rotate('db', 'password');
  });

  it.each([...Object.keys(ofPassword), ...consumersOfAll])('rolls once who consumes it: %s', async (name) => {
    expect(await statedAfter(name, 1)).toEqual(await lastRevisions(secretOf(name)));
  });

  it.each(Object.keys(ofNothing))('rolls nobody whose containers get no value: %s', async (name) => {
    await rollControl();
    const { metadata, spec } = await readWorkload(scenario.namespace, deployment(name));
    expect(metadata.annotations).not.toHaveProperty([annotations.knownRevisions]);
    expect(spec.template?.metadata.annotations).toBeUndefined();
  });

  describe('that some consume and others do not', () => {
    beforeAll(async () => {
      await rotate('db', 'user');
      await rollControl();
    });

    it.each(consumersOfAll)('rolls once more who consumes all keys: %s', async (name) => {
      expect(await statedAfter(name, 2)).toEqual(await lastRevisions(secretOf(name)));
    });

    it.each(Object.keys(ofPassword))('leaves alone who consumes another one: %s', async (name) => {
      expect(await changes(name)).toBe(1);
    });

    it('rolls nobody twice', async () => {
      await rollControl();
      expect(await Promise.all([...consumersOfAll, ...Object.keys(ofPassword)].map(changes))).toEqual([
        ...consumersOfAll.map(() => 2),
        ...Object.keys(ofPassword).map(() => 1),
      ]);
    });
  });
});

describe('a key that disappears, and comes back', () => {
  const whoTakesAll = deployment('takes-all');
  const whoNames = deployment('names');
  const whoNamesIfThere = deployment('names-if-there');

  beforeAll(async () => {
    const { connect } = scenario;
    const optional = { name: 'A', valueFrom: { secretKeyRef: { name: 'tokens', key: 'password', optional: true } } };
    await create(whoTakesAll.name, { containers: [{ ...plain, envFrom: [{ secretRef: { name: 'tokens' } }] }] }, 'tokens');
    await create(whoNames.name, { containers: [containerOf('tokens', 'password')] }, 'tokens');
    await create(whoNamesIfThere.name, { containers: [{ ...plain, env: [optional] }] }, 'tokens');
    connect.store.updateItem('Prod', 'tokens', { fields: [{ id: 'user', label: 'user', value: 'first', type: 'STRING' }] });
    await untilSecret('tokens', (values) => !('password' in values));
  });

  it('rolls who takes all keys', async () => {
    expect(await statedAfter(whoTakesAll.name, 1)).toEqual(await lastRevisions('tokens'));
  });

  it('rolls who names it as optional', async () => {
    expect(await statedAfter(whoNamesIfThere.name, 1)).toEqual(await lastRevisions('tokens'));
  });

  it('does not roll who names it, and an event says why', async () => {
    const { type, message } = await untilToldOf(scenario.namespace, whoNames, 'KeyMissing');
    expect({ type, message }).toEqual({ type: 'Warning', message: expect.stringContaining('tokens: password') as string });
    await rollControl();
    expect(await changes(whoNames.name)).toBe(0);
  });

  it('rolls each of them once when it is there again', async () => {
    const before = await changes(whoNames.name);
    await rotate('tokens', 'password');
    await untilChanged(scenario.namespace, whoNames, before + 1);
    await rollControl();
    const all = [whoNames, whoTakesAll, whoNamesIfThere].map(({ name }) => changes(name));
    expect(await Promise.all(all)).toEqual([1, 2, 2]);
  });
});

describe('an edit of the pod template', () => {
  const edited = deployment('edited');
  const edit = (...containers: readonly object[]): Promise<void> =>
    patchWorkload(scenario.namespace, edited, { spec: { template: { spec: { containers } } } });

  beforeAll(async () => {
    await create(edited.name, { containers: [containerOf('edited', 'password')] }, 'edited');
    const last = latestRevision(await lastRevisions('edited', 'added'));
    await eventually('the new values to be old', () => (Date.now() > last + wellKnown ? true : undefined));
    await edit({ ...containerOf('edited', 'password', 'user'), envFrom: [{ secretRef: { name: 'added' } }] });
  });

  it('that adds a key and a Secret, both changed before, rolls nothing more than itself', async () => {
    const adopted = await untilAdopted(scenario.namespace, edited, 'added');
    await rollControl();
    // Of the Secret that it consumed before, its template is young enough for the key.
    expect(recordsOf(adopted).adopted).toEqual({ ...(await lastRevisions('edited', 'added')), edited: 0 });
    await untilChanged(scenario.namespace, edited, 1);
    expect(await changes(edited.name)).toBe(1);
  });

  it('makes later changes of what it added roll', async () => {
    const before = await changes(edited.name);
    await rotate('edited', 'user');
    await untilChanged(scenario.namespace, edited, before + 1);
    await rotate('added', 'user');
    expect(await statedAfter(edited.name, before + 2)).toEqual(await lastRevisions('edited', 'added'));
  });

  it('that takes them away rolls nothing more than itself, nor does any later change of them', async () => {
    const before = await changes(edited.name);
    await edit(containerOf('edited', 'password'));
    await rollControl();
    expect(await changes(edited.name)).toBe(before + 1);
    await rotate('edited', 'user');
    await rotate('added', 'user');
    await rollControl();
    expect(await changes(edited.name)).toBe(before + 1);
  });
});
