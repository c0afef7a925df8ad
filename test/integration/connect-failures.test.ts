import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startConnectServer } from '../../dev/connect-server/server.ts';
import { untilReadiness } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const canary = 'canary-3f9a1c';
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';

let scenario: Scenario;

beforeAll(async () => {
  const titles = ['unauthorized', 'unavailable', 'malformed', 'held', 'forbidden', 'hidden', 'alternating'];
  const items = titles.map((title) => ({ title, fields: [{ label: 'password', value: `${canary} of ${title}` }] }));
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] } });
});

afterEach(() => scenario.connect.faults.clear());
afterAll(() => scenario?.end());

describe('a resource that cannot be synced', () => {
  it('says that its vault or its item is unknown, and syncs once there is one', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('no-vault', 'vaults/Nowhere/items/db');
    await namespace.createItem('no-item', 'vaults/Prod/items/to be made');
    const [vault, item] = await Promise.all([
      untilReadiness(namespace, 'no-vault', 'VaultNotFound', 5_000),
      untilReadiness(namespace, 'no-item', 'ItemNotFound', 5_000),
    ]);
    expect(vault.status?.conditions?.[0]?.message).toContain('"Nowhere"');
    expect(item.status?.conditions?.[0]?.message).toContain('"to be made"');
    connect.store.createItem('Prod', { title: 'to be made', fields: [{ label: 'password', value: 'made' }] });
    await untilReadiness(namespace, 'no-item', 'True', 10_000);
  });

  it.each([
    ['unauthorized', { kind: 'status', status: 401 }, 'ConnectUnauthorized'],
    ['forbidden', { kind: 'status', status: 403 }, 'ConnectForbidden'],
    ['unavailable', { kind: 'status', status: 503 }, 'ConnectUnavailable'],
    ['hidden', { kind: 'reset' }, 'ConnectUnavailable'],
    ['malformed', { kind: 'malformed' }, 'ConnectProtocolError'],
  ] as const)('says why Connect does not give the item: %s', async (title, fault, reason) => {
    const { namespace, connect } = scenario;
    connect.faults.order({ ...fault, route: itemRoute });
    await namespace.createItem(title, `vaults/Prod/items/${title}`);
    const item = await untilReadiness(namespace, title, reason, 5_000);
    expect(JSON.stringify(item)).not.toContain(canary);
    expect(await namespace.secret(title)).toBeUndefined();
    connect.faults.clear();
    await untilReadiness(namespace, title, 'True', 15_000);
  });

  it('is tried with backoff, whatever Connect says each time', async () => {
    const { namespace, connect } = scenario;
    connect.faults.order({ kind: 'status', status: 502, route: itemRoute, every: 2 });
    connect.faults.order({ kind: 'status', status: 503, route: itemRoute });
    connect.requests.reset();
    await namespace.createItem('alternating', 'vaults/Prod/items/alternating');
    await eventually('five attempts', () => (connect.requests.count(itemRoute) >= 5 ? true : undefined), 30_000);
    const [first, , , , fifth] = connect.requests.all.filter(({ route }) => route === itemRoute);
    // Backoffs of at least a tenth of 0.5, 1, 2 and 4 seconds.
    expect((fifth?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(740);
  });

  it('keeps its Secret while Connect fails in any way, and follows it afterwards', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('held', 'vaults/Prod/items/held');
    await untilReadiness(namespace, 'held', 'True');
    const before = await namespace.secret('held');
    for (const fault of [
      { kind: 'status', status: 401 },
      { kind: 'status', status: 404 },
      { kind: 'malformed' },
      { kind: 'reset' },
    ] as const) {
      const ordered = connect.faults.order(fault);
      await eventually('the fault to strike', () => (ordered.hits >= 2 ? true : undefined));
      ordered.clear();
    }
    expect((await namespace.secret('held'))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    connect.store.setField('Prod', 'held', 'password', 'after');
    await eventually('the new value', async () => ((await namespace.secret('held'))?.values['password'] === 'after' ? true : undefined));
  });

  it('keeps its Secret when its item is archived, and says so', async () => {
    const { namespace, connect } = scenario;
    connect.store.archiveItem('Prod', 'held');
    await untilReadiness(namespace, 'held', 'ItemNotFound');
    expect((await namespace.secret('held'))?.values).toEqual({ password: 'after' });
    connect.store.restoreItem('Prod', 'held');
    await untilReadiness(namespace, 'held', 'True', 15_000);
  });

  it('says that Connect cannot be reached when it is new, and not when it was in sync', async () => {
    const { namespace } = scenario;
    const closed = await startConnectServer({ seed: { vaults: [] } });
    await closed.close();
    const before = await untilReadiness(namespace, 'held', 'True');
    await scenario.restartOperator({ connect: closed.url });
    await namespace.createItem('unreachable', 'vaults/Prod/items/held');
    const item = await untilReadiness(namespace, 'unreachable', 'ConnectUnavailable', 10_000);
    expect(item.status?.conditions?.[0]?.message).toContain('ECONNREFUSED');
    expect((await namespace.item('held'))?.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    await scenario.restartOperator();
    await untilReadiness(namespace, 'unreachable', 'True', 10_000);
  });
});
