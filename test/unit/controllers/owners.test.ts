import { describe, expect, it } from 'vitest';
import { createOwners } from '../../../src/controllers/owners.ts';
import { type OnePasswordItem, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';

let resourceVersion = 0;
const meta = (name: string, annotations: Readonly<Record<string, string>> = {}, namespace = 'ns') => ({
  namespace,
  name,
  uid: `uid of ${name}`,
  resourceVersion: String((resourceVersion += 1)),
  annotations,
});
const resume = { 'keyturn.dev/resume': 'true' };
const resource = (name: string): OnePasswordItem => reduceOnePasswordItem({ metadata: meta(name, resume) });
const deployment = (name: string, asksFor: string, namespace?: string): Workload => {
  const asks = { 'operator.1password.io/item-path': 'vaults/v/items/i', 'operator.1password.io/item-name': asksFor };
  return reduceWorkload('Deployment')({ metadata: meta(name, { ...asks, ...resume }, namespace) });
};

function setUp() {
  const stores = { items: createStore<OnePasswordItem>(), workloads: createStore<Workload>(workloadKey) };
  const owners = createOwners(stores);
  return { ...stores, owners, namesOf: (key: string) => owners.of(key).map(({ kind, name }) => `${kind} ${name}`) };
}

describe('who asks for a Secret', () => {
  it('is the resource of its name and the Deployments whose annotations name it, of its namespace', () => {
    const { items, workloads, namesOf } = setUp();
    items.put(resource('db'));
    items.put(resource('other'));
    workloads.put(deployment('shop', 'db'));
    workloads.put(deployment('elsewhere', 'db', 'prod'));
    expect(namesOf('ns/db')).toEqual(['OnePasswordItem db', 'Deployment shop']);
  });

  it('is nobody for a Secret that nobody wants', () => {
    expect(setUp().namesOf('ns/db')).toEqual([]);
  });

  it('changes as they do', () => {
    const { items, workloads, namesOf } = setUp();
    items.put(resource('db'));
    workloads.put(deployment('shop', 'db'));
    workloads.put(deployment('shop', 'cache'));
    items.remove(resource('db'));
    expect([namesOf('ns/db'), namesOf('ns/cache')]).toEqual([[], ['Deployment shop']]);
  });

  it('is given as events name it, with its annotations', () => {
    const { items, workloads, owners } = setUp();
    items.put(resource('db'));
    workloads.put(deployment('shop', 'db'));
    expect(owners.of('ns/db')).toMatchObject([
      { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', uid: 'uid of db', annotations: resume },
      { apiVersion: 'apps/v1', kind: 'Deployment', uid: 'uid of shop', annotations: resume },
    ]);
  });
});

it('the Deployments that ask for a Secret are known without the resource', () => {
  const { items, workloads, owners } = setUp();
  items.put(resource('db'));
  workloads.put(deployment('shop', 'db'));
  expect(owners.deployments('ns/db').map(({ name }) => name)).toEqual(['shop']);
});
