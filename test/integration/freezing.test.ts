import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, freezingTag } from '../../src/api/names.ts';
import { type ReadItem, type ReadSecret, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

let scenario: Scenario;

beforeAll(async () => {
  const fields = [
    { label: 'password', value: 'first' },
    { label: 'user', value: 'app' },
  ];
  const titles = ['noted', 'edited', 'calm', 'deleted', 'thawed', 'touched', 'quiet', 'born', 'renamed', 'witness'];
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] } });
});

afterAll(() => scenario?.end());

async function create(name: string, extra: object = {}): Promise<void> {
  await scenario.namespace.createItem(name, `vaults/Prod/items/${name}`, extra);
  await untilReadiness(scenario.namespace, name, 'True');
}

/** Freezes an item, and waits until its Secret says so. */
async function freeze(title: string): Promise<void> {
  const { version } = scenario.connect.store.updateItem('Prod', title, { tags: ['mine', freezingTag] });
  await untilNoted(title, version);
}

/** Gives an item another password, and waits until the version is noted on its Secret. */
async function rotate(title: string, password: string): Promise<void> {
  await untilNoted(title, scenario.connect.store.setField('Prod', title, 'password', password).version);
}

async function thaw(title: string): Promise<ReadSecret> {
  return await untilNoted(title, scenario.connect.store.updateItem('Prod', title, { tags: ['mine'] }).version);
}

function untilNoted(name: string, version: number): Promise<ReadSecret> {
  return eventually(`version ${version} on ${name}`, async () => {
    const secret = await scenario.namespace.secret(name);
    return secret?.metadata.annotations?.[annotations.itemVersion] === String(version) ? secret : undefined;
  });
}

function untilFrozen(name: string, version: number): Promise<ReadItem> {
  return eventually(`${name} to be frozen at ${version}`, async () => {
    const item = await scenario.namespace.item(name);
    const ready = item?.status?.conditions?.[0];
    return ready?.reason === 'ItemFrozen' && ready.message?.endsWith(`at version ${version}`) ? item : undefined;
  });
}

async function values(name: string): Promise<Readonly<Record<string, string>> | undefined> {
  return (await scenario.namespace.secret(name))?.values;
}

function revisedKeys({ metadata }: ReadSecret): readonly string[] {
  return Object.keys(JSON.parse(metadata.annotations?.[annotations.revisions] ?? '{}') as object);
}

function fetches(title: string): number {
  const { id } = scenario.connect.store.item('Prod', title);
  return scenario.connect.requests.all.filter(({ path }) => path.includes(id)).length;
}

/** Waits until the operator has taken up whatever happened before: what happens to the witness comes after it. */
async function untilTakenUp(): Promise<void> {
  const { namespace, connect } = scenario;
  if ((await namespace.item('witness')) === undefined) await create('witness', { annotations: { [annotations.autoRestart]: 'true' } });
  const { version } = connect.store.setField('Prod', 'witness', 'password', `at ${performance.now()}`);
  await untilNoted('witness', version);
}

describe('the Secret of a frozen item', () => {
  it('keeps its values and notes the version, and the resource tells both', async () => {
    await create('noted');
    await freeze('noted');
    await rotate('noted', 'second');
    const item = await untilFrozen('noted', 3);
    expect(item.status?.conditions?.[0]).toMatchObject({ status: 'True', message: expect.stringContaining('values of version 1') });
    expect(item.status?.item?.version).toBe(1);
    expect(await values('noted')).toEqual({ password: 'first', user: 'app' });
  });

  it('keeps what others write into it', async () => {
    const { namespace } = scenario;
    await create('edited');
    await freeze('edited');
    await namespace.patchSecret('edited', { data: { password: base64('by hand'), token: base64('new'), user: null } });
    await rotate('edited', 'second');
    await untilTakenUp();
    expect(await values('edited')).toEqual({ password: 'by hand', token: 'new' });
  });

  it('restarts nobody', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    await create('calm', { annotations: { [annotations.autoRestart]: 'true' } });
    await untilTakenUp();
    for (const name of ['calm', 'witness']) await namespace.createDeployment(name, name);
    for (const name of ['calm', 'witness']) await untilRolledOut(namespace, name);
    await freeze('calm');
    await rotate('calm', 'second');
    connect.store.setField('Prod', 'witness', 'password', 'last');
    await eventually('the witness to roll', async () => ((await namespace.replicaSets('witness')) === 2 ? true : undefined));
    expect(await namespace.replicaSets('calm')).toBe(1);
  });

  it('comes back with the present values when it is deleted', async () => {
    const { namespace } = scenario;
    await create('deleted');
    await freeze('deleted');
    await rotate('deleted', 'second');
    await namespace.delete('secrets', 'deleted');
    const secret = await eventually('the Secret', () => namespace.secret('deleted'));
    expect(secret.values).toEqual({ password: 'second', user: 'app' });
  });

  it('is made when there is none, and the resource says that it will not follow', async () => {
    const { namespace, connect } = scenario;
    connect.store.updateItem('Prod', 'born', { tags: [freezingTag] });
    await namespace.createItem('born', 'vaults/Prod/items/born');
    await untilFrozen('born', 2);
    expect(await values('born')).toEqual({ password: 'first', user: 'app' });
  });

  it('keeps its values when the resource spells the path anew, and the resource does not say that they are of the present version', async () => {
    const { namespace, connect } = scenario;
    await create('renamed');
    await freeze('renamed');
    await rotate('renamed', 'second');
    await untilFrozen('renamed', 3);
    const { id, vault } = connect.store.item('Prod', 'renamed');
    await namespace.patchItem('renamed', { spec: { itemPath: `vaults/${vault.id}/items/${id}` } });
    const item = await eventually('the path', async () => {
      const found = await namespace.item('renamed');
      return found?.status?.item?.path.includes(id) ? found : undefined;
    });
    expect(await values('renamed')).toEqual({ password: 'first', user: 'app' });
    expect(item.status?.item?.version).toBe(1);
  });

  it('costs no request while nothing changes in its item, and none at a start', async () => {
    await create('quiet');
    await freeze('quiet');
    await untilFrozen('quiet', 2);
    scenario.connect.requests.reset();
    await untilTakenUp();
    await untilTakenUp();
    await scenario.restartOperator();
    await untilTakenUp();
    expect(fetches('quiet')).toBe(0);
  });
});

describe('the Secret of an item that is no longer frozen', () => {
  it('follows, and revisions move for what changed', async () => {
    await create('thawed');
    await freeze('thawed');
    await rotate('thawed', 'second');
    const secret = await thaw('thawed');
    expect(secret.values).toEqual({ password: 'second', user: 'app' });
    expect(revisedKeys(secret)).toEqual(['password']);
    const reason = await eventually('the resource to say so', async () => {
      const said = (await scenario.namespace.item('thawed'))?.status?.conditions?.[0]?.reason;
      return said === 'ItemFrozen' ? undefined : said;
    });
    expect(reason).toBe('Synced');
  });

  it('moves all revisions when somebody wrote values meanwhile, even those it is to have now', async () => {
    const { namespace } = scenario;
    await create('touched');
    await freeze('touched');
    await namespace.patchSecret('touched', { data: { password: base64('second') } });
    await rotate('touched', 'second');
    expect(revisedKeys(await thaw('touched'))).toEqual(['*']);
  });
});
