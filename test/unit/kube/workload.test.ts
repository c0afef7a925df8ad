import { describe, expect, it } from 'vitest';
import type { WorkloadKind } from '../../../src/api/names.ts';
import type { WireObject } from '../../../src/kube/resource.ts';
import { formatSelector, reduceWorkload, type RolloutState, type Workload, workloadKey } from '../../../src/kube/workload.ts';

const metadata = { namespace: 'ns', name: 'x', uid: 'u', resourceVersion: '1', generation: 4, creationTimestamp: '2026-01-01T00:00:00Z' };
const rollingUpdate = (partition: number) => ({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition } } });

function reduce(kind: WorkloadKind, spec: object = {}, status: object = {}, meta: object = {}): Workload {
  const object = { metadata: { ...metadata, ...meta }, spec, status: { observedGeneration: 4, ...status } };
  return reduceWorkload(kind)(object);
}

const stateOf = (kind: WorkloadKind, spec: object, status: object): RolloutState => reduce(kind, spec, status).rollout;
const replicas = (total: number, updated: number, available: number) => ({
  replicas: total,
  updatedReplicas: updated,
  availableReplicas: available,
});
const nodes = (desired: number, updated: number, available: number) => ({
  desiredNumberScheduled: desired,
  updatedNumberScheduled: updated,
  numberAvailable: available,
});
const three = { replicas: 3 };

describe('a rollout is complete', () => {
  it.each<[string, WorkloadKind, object, object]>([
    ['Deployment: all pods are new and available, and the old ones gone', 'Deployment', three, replicas(3, 3, 3)],
    ['Deployment: one replica is what nobody said', 'Deployment', {}, replicas(1, 1, 1)],
    ['Deployment: scaled to zero', 'Deployment', { replicas: 0 }, {}],
    ['StatefulSet: all pods', 'StatefulSet', three, replicas(3, 3, 3)],
    ['StatefulSet: those above the partition', 'StatefulSet', { ...three, ...rollingUpdate(2) }, replicas(3, 1, 3)],
    ['StatefulSet: none above the partition', 'StatefulSet', { ...three, ...rollingUpdate(5) }, replicas(3, 0, 3)],
    ['DaemonSet: on all nodes', 'DaemonSet', {}, nodes(3, 3, 3)],
    ['DaemonSet: without a node', 'DaemonSet', {}, {}],
    ['Rollout: never restarted', 'Rollout', three, replicas(3, 3, 3)],
    [
      'Rollout: restarted as it was asked for',
      'Rollout',
      { ...three, restartAt: '2026-01-01T00:00:05Z' },
      { ...replicas(3, 3, 3), restartedAt: '2026-01-01T00:00:05Z' },
    ],
    [
      'Rollout: restarted, with a canary beside the stable pods',
      'Rollout',
      { ...three, restartAt: '2026-01-01T00:00:05Z' },
      { ...replicas(4, 1, 3), restartedAt: '2026-01-01T00:00:05Z' },
    ],
    [
      'Rollout: restarted later than it was asked for, with a preview beside the active pods',
      'Rollout',
      { ...three, restartAt: '2026-01-01T00:00:05Z' },
      { ...replicas(6, 3, 3), restartedAt: '2026-01-01T00:00:06Z' },
    ],
    ['Rollout: generations in text', 'Rollout', three, { ...replicas(3, 3, 3), observedGeneration: '4' }],
    ['Rollout: a later generation was seen than ours, in text', 'Rollout', three, { ...replicas(3, 3, 3), observedGeneration: '10' }],
  ])('%s', (_, kind, spec, status) => {
    expect(stateOf(kind, spec, status)).toMatchObject({ complete: true, available: true, failed: false });
  });
});

describe('a rollout is under way', () => {
  it.each<[string, WorkloadKind, object, object, boolean]>([
    ['Deployment: its controller has not seen it', 'Deployment', three, { ...replicas(3, 3, 3), observedGeneration: 3 }, true],
    ['Deployment: an old pod is there', 'Deployment', three, replicas(4, 3, 3), true],
    ['Deployment: a new pod is missing', 'Deployment', three, replicas(3, 2, 3), true],
    ['Deployment: a pod is not available', 'Deployment', three, replicas(3, 3, 2), false],
    ['Deployment: without a status', 'Deployment', three, {}, false],
    ['StatefulSet: a pod above the partition is old', 'StatefulSet', { ...three, ...rollingUpdate(1) }, replicas(3, 1, 3), true],
    ['StatefulSet: a pod below the partition is not available', 'StatefulSet', { ...three, ...rollingUpdate(2) }, replicas(3, 1, 2), false],
    ['DaemonSet: a node has an old pod', 'DaemonSet', {}, nodes(3, 2, 3), true],
    ['DaemonSet: a pod is not available', 'DaemonSet', {}, nodes(3, 3, 2), false],
    ['Rollout: not restarted yet', 'Rollout', { ...three, restartAt: '2026-01-01T00:00:05Z' }, replicas(3, 3, 3), true],
    [
      'Rollout: restarted for an earlier time',
      'Rollout',
      { ...three, restartAt: '2026-01-01T00:00:05Z' },
      { ...replicas(3, 3, 3), restartedAt: '2026-01-01T00:00:04Z' },
      true,
    ],
    [
      'Rollout: restarted, and a pod is not available',
      'Rollout',
      { ...three, restartAt: '2026-01-01T00:00:05Z' },
      { ...replicas(4, 1, 2), restartedAt: '2026-01-01T00:00:05Z' },
      false,
    ],
    ['Rollout: its controller has not seen it', 'Rollout', three, { ...replicas(3, 3, 3), observedGeneration: '3' }, true],
  ])('%s', (_, kind, spec, status, available) => {
    expect(stateOf(kind, spec, status)).toMatchObject({ complete: false, available });
  });
});

describe('a rollout was given up', () => {
  const deadline = { conditions: [{ type: 'Available' }, { type: 'Progressing', reason: 'ProgressDeadlineExceeded' }] };
  it.each<[string, WorkloadKind, object, boolean]>([
    ['a Deployment after its progress deadline', 'Deployment', deadline, true],
    ['a Deployment that progresses: no', 'Deployment', { conditions: [{ type: 'Progressing', reason: 'ReplicaSetUpdated' }] }, false],
    ['a Rollout after its progress deadline', 'Rollout', deadline, true],
    ['a Rollout that is degraded', 'Rollout', { phase: 'Degraded' }, true],
    ['a Rollout that is paused: no', 'Rollout', { phase: 'Paused' }, false],
    ['a Rollout that progresses: no', 'Rollout', { phase: 'Progressing' }, false],
    ['a StatefulSet: never', 'StatefulSet', {}, false],
    ['a DaemonSet: never', 'DaemonSet', {}, false],
  ])('%s', (_, kind, status, failed) => {
    expect(stateOf(kind, three, status).failed).toBe(failed);
  });
});

describe('how far a rollout has come', () => {
  it.each<[string, WorkloadKind, object, number]>([
    ['Deployment', 'Deployment', replicas(4, 2, 3), 2],
    ['DaemonSet', 'DaemonSet', nodes(3, 2, 3), 1],
  ])('is how many pods of a %s are new, how many are old, and how many are available', (_, kind, status, oldPods) => {
    expect(stateOf(kind, three, status)).toMatchObject({ updatedPods: 2, oldPods, availablePods: 3 });
  });
});

describe('a workload', () => {
  it('is known by its namespace, kind and name', () => {
    expect(workloadKey(reduce('StatefulSet'))).toBe('ns/StatefulSet/x');
  });

  it('has the apiVersion of its kind', () => {
    expect((['Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'] as const).map((kind) => reduce(kind).apiVersion)).toEqual([
      'apps/v1',
      'apps/v1',
      'apps/v1',
      'argoproj.io/v1alpha1',
    ]);
  });

  it('keeps the annotations that are about restarts, of its own and of its pods, and no others', () => {
    const own = {
      'operator.1password.io/auto-restart': 'true',
      'keyturn.dev/known-revisions': '{"db":1}',
      'keyturn.dev/restart': 'skip',
      'keyturn.dev/min-restart-interval': '1h',
      'keyturn.dev/resume': 'true',
    };
    const ofPods = { 'keyturn.dev/known-revisions': '{"db":2}', 'operator.1password.io/last-restarted': '2026-01-01T00:00:00Z' };
    const spec = { template: { metadata: { annotations: { ...ofPods, 'example.com/note': 'x' } } } };
    const reduced = reduce('DaemonSet', spec, {}, { annotations: { ...own, 'example.com/note': 'x' } });
    expect([reduced.annotations, reduced.templateAnnotations]).toEqual([own, ofPods]);
  });

  it.each<[string, object, Partial<Workload>]>([
    ['that is paused', { paused: true }, { paused: true, onDelete: false }],
    ['whose pods others delete', { updateStrategy: { type: 'OnDelete' } }, { onDelete: true, paused: false }],
    ['that rolls', { updateStrategy: { type: 'RollingUpdate' } }, { onDelete: false, paused: false }],
  ])('%s is known as that', (_, spec, expected) => {
    expect(reduce('StatefulSet', spec)).toMatchObject(expected);
  });

  it('knows since when its controller has been up to date, when it came to be, and that it is being deleted', () => {
    const reduced = reduce('Deployment', {}, { observedGeneration: 3 }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect(reduced).toMatchObject({ observed: false, created: Date.UTC(2026, 0, 1), generation: 4, deleting: true });
  });

  it.each<[number | string, boolean]>([
    ['3', false],
    ['4', true],
    ['10', true],
    [10, true],
    ['nonsense', false],
  ])('is known to its controller, which says that it saw generation %j, in generation 4: %s', (observedGeneration, expected) => {
    expect(reduce('Rollout', {}, { observedGeneration }).observed).toBe(expected);
  });

  it.each([
    ['a Deployment', { kind: 'Deployment', name: 'shop' }, 'shop'],
    ['a ReplicaSet: of nobody we know', { kind: 'ReplicaSet', name: 'shop' }, undefined],
  ])('runs the template of %s', (_, workloadRef, expected) => {
    expect(reduce('Rollout', { workloadRef }).templateOf).toBe(expected);
  });

  it('that is a Rollout has the time of its restart and the hash of its stable template; no other kind has a hash', () => {
    const given = [{ restartAt: '2026-01-01T00:00:05Z' }, { stableRS: 'abc' }] as const;
    expect(reduce('Rollout', ...given)).toMatchObject({ restartAt: Date.UTC(2026, 0, 1, 0, 0, 5), stableHash: 'abc' });
    expect(reduce('Deployment', ...given).stableHash).toBeUndefined();
  });

  it('has no time of a restart while it has had none', () => {
    expect([reduce('Rollout').restartAt, reduce('Rollout', { restartAt: '' }).restartAt]).toEqual([undefined, undefined]);
  });

  it.each<WorkloadKind>(['StatefulSet', 'DaemonSet', 'Rollout'])('asks for no Secret by annotations when it is a %s', (kind) => {
    const asks = { 'operator.1password.io/item-path': 'vaults/v/items/i', 'operator.1password.io/item-name': 'db' };
    expect(reduce(kind, {}, {}, { annotations: asks })).toMatchObject({ claim: undefined, secrets: new Map() });
  });

  it('of any kind consumes what its pods name', () => {
    const containers = [{ env: [{ valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } }] }];
    const kinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'] as const;
    const consumed = kinds.map((kind) => reduce(kind, { template: { spec: { containers } } }).secrets.get('db')?.required);
    expect(consumed).toEqual(kinds.map(() => ['password']));
  });
});

it('a selector is written as a query', () => {
  const matchExpressions = [
    { key: 'tier', operator: 'In', values: ['web', 'api'] },
    { key: 'env', operator: 'NotIn', values: ['dev'] },
    { key: 'team', operator: 'Exists' },
    { key: 'old', operator: 'DoesNotExist' },
  ];
  expect(formatSelector({ matchLabels: { app: 'shop' }, matchExpressions })).toBe('app=shop,tier in (web,api),env notin (dev),team,!old');
});

describe('a Rollout whose definition let anything pass', () => {
  it('is read as far as it can be, with what is null or of another kind as absent', () => {
    const container = { env: null, envFrom: [{ secretRef: { name: 'db' } }], volumeMounts: [{ name: 5, subPath: null }] };
    const spec = { replicas: '3', paused: 'yes', selector: [], template: { spec: { containers: [container], volumes: null } } };
    const workload = reduce('Rollout', spec, { conditions: 'none', availableReplicas: null });
    expect([...workload.secrets]).toEqual([['db', { whole: true, required: [], optional: [] }]]);
    expect([workload.paused, workload.scaledToZero, workload.rollout.failed]).toEqual([false, false, false]);
    expect(formatSelector(workload.selector)).toBe('');
  });

  it.each([null, 'x', 5, [], { template: 'x' }, { template: { spec: { containers: {} } } }])('consumes nothing when it is %j', (spec) => {
    expect(reduceWorkload('Rollout')({ metadata, spec } as WireObject).secrets.size).toBe(0);
  });
});
