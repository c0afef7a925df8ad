import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { untilReadiness } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';
const sync = 'keyturn.dev/sync';

let scenario: Scenario;

/** An operator that looks at Connect once an hour. */
beforeEach(async () => {
  scenario = await startScenario({
    seed: {
      vaults: [{ name: 'Prod', items: ['db', 'other'].map((title) => ({ title, fields: [{ label: 'password', value: 'one' }] })) }],
    },
    environment: { POLLING_INTERVAL: '3600' },
  });
});

afterEach(() => scenario?.end());

const annotated = (value: string, more: object = {}) => ({ metadata: { annotations: { [sync]: value, ...more } } });

/** Waits until a Secret says that a value was done. */
const untilDone = (value: string) =>
  eventually(`the sync of ${value}`, async () => {
    const secret = await scenario.namespace.secret('db');
    return secret?.metadata.annotations?.[sync] === value ? secret : undefined;
  });

const fetches = (): number => scenario.connect.requests.count(itemRoute);

/** Makes a resource in sync, and its item another one, which nobody looks at for an hour. */
async function syncedAndChanged(): Promise<void> {
  const { connect, namespace } = scenario;
  await namespace.createItem('other', 'vaults/Prod/items/other');
  await namespace.createItem('db', 'vaults/Prod/items/db');
  await Promise.all(['db', 'other'].map((name) => untilReadiness(namespace, name, 'True')));
  connect.store.setField('Prod', 'db', 'password', 'two');
  connect.requests.reset();
}

describe('the annotation keyturn.dev/sync on a resource', () => {
  it('fetches its item now, and no other', async () => {
    await syncedAndChanged();
    await scenario.namespace.patchItem('db', annotated('now'));
    expect((await untilDone('now')).values).toEqual({ password: 'two' });
    expect(fetches()).toBe(1);
  });

  it('fetches it once for each value, though the listings lag behind', async () => {
    const { namespace, connect } = scenario;
    await syncedAndChanged();
    await namespace.patchItem('db', annotated('1'));
    await untilDone('1');
    await namespace.patchItem('db', annotated('1', { 'example.test/other': 'x' }));
    connect.store.setField('Prod', 'db', 'password', 'three');
    await namespace.patchItem('db', annotated('2'));
    expect((await untilDone('2')).values).toEqual({ password: 'three' });
    expect(fetches()).toBe(2);
  });

  it('is done for good: an operator that starts anew fetches nothing', async () => {
    await syncedAndChanged();
    await scenario.namespace.patchItem('db', annotated('now'));
    await untilDone('now');
    await eventually('the status', async () => ((await scenario.namespace.item('db'))?.status?.item?.version === 2 ? true : undefined));
    scenario.connect.requests.reset();
    await scenario.restartOperator();
    await scenario.namespace.createItem('later', 'vaults/Prod/items/other');
    await untilReadiness(scenario.namespace, 'later', 'True');
    expect(fetches()).toBe(1);
  });

  it('is done later when Connect cannot be asked now, which the status says', async () => {
    const { namespace, connect } = scenario;
    await syncedAndChanged();
    connect.faults.order({ kind: 'status', status: 401 });
    await namespace.patchItem('db', annotated('now'));
    await untilReadiness(namespace, 'db', 'ConnectUnauthorized');
    connect.faults.clear();
    expect((await untilDone('now')).values).toEqual({ password: 'two' });
    await untilReadiness(namespace, 'db', 'True');
  });

  it('changes no revision when the item is the same, so that nobody is restarted', async () => {
    const { namespace } = scenario;
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'True');
    const revisionsOf = async () => (await namespace.secret('db'))?.metadata.annotations?.['keyturn.dev/revisions'];
    const before = await revisionsOf();
    await namespace.patchItem('db', annotated('now'));
    await untilDone('now');
    expect([fetches(), await revisionsOf()]).toEqual([2, before]);
  });
});

it('the annotation keyturn.dev/sync on an annotated Deployment fetches its item now', async () => {
  const { namespace, connect } = scenario;
  await namespace.createDeployment('web', 'none', {
    'operator.1password.io/item-path': 'vaults/Prod/items/db',
    'operator.1password.io/item-name': 'db',
  });
  await eventually('the Secret', () => namespace.secret('db'));
  await eventually('the record', async () =>
    (await namespace.deployment('web')).metadata.annotations?.['keyturn.dev/secret'] ? true : undefined,
  );
  connect.store.setField('Prod', 'db', 'password', 'two');
  connect.requests.reset();
  await namespace.patchDeployment('web', annotated('now'));
  expect((await untilDone('now')).values).toEqual({ password: 'two' });
  expect(fetches()).toBe(1);
});
