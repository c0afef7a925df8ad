import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { createNamespace, type TestNamespace, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { type OwnControlPlane, ownControlPlane, requireFeature } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { oldCrd } from '../support/old-crd.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';

let controlPlane: OwnControlPlane;
let connect: ConnectServer;
let operator: TestOperator;
let namespace: TestNamespace;

async function apply(manifest: string): Promise<void> {
  const { code, stderr } = await controlPlane.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], manifest);
  expect(code, stderr).toBe(0);
  await controlPlane.kubectl(['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s']);
}

beforeAll(async () => {
  controlPlane = await ownControlPlane();
  await apply(oldCrd);
  const fields = [{ label: 'password', value: 'first' }];
  connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: ['db', 'old'].map((title) => ({ title, fields })) }] },
  });
  namespace = await createNamespace(controlPlane.kubeconfig, { [annotations.autoRestart]: 'true' });
  const token = connect.issueToken({ vaults: ['Prod'] });
  operator = await startOperator({ kubeconfig: controlPlane.accounts.clusterWide.kubeconfig, connect: connect.url, token, namespaces: [] });
}, 120_000);

afterAll(async () => {
  await operator?.stop();
  await connect?.close();
  await namespace?.kube.close();
  await controlPlane?.stop();
});

describe('an operator that watches all namespaces', () => {
  it("works with the old operator's CRD, and does not write for ever what is pruned", async () => {
    await namespace.createItem('old', 'vaults/Prod/items/old');
    await eventually('Ready', async () => ((await namespace.item('old'))?.status?.conditions?.[0]?.status === 'True' ? true : undefined));
    expect((await namespace.secret('old'))?.values).toEqual({ password: 'first' });
    connect.store.setField('Prod', 'old', 'password', 'second');
    await eventually('the new value', async () => ((await namespace.secret('old'))?.values['password'] === 'second' ? true : undefined));
    const item = await eventually('the status', async () => {
      const found = await namespace.item('old');
      return found?.status?.conditions?.[0]?.message?.startsWith('version 2') ? found : undefined;
    });
    connect.requests.reset();
    await eventually('three polls', () => (connect.requests.count('GET /v1/vaults') >= 3 ? true : undefined));
    expect((await namespace.item('old'))?.metadata.resourceVersion).toBe(item.metadata.resourceVersion);
  });

  it('keeps going when the CRD is replaced by ours, and names a stored itemPath that is malformed', async () => {
    await namespace.createItem('stored', 'nonsense');
    await apply(await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8'));
    await namespace.patchItem('stored', { metadata: { labels: { touched: 'yes' } } });
    await untilReadiness(namespace, 'stored', 'InvalidItemPath');
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'True');
    await namespace.patchItem('old', { metadata: { labels: { touched: 'yes' } } });
    await eventually('the status in full', async () => ((await namespace.item('old'))?.status?.item?.version === 2 ? true : undefined));
  });

  it('rolls a Deployment whose namespace has opted in', async (context) => {
    requireFeature(context, 'pods');
    await namespace.createDeployment('web', 'db');
    await untilRolledOut(namespace, 'web');
    connect.store.setField('Prod', 'db', 'password', 'second');
    await eventually('a second ReplicaSet', async () => ((await namespace.replicaSets('web')) === 2 ? true : undefined));
  });

  it('survives a restart of the API server', async () => {
    await controlPlane.restartApiServer();
    connect.store.setField('Prod', 'db', 'password', 'third');
    await eventually(
      'the new value',
      async () => ((await namespace.secret('db'))?.values['password'] === 'third' ? true : undefined),
      30_000,
    );
    await namespace.createItem('later', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'later', 'True', 30_000);
  });
});
