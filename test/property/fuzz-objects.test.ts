import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createEntries, statedRevisions } from '../../src/controllers/entries.ts';
import { claimOf } from '../../src/controllers/item-reconciler.ts';
import { readyCondition, withReady } from '../../src/domain/conditions.ts';
import { checkType, planSecret } from '../../src/domain/secret-plan.ts';
import { SecretValue } from '../../src/domain/secret-value.ts';
import { Failure } from '../../src/api/reasons.ts';
import { parseItemPath } from '../../src/domain/item-path.ts';
import { isStatusAlone, type OnePasswordItem, reduceOnePasswordItem } from '../../src/kube/objects.ts';
import type { WireObject } from '../../src/kube/resource.ts';
import { createStore } from '../../src/kube/store.ts';
import { createStoreIndex } from '../../src/kube/store-index.ts';
import { formatSelector, reduceWorkload, type Workload, workloadKey } from '../../src/kube/workload.ts';
import { fuzz } from '../support/fuzz.ts';
import { damaged, oddText, oddValue } from '../support/odd-json.ts';

const metadata = {
  namespace: 'shop',
  name: 'web',
  uid: 'u',
  resourceVersion: '5',
  generation: 2,
  creationTimestamp: '2026-01-01T00:00:00Z',
};
const name = fc.constantFrom('db', 'api');
const option = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const container = fc.record({
  env: fc.array(fc.record({ valueFrom: fc.record({ secretKeyRef: fc.record({ name, key: oddText, optional: fc.boolean() }) }) }), {
    maxLength: 2,
  }),
  envFrom: fc.array(fc.record({ secretRef: fc.record({ name, optional: fc.boolean() }) }), { maxLength: 2 }),
  volumeMounts: fc.array(fc.record({ name, subPath: oddText, subPathExpr: option(oddText) }), { maxLength: 2 }),
});
const files = { items: fc.array(fc.record({ key: oddText, path: oddText }), { maxLength: 2 }), optional: fc.boolean() };
const volume = fc.record({
  name,
  secret: fc.record({ secretName: name, ...files }),
  projected: fc.record({ sources: fc.array(fc.record({ secret: fc.record({ name, ...files }) }), { maxLength: 2 }) }),
});
const count = fc.nat(3);
const time = fc.constantFrom('2026-01-01T00:00:00Z', '2026-02-30T25:00:00Z', '+275760-09-13T00:00:01Z');

/** What the definition of an Argo Rollout may let pass is anything. */
const rollout = fc.record({
  metadata: fc.constant(metadata),
  spec: damaged(
    fc.record({
      replicas: count,
      selector: fc.record({
        matchLabels: fc.dictionary(oddText, oddText, { maxKeys: 2 }),
        matchExpressions: fc.array(
          fc.record({ key: oddText, operator: fc.constantFrom('In', 'Exists'), values: fc.array(oddText, { maxLength: 2 }) }),
          {
            maxLength: 2,
          },
        ),
      }),
      paused: fc.boolean(),
      template: fc.record({
        metadata: fc.record({ annotations: fc.dictionary(oddText, oddText, { maxKeys: 2 }) }),
        spec: fc.record({
          containers: fc.array(container, { maxLength: 2 }),
          initContainers: fc.array(container, { maxLength: 1 }),
          volumes: fc.array(volume, { maxLength: 2 }),
        }),
      }),
      updateStrategy: fc.record({ type: oddText, rollingUpdate: fc.record({ partition: count }) }),
      workloadRef: option(fc.record({ kind: fc.constant('Deployment'), name })),
      restartAt: time,
    }),
  ),
  status: damaged(
    fc.record({
      observedGeneration: fc.oneof(count, count.map(String)),
      replicas: count,
      updatedReplicas: count,
      availableReplicas: count,
      conditions: fc.array(fc.record({ type: oddText, reason: oddText }), { maxLength: 2 }),
      phase: oddText,
      restartedAt: time,
      stableRS: oddText,
    }),
  ),
});

/** The same of a resource: an old definition, or somebody's own, may let anything pass in `spec` and `status`. */
const resource = fc.record({
  metadata: fc.constant(metadata),
  type: fc.oneof(option(oddText), oddValue),
  spec: damaged(fc.record({ itemPath: fc.oneof(fc.constant('vaults/Prod/items/db'), oddText) })),
  status: damaged(
    fc.record({
      observedGeneration: count,
      conditions: fc.array(
        fc.record({
          type: fc.constantFrom('Ready', 'Other'),
          status: fc.constantFrom('True', 'False'),
          message: oddText,
          lastTransitionTime: time,
        }),
        { maxLength: 2 },
      ),
      item: fc.record({ path: fc.constant('vaults/Prod/items/db'), vaultId: oddText, id: oddText, version: count }),
      secret: fc.record({
        name: fc.constant('web'),
        resourceVersion: fc.constantFrom('1', '2'),
        dataWriters: oddText,
        revisions: fc.dictionary(oddText, fc.integer(), { maxKeys: 2 }),
      }),
      consumers: fc.record({ current: count, waiting: count }),
    }),
  ),
});

it(
  'objects that a definition let pass as they are not meant to be end no watch, and mean nothing else',
  { timeout: 3_600_000 },
  async () => {
    await fuzz('objects past their definition', fc.tuple(rollout, resource, rollout), (drawn) => {
      const [workload, item, later] = JSON.parse(JSON.stringify(drawn)) as unknown as readonly WireObject[];
      if (workload === undefined || item === undefined || later === undefined) throw new Error('nothing was drawn');
      takeWorkloads([workload, { ...later, metadata: { ...later.metadata, resourceVersion: '6' } }]);
      takeResource(reduceOnePasswordItem(item));
    });
  },
);

/** What watches do with workloads, and what reconcilers read of them. */
function takeWorkloads(objects: readonly WireObject[]): void {
  const store = createStore<Workload>(workloadKey);
  const bySecret = createStoreIndex(store, ({ secrets }) => secrets.keys());
  const entries = createEntries(store, false);
  for (const object of objects) store.put(reduceWorkload('Rollout')(object));
  for (const workload of store.values()) {
    for (const [secret, { required, optional }] of workload.secrets) {
      expect(bySecret(secret)).toEqual([workload]);
      expect([secret, ...required, ...optional].every((text) => typeof text === 'string')).toBe(true);
    }
    formatSelector(workload.selector);
    statedRevisions(workload);
    entries.of(workload);
    expect(Object.values(workload.rollout).every((part) => typeof part === 'boolean' || Number.isFinite(part))).toBe(true);
  }
}

/** What a reconcile reads of a resource. */
function takeResource(resource_: OnePasswordItem): void {
  isStatusAlone(resource_, { ...resource_, resourceVersion: '9' });
  const { conditions = [] } = resource_.status;
  const ready = withReady(conditions, { ready: true, reason: 'Synced', message: 'x' }, 2, 0);
  expect(readyCondition(ready)).toMatchObject({ status: 'True', reason: 'Synced' });
  const claim = claimOf(resource_, resource_.status, true);
  const data = new Map([['a', SecretValue.fromText('1')]]);
  try {
    parseItemPath(claim.itemPath);
    checkType(claim);
    planSecret(claim, { vaultId: 'v', id: 'i', version: 1, frozen: false, data }, undefined, 0);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}
