import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readiness } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const count = 1_000;

let scenario: Scenario;

beforeAll(async () => {
  const items = Array.from({ length: count }, (_, i) => ({ title: `item ${i}`, fields: [{ label: 'password', value: `value ${i}` }] }));
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] } });
});

afterAll(() => scenario?.end());

describe('a thousand resources created at once', () => {
  it('are all synced, by id and by title, at one request per item and one listing', async () => {
    const { namespace, connect } = scenario;
    const vault = connect.store.vault('Prod').id;
    connect.requests.reset();
    await Promise.all(
      Array.from({ length: count }, (_, i) => {
        const path = i % 2 === 0 ? `vaults/${vault}/items/${connect.store.item('Prod', `item ${i}`).id}` : `vaults/prod/items/item ${i}`;
        return namespace.createItem(`item-${i}`, path);
      }),
    );
    await eventually(
      'all resources to be ready',
      async () => ((await namespace.items()).filter((item) => readiness(item) === 'True').length === count ? true : undefined),
      50_000,
    );
    expect(connect.requests.count('GET /v1/vaults/{vault}/items/{item}')).toBe(count);
    expect(connect.requests.count('GET /v1/vaults/{vault}/items')).toBe(1);
  });

  it('cost exactly one request to Connect in a quiet poll, and no write', async () => {
    const { namespace, connect } = scenario;
    const versions = async (): Promise<string[]> => (await namespace.items()).map(({ metadata }) => metadata.resourceVersion);
    const before = await versions();
    connect.requests.reset();
    const polls = await eventually('four polls', () => (connect.requests.all.length >= 4 ? connect.requests.all.slice(0, 4) : undefined));
    expect(new Set(polls.map(({ route }) => route))).toEqual(new Set(['GET /v1/vaults']));
    // Three intervals of a second lie between four polls; at two requests a poll it would be one.
    expect((polls[3]?.at ?? 0) - (polls[0]?.at ?? 0)).toBeGreaterThan(2_000);
    expect(await versions()).toEqual(before);
  });
});
