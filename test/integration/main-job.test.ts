import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startConnectServer, type ConnectServer } from '../../dev/connect-server/server.ts';
import { createNamespace, readiness, type TestNamespace } from '../support/cluster.ts';
import { kubectl, requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';

let connect: ConnectServer;
let operator: TestOperator;
let namespace: TestNamespace;

beforeAll(async () => {
  const crd = await readFile('crds/onepassword.com_onepassworditems.yaml', 'utf8');
  const applied = await kubectl(['apply', '--server-side', '-f', '-'], crd);
  expect(applied.code, applied.stderr).toBe(0);
  await kubectl(['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s']);
  const { kubeconfig } = sharedControlPlane();
  connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'first' }, { label: 'user', value: 'app' }] }] }] },
  });
  namespace = await createNamespace(kubeconfig);
  operator = await startOperator({ kubeconfig, connect: connect.url, token: connect.issueToken({ vaults: ['*'] }), namespaces: [namespace.name] });
});

afterAll(async () => {
  await operator?.stop();
  await connect?.close();
  await namespace?.kube.close();
});

describe('the main job', () => {
  it('makes a Secret of a OnePasswordItem', async () => {
    await namespace.createItem('db', 'vaults/Prod/items/db');
    const start = performance.now();
    const secret = await eventually('the Secret', () => namespace.secret('db'));
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(secret.values).toEqual({ password: 'first', user: 'app' });
    await eventually('Ready', async () => (readiness(await namespace.item('db')) === 'True' ? true : undefined));
  });
});
