import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { annotations, leaseName, type WorkloadKind, workloadKinds } from '../../src/api/names.ts';
import { collectionPath, leases, objectPath } from '../../src/kube/resource.ts';
import { workloadType } from '../../src/kube/workload.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type OwnScenario, startOwnScenario } from '../support/own-scenario.ts';
import { rolloutCrd, rolloutCrdName } from '../support/rollout-crd.ts';
import { containerOf, createWorkload, untilAdopted } from '../support/workloads.ts';

/** Uses what the operator may do by `deploy/overlays/cluster-wide` and seldom does: `dev/tools/permissions-used.ts` asks for each verb. */

const lease = collectionPath(leases, 'keyturn');

let scenario: OwnScenario;
let proxy: ApiServerProxy;
let namespace: TestNamespace;

beforeAll(async () => {
  scenario = await startOwnScenario({ vaults: [{ name: 'Prod', items: [] }] });
  await scenario.installCrd(rolloutCrdName, rolloutCrd);
  const { controlPlane } = scenario;
  proxy = await startApiServerProxy({ controlPlane, user: controlPlane.accounts.clusterWide });
  namespace = await scenario.createNamespace({ [annotations.autoRestart]: 'true' });
  const environment = { POD_NAMESPACE: 'keyturn' };
  await scenario.startOperator([], { kubeconfig: proxy.kubeconfig, environment, flags: ['--leader-elect'] });
});

afterEach(() => proxy.faults.clear());

afterAll(async () => {
  await scenario?.end();
  await proxy?.close();
});

/** An item, and a resource of its name that is in sync. */
async function createReady(name: string): Promise<void> {
  scenario.connect.store.createItem('Prod', { title: name, fields: [{ label: 'password', value: 'first' }] });
  await namespace.createItem(name, `vaults/Prod/items/${name}`);
  await untilReadiness(namespace, name, 'True');
}

/** How the first such request is answered. */
function answerTo(method: string, path: string): Promise<number> {
  return eventually(`an answer to ${method} ${path}`, () => {
    const asked = proxy.requests.all.filter((request) => request.method === method && request.path === path);
    return asked.find(({ status }) => status !== undefined)?.status;
  });
}

describe('an operator that watches all namespaces with the permissions of deploy/', () => {
  it('takes its lease, and renews it', async () => {
    expect(await answerTo('GET', `${lease}/${leaseName}`)).toBe(404);
    expect(await answerTo('POST', lease)).toBe(201);
    expect(await answerTo('PUT', `${lease}/${leaseName}`)).toBe(200);
  });

  it.for<WorkloadKind>(workloadKinds)('reads a %s that changed while it was about to be adopted', async (kind, context) => {
    requireFeature(context, 'controllerManager');
    const workload = { kind, name: `changing-${kind.toLowerCase()}` };
    const path = objectPath(workloadType(kind), { namespace: namespace.name, name: workload.name });
    await createReady(workload.name);
    // While nothing may be stated of it, it is adopted by whoever is about to change the Secret.
    proxy.faults.order({ kind: 'status', status: 409, reason: 'Conflict', methods: ['PATCH'], path: new RegExp(`^${path}$`) });
    await createWorkload(namespace, workload, { containers: [containerOf(workload.name, 'password')] });
    expect(await answerTo('PATCH', path)).toBe(409);
    scenario.connect.store.setField('Prod', workload.name, 'password', 'second');
    expect(await answerTo('GET', path)).toBe(200);
    proxy.faults.clear();
    await untilAdopted(namespace, workload, workload.name);
    await eventually('the new value', async () =>
      (await namespace.secret(workload.name))?.values['password'] === 'second' ? true : undefined,
    );
  });

  it('looks for a resource whose status cannot be written', async () => {
    await createReady('elusive');
    const path = `/apis/onepassword.com/v1/namespaces/${namespace.name}/onepassworditems/elusive`;
    const fault = { kind: 'status', status: 404, reason: 'NotFound', methods: ['PATCH'], times: 1 } as const;
    proxy.faults.order({ ...fault, path: new RegExp(`^${path}/status$`) });
    scenario.connect.store.setField('Prod', 'elusive', 'password', 'second');
    expect(await answerTo('GET', path)).toBe(200);
  });

  it('is refused nothing', () => {
    expect(proxy.requests.all.filter(({ status }) => status === 403)).toEqual([]);
  });
});
