import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const pollingInterval = 1_000;
const optedIn = { [annotations.autoRestart]: 'true' };

let scenario: Scenario;

beforeAll(async () => {
  const fields = [
    { label: 'password', value: 'first' },
    { label: 'user', value: 'app' },
  ];
  const titles = ['created', 'rotated', 'rolling', 'optional', 'opted-out', 'late', 'deleted', 'paused', 'away', 'again'];
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] } });
});

afterAll(() => scenario?.end());

describe('the main job', () => {
  beforeEach((context) => requireFeature(context, 'pods'));

  it('makes a Secret of a OnePasswordItem within a second', async () => {
    const { namespace } = scenario;
    await namespace.createItem('created', 'vaults/Prod/items/created');
    const created = performance.now();
    const secret = await eventually('the Secret', () => namespace.secret('created'));
    expect(performance.now() - created).toBeLessThan(1_000);
    expect(secret.values).toEqual({ password: 'first', user: 'app' });
    expect(secret.type).toBe('Opaque');
    const item = await untilReadiness(namespace, 'created', 'True');
    expect(item.status).toMatchObject({
      observedGeneration: 1,
      conditions: [{ type: 'Ready', status: 'True', reason: 'Synced', observedGeneration: 1 }],
      item: { path: 'vaults/Prod/items/created', version: 1 },
      secret: { name: 'created', resourceVersion: secret.metadata.resourceVersion },
    });
  });

  it('brings a rotated value into the Secret within one poll and a second', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('rotated', 'vaults/Prod/items/rotated');
    await untilReadiness(namespace, 'rotated', 'True');
    connect.store.setField('Prod', 'rotated', 'password', 'second');
    const rotated = performance.now();
    const secret = await eventually('the new value', async () => {
      const found = await namespace.secret('rotated');
      return found?.values['password'] === 'second' ? found : undefined;
    });
    expect(performance.now() - rotated).toBeLessThan(pollingInterval + 1_000);
    expect(Object.keys(JSON.parse(secret.metadata.annotations?.[annotations.revisions] ?? '{}'))).toEqual(['password']);
  });

  it('rolls a Deployment that consumes a rotated value exactly once', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('rolling', 'vaults/Prod/items/rolling', { annotations: optedIn });
    await untilReadiness(namespace, 'rolling', 'True');
    await namespace.createDeployment('rolling', 'rolling');
    await untilRolledOut(namespace, 'rolling');
    const before = await namespace.replicaSets('rolling');
    expect(before).toBe(1);

    connect.store.setField('Prod', 'rolling', 'password', 'second');
    await eventually('a second ReplicaSet', async () => ((await namespace.replicaSets('rolling')) === 2 ? true : undefined));
    const deployment = await untilRolledOut(namespace, 'rolling');
    expect(deployment.spec.template.metadata.annotations).toHaveProperty([annotations.lastRestarted]);

    connect.store.setField('Prod', 'created', 'password', 'unrelated');
    await eventually('a later rotation', async () =>
      (await namespace.secret('created'))?.values['password'] === 'unrelated' ? true : undefined,
    );
    expect(await namespace.replicaSets('rolling')).toBe(2);
  });

  it('records what pods know of a Secret without rolling them', async () => {
    const { namespace } = scenario;
    await namespace.createDeployment('late', 'late', optedIn);
    await namespace.createItem('late', 'vaults/Prod/items/late');
    const deployment = await eventually('the record', async () => {
      const found = await namespace.deployment('late');
      return found.metadata.annotations?.[annotations.knownRevisions] === undefined ? undefined : found;
    });
    expect(deployment.metadata.annotations?.[annotations.knownRevisions]).toBe('{"late":0}');
    await untilRolledOut(namespace, 'late');
    expect(await namespace.replicaSets('late')).toBe(1);
  });

  it('rolls nobody who has not opted in, and a resource decides before the workload', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('optional', 'vaults/Prod/items/optional');
    await namespace.createItem('opted-out', 'vaults/Prod/items/opted-out', { annotations: { [annotations.autoRestart]: 'false' } });
    await untilReadiness(namespace, 'optional', 'True');
    await untilReadiness(namespace, 'opted-out', 'True');
    await namespace.createDeployment('silent', 'optional');
    await namespace.createDeployment('overruled', 'opted-out', optedIn);
    await namespace.createDeployment('witness', 'optional', optedIn);
    for (const name of ['silent', 'overruled', 'witness']) await untilRolledOut(namespace, name);

    for (const title of ['opted-out', 'optional']) connect.store.setField('Prod', title, 'password', 'second');
    await eventually('the witness to roll', async () => ((await namespace.replicaSets('witness')) === 2 ? true : undefined));
    expect(await namespace.replicaSets('silent')).toBe(1);
    expect(await namespace.replicaSets('overruled')).toBe(1);
  });

  it('makes one rollout of several rotations, and waits while a Deployment is paused', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('paused', 'vaults/Prod/items/paused', { annotations: optedIn });
    await untilReadiness(namespace, 'paused', 'True');
    await namespace.createDeployment('paused', 'paused');
    await untilRolledOut(namespace, 'paused');
    await namespace.patchDeployment('paused', { spec: { paused: true } });
    for (const value of ['second', 'third']) {
      connect.store.setField('Prod', 'paused', 'password', value);
      await eventually(`the value ${value}`, async () =>
        (await namespace.secret('paused'))?.values['password'] === value ? true : undefined,
      );
    }
    await namespace.patchDeployment('paused', { spec: { paused: false } });
    await eventually('the rollout', async () => ((await namespace.replicaSets('paused')) === 2 ? true : undefined));
    await untilRolledOut(namespace, 'paused');
    expect(await namespace.replicaSets('paused')).toBe(2);
  });

  it('rolls for a value that changed while the Secret was away', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('away', 'vaults/Prod/items/away', { annotations: optedIn });
    await untilReadiness(namespace, 'away', 'True');
    await namespace.createDeployment('away', 'away');
    await untilRolledOut(namespace, 'away');
    const record = async (): Promise<string | undefined> =>
      (await namespace.deployment('away')).metadata.annotations?.[annotations.knownRevisions];
    await eventually('the record', record);
    const fault = connect.faults.order({ kind: 'status', status: 503 });
    await namespace.delete('secrets', 'away');
    await untilReadiness(namespace, 'away', 'ConnectUnavailable');
    expect(await record()).toBe('{"away":0}');
    connect.store.setField('Prod', 'away', 'password', 'second');
    fault.clear();
    await eventually('the rollout', async () => ((await namespace.replicaSets('away')) === 2 ? true : undefined), 40_000);
  });

  it('rolls nothing for opting out, a rotation meanwhile, and opting in again', async () => {
    const { namespace, connect } = scenario;
    await namespace.createItem('again', 'vaults/Prod/items/again');
    await untilReadiness(namespace, 'again', 'True');
    await namespace.createDeployment('again', 'again', optedIn);
    await untilRolledOut(namespace, 'again');
    connect.store.setField('Prod', 'again', 'password', 'second');
    await eventually('the rollout', async () => ((await namespace.replicaSets('again')) === 2 ? true : undefined));
    await untilRolledOut(namespace, 'again');
    const known = async (): Promise<number> =>
      (
        JSON.parse((await namespace.deployment('again')).metadata.annotations?.[annotations.knownRevisions] ?? '{}') as Record<
          string,
          number
        >
      )['again'] ?? 0;
    const setOptIn = (value: string): Promise<void> =>
      namespace.patchDeployment('again', { metadata: { annotations: { [annotations.autoRestart]: value } } });
    await setOptIn('false');
    connect.store.setField('Prod', 'again', 'password', 'third');
    const revision = await eventually('the third value', async () => {
      const secret = await namespace.secret('again');
      const { password = 0 } = JSON.parse(secret?.metadata.annotations?.[annotations.revisions] ?? '{}') as Record<string, number>;
      return secret?.values['password'] === 'third' ? password : undefined;
    });
    await eventually('the record to keep up', async () => ((await known()) === revision ? true : undefined));
    await setOptIn('true');
    connect.store.setField('Prod', 'created', 'user', 'later');
    await eventually('a later rotation', async () => ((await namespace.secret('created'))?.values['user'] === 'later' ? true : undefined));
    expect(await namespace.replicaSets('again')).toBe(2);
  });

  it('leaves the deletion of a Secret to the garbage collector', async () => {
    const { namespace } = scenario;
    await namespace.createItem('deleted', 'vaults/Prod/items/deleted');
    await untilReadiness(namespace, 'deleted', 'True');
    const item = await namespace.item('deleted');
    expect(item?.metadata.finalizers).toBeUndefined();
    await namespace.delete('items', 'deleted');
    // The garbage collector looks for new kinds of owners every 30 s.
    await eventually(
      'the Secret to be collected',
      async () => ((await namespace.secret('deleted')) === undefined ? true : undefined),
      50_000,
    );
  });
});
