import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations, type WorkloadKind } from '../../src/api/names.ts';
import { type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type OwnScenario, startOwnScenario } from '../support/own-scenario.ts';
import { grantRole, operatorRules } from '../support/roles.ts';
import { rolloutCrd, rolloutCrdName, type RolloutController, startRolloutController } from '../support/rollout-crd.ts';
import {
  changesOf,
  containerOf,
  createWorkload,
  patchWorkload,
  readWorkload,
  recordsOf,
  templatesOf,
  untilAdopted,
  untilChanged,
  untilToldOf,
  type WorkloadName,
} from '../support/workloads.ts';

/** An optional collection that is not there is looked for again after half a minute; in milliseconds. */
const foundWithin = 35_000;
const optedIn = { annotations: { [annotations.autoRestart]: 'true' } };
const control: WorkloadName = { kind: 'Deployment', name: 'control' };

let scenario: OwnScenario;
let namespace: TestNamespace;
let controller: RolloutController;

beforeAll(async () => {
  scenario = await startOwnScenario({ vaults: [{ name: 'Prod', items: [] }] });
  namespace = await scenario.createNamespace();
  await scenario.startOperator([namespace]);
  // By now the operator has found that there are no Rollouts.
  await scenario.installCrd(rolloutCrdName, rolloutCrd);
  controller = startRolloutController(namespace);
  await createItem(namespace, control.name);
  await createWorkload(namespace, control, { containers: [containerOf(control.name, 'password')] });
  await untilAdopted(namespace, control, control.name);
});

beforeEach((context) => requireFeature(context, 'controllerManager'));

afterAll(async () => {
  await controller?.stop();
  await scenario?.end();
});

/** An item of two keys, and a resource of its name that opts in. */
async function createItem(where: TestNamespace, name: string): Promise<void> {
  const fields = ['password', 'user'].map((label) => ({ label, value: 'first' }));
  scenario.connect.store.createItem('Prod', { title: name, fields });
  await where.createItem(name, `vaults/Prod/items/${name}`, optedIn);
  await untilReadiness(where, name, 'True');
}

/** Changes a key of an item, and waits until its Secret has the new value. */
async function rotate(where: TestNamespace, name: string, key: string): Promise<void> {
  const value = crypto.randomUUID();
  scenario.connect.store.setField('Prod', name, key, value);
  await eventually(`the new ${key} of ${name}`, async () => ((await where.secret(name))?.values[key] === value ? true : undefined));
}

/** Lets a later rotation roll another workload: who has not been rolled by then is not rolled for what came before. */
async function rollControl(): Promise<void> {
  const before = await changesOf(namespace, control);
  await rotate(namespace, control.name, 'password');
  await untilChanged(namespace, control, before + 1);
}

/** Makes a workload that consumes the password of an item of its own, and waits until it is adopted. */
async function create(kind: WorkloadKind, name: string, spec: object = {}): Promise<WorkloadName> {
  await createItem(namespace, name);
  await createWorkload(namespace, { kind, name }, { containers: [containerOf(name, 'password')] }, { spec });
  await untilAdopted(namespace, { kind, name }, name, foundWithin);
  return { kind, name };
}

describe.each(['StatefulSet', 'DaemonSet', 'Deployment'] as const)('a %s', (kind) => {
  let workload: WorkloadName;

  beforeAll(async () => {
    workload = await create(kind, `a-${kind.toLowerCase()}`);
  });

  it('is adopted without a roll', async () => {
    await rollControl();
    expect(await changesOf(namespace, workload)).toBe(0);
    expect(recordsOf(await readWorkload(namespace, workload))).toEqual({ adopted: { [workload.name]: 0 }, rolled: {} });
  });

  it('is rolled once by a change of a key that it consumes, and says so in its pod template', async () => {
    const before = await changesOf(namespace, workload);
    await rotate(namespace, workload.name, 'password');
    const rolled = await untilChanged(namespace, workload, before + 1);
    await rollControl();
    expect(await changesOf(namespace, workload)).toBe(before + 1);
    expect(rolled.spec.template?.metadata.annotations?.[annotations.lastRestarted]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const revisions = (await namespace.secret(workload.name))?.metadata.annotations?.[annotations.revisions];
    expect(recordsOf(rolled).rolled[workload.name]).toBe((JSON.parse(revisions ?? '{}') as Record<string, number>)['password']);
  });

  it('is left alone by a change of another key', async () => {
    const before = await readWorkload(namespace, workload);
    await rotate(namespace, workload.name, 'user');
    await rollControl();
    expect((await readWorkload(namespace, workload)).spec).toEqual(before.spec);
  });
});

describe('a StatefulSet with the update strategy OnDelete', () => {
  it('gets the record in its pod template, and an event that says that its pods have to be deleted', async () => {
    const workload = await create('StatefulSet', 'on-delete', { updateStrategy: { type: 'OnDelete' } });
    await rotate(namespace, 'on-delete', 'password');
    const { type, message } = await untilToldOf(namespace, workload, 'DeletePodsToUpdate');
    expect({ type, message }).toEqual({
      type: 'Warning',
      message: expect.stringContaining('Secret on-delete changed in password') as string,
    });
    const rolled = await untilChanged(namespace, workload, 1);
    expect(recordsOf(rolled).rolled).toHaveProperty(['on-delete']);
  });
});

describe('an operator whose Role says nothing of StatefulSets, DaemonSets and Rollouts', () => {
  const kinds = ['StatefulSet', 'DaemonSet', 'Rollout'] as const;
  let restricted: TestNamespace;

  beforeAll(async () => {
    restricted = await scenario.createNamespace();
    const user = await scenario.controlPlane.user('restricted');
    const withheld = new Set(['statefulsets', 'daemonsets', 'rollouts', 'controllerrevisions']);
    const rules = operatorRules.filter(({ resources }) => !resources.some((resource) => withheld.has(resource)));
    await grantRole(restricted, user.username, rules);
    await scenario.startOperator([restricted], { kubeconfig: user.kubeconfig });
    await createItem(restricted, 'db');
    for (const kind of ['Deployment', ...kinds] as const) {
      await createWorkload(restricted, { kind, name: 'web' }, { containers: [containerOf('db', 'password')] });
    }
  });

  it('syncs Secrets and restarts Deployments, and leaves the others alone', async () => {
    const deployment: WorkloadName = { kind: 'Deployment', name: 'web' };
    await untilAdopted(restricted, deployment, 'db');
    await rotate(restricted, 'db', 'password');
    await untilChanged(restricted, deployment, 1);
    for (const kind of kinds) {
      const workload = await readWorkload(restricted, { kind, name: 'web' });
      expect(workload.metadata.generation, kind).toBe(1);
      expect(recordsOf(workload), kind).toEqual({ adopted: {}, rolled: {} });
    }
  });
});

describe('a Rollout, whose CRD was installed while the operator ran,', () => {
  let workload: WorkloadName;

  beforeAll(async () => {
    workload = await create('Rollout', 'a-rollout');
  });

  it('is adopted without a restart', async () => {
    await rollControl();
    expect(await changesOf(namespace, workload)).toBe(0);
  });

  it('is restarted once by a change of a key that it consumes, through spec.restartAt and with its template as it was', async () => {
    const before = await readWorkload(namespace, workload);
    await rotate(namespace, workload.name, 'password');
    const restarted = await untilChanged(namespace, workload, before.metadata.generation);
    await rollControl();
    const after = await readWorkload(namespace, workload);
    expect(after.spec).toEqual({ ...before.spec, restartAt: restarted.spec.restartAt });
    expect(after.spec.restartAt).not.toBe(before.spec.restartAt);
    expect(recordsOf(after).rolled[workload.name]).toBeGreaterThan(recordsOf(before).adopted[workload.name] ?? 0);
    expect(await templatesOf(namespace, workload)).toBe(1);
  });

  it('is left alone by a change of another key', async () => {
    const before = await readWorkload(namespace, workload);
    await rotate(namespace, workload.name, 'user');
    await rollControl();
    expect((await readWorkload(namespace, workload)).spec).toEqual(before.spec);
  });

  it('that runs the template of a Deployment is restarted, and the Deployment never', async () => {
    const name = 'referring';
    const deployment: WorkloadName = { kind: 'Deployment', name };
    const rollout: WorkloadName = { kind: 'Rollout', name };
    await createItem(namespace, name);
    await createWorkload(namespace, deployment, { containers: [containerOf(name, 'password')] }, { spec: { replicas: 0 } });
    const workloadRef = { apiVersion: 'apps/v1', kind: 'Deployment', name };
    await createWorkload(namespace, rollout, {}, { spec: { template: undefined, workloadRef } });
    await untilAdopted(namespace, rollout, name);
    const { spec } = await readWorkload(namespace, deployment);
    await rotate(namespace, name, 'password');
    const restarted = await untilChanged(namespace, rollout, 1);
    // Whatever happens to the Deployment makes the operator look at it.
    await patchWorkload(namespace, deployment, { metadata: { labels: { touched: 'yes' } } });
    await rollControl();
    expect(restarted.spec.restartAt).toBeDefined();
    expect(await changesOf(namespace, rollout)).toBe(1);
    expect((await readWorkload(namespace, deployment)).spec).toEqual(spec);
  });

  it('is a Rollout no more when the CRD is removed, and the operator goes on', async () => {
    const { code } = await scenario.controlPlane.kubectl(['delete', 'crd', rolloutCrdName, '--timeout=20s']);
    expect(code).toBe(0);
    await rotate(namespace, workload.name, 'password');
    await rollControl();
    await createItem(namespace, 'later');
    expect((await namespace.secret('later'))?.values).toEqual({ password: 'first', user: 'first' });
  });

  it('is one again when the CRD is back: adopted without a restart, and restarted once by the next change', async () => {
    const name = 'returned';
    await createItem(namespace, name);
    await scenario.installCrd(rolloutCrdName, rolloutCrd);
    // It has the name of one that went with the CRD.
    await createWorkload(namespace, workload, { containers: [containerOf(name, 'password')] });
    await untilAdopted(namespace, workload, name, foundWithin);
    await rollControl();
    expect(await changesOf(namespace, workload)).toBe(0);
    await rotate(namespace, name, 'password');
    await untilChanged(namespace, workload, 1);
    await rollControl();
    expect(await changesOf(namespace, workload)).toBe(1);
  });
});
