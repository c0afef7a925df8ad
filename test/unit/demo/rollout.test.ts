import { describe, expect, it } from 'vitest';
import { describeRollout, rolloutOf, rolloutTable, type WireDeployment, type WirePod } from '../../../dev/demo/rollout.ts';
import type { WireMeta } from '../../../src/kube/resource.ts';

function meta(name: string, owner?: string, extra: Partial<WireMeta> = {}): WireMeta {
  const ownerReferences = owner === undefined ? [] : [{ apiVersion: 'apps/v1', kind: 'Any', name: owner, uid: `uid-${owner}` }];
  return { name, uid: `uid-${name}`, resourceVersion: '1', ownerReferences, ...extra };
}

function deployment(status: WireDeployment['status'], restarted?: string): WireDeployment {
  const annotations = restarted === undefined ? {} : { 'operator.1password.io/last-restarted': restarted };
  return {
    metadata: meta('web', undefined, { generation: 2 }),
    spec: { replicas: 2, selector: {}, template: { metadata: { annotations } } },
    ...(status && { status }),
  };
}

const replicaSet = (name: string, revision: number, replicas: number, readyReplicas: number) => ({
  metadata: meta(name, 'web', { annotations: { 'deployment.kubernetes.io/revision': String(revision) } }),
  spec: { replicas },
  status: { readyReplicas },
});

const pod = (name: string, owner: string, status: WirePod['status'] = { conditions: [{ type: 'Ready', status: 'True' }] }): WirePod => ({
  metadata: meta(name, owner),
  status,
});

const done = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
const newPods = [pod('web-2-a', 'web-2'), pod('web-2-b', 'web-2')];

describe('a rollout', () => {
  it('is complete when all pods are new and available', () => {
    const rollout = rolloutOf(deployment(done, 'T1'), [replicaSet('web-1', 1, 0, 0), replicaSet('web-2', 2, 2, 2)], newPods);
    expect(rollout).toMatchObject({ complete: true, lastRestarted: 'T1' });
  });

  it.each([
    ['the controller has not seen the template', { ...done, observedGeneration: 1 }],
    ['a pod is not updated', { ...done, updatedReplicas: 1 }],
    ['an old pod is counted', { ...done, replicas: 3 }],
    ['a pod is not available', { ...done, availableReplicas: 1 }],
    ['nothing is known', undefined],
  ])('is not complete while %s', (_, status) => {
    expect(rolloutOf(deployment(status), [replicaSet('web-2', 2, 2, 2)], newPods).complete).toBe(false);
  });

  it('is not complete while an old pod is ending', () => {
    const ending = { ...pod('web-1-a', 'web-1'), metadata: meta('web-1-a', 'web-1', { deletionTimestamp: 'T' }) };
    const rollout = rolloutOf(deployment(done), [replicaSet('web-1', 1, 0, 0), replicaSet('web-2', 2, 2, 2)], [...newPods, ending]);
    expect(rollout.complete).toBe(false);
    expect(rolloutTable(rollout).at(-1)).toMatch(/^ {2}pod web-1-a +old {2}ending$/);
  });

  it('leaves out what belongs to others, and old ReplicaSets without pods', () => {
    const others = { ...replicaSet('api-1', 9, 1, 1), metadata: meta('api-1', 'api') };
    const sets = [replicaSet('web-0', 1, 0, 0), replicaSet('web-1', 2, 0, 0), replicaSet('web-2', 3, 2, 2), others];
    expect(rolloutOf(deployment(done), sets, newPods).replicaSets.map(({ name }) => name)).toEqual(['web-2', 'web-1']);
  });

  it('tells why a pod does not start', () => {
    const waiting = pod('web-2-a', 'web-2', {
      phase: 'Pending',
      containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff' } } }],
    });
    const rollout = rolloutOf(
      deployment({ ...done, availableReplicas: 1 }),
      [replicaSet('web-2', 2, 2, 1)],
      [waiting, pod('web-2-b', 'web-2')],
    );
    expect(describeRollout(rollout)).toBe('new ReplicaSet web-2: 1 of 2 ready, web-2-a ImagePullBackOff');
  });

  it('is a table of old and new, with the pods that are gone', () => {
    const sets = [replicaSet('web-1', 1, 0, 0), replicaSet('web-2', 2, 2, 2)];
    const before = rolloutOf(deployment(done), [replicaSet('web-1', 1, 1, 1)], [pod('web-1-a', 'web-1')]);
    expect(rolloutTable(rolloutOf(deployment(done), sets, newPods), before)).toEqual([
      'ReplicaSet web-2  new  2 of 2 ready',
      '  pod web-2-a     new  ready',
      '  pod web-2-b     new  ready',
      'ReplicaSet web-1  old  0 of 0 ready',
      '  pod web-1-a     old  gone',
    ]);
  });

  it('has no ReplicaSet at first', () => {
    const rollout = rolloutOf(deployment(undefined), [], []);
    expect(rollout.complete).toBe(false);
    expect(describeRollout(rollout)).toBe('no ReplicaSet');
  });
});
