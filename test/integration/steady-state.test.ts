import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { collectionPath, events } from '../../src/kube/resource.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { readiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const count = 1_000;
const consumers = 5;
const vaults = ['Prod', 'Staging'];
/** Between two listings of all vaults in use, in milliseconds. */
const fullListingInterval = 5_000;

const listing = 'GET /v1/vaults/{vault}/items';
const tick = 'GET /v1/vaults';

let proxy: ApiServerProxy;
let scenario: Scenario;

beforeAll(async () => {
  const items = Array.from({ length: count }, (_, i) => ({ title: `item ${i}`, fields: [{ label: 'password', value: `value ${i}` }] }));
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
  scenario = await startScenario({
    seed: { vaults: [...vaults, 'Unused'].map((name) => ({ name, items })) },
    kubeconfig: proxy.kubeconfig,
    times: { fullListingInterval },
  });
  await createResources();
  await untilSettled();
}, 180_000);

afterAll(async () => {
  await scenario?.end();
  await proxy?.close();
});

/** Makes the resources, by turns of one vault and the other, and a few Deployments that consume their Secrets. */
async function createResources(): Promise<void> {
  const { namespace } = scenario;
  const numbers = Array.from({ length: count }, (_, i) => i).values();
  const create = async (): Promise<void> => {
    for (const i of numbers) await namespace.createItem(`item-${i}`, `vaults/${vaults[i % vaults.length]}/items/item ${i}`);
  };
  await Promise.all(Array.from({ length: 32 }, create));
  for (let i = 0; i < consumers; i += 1) {
    await namespace.createDeployment(`consumer-${i}`, `item-${i}`, { [annotations.autoRestart]: 'true' });
  }
}

/** Waits until all there is to write has been written, down to the last event. */
async function untilSettled(): Promise<void> {
  const { namespace } = scenario;
  await eventually(
    'all resources',
    async () => ((await namespace.items()).every((item) => readiness(item) === 'True') ? true : undefined),
    120_000,
  );
  for (let i = 0; i < consumers; i += 1) {
    await eventually('the record', async () => {
      return (await namespace.deployment(`consumer-${i}`)).metadata.annotations?.[annotations.knownRevisions];
    });
  }
  await eventually(
    'all events',
    async () => {
      const query = { fieldSelector: 'reason=Synced' };
      const path = collectionPath(events, namespace.name);
      const { items } = await namespace.kube.request<{ items: readonly object[] }>({ method: 'GET', path, query });
      return items.length === count ? true : undefined;
    },
    60_000,
  );
}

describe('a thousand resources of two vaults, when nothing changes', () => {
  it('cost one request to Connect at each look and one for each vault at the listing of all, and no write', async () => {
    const { requests } = scenario.connect;
    await eventually('the end of a listing', () => (requests.count(listing) % vaults.length === 0 ? true : undefined));
    requests.reset();
    proxy.requests.reset();
    const start = performance.now();
    await eventually('a listing of all', () => (requests.count(listing) === vaults.length ? true : undefined));
    const listed = requests.count(tick);
    await eventually('two more looks', () => (requests.count(tick) >= listed + 2 ? true : undefined));
    const elapsed = performance.now() - start;

    const { [tick]: ticks = 0, ...others } = requests.counts();
    expect(others).toEqual({ [listing]: vaults.length });
    expect(ticks).toBeLessThanOrEqual(elapsed / 1_000 + 1);
    expect(proxy.requests.writes()).toEqual([]);
  });

  it('cost an operator that starts one request, one for each vault, and no write', async () => {
    const { connect } = scenario;
    await scenario.stopOperator();
    connect.requests.reset();
    proxy.requests.reset();
    const start = performance.now();
    await scenario.restartOperator({ times: { fullListingInterval: 600_000 } });
    await eventually('three looks', () => (connect.requests.count(tick) >= 3 ? true : undefined));
    const elapsed = performance.now() - start;

    const { [tick]: ticks = 0, ...others } = connect.requests.counts();
    expect(others).toEqual({ [listing]: vaults.length });
    expect(ticks).toBeLessThanOrEqual(elapsed / 1_000 + 1);
    expect(proxy.requests.writes()).toEqual([]);
  });
});
