import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, legacyFinalizer } from '../../src/api/names.ts';
import type { SecretRecord } from '../../src/api/onepassword-item.ts';
import { type ReadDeployment, type ReadSecret, untilEvent, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

let scenario: Scenario;

beforeAll(async () => {
  scenario = await startScenario({
    seed: {
      vaults: [
        { name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'of db' }] }] },
        { name: 'Team', items: [{ title: 'mail', fields: [{ label: 'password', value: 'of mail' }] }] },
      ],
    },
  });
});

afterAll(() => scenario?.end());

type Notes = Readonly<Record<string, string>>;

/** Annotations that ask for the Secret `secret`, of an item of the vault Prod. */
function asking(item: string, secret: string): Notes {
  return { [annotations.itemPath]: `vaults/Prod/items/${item}`, [annotations.itemName]: secret };
}

/** Makes an item of this title, and a Deployment of the same name that asks for a Secret of the same name. */
async function create(name: string, more: Notes = {}): Promise<ReadSecret> {
  scenario.connect.store.createItem('Prod', { title: name, fields: [{ label: 'password', value: `of ${name}` }] });
  await scenario.namespace.createDeployment(name, name, { ...asking(name, name), ...more });
  return await untilSynced(name, 1, name);
}

/** Fields of which the first alone differs. */
const fields = (password: string): { label: string; value: string }[] => [
  { label: 'password', value: password },
  { label: 'user', value: 'app' },
];

/** Waits until a Deployment has recorded that its Secret holds a version of its item. */
async function untilSynced(deployment: string, version: number, secret = deployment): Promise<ReadSecret> {
  await eventually(`version ${version} in Secret ${secret}`, async () => {
    const record = recordOf(await scenario.namespace.deployment(deployment));
    return record?.item.version === version && record.secret.name === secret ? true : undefined;
  });
  const found = await scenario.namespace.secret(secret);
  if (found === undefined) throw new Error(`no Secret ${secret}`);
  return found;
}

function recordOf({ metadata }: ReadDeployment): SecretRecord | undefined {
  const record = metadata.annotations?.[annotations.secret];
  return record === undefined ? undefined : (JSON.parse(record) as SecretRecord);
}

function annotate(deployment: string, notes: Readonly<Record<string, string | null>>): Promise<void> {
  return scenario.namespace.patchDeployment(deployment, { metadata: { annotations: notes } });
}

/** Waits until Connect has been asked twice for what changed: whatever the operator would do by then is done. */
async function twoPolls(): Promise<void> {
  const { requests } = scenario.connect;
  const before = requests.count('GET /v1/vaults');
  await eventually('two polls', () => (requests.count('GET /v1/vaults') >= before + 2 ? true : undefined));
}

/** Waits until nobody has written to a Deployment for the length of two polls. */
function untilQuiet(deployment: string): Promise<ReadDeployment> {
  return eventually(`Deployment ${deployment} to be left alone`, async () => {
    const before = await scenario.namespace.deployment(deployment);
    await twoPolls();
    const after = await scenario.namespace.deployment(deployment);
    return after.metadata.resourceVersion === before.metadata.resourceVersion ? after : undefined;
  });
}

/** What was asked of Connect, but for the polls. */
function questions(): readonly string[] {
  return scenario.connect.requests.all.filter(({ route }) => route !== 'GET /v1/vaults').map(({ path }) => path);
}

describe('the Secret of an annotated Deployment', () => {
  it('has the values of the item', async () => {
    const secret = await create('made');
    expect(secret).toMatchObject({ type: 'Opaque', values: { password: 'of made' } });
  });

  it('is owned by the Deployment, which does not control it', async () => {
    const secret = await create('owned');
    const { uid } = (await scenario.namespace.deployment('owned')).metadata;
    expect(secret.metadata.ownerReferences).toEqual([{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'owned', uid }]);
  });

  it('says which item it holds, in which version, and whether a change restarts', async () => {
    const { metadata } = await create('marked', { [annotations.autoRestart]: 'true' });
    const { id, vault } = scenario.connect.store.item('Prod', 'marked');
    expect(metadata.annotations).toMatchObject({
      [annotations.itemPath]: `vaults/${vault.id}/items/${id}`,
      [annotations.itemVersion]: '1',
      [annotations.autoRestart]: 'true',
    });
  });

  it('is made when the pod template alone is annotated', async () => {
    await scenario.namespace.createDeployment('template', 'template', {}, asking('db', 'template'));
    expect((await untilSynced('template', 1)).values).toEqual({ password: 'of db' });
  });

  it("is the one that the Deployment's own annotations ask for, whatever its pod template says", async () => {
    const { namespace } = scenario;
    await namespace.createDeployment('both', 'both', asking('db', 'both'), asking('db', 'both-template'));
    await untilSynced('both', 1);
    await twoPolls();
    expect(await namespace.secret('both-template')).toBeUndefined();
  });

  it('comes back within a second when it is deleted', async () => {
    const { namespace } = scenario;
    const before = await create('deleted');
    await namespace.delete('secrets', 'deleted');
    const after = await eventually('the Secret', () => namespace.secret('deleted'), 1_000);
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    expect(after.values).toEqual({ password: 'of deleted' });
  });

  it('is restored when somebody edits it, and that is no rotation', async () => {
    const { namespace } = scenario;
    await create('edited');
    await namespace.patchSecret('edited', { data: { password: null, other: 'eA==' } });
    const secret = await eventually('the repair', async () => {
      const found = await namespace.secret('edited');
      return found?.values['password'] === 'of edited' ? found : undefined;
    });
    expect(secret.values).toEqual({ password: 'of edited' });
    expect(secret.metadata.annotations).not.toHaveProperty([annotations.revisions]);
    expect(await untilEvent(namespace, 'Deployment', 'edited', 'DriftRepaired')).toMatchObject({ type: 'Warning' });
  });

  it('costs neither a request to Connect nor a write when somebody labels it', async () => {
    const { namespace, connect } = scenario;
    await create('touched');
    const deployment = await untilQuiet('touched');
    connect.requests.reset();
    await namespace.patchSecret('touched', { metadata: { labels: { mine: 'x' }, annotations: { 'example.com/mine': 'y' } } });
    const touched = await namespace.secret('touched');
    await twoPolls();
    expect(questions()).toEqual([]);
    expect((await namespace.secret('touched'))?.metadata.resourceVersion).toBe(touched?.metadata.resourceVersion);
    expect((await namespace.deployment('touched')).metadata.resourceVersion).toBe(deployment.metadata.resourceVersion);
  });

  it('is collected when the Deployment is deleted', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await create('collected');
    await namespace.delete('deployments', 'collected');
    await eventually('the Secret to go', async () => ((await namespace.secret('collected')) === undefined ? true : undefined));
    await twoPolls();
    expect(await namespace.secret('collected')).toBeUndefined();
  });
});

describe('an annotated Deployment whose item changes', () => {
  it('is rolled once when it has opted in', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    await create('rolled', { [annotations.autoRestart]: 'true' });
    await untilRolledOut(namespace, 'rolled');
    connect.store.setField('Prod', 'rolled', 'password', 'next');
    expect((await untilSynced('rolled', 2)).values).toEqual({ password: 'next' });
    await eventually('a second ReplicaSet', async () => ((await namespace.replicaSets('rolled')) === 2 ? true : undefined));
    const { spec } = await untilRolledOut(namespace, 'rolled');
    await untilQuiet('rolled');
    expect(await namespace.replicaSets('rolled')).toBe(2);
    expect((await namespace.deployment('rolled')).spec).toEqual(spec);
  });

  it('is rolled once when the item changed while no operator ran', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    await create('missed', { [annotations.autoRestart]: 'true' });
    await untilRolledOut(namespace, 'missed');
    await scenario.stopOperator();
    connect.store.setField('Prod', 'missed', 'password', 'next');
    await scenario.restartOperator();
    await eventually('a second ReplicaSet', async () => ((await namespace.replicaSets('missed')) === 2 ? true : undefined));
    await scenario.restartOperator();
    await untilRolledOut(namespace, 'missed');
    await untilQuiet('missed');
    expect(await namespace.replicaSets('missed')).toBe(2);
  });

  it('is left as it is when it has not opted in', async () => {
    const { namespace, connect } = scenario;
    await create('followed');
    const { spec } = await namespace.deployment('followed');
    connect.store.setField('Prod', 'followed', 'password', 'next');
    expect((await untilSynced('followed', 2)).values).toEqual({ password: 'next' });
    await twoPolls();
    expect((await namespace.deployment('followed')).spec).toEqual(spec);
  });

  it('restarts nobody when its rollout is undone, record and all', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    await create('undone');
    const { metadata, spec } = await untilRolledOut(namespace, 'undone');
    connect.store.setField('Prod', 'undone', 'password', 'next');
    const secret = await untilSynced('undone', 2);
    await annotate('undone', { [annotations.secret]: metadata.annotations?.[annotations.secret] ?? '' });
    await untilSynced('undone', 2);
    expect((await namespace.secret('undone'))?.metadata.resourceVersion).toBe(secret.metadata.resourceVersion);
    expect((await namespace.deployment('undone')).spec).toEqual(spec);
  });
});

describe('an annotated Deployment that asks for something else', () => {
  it('gets a Secret of the new name, and keeps the old one as it was', async () => {
    const { namespace, connect } = scenario;
    const before = await create('renamed');
    await annotate('renamed', { [annotations.itemName]: 'renamed-next' });
    expect((await untilSynced('renamed', 1, 'renamed-next')).values).toEqual({ password: 'of renamed' });
    connect.store.setField('Prod', 'renamed', 'password', 'next');
    expect((await untilSynced('renamed', 2, 'renamed-next')).values).toEqual({ password: 'next' });
    expect(await namespace.secret('renamed')).toEqual(before);
  });

  it('moves the revisions of those keys alone that differ in the other item', async () => {
    const { store } = scenario.connect;
    store.createItem('Prod', { title: 'one', fields: fields('first') });
    store.createItem('Prod', { title: 'two', fields: fields('second') });
    await scenario.namespace.createDeployment('moved', 'moved', asking('one', 'moved'));
    await untilSynced('moved', 1);
    await annotate('moved', { [annotations.itemPath]: 'vaults/Prod/items/two' });
    const secret = await eventually('the values of the other item', async () => {
      const found = await scenario.namespace.secret('moved');
      return found?.values['password'] === 'second' ? found : undefined;
    });
    expect(secret.values).toEqual({ password: 'second', user: 'app' });
    expect(Object.keys(JSON.parse(secret.metadata.annotations?.[annotations.revisions] ?? '{}'))).toEqual(['password']);
  });

  it('moves no revision of a Secret that it had before', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    await create('first');
    const { id, vault } = connect.store.item('Prod', 'first');
    connect.store.setField('Prod', 'first', 'password', 'next');
    await untilSynced('first', 2);
    const notes = { [annotations.itemPath]: `vaults/${vault.id}/items/${id}`, [annotations.itemVersion]: '2' };
    await namespace.createSecret('first-other', { password: 'next' }, { annotations: notes });
    await annotate('first', { [annotations.itemName]: 'first-other' });
    const { metadata } = await untilSynced('first', 2, 'first-other');
    expect(metadata.annotations).not.toHaveProperty([annotations.revisions]);
  });

  it('keeps its Secret when it asks for none any more, and that is no longer updated', async () => {
    const { namespace, connect } = scenario;
    const before = await create('freed');
    await namespace.createDeployment('follower', 'follower', asking('freed', 'follower'));
    await untilSynced('follower', 1);
    await annotate('freed', { [annotations.itemPath]: null, [annotations.itemName]: null });
    connect.store.setField('Prod', 'freed', 'password', 'next');
    await untilSynced('follower', 2);
    await twoPolls();
    expect(await namespace.secret('freed')).toEqual(before);
  });
});

describe('an annotated Deployment that cannot be served', () => {
  it('says so when the annotation with the name of the Secret is missing', async () => {
    const { namespace } = scenario;
    await namespace.createDeployment('nameless', 'nameless', { [annotations.itemPath]: 'vaults/Prod/items/db' });
    const { type, message } = await untilEvent(namespace, 'Deployment', 'nameless', 'InvalidItemPath');
    expect({ type, message }).toEqual({ type: 'Warning', message: expect.stringContaining(annotations.itemName) as string });
    expect(await namespace.secret('nameless')).toBeUndefined();
  });

  it('says so when the annotation with the path of the item is missing', async () => {
    const { namespace } = scenario;
    await namespace.createDeployment('pathless', 'pathless', { [annotations.itemName]: 'pathless' });
    const { type, message } = await untilEvent(namespace, 'Deployment', 'pathless', 'InvalidItemPath');
    expect({ type, message }).toEqual({ type: 'Warning', message: expect.stringContaining(annotations.itemPath) as string });
    expect(await namespace.secret('pathless')).toBeUndefined();
  });

  it('says that the item is not found, and when it is', async () => {
    const { namespace, connect } = scenario;
    await namespace.createDeployment('later', 'later', asking('later', 'later'));
    const { type, message } = await untilEvent(namespace, 'Deployment', 'later', 'ItemNotFound');
    expect(type).toBe('Warning');
    expect(message).toContain(`check the annotation ${annotations.itemPath}`);
    connect.store.createItem('Prod', { title: 'later', fields: [{ label: 'password', value: 'found' }] });
    expect(await untilEvent(namespace, 'Deployment', 'later', 'Synced')).toMatchObject({ type: 'Normal' });
    expect((await namespace.secret('later'))?.values).toEqual({ password: 'found' });
  });

  it('does not ask Connect again whenever its status changes', async () => {
    const { namespace, connect } = scenario;
    await namespace.createDeployment('restless', 'restless', asking('absent', 'restless'));
    await untilEvent(namespace, 'Deployment', 'restless', 'ItemNotFound');
    await untilQuiet('restless');
    connect.requests.reset();
    const polls = (): number => connect.requests.count('GET /v1/vaults');
    await eventually('a poll', () => (polls() === 1 ? true : undefined));
    for (let count = 0; count < 20; count += 1) await annotate('restless', { 'example.com/count': String(count) });
    await eventually('more polls', () => (polls() >= 4 ? true : undefined));
    const times = connect.requests.all.filter(({ route }) => route === 'GET /v1/vaults').map(({ at }) => at);
    const shortest = Math.min(...times.slice(1).map((time, index) => time - (times[index] ?? 0)));
    expect(shortest).toBeGreaterThan(800);
  });
});

describe('a Secret that two want', () => {
  it('stays with the Deployment that had it first, and goes to the other when that is deleted', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await create('holder');
    await namespace.createDeployment('heir', 'holder', asking('db', 'holder'));
    const { message } = await untilEvent(namespace, 'Deployment', 'heir', 'SecretNotOwned');
    expect(message).toContain('Deployment holder');
    expect((await namespace.secret('holder'))?.values).toEqual({ password: 'of holder' });
    await namespace.delete('deployments', 'holder');
    expect((await untilSynced('heir', 1, 'holder')).metadata.ownerReferences).toMatchObject([{ kind: 'Deployment', name: 'heir' }]);
    expect(await untilEvent(namespace, 'Deployment', 'heir', 'Synced')).toMatchObject({ type: 'Normal' });
  });

  it('stays with a Deployment that had it before a resource', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await create('senior');
    await namespace.createItem('senior', 'vaults/Prod/items/db');
    const item = await untilReadiness(namespace, 'senior', 'SecretNotOwned');
    expect(item.status?.conditions?.[0]?.message).toContain('Deployment senior');
    expect((await namespace.secret('senior'))?.values).toEqual({ password: 'of senior' });
    await namespace.delete('deployments', 'senior');
    await untilReadiness(namespace, 'senior', 'True');
    expect((await namespace.secret('senior'))?.values).toEqual({ password: 'of db' });
  });

  it('stays with a resource that had it before a Deployment', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await namespace.createItem('resource', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'resource', 'True');
    await namespace.createDeployment('junior', 'resource', {
      [annotations.itemPath]: 'vaults/Team/items/mail',
      [annotations.itemName]: 'resource',
    });
    const { message } = await untilEvent(namespace, 'Deployment', 'junior', 'SecretNotOwned');
    expect(message).toContain('OnePasswordItem resource');
    expect((await namespace.secret('resource'))?.values).toEqual({ password: 'of db' });
    await namespace.delete('items', 'resource');
    expect((await untilSynced('junior', 1, 'resource')).values).toEqual({ password: 'of mail' });
  });
});

describe('the record of an annotated Deployment', () => {
  const malformed = ['nonsense', '', 'null', '[]', '{"item":{"version":1}}', '{"item":{},"secret":{"revisions":{"password":"9"}}}'];

  it.each(malformed)('is repaired when it is %j, and nobody restarts', async (text) => {
    const { namespace } = scenario;
    const name = `record-${malformed.indexOf(text)}`;
    const secret = await create(name, { [annotations.autoRestart]: 'true' });
    const { metadata, spec } = await namespace.deployment(name);
    await annotate(name, { [annotations.secret]: text });
    await eventually('the repair', async () => {
      const { metadata: now } = await namespace.deployment(name);
      return now.annotations?.[annotations.secret] === metadata.annotations?.[annotations.secret] ? true : undefined;
    });
    await twoPolls();
    expect((await namespace.deployment(name)).spec).toEqual(spec);
    expect((await namespace.secret(name))?.metadata.resourceVersion).toBe(secret.metadata.resourceVersion);
  });
});

describe("the old operator's finalizer", () => {
  it('is taken from an annotated Deployment', async () => {
    const { namespace } = scenario;
    await create('finalized');
    await namespace.patchDeployment('finalized', { metadata: { finalizers: ['example.com/other', legacyFinalizer] } });
    await eventually('the finalizer to go', async () => {
      const { finalizers } = (await namespace.deployment('finalized')).metadata;
      return JSON.stringify(finalizers) === '["example.com/other"]' ? true : undefined;
    });
    await namespace.patchDeployment('finalized', { metadata: { finalizers: null } });
  });

  it('does not keep a Deployment that is deleted, annotated or not', async () => {
    const { namespace } = scenario;
    await scenario.stopOperator();
    await namespace.createDeployment('leaving', 'leaving');
    await namespace.patchDeployment('leaving', { metadata: { finalizers: [legacyFinalizer] } });
    await namespace.delete('deployments', 'leaving');
    await namespace.createDeployment('left', 'left', asking('db', 'left'));
    await namespace.patchDeployment('left', { metadata: { finalizers: [legacyFinalizer] } });
    await namespace.delete('deployments', 'left');
    await scenario.restartOperator();
    for (const name of ['leaving', 'left']) {
      await eventually(`${name} to go`, () =>
        namespace.deployment(name).then(
          () => undefined,
          () => true,
        ),
      );
    }
    expect(await namespace.secret('left')).toBeUndefined();
  });
});

describe('an operator that is started again', () => {
  let quiet: Scenario;

  beforeAll(async () => {
    const items = Array.from({ length: 5 }, (_, index) => ({ title: `item-${index}`, fields: [{ label: 'password', value: 'x' }] }));
    quiet = await startScenario({ seed: { vaults: ['Prod', 'Team', 'Unused'].map((name) => ({ name, items })) } });
  });

  afterAll(() => quiet?.end());

  it('asks Connect once, and once for each vault, and writes nothing when its Deployments are in sync', async () => {
    const { namespace, connect } = quiet;
    const names = ['Prod', 'Team'].flatMap((vault) => Array.from({ length: 5 }, (_, index) => ({ vault, index })));
    for (const { vault, index } of names) {
      const name = `${vault.toLowerCase()}-${index}`;
      const notes = { [annotations.itemPath]: `vaults/${vault}/items/item-${index}`, [annotations.itemName]: name };
      await namespace.createDeployment(name, name, { ...notes, [annotations.autoRestart]: 'true' });
    }
    const deployments = names.map(({ vault, index }) => `${vault.toLowerCase()}-${index}`);
    const versions = async (): Promise<readonly unknown[]> =>
      Promise.all(
        deployments.map(async (name) => [
          (await namespace.deployment(name)).metadata.resourceVersion,
          (await namespace.secret(name))?.metadata.resourceVersion,
        ]),
      );
    const polls = (): number => connect.requests.count('GET /v1/vaults');
    const nextPoll = (): Promise<true> => {
      const before = polls();
      return eventually('a poll', () => (polls() > before ? true : undefined));
    };
    await eventually('all records', async () => {
      const records = await Promise.all(deployments.map(async (name) => recordOf(await namespace.deployment(name))));
      return records.every((record) => record !== undefined) ? true : undefined;
    });
    const before = await eventually('all to be left alone', async () => {
      const first = await versions();
      await nextPoll();
      const second = await versions();
      return JSON.stringify(first) === JSON.stringify(second) ? second : undefined;
    });
    await quiet.stopOperator();
    connect.requests.reset();
    await quiet.restartOperator();
    await eventually('two polls', () => (polls() >= 2 ? true : undefined));
    const asked = connect.requests.counts();
    expect(asked).toEqual({ 'GET /v1/vaults': asked['GET /v1/vaults'], 'GET /v1/vaults/{vault}/items': 2 });
    expect(await versions()).toEqual(before);
  });
});
