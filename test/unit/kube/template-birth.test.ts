import { describe, expect, it, onTestFinished } from 'vitest';
import type { WorkloadKind } from '../../../src/api/names.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { readTemplateBirth } from '../../../src/kube/template-birth.ts';
import { reduceWorkload } from '../../../src/kube/workload.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type Exchange, startApiServer } from './api-server.ts';

const signal = new AbortController().signal;
const at = (minute: number): number => Date.UTC(2026, 0, 1, 0, minute);
const timestamp = (minute: number): string => new Date(at(minute)).toISOString();

interface Given {
  readonly kind?: WorkloadKind;
  readonly observed?: boolean;
  readonly restartAt?: string;
  readonly stableRS?: string;
  readonly updateStrategy?: object;
}

/** A workload that came to be in minute 1; asks for the birth of its template, and gives the request for its history. */
async function ask({ kind = 'Deployment', observed = true, ...more }: Given = {}) {
  const api = await startApiServer();
  const kube = createKubeClient(clientOptions(api, createFakeClock(at(0))));
  onTestFinished(() => kube.close());
  const { restartAt, stableRS, updateStrategy } = more;
  const metadata = { namespace: 'ns', name: 'x', uid: 'u', resourceVersion: '1', generation: 2, creationTimestamp: timestamp(1) };
  const spec = { selector: { matchLabels: { app: 'x' } }, restartAt, updateStrategy };
  const object = { metadata, spec, status: { observedGeneration: observed ? 2 : 1, stableRS } };
  const birth = readTemplateBirth(kube, reduceWorkload(kind)(object), signal);
  return { api, birth };
}

interface Entry {
  readonly metadata: object;
  /** Of a ControllerRevision. */
  readonly revision?: number;
}

async function birthWith(given: Given, items: readonly Entry[]): Promise<number | undefined> {
  const { api, birth } = await ask(given);
  (await api.next()).answer(200, { items });
  return birth;
}

const owned = (minute: number, owner: string, more: object) => ({
  creationTimestamp: timestamp(minute),
  ownerReferences: [{ uid: owner }],
  ...more,
});
const replicaSet = (revision: string, minute: number, owner = 'u', hash = revision): Entry => ({
  metadata: owned(minute, owner, {
    annotations: { 'deployment.kubernetes.io/revision': revision, 'rollout.argoproj.io/revision': revision },
    labels: { 'rollouts-pod-template-hash': `hash ${hash}` },
  }),
});
const controllerRevision = (revision: number, minute: number, owner = 'u'): Entry => ({
  metadata: owned(minute, owner, {}),
  revision,
});

describe('the pod template came to be', () => {
  it('of a Deployment with the ReplicaSet of the highest revision, counted as numbers, among its own', async () => {
    const sets = [replicaSet('2', 2), replicaSet('10', 4), replicaSet('9', 8), replicaSet('11', 9, 'another')];
    expect(await birthWith({}, sets)).toBe(at(4));
  });

  it('of a Deployment that went back, with the old ReplicaSet, whose revision is the highest then', async () => {
    expect(await birthWith({}, [replicaSet('3', 2), replicaSet('2', 7)])).toBe(at(2));
  });

  it.each<WorkloadKind>(['StatefulSet', 'DaemonSet'])(
    'of a %s with the ControllerRevision of the highest revision, among its own',
    async (kind) => {
      const revisions = [controllerRevision(9, 3), controllerRevision(10, 2), controllerRevision(11, 9, 'another')];
      expect(await birthWith({ kind }, revisions)).toBe(at(2));
    },
  );

  it('of a Rollout with the ReplicaSet that has proved itself, not with the newest', async () => {
    expect(await birthWith({ kind: 'Rollout', stableRS: 'hash 1' }, [replicaSet('1', 2), replicaSet('2', 8)])).toBe(at(2));
  });

  it.each([
    ['nothing has proved itself', undefined],
    ['what has proved itself is gone', 'hash 7'],
  ])('of a Rollout with the newest ReplicaSet when %s', async (_, stableRS) => {
    const sets = [replicaSet('1', 2), replicaSet('2', 8), replicaSet('3', 9, 'another', '7')];
    expect(await birthWith({ kind: 'Rollout', ...(stableRS && { stableRS }) }, sets)).toBe(at(8));
  });

  it.each([
    ['later', 5, 5],
    ['earlier', 1, 2],
  ])('of a Rollout at its restart, when that is %s', async (_, restart, expected) => {
    expect(await birthWith({ kind: 'Rollout', restartAt: timestamp(restart) }, [replicaSet('1', 2)])).toBe(at(expected));
  });

  it('of a Rollout with its ReplicaSet, when its restart is planned for later', async () => {
    const { api, birth } = await ask({ kind: 'Rollout', restartAt: timestamp(5) });
    (await api.next()).answer(200, { items: [replicaSet('1', 2)] }, { date: new Date(at(4)).toUTCString() });
    expect(await birth).toBe(at(2));
  });

  it('with a Rollout whose history may not be read, when its restart is planned for later', async () => {
    const { api, birth } = await ask({ kind: 'Rollout', restartAt: timestamp(5) });
    (await api.next()).answer(403, { reason: 'Forbidden' }, { date: new Date(at(4)).toUTCString() });
    expect(await birth).toBe(at(1));
  });

  it.each<[string, WorkloadKind, object]>([
    ['whose pods somebody else deletes', 'StatefulSet', { type: 'OnDelete' }],
    ['whose pods somebody else deletes', 'DaemonSet', { type: 'OnDelete' }],
    ['that leaves pods below a partition as they are', 'StatefulSet', { type: 'RollingUpdate', rollingUpdate: { partition: 1 } }],
  ])('with the workload %s: pods of an older template may be left (%s)', async (_, kind, updateStrategy) => {
    const { api, birth } = await ask({ kind, updateStrategy });
    expect([await birth, api.count]).toEqual([at(1), 0]);
  });

  it('of a StatefulSet with its ControllerRevision, when the partition is 0', async () => {
    const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 0 } };
    expect(await birthWith({ kind: 'StatefulSet', updateStrategy }, [controllerRevision(1, 3)])).toBe(at(3));
  });

  it('with the workload, where the history may not be read', async () => {
    const { api, birth } = await ask();
    (await api.next()).answer(403, { reason: 'Forbidden' });
    expect(await birth).toBe(at(1));
  });
});

describe('the birth of a pod template is not known', () => {
  it('while the controller has not seen it, and nothing is asked then', async () => {
    const { api, birth } = await ask({ observed: false });
    expect([await birth, api.count]).toEqual([undefined, 0]);
  });

  it.each([
    ['has not made its entry', []],
    ['has made none but for another workload', [replicaSet('1', 2, 'another')]],
  ])('while the controller %s', async (_, items) => {
    expect(await birthWith({}, items)).toBeUndefined();
  });
});

it('a history that cannot be read for another reason is a failure', async () => {
  const { api, birth } = await ask();
  const failed = birth.catch((error: unknown) => error);
  (await api.next()).answer(500, {});
  expect(await failed).toMatchObject({ status: 500 });
});

const requested = async (kind: WorkloadKind): Promise<Exchange> => {
  const { api, birth } = await ask({ kind });
  const request = await api.next();
  request.answer(200, {});
  await birth;
  return request;
};

describe('the history is asked for', () => {
  it.each<[WorkloadKind, string]>([
    ['Deployment', 'replicasets'],
    ['StatefulSet', 'controllerrevisions'],
    ['DaemonSet', 'controllerrevisions'],
    ['Rollout', 'replicasets'],
  ])('of a %s among the %s of its namespace, by its selector', async (kind, plural) => {
    const { method, path, query } = await requested(kind);
    expect([method, path, [...query]]).toEqual(['GET', `/apis/apps/v1/namespaces/ns/${plural}`, [['labelSelector', 'app=x']]]);
  });

  it.each<[WorkloadKind, boolean]>([
    ['Deployment', true],
    ['StatefulSet', false],
  ])('of a %s, as metadata alone: %s (the revision may stand outside)', async (kind, alone) => {
    expect((await requested(kind)).headers.accept?.includes('as=PartialObjectMetadataList')).toBe(alone);
  });
});
