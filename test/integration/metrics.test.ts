import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { play, type PlayedScenario, startPlayedScenario } from '../support/played-scenario.ts';
import { requireProgram, runProgram } from '../support/program.ts';

let scenario: PlayedScenario;

beforeAll(async () => {
  if (!sharedControlPlane().features.pods) return;
  scenario = await startPlayedScenario();
  await play(scenario);
});

afterAll(() => scenario?.end());

beforeEach((context) => requireFeature(context, 'pods'));

/** The samples of a metric, by their labels as they are written. */
async function samples(name: string): Promise<ReadonlyMap<string, number>> {
  const lines = (await scenario.scrape()).matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm);
  return new Map([...lines].filter(([, metric]) => metric === name).map(([, , labels = '', value]) => [labels, Number(value)]));
}

describe('a scrape of the operator, after a rotation with a restart, an edited Secret and an outage', () => {
  it('is found well-formed by promtool', async (context) => {
    await requireProgram(context, 'promtool');
    expect(await runProgram('promtool', ['check', 'metrics'], await scenario.scrape())).toEqual({ code: 0, output: '' });
  });

  it('tells what became of every resource', async () => {
    expect(Object.fromEntries(await samples('keyturn_resources'))).toEqual({
      'kind="OnePasswordItem",ready="True",reason="Synced"': 2,
      'kind="OnePasswordItem",ready="False",reason="ItemNotFound"': 1,
      'kind="Deployment",ready="True",reason="Synced"': 1,
    });
  });

  it('has counted what was done', async () => {
    const writes = await samples('keyturn_secret_writes_total');
    expect([writes.get('result="created"'), writes.get('result="updated"')]).toEqual([3, 2]);
    expect((await samples('keyturn_drift_repaired_total')).get('')).toBe(1);
    const restarts = await samples('keyturn_restarts_total');
    expect([...restarts].filter(([, count]) => count > 0)).toEqual([
      ['kind="Deployment",result="restarted"', 1],
      ['kind="Deployment",result="completed"', 1],
    ]);
    const waiting = await samples('keyturn_restarts_waiting');
    expect([[...waiting.values()].reduce((sum, count) => sum + count), await scenario.value('keyturn_rollouts_in_progress')]).toEqual([
      0, 0,
    ]);
  });

  it('has timed the rotation, from its date in Connect', async () => {
    const [toSecret, toRolled] = await Promise.all(
      ['secret', 'rolled'].map(async (reached) => ({
        count: await scenario.value(`keyturn_rotation_to_${reached}_seconds_count`),
        sum: (await scenario.value(`keyturn_rotation_to_${reached}_seconds_sum`)) ?? 0,
      })),
    );
    expect([toSecret?.count, toRolled?.count]).toEqual([1, 1]);
    // The API server's clock comes in whole seconds.
    expect(toSecret?.sum).toBeLessThan(5);
    expect(toRolled?.sum).toBeLessThan(30);
  });

  it('tells of Connect: its requests, gate, polls, vaults and certificate', async () => {
    const requests = await samples('keyturn_connect_requests_total');
    expect(requests.get('route="/v1/vaults",code="200"')).toBeGreaterThan(0);
    expect([...requests].some(([labels, count]) => labels.includes('code="401"') && count > 0)).toBe(true);
    const timed = await samples('keyturn_connect_request_duration_seconds_count');
    expect(timed.get('route="/v1/vaults/{vault}/items/{item}"')).toBeGreaterThan(0);
    expect([...(await samples('keyturn_connect_gate_closed')).values()]).toEqual([0, 0, 0, 0]);
    const polled = (await scenario.value('keyturn_connect_last_poll_timestamp_seconds')) ?? 0;
    expect(Math.abs(polled - Date.now() / 1000)).toBeLessThan(30);
    expect(await scenario.value('keyturn_connect_certificate_expiry_timestamp_seconds')).toBe(scenario.certificateExpiry / 1000);
    expect([await scenario.value('keyturn_vaults_indexed'), await scenario.value('keyturn_items_indexed')]).toEqual([1, 3]);
  });

  it('tells of controllers, queues and the API server under the names that operators share', async () => {
    const reconciled = await samples('controller_runtime_reconcile_total');
    const added = await samples('workqueue_adds_total');
    for (const controller of ['onepassworditem', 'deployment-annotation', 'workload']) {
      expect(reconciled.get(`controller="${controller}",result="success"`)).toBeGreaterThan(0);
      expect(added.get(`name="${controller}",controller="${controller}"`)).toBeGreaterThan(0);
    }
    const { host } = new URL(sharedControlPlane().url);
    expect((await samples('rest_client_requests_total')).get(`method="PATCH",code="200",host="${host}"`)).toBeGreaterThan(0);
    expect(await scenario.value('leader_election_master_status{name="c26807fd.onepassword.com"}')).toBe(1);
  });

  it('has no label that names a resource, a workload, a vault, an item or a namespace', async () => {
    const scraped = (await scenario.scrape()).replaceAll(/^#.*$/gm, '');
    const { namespace, connect } = scenario;
    const ids = [connect.store.item('Prod', 'rotated').id, connect.store.vault('Prod').id];
    const names = ['rotated', 'edited', 'annotated', 'Prod', namespace.name, ...ids];
    expect(names.filter((name) => scraped.includes(name))).toEqual([]);
  });
});
