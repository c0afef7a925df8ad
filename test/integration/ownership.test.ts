import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, group, kind, legacyFinalizer, version } from '../../src/api/names.ts';
import type { OwnerReference } from '../../src/domain/object.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, objectPath, type ResourceType, secrets, type WireObject } from '../../src/kube/resource.ts';
import { untilReadiness } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const value = 'of the item';
const foreignValue = 'of somebody else';
/** The garbage collector looks for new kinds of owners every 30 s. */
const collection = 50_000;
const configMaps: ResourceType = { root: '/api/v1', plural: 'configmaps' };

let scenario: Scenario;

beforeAll(async () => {
  scenario = await startScenario({
    seed: { vaults: [{ name: 'Prod', items: ['db', 'other'].map((title) => ({ title, fields: [{ label: 'password', value }] })) }] },
  });
});

afterAll(() => scenario?.end());

async function createObject(type: ResourceType, body: object): Promise<WireObject> {
  const { kube, name } = scenario.namespace;
  return await kube.request({ method: 'POST', path: collectionPath(type, name), body });
}

async function values(name: string): Promise<Readonly<Record<string, string>> | undefined> {
  return (await scenario.namespace.secret(name))?.values;
}

async function create(name: string, extra: object = {}): Promise<void> {
  await scenario.namespace.createItem(name, 'vaults/Prod/items/db', extra);
  await untilReadiness(scenario.namespace, name, 'True');
}

function pathOf(title: string): string {
  const { id, vault } = scenario.connect.store.item('Prod', title);
  return `vaults/${vault.id}/items/${id}`;
}

function fetches(title: string): number {
  const { id } = scenario.connect.store.item('Prod', title);
  return scenario.connect.requests.all.filter(({ path }) => path.includes(id)).length;
}

function untilGone(what: 'item' | 'secret', name: string): Promise<true> {
  return eventually(
    `${what} ${name} to go`,
    async () => ((await scenario.namespace[what](name)) === undefined ? true : undefined),
    collection,
  );
}

/** A live object: the Secrets of a dead one are collected. */
async function liveOwner(of: { readonly kind: string; readonly name: string }): Promise<OwnerReference> {
  if (of.kind === 'ConfigMap') {
    const { metadata } = await createObject(configMaps, { metadata: { name: of.name } });
    return { apiVersion: 'v1', ...of, uid: metadata.uid };
  }
  const { metadata } = await scenario.namespace.createItem(of.name, 'vaults/Prod/items/none');
  return { apiVersion: `${group}/${version}`, ...of, uid: metadata.uid };
}

describe('a Secret that was there before its resource', () => {
  interface Found {
    readonly name: string;
    readonly what: string;
    readonly notes?: () => Readonly<Record<string, string>>;
    readonly owner?: { readonly kind: string; readonly name: string };
  }

  async function find({ name, notes = () => ({}), owner }: Found): Promise<void> {
    const ownerReferences = owner && [await liveOwner(owner)];
    await scenario.namespace.createSecret(name, { password: foreignValue }, { annotations: notes(), ownerReferences });
    await scenario.namespace.createItem(name, 'vaults/Prod/items/db');
  }

  it.each<Found>([
    { name: 'marked', what: 'marked for adoption', notes: () => ({ [annotations.adopt]: 'true' }) },
    {
      name: 'marked-other',
      what: 'marked for adoption, though it holds another item',
      notes: () => ({ [annotations.adopt]: 'true', [annotations.itemPath]: pathOf('other'), [annotations.itemVersion]: '1' }),
    },
    {
      name: 'same-item',
      what: 'of our item in another version',
      notes: () => ({ [annotations.itemPath]: pathOf('db'), [annotations.itemVersion]: '7' }),
    },
  ])('is taken over when nobody owns it and it is $what', async (found) => {
    await find(found);
    await untilReadiness(scenario.namespace, found.name, 'True');
    expect(await values(found.name)).toEqual({ password: value });
  });

  it.each<Found>([
    { name: 'unmarked', what: 'of nobody, and has no mark' },
    { name: 'yes', what: 'of nobody, and has a mark that is not "true"', notes: () => ({ [annotations.adopt]: 'yes' }) },
    {
      name: 'other-item',
      what: 'of nobody, and has another item',
      notes: () => ({ [annotations.itemPath]: pathOf('other'), [annotations.itemVersion]: '1' }),
    },
    { name: 'path-alone', what: 'of nobody, and has our item in no version', notes: () => ({ [annotations.itemPath]: pathOf('db') }) },
    { name: 'version-alone', what: 'of nobody, and has a version of no item', notes: () => ({ [annotations.itemVersion]: '1' }) },
    { name: 'neighbour', what: 'of another resource', owner: { kind, name: 'somebody' } },
    { name: 'namesake', what: 'of an object that has our name and another kind', owner: { kind: 'ConfigMap', name: 'namesake' } },
    {
      name: 'owned',
      what: 'of somebody, though it is marked for adoption and has our item',
      notes: () => ({ [annotations.adopt]: 'true', [annotations.itemPath]: pathOf('db'), [annotations.itemVersion]: '1' }),
      owner: { kind: 'ConfigMap', name: 'somebody' },
    },
  ])('is left alone when it is $what', async (found) => {
    await find(found);
    await untilReadiness(scenario.namespace, found.name, 'SecretNotOwned');
    expect(await values(found.name)).toEqual({ password: foreignValue });
  });

  it('is taken over when it carries the uid of its resource', async () => {
    const { namespace } = scenario;
    const { metadata } = await namespace.createItem('by-uid', 'vaults/Prod/items/none');
    await untilReadiness(namespace, 'by-uid', 'ItemNotFound');
    const ownerReferences = [{ apiVersion: `${group}/${version}`, kind, name: 'by-uid', uid: metadata.uid }];
    await namespace.createSecret('by-uid', { password: foreignValue }, { ownerReferences });
    await namespace.patchItem('by-uid', { spec: { itemPath: 'vaults/Prod/items/db' } });
    await untilReadiness(namespace, 'by-uid', 'True');
    expect(await values('by-uid')).toEqual({ password: value });
  });

  it('is not fetched for again and again when it is left alone', async () => {
    const { namespace, connect } = scenario;
    await namespace.createSecret('refused', { password: foreignValue });
    connect.store.createItem('Prod', { title: 'refused', fields: [{ label: 'password', value }] });
    connect.store.createItem('Prod', { title: 'busy', fields: [{ label: 'password', value }] });
    await namespace.createItem('refused', 'vaults/Prod/items/refused');
    await namespace.createItem('busy', 'vaults/Prod/items/busy');
    await untilReadiness(namespace, 'refused', 'SecretNotOwned');
    connect.requests.reset();
    for (const next of ['one', 'two', 'three']) {
      connect.store.setField('Prod', 'busy', 'password', next);
      await eventually(`the value ${next}`, async () => ((await values('busy'))?.['password'] === next ? true : undefined));
    }
    expect(fetches('refused')).toBe(0);
  });
});

describe('a type', () => {
  it.each(['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])(
    'is refused, and costs no request: %s',
    async (type) => {
      const { namespace, connect } = scenario;
      const name = type.replaceAll(/[^a-z]/g, '-');
      connect.store.createItem('Prod', { title: name, fields: [{ label: 'password', value }] });
      await namespace.createItem(name, `vaults/Prod/items/${name}`, { type });
      await untilReadiness(namespace, name, 'SecretTypeNotAllowed');
      expect([await values(name), fetches(name)]).toEqual([undefined, 0]);
    },
  );

  it('of a Secret that is taken over stays, until the Secret is deleted', async () => {
    const { namespace } = scenario;
    const metadata = { name: 'basic', annotations: { [annotations.adopt]: 'true' } };
    const stringData = { password: foreignValue };
    await createObject(secrets, { metadata, type: 'kubernetes.io/basic-auth', stringData });
    await namespace.createItem('basic', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'basic', 'SecretTypeImmutable');
    expect(await values('basic')).toEqual({ password: foreignValue });
    await namespace.delete('secrets', 'basic');
    await untilReadiness(namespace, 'basic', 'True');
    expect((await namespace.secret('basic'))?.type).toBe('Opaque');
  });
});

describe('an immutable Secret', () => {
  it('comes back with the new values, and mutable, when it is deleted', async () => {
    const { namespace, connect } = scenario;
    connect.store.createItem('Prod', { title: 'fixed', fields: [{ label: 'password', value }] });
    await namespace.createItem('fixed', 'vaults/Prod/items/fixed');
    await untilReadiness(namespace, 'fixed', 'True');
    await namespace.patchSecret('fixed', { immutable: true });
    connect.store.setField('Prod', 'fixed', 'password', 'next');
    await untilReadiness(namespace, 'fixed', 'SecretImmutable');
    await namespace.delete('secrets', 'fixed');
    await untilReadiness(namespace, 'fixed', 'True');
    connect.store.setField('Prod', 'fixed', 'password', 'last');
    await eventually('the last value', async () => ((await values('fixed'))?.['password'] === 'last' ? true : undefined));
  });
});

describe('a resource', () => {
  it('that is renamed gets a Secret of the new name, and the old one goes', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await create('old-name');
    await namespace.delete('items', 'old-name');
    await create('new-name');
    await untilGone('secret', 'old-name');
    expect(await values('new-name')).toEqual({ password: value });
  });

  it('that is deleted without its Secret, and made anew, takes it over as it is', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await create('orphan');
    const before = await namespace.secret('orphan');
    const path = objectPath(onePasswordItems, { namespace: namespace.name, name: 'orphan' });
    await namespace.kube.request({ method: 'DELETE', path, query: { propagationPolicy: 'Orphan' } });
    await untilGone('item', 'orphan');
    await create('orphan');
    const after = await namespace.secret('orphan');
    const uid = (await namespace.item('orphan'))?.metadata.uid;
    expect(after?.metadata).toMatchObject({ uid: before?.metadata.uid, ownerReferences: [{ kind, name: 'orphan', uid }] });
  });

  it('that is deleted while no operator runs takes its Secret along', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    await create('lonely');
    await scenario.stopOperator();
    await namespace.delete('items', 'lonely');
    await untilGone('secret', 'lonely');
    await scenario.restartOperator();
    expect(await namespace.secret('lonely')).toBeUndefined();
  });

  it("loses the old operator's finalizer and keeps others", async () => {
    const { namespace } = scenario;
    await create('kept');
    await namespace.patchItem('kept', { metadata: { finalizers: ['example.com/keep', legacyFinalizer] } });
    const finalizers = await eventually('the finalizer to go', async () => {
      const item = await namespace.item('kept');
      return item?.metadata.finalizers?.includes(legacyFinalizer) ? undefined : item?.metadata.finalizers;
    });
    expect(finalizers).toEqual(['example.com/keep']);
    await namespace.patchItem('kept', { metadata: { finalizers: null } });
  });

  it("is not held in its deletion by the old operator's finalizer", async () => {
    const { namespace } = scenario;
    await scenario.stopOperator();
    await createObject(onePasswordItems, {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: { name: 'held', finalizers: [legacyFinalizer] },
      spec: { itemPath: 'vaults/Prod/items/db' },
    });
    await namespace.delete('items', 'held');
    expect((await namespace.item('held'))?.metadata.deletionTimestamp).toBeDefined();
    await scenario.restartOperator();
    await untilGone('item', 'held');
  });
});
