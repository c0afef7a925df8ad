import { describe, expect, it } from 'vitest';
import { resourceStates } from '../../../src/controllers/resource-states.ts';
import { type OnePasswordItem, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';

const meta = { namespace: 'ns', name: 'x', uid: 'u', resourceVersion: '1' };

/** The states of one resource with a condition, if any. */
function stateOf(condition?: object): readonly object[] {
  const items = createStore<OnePasswordItem>();
  const wire = { metadata: meta, status: { conditions: condition === undefined ? [] : [{ type: 'Ready', ...condition }] } };
  items.put(reduceOnePasswordItem(wire));
  return [
    ...resourceStates({
      items,
      workloads: createStore<Workload>(workloadKey),
      statuses: { of: ({ status }) => status },
      deployments: { failureOf: () => undefined },
    }),
  ];
}

/** The states of one Deployment, whose last attempt failed for a reason, if any. */
function stateOfDeployment(annotations: Readonly<Record<string, string>>, failure?: string, leads = true): readonly object[] {
  const workloads = createStore<Workload>(workloadKey);
  workloads.put(reduceWorkload('Deployment')({ metadata: { ...meta, annotations } }));
  return [
    ...resourceStates({
      items: createStore<OnePasswordItem>(),
      workloads,
      statuses: { of: () => ({}) },
      deployments: leads ? { failureOf: (key) => (key === 'ns/Deployment/x' ? failure : undefined) } : undefined,
    }),
  ];
}

describe('the state of a resource', () => {
  it.each([
    [{ status: 'True', reason: 'Synced' }, 'True', 'Synced'],
    [{ status: 'False', reason: 'ItemNotFound' }, 'False', 'ItemNotFound'],
    [{ status: 'True' }, 'True', 'Other'],
    [{ status: 'Perhaps', reason: 'SomebodyElseWroteThis' }, 'Unknown', 'Other'],
    [undefined, 'Unknown', 'Pending'],
  ])('is what its condition says, as far as that is bounded: %j', (condition, ready, reason) => {
    expect(stateOf(condition)).toEqual([{ kind: 'OnePasswordItem', namespace: 'ns', ready, reason }]);
  });
});

describe('the state of a Deployment', () => {
  const asks = { 'operator.1password.io/item-path': 'vaults/v/items/i', 'operator.1password.io/item-name': 'db' };
  const item = { path: 'vaults/v/items/i', vaultId: 'v', id: 'i', version: 1 };
  const synced = { ...asks, 'keyturn.dev/secret': JSON.stringify({ item, secret: { name: 'db', resourceVersion: '1' } }) };

  it.each([
    [asks, undefined, 'Unknown', 'Pending'],
    [synced, undefined, 'True', 'Synced'],
    [synced, 'ItemNotFound', 'False', 'ItemNotFound'],
  ])('is what its record and the last attempt say: %j, %s', (annotations, failure, ready, reason) => {
    expect(stateOfDeployment(annotations, failure)).toEqual([{ kind: 'Deployment', namespace: 'ns', ready, reason }]);
  });

  it('is told of by the leader alone, who knows of the last attempt', () => {
    expect(stateOfDeployment(synced, undefined, false)).toEqual([]);
  });

  it('is none when it asks for no Secret', () => {
    expect(stateOfDeployment({})).toEqual([]);
  });
});
