import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { readConfig } from '../../src/config.ts';
import type { VaultPolicy } from '../../src/domain/vault-policy.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { runPlan } from '../../src/plan.ts';
import { createAuditMemory } from '../support/audit.ts';
import { createNamespace, type TestNamespace, untilEvent, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { startOperator, type TestOperator } from '../support/operator.ts';
import { installCrd } from '../support/scenario.ts';

const prod = 'p'.repeat(26);
const payroll = 's'.repeat(26);
const wages = 'w'.repeat(26);
const nowhere = 'n'.repeat(26);
const field = (value: string) => ({ label: 'password', value, type: 'CONCEALED' as const });

let connect: ConnectServer;
let token: string;
let shop: TestNamespace;
let guest: TestNamespace;
let folder: string;
let file: string;
let operator: TestOperator;
const lines: string[] = [];
const log = pino({ level: 'info', base: null }, { write: (line: string) => void lines.push(line) });

const rule = (namespace: TestNamespace, ...vaults: readonly string[]): VaultPolicy[number] => ({ namespaces: [namespace.name], vaults });
const ask = (vault: string) => ({
  'operator.1password.io/item-path': `vaults/${vault}/items/wages`,
  'operator.1password.io/item-name': 'db',
});
const writePolicy = (policy: VaultPolicy): Promise<void> => writeFile(file, JSON.stringify({ vaultPolicy: policy }));

/** Starts an operator that has the policy from the file. */
async function start(policy: VaultPolicy | undefined): Promise<void> {
  if (policy !== undefined) await writePolicy(policy);
  operator = await startOperator({
    kubeconfig: sharedControlPlane().accounts.namespaced.kubeconfig,
    connect: connect.url,
    token,
    namespaces: [shop.name, guest.name],
    config: { vaultPolicy: policy, configFile: policy && file },
    times: { policyInterval: 200 },
    log,
  });
}

beforeAll(async () => {
  await installCrd();
  folder = await mkdtemp(join(tmpdir(), 'keyturn-policy-'));
  file = join(folder, 'config.yaml');
  connect = await startConnectServer({
    seed: {
      vaults: [
        { id: prod, name: 'Prod', items: [{ title: 'db', fields: [field('prod-1')] }] },
        { id: payroll, name: 'Payroll', items: [{ id: wages, title: 'wages', fields: [field('wages-1')] }] },
      ],
    },
  });
  token = connect.issueToken({ vaults: ['*'] });
});

beforeEach(async () => {
  const { kubeconfig } = sharedControlPlane();
  shop = await createNamespace(kubeconfig);
  guest = await createNamespace(kubeconfig);
  lines.length = 0;
});

afterEach(async () => {
  await operator?.stop();
  await Promise.all([shop?.kube.close(), guest?.kube.close()]);
});

afterAll(async () => {
  await connect?.close();
  await rm(folder, { recursive: true });
});

describe('a namespace that the vault policy lets read another vault', () => {
  it('is told the same, to the byte, of what is there and of what is not, and Connect is asked for nothing on its behalf', async () => {
    await start([rule(guest, 'Prod')]);
    await eventually('the first look at Connect', () => (connect.requests.total > 0 ? true : undefined));
    connect.requests.reset();
    const paths = ['Payroll', 'payroll', 'Payrol', 'Nothing', payroll, nowhere].flatMap((vault) =>
      ['wages', 'wage', wages, nowhere].map((item) => `vaults/${vault}/items/${item}`),
    );
    await Promise.all(paths.map((path, index) => guest.createItem(`item-${index}`, path)));
    const statuses = await Promise.all(
      paths.map(async (_, index) => {
        const { status } = await untilReadiness(guest, `item-${index}`, 'VaultNotAllowed');
        return JSON.stringify(status, (key, value: unknown) => (key === 'lastTransitionTime' ? undefined : value));
      }),
    );
    expect(new Set(statuses).size).toBe(1);
    const events = await Promise.all(
      paths.map(async (_, index) => {
        const { type, message } = await untilEvent(guest, 'OnePasswordItem', `item-${index}`, 'VaultNotAllowed');
        return `${type} ${message}`;
      }),
    );
    expect(new Set(events).size).toBe(1);
    // A look of the poll may have come between.
    expect(Object.keys(connect.requests.counts()).filter((route) => route !== 'GET /v1/vaults')).toEqual([]);
  });

  it('gets no value by an annotated Deployment either, and is told so', async () => {
    await start([rule(guest, 'Prod')]);
    await guest.createDeployment('there', 'db', ask('Payroll'));
    await guest.createDeployment('not-there', 'db', ask('Nothing'));
    const [there, notThere] = await Promise.all(
      ['there', 'not-there'].map((name) => untilEvent(guest, 'Deployment', name, 'VaultNotAllowed')),
    );
    expect(there?.message).toBe(notThere?.message);
    expect(await guest.secret('db')).toBeUndefined();
  });

  it('gets nothing by ids that somebody writes into the status', async () => {
    await start([rule(guest, 'Prod')]);
    const path = 'vaults/Payroll/items/wages';
    await guest.createItem('db', path);
    await untilReadiness(guest, 'db', 'VaultNotAllowed');
    connect.requests.reset();
    const item = { path, vaultId: payroll, id: wages, version: 1 };
    await guest.kube.request({
      method: 'PATCH',
      path: `/apis/onepassword.com/v1/namespaces/${guest.name}/onepassworditems/db/status`,
      body: { status: { item, conditions: [] } },
    });
    await guest.patchItem('db', { metadata: { annotations: { 'example.test/touch': '1' } } });
    await untilReadiness(guest, 'db', 'VaultNotAllowed');
    expect(Object.keys(connect.requests.counts())).not.toContain('GET /v1/vaults/{vault}/items/{item}');
    expect(await guest.secret('db')).toBeUndefined();
  });

  it('has its own vault, and so has its neighbour', async () => {
    await start([rule(guest, 'prod'), rule(shop, payroll)]);
    await guest.createItem('db', 'vaults/Prod/items/db');
    await shop.createItem('db', 'vaults/Payroll/items/wages');
    await Promise.all([guest, shop].map((namespace) => untilReadiness(namespace, 'db', 'True')));
    expect((await guest.secret('db'))?.values).toEqual({ password: 'prod-1' });
    expect((await shop.secret('db'))?.values).toEqual({ password: 'wages-1' });
  });
});

describe('a change of the policy in its file', () => {
  it('applies without a restart: what is taken away is refused and its Secret stays, what is given back is synced', async () => {
    await start([rule(shop, 'Payroll')]);
    await shop.createItem('db', 'vaults/Payroll/items/wages');
    await untilReadiness(shop, 'db', 'True');
    await writePolicy([rule(guest, 'Payroll')]);
    await untilReadiness(shop, 'db', 'VaultNotAllowed');
    connect.store.setField('Payroll', 'wages', 'password', 'wages-2');
    connect.requests.reset();
    await eventually('three polls', () => (connect.requests.count('GET /v1/vaults') > 2 ? true : undefined));
    expect((await shop.secret('db'))?.values).toEqual({ password: 'wages-1' });
    expect(connect.requests.count('GET /v1/vaults/{vault}/items/{item}')).toBe(0);
    await writePolicy([rule(shop, 'Payroll')]);
    await untilReadiness(shop, 'db', 'True');
    expect((await shop.secret('db'))?.values).toEqual({ password: 'wages-2' });
    connect.store.setField('Payroll', 'wages', 'password', 'wages-1');
  });

  it('concerns annotated Deployments too', async () => {
    await start([]);
    const annotations = { 'operator.1password.io/item-path': 'vaults/Prod/items/db', 'operator.1password.io/item-name': 'db' };
    await shop.createDeployment('web', 'db', annotations);
    await untilEvent(shop, 'Deployment', 'web', 'VaultNotAllowed');
    await writePolicy([rule(shop, 'Prod')]);
    await eventually('the Secret', () => shop.secret('db'));
  });

  it('that cannot be read changes nothing, and is said once', async () => {
    await start([rule(shop, 'Prod')]);
    await writeFile(file, 'vaultPolicy: [canary');
    const complaints = (): readonly string[] => lines.filter((line) => line.includes('vault policy in the config file'));
    await eventually('the complaint', () => (complaints().length > 0 ? true : undefined));
    connect.requests.reset();
    await shop.createItem('db', 'vaults/Prod/items/db');
    await guest.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(shop, 'db', 'True');
    await untilReadiness(guest, 'db', 'VaultNotAllowed');
    await eventually('two polls', () => (connect.requests.count('GET /v1/vaults') > 1 ? true : undefined));
    expect(complaints()).toHaveLength(1);
    expect(lines.join('')).not.toContain('canary');
  });
});

describe('without a policy', () => {
  it('every namespace reads every vault, and one warning says so', async () => {
    await start(undefined);
    await guest.createItem('db', 'vaults/Payroll/items/wages');
    await untilReadiness(guest, 'db', 'True');
    expect(lines.filter((line) => line.includes('no vaultPolicy'))).toHaveLength(1);
  });
});

describe('a plan', () => {
  it('refuses what the policy refuses, and says the same of it', async () => {
    await start([]);
    await guest.createItem('there', 'vaults/Payroll/items/wages');
    await guest.createItem('not-there', 'vaults/Nothing/items/wages');
    await shop.createItem('db', 'vaults/Prod/items/db');
    await Promise.all(['there', 'not-there'].map((name) => untilReadiness(guest, name, 'VaultNotAllowed')));
    await untilReadiness(shop, 'db', 'VaultNotAllowed');
    const environment = { OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: token, WATCH_NAMESPACE: `${shop.name},${guest.name}` };
    const config = { ...readConfig(environment, ['--plan']), vaultPolicy: [rule(shop, 'Prod')] };
    const auditSink = createAuditMemory();
    const { output } = await runPlan({
      config,
      credentials: credentialsFrom(sharedControlPlane().accounts.namespaced.kubeconfig),
      auditSink,
    });
    const refused = output.split('\n').filter((line) => line.includes('VaultNotAllowed'));
    expect(refused).toHaveLength(2);
    expect(new Set(refused.map((line) => line.replace(/(not-)?there/g, ''))).size).toBe(1);
    const actions = auditSink.records.map(({ action }) => action).toSorted();
    expect(actions).toEqual(['item.retrieve', 'policy.refuse', 'policy.refuse', 'token.load']);
  });
});
