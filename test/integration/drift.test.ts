import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations, kind, managedLabel } from '../../src/api/names.ts';
import { collectionPath, events, objectPath, secrets } from '../../src/kube/resource.ts';
import { type ReadSecret, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { kubectl, requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

/** What nobody but a Secret may hold. */
const value = 'kept-in-the-secret-alone';
const foreignValue = 'written-by-somebody-else';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

let scenario: Scenario;

beforeAll(async () => {
  const fields = [
    { label: 'password', value },
    { label: 'user', value: 'app' },
  ];
  const titles = ['deleted', 'down', 'edit', 'add', 'remove', 'text', 'away', 'calm', 'label', 'notes', 'path', 'owner', 'labels'];
  const quiet = ['touched', 'adopted', 'restarted', 'marker', 'witness'];
  scenario = await startScenario({
    seed: { vaults: [{ name: 'Prod', items: [...titles, ...quiet].map((title) => ({ title, fields })) }] },
  });
});

afterAll(() => scenario?.end());

async function create(name: string, extra: object = {}): Promise<ReadSecret> {
  await scenario.namespace.createItem(name, `vaults/prod/items/${name}`, extra);
  await untilReadiness(scenario.namespace, name, 'True');
  return await read(name);
}

async function read(name: string): Promise<ReadSecret> {
  const secret = await scenario.namespace.secret(name);
  if (secret === undefined) throw new Error(`no Secret ${name}`);
  return secret;
}

/** Patches a Secret as somebody else does, whose field manager is `manager`. */
async function patchAs(manager: string, name: string, body: object): Promise<void> {
  const path = objectPath(secrets, { namespace: scenario.namespace.name, name });
  await scenario.namespace.kube.request({ method: 'PATCH', path, query: { fieldManager: manager }, body });
}

function untilSecret(what: string, name: string, isThere: (secret: ReadSecret) => boolean): Promise<ReadSecret> {
  return eventually(what, async () => {
    const secret = await scenario.namespace.secret(name);
    return secret !== undefined && isThere(secret) ? secret : undefined;
  });
}

/** The first event of a reason on a resource. */
function untilEvent(name: string, reason: string): Promise<{ readonly type: string; readonly message: string }> {
  return eventually(`an event ${reason} on ${name}`, async () => {
    const query = { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name},reason=${reason}` };
    const path = collectionPath(events, scenario.namespace.name);
    const { items } = await scenario.namespace.kube.request<{ items: readonly { type: string; message: string }[] }>({
      method: 'GET',
      path,
      query,
    });
    return items[0];
  });
}

/** Waits until the operator has taken up whatever happened to Secrets before: what happens to another one comes after it. */
async function untilTakenUp(): Promise<void> {
  const { namespace } = scenario;
  const before = await read('marker');
  await namespace.delete('secrets', 'marker');
  await untilSecret('the marker', 'marker', ({ metadata }) => metadata.uid !== before.metadata.uid);
}

/** Writes ten times into the metadata of a Secret, by turns of two others; gives the versions thereafter. */
async function touch(name: string): Promise<readonly unknown[]> {
  for (let count = 1; count <= 5; count += 1) {
    await patchAs('labeller', name, { metadata: { labels: { mine: String(count) } } });
    await patchAs('annotator', name, { metadata: { annotations: { mine: String(count) } } });
  }
  return await versions(name);
}

/** The `resourceVersion` of the resource and of its Secret. */
async function versions(name: string): Promise<readonly unknown[]> {
  const item = await scenario.namespace.item(name);
  return [item?.metadata.resourceVersion, (await read(name)).metadata.resourceVersion];
}

function fetches(title: string): number {
  const { id } = scenario.connect.store.item('Prod', title);
  return scenario.connect.requests.all.filter(({ path }) => path.includes(id)).length;
}

describe('a Secret that is deleted', () => {
  it('is back within a second, with its values', async () => {
    const { namespace } = scenario;
    const before = await create('deleted');
    await namespace.delete('secrets', 'deleted');
    const deleted = performance.now();
    const after = await untilSecret('the Secret', 'deleted', ({ metadata }) => metadata.uid !== before.metadata.uid);
    expect(performance.now() - deleted).toBeLessThan(1_000);
    expect(after.values).toEqual(before.values);
  });

  it('is back as soon as Connect answers, when Connect was down', async () => {
    const { namespace, connect } = scenario;
    await create('down');
    const fault = connect.faults.order({ kind: 'status', status: 503 });
    await namespace.delete('secrets', 'down');
    await untilReadiness(namespace, 'down', 'ConnectUnavailable');
    await eventually('Connect to count as down', () => (fault.hits >= 5 ? true : undefined));
    expect(await namespace.secret('down')).toBeUndefined();
    fault.clear();
    connect.requests.reset();
    await untilSecret('the Secret', 'down', () => true);
    const answered = connect.requests.all.find(({ status }) => status === 200);
    expect(Date.now() - (answered?.at ?? 0)).toBeLessThan(1_000);
  });
});

describe('values that somebody else writes', () => {
  const edits = [
    { name: 'edit', what: 'a value that is edited', body: { data: { password: base64(foreignValue) } }, keys: 'password' },
    { name: 'add', what: 'a key that is added', body: { data: { token: base64(foreignValue) } }, keys: 'token' },
    { name: 'remove', what: 'a key that is removed', body: { data: { user: null } }, keys: 'user' },
  ];
  it.each(edits)('are replaced, and an event names the keys alone: $what', async ({ name, body, keys }) => {
    const before = await create(name);
    const { code, stderr } = await kubectl(['-n', scenario.namespace.name, 'patch', 'secret', name, '-p', JSON.stringify(body)]);
    expect(code, stderr).toBe(0);
    const event = await untilEvent(name, 'DriftRepaired');
    expect(event).toMatchObject({ type: 'Warning', message: `somebody else changed Secret "${name}"; restored: ${keys}` });
    expect((await read(name)).values).toEqual(before.values);
  });

  it('are replaced when they were applied as text', async () => {
    const before = await create('text');
    const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'text' }, stringData: { password: foreignValue } };
    const apply = ['apply', '--server-side', '--force-conflicts', '--field-manager=gitops', '-f', '-'];
    const { code, stderr } = await kubectl(['-n', scenario.namespace.name, ...apply], JSON.stringify(manifest));
    expect(code, stderr).toBe(0);
    await untilEvent('text', 'DriftRepaired');
    expect((await read('text')).values).toEqual(before.values);
  });

  it('are replaced when they were written while no operator ran', async () => {
    const before = await create('away');
    await scenario.stopOperator();
    await patchAs('somebody', 'away', { data: { password: base64(foreignValue) } });
    await scenario.restartOperator();
    await untilEvent('away', 'DriftRepaired');
    expect((await read('away')).values).toEqual(before.values);
  });

  it('restart nobody, and neither does a deletion', async (context) => {
    requireFeature(context, 'pods');
    const { namespace, connect } = scenario;
    const optedIn = { annotations: { [annotations.autoRestart]: 'true' } };
    const before = await create('calm', optedIn);
    await create('witness', optedIn);
    for (const name of ['calm', 'witness']) await namespace.createDeployment(name, name);
    for (const name of ['calm', 'witness']) await untilRolledOut(namespace, name);
    await patchAs('somebody', 'calm', { data: { password: base64(foreignValue), token: base64(foreignValue), user: null } });
    await untilSecret('the repair', 'calm', ({ values }) => values['password'] === value);
    await namespace.delete('secrets', 'calm');
    await untilSecret('the Secret', 'calm', ({ metadata }) => metadata.uid !== before.metadata.uid);

    connect.store.setField('Prod', 'witness', 'password', 'second');
    await eventually('the witness to roll', async () => ((await namespace.replicaSets('witness')) === 2 ? true : undefined));
    expect(await namespace.replicaSets('calm')).toBe(1);
  });
});

describe('what we write into the metadata', () => {
  it('comes back: the label by which Secrets are watched', async () => {
    const before = await create('label');
    await patchAs('somebody', 'label', { metadata: { labels: { [managedLabel]: null } } });
    const after = await untilSecret('the label', 'label', ({ metadata }) => metadata.labels?.[managedLabel] !== undefined);
    expect(after.metadata.labels).toEqual(before.metadata.labels);
  });

  it('comes back: the annotations that name the item, and the revisions', async () => {
    const { namespace, connect } = scenario;
    await create('notes');
    connect.store.setField('Prod', 'notes', 'password', 'second');
    await eventually('the rotation', async () => ((await namespace.item('notes'))?.status?.item?.version === 2 ? true : undefined));
    const before = await read('notes');
    expect(before.metadata.annotations).toHaveProperty([annotations.revisions]);
    const ours = { [annotations.itemPath]: null, [annotations.itemVersion]: null, [annotations.revisions]: null };
    await patchAs('somebody', 'notes', { metadata: { annotations: ours } });
    const after = await untilSecret('the annotations', 'notes', ({ metadata }) => metadata.annotations?.[annotations.itemVersion] === '2');
    // The time at which the revision was written is noted by the write that follows.
    const { [annotations.revisedAt]: _, ...others } = after.metadata.annotations ?? {};
    expect(others).toEqual(before.metadata.annotations);
  });

  it('comes back: an annotation that was given another value', async () => {
    const before = await create('path');
    const wrong = 'vaults/x/items/y';
    await patchAs('somebody', 'path', { metadata: { annotations: { [annotations.itemPath]: wrong } } });
    const after = await untilSecret('the annotation', 'path', (secret) => secret.metadata.annotations?.[annotations.itemPath] !== wrong);
    expect(after.metadata.annotations).toEqual(before.metadata.annotations);
  });

  it('comes back: the owner reference', async () => {
    const before = await create('owner');
    await patchAs('somebody', 'owner', { metadata: { ownerReferences: null } });
    const after = await untilSecret('the owner', 'owner', ({ metadata }) => metadata.ownerReferences !== undefined);
    expect(after.metadata.ownerReferences).toEqual(before.metadata.ownerReferences);
  });

  it('stands beside labels and annotations of others, which stay', async () => {
    await create('labels');
    await patchAs('somebody', 'labels', { metadata: { labels: { mine: 'x' }, annotations: { mine: 'y' } } });
    await patchAs('somebody', 'labels', { data: { password: base64(foreignValue) } });
    const { metadata } = await untilSecret('the repair', 'labels', ({ values }) => values['password'] === value);
    expect([metadata.labels?.['mine'], metadata.annotations?.['mine']]).toEqual(['x', 'y']);
  });
});

describe('metadata that others write', () => {
  beforeEach(async () => {
    if ((await scenario.namespace.item('marker')) === undefined) await create('marker');
  });

  it('cost no request and no write', async () => {
    await create('touched');
    scenario.connect.requests.reset();
    const touched = await touch('touched');
    await untilTakenUp();
    expect([fetches('touched'), await versions('touched')]).toEqual([0, touched]);
  });

  it('cost none for a Secret that was taken over from the old operator', async () => {
    const { namespace, connect } = scenario;
    const vaultId = connect.store.vault('Prod').id;
    const notes = {
      [annotations.itemPath]: `vaults/${vaultId}/items/${connect.store.item('Prod', 'adopted').id}`,
      [annotations.itemVersion]: '1',
    };
    const body = { metadata: { name: 'adopted', annotations: notes }, data: { password: base64(value), user: base64('app') } };
    const path = collectionPath(secrets, namespace.name);
    await namespace.kube.request({ method: 'POST', path, query: { fieldManager: 'manager' }, body });
    // Field managers' times are whole seconds: what was written in the second of our own write might have been written after it.
    const made = Date.parse((await read('adopted')).metadata.creationTimestamp ?? '');
    await eventually('a later second', () => (namespace.kube.serverTime() >= made + 2_000 ? true : undefined));
    await create('adopted');
    connect.requests.reset();
    const touched = await touch('adopted');
    await untilTakenUp();
    expect([fetches('adopted'), await versions('adopted')]).toEqual([0, touched]);
  });

  it('cost none for an operator that starts after them', async () => {
    await create('restarted');
    await scenario.stopOperator();
    const touched = await touch('restarted');
    scenario.connect.requests.reset();
    await scenario.restartOperator();
    await untilTakenUp();
    expect([fetches('restarted'), await versions('restarted')]).toEqual([0, touched]);
  });
});
