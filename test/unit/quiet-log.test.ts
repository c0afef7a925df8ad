import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLog } from '../../src/observability/log.ts';
import { createSimulatedCluster, namespace, type SimulatedCluster } from '../support/simulated-cluster.ts';
import { deployments } from '../support/simulated-deployments.ts';
import { managers, namespaces, onePasswordItems } from '../support/simulated-ledger.ts';

const minute = 60_000;
const hour = 60 * minute;

let lines: string[];
let cluster: SimulatedCluster;

beforeEach(async () => {
  lines = [];
  // The same numbers each time: an order in which things arrive, none better than another.
  let drawn = 0;
  const random = () => (drawn = (drawn + 0.381_966) % 1);
  cluster = createSimulatedCluster({
    random,
    environment: { AUTO_RESTART: 'true' },
    log: createLog('info', { destination: { write: (line) => void lines.push(line) } }),
  });
  const { store, connect } = cluster;
  store.create(namespaces, { metadata: { name: namespace } }, managers.user);
  for (const name of ['a', 'b']) {
    connect.save(name, { password: 'canary' });
    store.create(onePasswordItems, { metadata: { name, namespace }, spec: { itemPath: `vaults/main/items/${name}` } }, managers.user);
  }
  // One that asks for what is not there fails for as long as nobody mends it.
  store.create(
    onePasswordItems,
    { metadata: { name: 'missing', namespace }, spec: { itemPath: 'vaults/main/items/missing' } },
    managers.user,
  );
  const labels = { app: 'web' };
  const containers = [{ name: 'main', image: 'web:1', env: [], envFrom: [{ secretRef: { name: 'a' } }] }];
  store.create(
    deployments,
    {
      metadata: { name: 'web', namespace, labels },
      spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    },
    managers.user,
  );
  cluster.start();
  await cluster.advance(5 * minute);
});

afterEach(() => cluster.close());

it('an hour in which nothing happens writes no line', async () => {
  expect(lines.some((line) => line.includes('"msg":"reconciling"'))).toBe(true);
  const start = lines.length;
  await cluster.advance(hour);
  expect(lines.slice(start)).toEqual([]);
});

it('a rotation writes one line for the Secret, and for each rollout one when it begins and one when it ends', async () => {
  const start = lines.length;
  cluster.connect.save('a', { password: 'canary 2' });
  await cluster.advance(10 * minute);
  const said = lines.slice(start).map((line) => (JSON.parse(line) as { readonly msg: string }).msg);
  expect(said).toEqual(['Secret updated', expect.stringContaining('Deployment web'), 'rolled']);
});
