import fc from 'fast-check';
import { expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { createLog } from '../../src/observability/log.ts';
import { canary } from '../support/canary.ts';
import { fuzz, isReplay, refuseCanaries } from '../support/fuzz.ts';
import { damaged, oddText, oddValue } from '../support/odd-json.ts';
import { createSimulatedCluster, namespace } from '../support/simulated-cluster.ts';
import { deployments, secrets } from '../support/simulated-deployments.ts';
import { managers, namespaces, onePasswordItems } from '../support/simulated-ledger.ts';

const names = ['a', 'b'] as const;
const record = fc.dictionary(fc.constantFrom('password', '*', '__proto__', 'a'), fc.oneof(fc.integer(), fc.constant(2 ** 53)), {
  maxKeys: 3,
});
const text = fc.oneof(
  fc.constantFrom('true', 'false', 'skip', '1h', '0s', 'vaults/main/items/b', 'a', '999999999h'),
  oddText,
  damaged(record).map((value) => JSON.stringify(value)),
  oddValue.map((value) => JSON.stringify(value)),
);
const notes = fc.dictionary(fc.constantFrom(...Object.values(annotations)), text, { maxKeys: 6 });
const drawn = fc.record({
  chance: fc.integer({ min: 1, max: 2_147_483_646 }),
  resources: fc.tuple(notes, notes),
  paths: fc.tuple(fc.oneof(fc.constant('vaults/main/items/a'), text), fc.oneof(fc.constant('vaults/main/items/b'), text)),
  types: fc.tuple(fc.option(oddText, { nil: undefined }), fc.option(oddText, { nil: undefined })),
  statuses: fc.tuple(oddValue, oddValue),
  secret: notes,
  workload: notes,
  template: notes,
  namespace: notes,
  labels: fc.dictionary(oddText, oddText, { maxKeys: 2 }),
  fields: fc.dictionary(fc.oneof(fc.constant('password'), oddText), fc.constantFrom('one', '').map(canary), { maxKeys: 4 }),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

/** Numbers of Lehmer's generator. */
function createRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

it(
  'the whole operator goes on, and tells no value, whatever stands in annotations, paths and statuses',
  { timeout: 3_600_000 },
  async () => {
    let cases = 0;
    let writes = 0;
    await fuzz('the whole operator', drawn, async (one) => {
      const lines: string[] = [];
      const log = createLog('debug', { destination: { write: (line) => void lines.push(line) } });
      const cluster = createSimulatedCluster({ random: createRandom(one.chance), log, environment: { AUTO_RESTART: 'true' } });
      try {
        populate(cluster, one);
        cluster.start();
        await cluster.advance(30_000);
        for (const name of names) cluster.connect.save(name, { password: canary('two'), ...one.fields });
        await cluster.advance(120_000);
      } finally {
        // Fails with whatever ended the operator.
        await cluster.close();
      }
      refuseCanaries({ 'the log': lines.join(''), 'what was written': cluster.api.writes.map(withoutData).join('\n') });
      cases += 1;
      writes += cluster.api.writes.length;
      // The name of an error that is not ours.
      expect(lines.filter((line) => /"error":"\w*(Type|Range|Syntax|Reference)?Error"/.test(line))).toEqual([]);
    });
    // Worlds in which nothing is written prove little.
    if (isReplay) return;
    expect(writes).toBeGreaterThan(cases);
  },
);

function populate({ store, connect }: ReturnType<typeof createSimulatedCluster>, one: Drawn): void {
  store.create(namespaces, { metadata: { name: namespace, annotations: one.namespace } }, managers.user);
  store.create(
    secrets,
    {
      metadata: { name: 'a', namespace, annotations: one.secret, labels: { ...one.labels, 'keyturn.dev/managed': 'true' } },
      type: 'Opaque',
      data: {},
    },
    managers.user,
  );
  for (const [index, name] of names.entries()) {
    connect.save(name, { password: canary('one'), ...one.fields });
    const metadata = { name, namespace, annotations: one.resources[index], labels: one.labels };
    const type = one.types[index];
    store.create(
      onePasswordItems,
      { metadata, spec: { itemPath: one.paths[index] }, status: one.statuses[index], ...(type !== undefined && { type }) },
      managers.user,
    );
  }
  const labels = { app: 'web' };
  const containers = [{ name: 'main', image: 'web', env: [], envFrom: names.map((name) => ({ secretRef: { name } })) }];
  const template = { metadata: { labels, annotations: one.template }, spec: { containers } };
  const spec = { replicas: 1, selector: { matchLabels: labels }, template };
  store.create(deployments, { metadata: { name: 'web', namespace, labels, annotations: one.workload }, spec }, managers.user);
}

/** A write as it was sent, but for the values of a Secret. */
function withoutData(write: string): string {
  return write.replace(/"data":\{[^{}]*\}/, '"data":{}');
}
