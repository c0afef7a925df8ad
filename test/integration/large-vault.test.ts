import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readiness } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const items = 10_000;
const resources = 5_000;
/** For all resources to be created and synced, in milliseconds. */
const deadline = 240_000;

const listing = 'GET /v1/vaults/{vault}/items';
const fetch = 'GET /v1/vaults/{vault}/items/{item}';
const tick = 'GET /v1/vaults';

let scenario: Scenario;

beforeAll(async () => {
  const seeded = Array.from({ length: items }, (_, i) => ({ title: `item ${i}`, fields: [{ label: 'password', value: `value ${i}` }] }));
  // As long as it is in use: what follows the change must not hide in it.
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items: seeded }] }, times: { settleTime: 30_000 } });
});

afterAll(() => scenario?.end());

/** Makes the resources, 32 at a time. */
async function createResources(): Promise<void> {
  const numbers = Array.from({ length: resources }, (_, i) => i).values();
  const create = async (): Promise<void> => {
    for (const i of numbers) await scenario.namespace.createItem(`item-${i}`, `vaults/Prod/items/item ${i}`);
  };
  await Promise.all(Array.from({ length: 32 }, create));
}

describe('five thousand resources by title, in a vault of ten thousand items', () => {
  it(
    'are synced at one request each, one listing, and no more looks at the vaults than there is time for',
    async () => {
      const { namespace, connect } = scenario;
      connect.requests.reset();
      const start = performance.now();
      await createResources();
      await eventually('all items to be fetched', () => (connect.requests.count(fetch) >= resources ? true : undefined), deadline);
      await eventually(
        'all resources to be ready',
        async () => ((await namespace.items()).every((item) => readiness(item) === 'True') ? true : undefined),
        deadline,
      );
      const { [tick]: ticks = 0, ...others } = connect.requests.counts();
      expect(others).toEqual({ [listing]: 1, [fetch]: resources });
      expect(ticks).toBeLessThanOrEqual((performance.now() - start) / 1_000 + 2);
    },
    deadline,
  );

  it('cost at most four requests beside the looks at the vaults until a rotated value is in its Secret', async () => {
    const { namespace, connect } = scenario;
    connect.requests.reset();
    connect.store.setField('Prod', 'item 4711', 'password', 'rotated');
    await eventually('the value', async () => ((await namespace.secret('item-4711'))?.values['password'] === 'rotated' ? true : undefined));
    expect(connect.requests.total - connect.requests.count(tick)).toBeLessThanOrEqual(4);
    expect(connect.requests.count(fetch)).toBe(1);
  });
});
