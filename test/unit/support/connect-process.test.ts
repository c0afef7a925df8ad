import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ConnectProcess, startConnectProcess } from '../../support/connect-process.ts';

let connect: ConnectProcess;

beforeAll(async () => {
  connect = await startConnectProcess({
    vaults: [{ name: 'main', items: [{ title: 'db', fields: [{ label: 'password', value: 'one' }] }] }],
  });
});
afterAll(() => connect.stop());

function vaults(token = connect.token): Promise<Response> {
  return fetch(`${connect.url}/v1/vaults`, { headers: { authorization: `Bearer ${token}` } });
}

test('counts what it is asked', async () => {
  await connect.requests.reset();
  await vaults();
  expect(await connect.requests.counts()).toEqual({ 'GET /v1/vaults': 1 });
  expect(await connect.requests.log()).toMatchObject([{ route: 'GET /v1/vaults', status: 200 }]);
});

test('edits items, and says what is wrong with an edit', async () => {
  const edited = await connect.edit('setField', 'main', 'db', 'password', 'two');
  expect(edited).toMatchObject({ title: 'db', version: 2, fields: [{ label: 'password', value: 'two' }] });
  await expect(connect.edit('deleteItem', 'main', 'none')).rejects.toThrow('there is no item none');
});

test('revokes a token and restores it', async () => {
  const token = await connect.issueToken({ vaults: ['main'] });
  await connect.revokeToken(token);
  expect((await vaults(token)).status).toBe(401);
  await connect.restoreToken(token);
  expect((await vaults(token)).status).toBe(200);
});

test('orders a fault and says how often it struck', async () => {
  const fault = await connect.faults.order({ kind: 'status', status: 503 });
  expect((await vaults()).status).toBe(503);
  expect(await fault.clear()).toBe(1);
  expect((await vaults()).status).toBe(200);
});
