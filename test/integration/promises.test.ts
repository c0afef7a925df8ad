import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import type { SecretRecord } from '../../src/api/onepassword-item.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { type ReadSecret, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const tls = 'kubernetes.io/tls';
const pair = [
  { id: 'crt', label: 'tls.crt', value: 'certificate' },
  { id: 'key', label: 'tls.key', value: 'key' },
];

let proxy: ApiServerProxy;
let scenario: Scenario;

beforeAll(async () => {
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
  const fields = [
    { label: 'password', value: 'of the item' },
    { label: 'nothing', value: '' },
  ];
  const titles = ['noted', 'empty', 'pathless', 'emptied', 'large', 'removed', 'recorded'];
  const items = [...titles.map((title) => ({ title, fields })), { title: 'tls', fields: pair }];
  scenario = await startScenario({
    seed: { vaults: [{ name: 'Prod', items }] },
    kubeconfig: proxy.kubeconfig,
    flags: ['--enable-annotations', '--allow-empty-values'],
  });
});

afterAll(async () => {
  await scenario?.end();
  await proxy?.close();
});

async function create(name: string, extra: object = {}): Promise<ReadSecret> {
  await scenario.namespace.createItem(name, `vaults/Prod/items/${name}`, extra);
  await untilReadiness(scenario.namespace, name, 'True');
  return await read(name);
}

async function read(name: string): Promise<ReadSecret> {
  const secret = await scenario.namespace.secret(name);
  if (secret === undefined) throw new Error(`no Secret ${name}`);
  return secret;
}

function untilAnnotated(name: string, annotation: string, value: string): Promise<ReadSecret> {
  return eventually(`${annotation}: ${value}`, async () => {
    const secret = await scenario.namespace.secret(name);
    return secret?.metadata.annotations?.[annotation] === value ? secret : undefined;
  });
}

/** What a Deployment says of its Secret, once that holds a version of its item. */
function recordOf(deployment: string, version: number): Promise<SecretRecord> {
  return eventually(`version ${version}`, async () => {
    const { metadata } = await scenario.namespace.deployment(deployment);
    const text = metadata.annotations?.[annotations.secret];
    const record = text === undefined ? undefined : (JSON.parse(text) as SecretRecord);
    return record?.item.version === version ? record : undefined;
  });
}

describe('an operator with --enable-annotations', () => {
  it('copies the annotations of a resource as they change, without those of tools', async () => {
    const notes = { 'example.com/team': 'a', 'example.com/gone': 'x', 'meta.helm.sh/release-name': 'shop' };
    const before = await create('noted', { annotations: notes });
    expect(before.metadata.annotations).toMatchObject({ 'example.com/team': 'a', 'example.com/gone': 'x' });
    await scenario.namespace.patchItem('noted', { metadata: { annotations: { 'example.com/team': 'b', 'example.com/gone': null } } });
    const after = await untilAnnotated('noted', 'example.com/team', 'b');
    expect(Object.keys(after.metadata.annotations ?? {}).filter((name) => /example|helm/.test(name))).toEqual(['example.com/team']);
  });
});

describe('an operator with --allow-empty-values', () => {
  it('keeps the keys of empty values', async () => {
    expect((await create('empty')).values).toEqual({ password: 'of the item', nothing: '' });
  });
});

describe('a Secret stays as it is', () => {
  it('when its resource names no item any more', async () => {
    const before = await create('pathless');
    await scenario.namespace.patchItem('pathless', { spec: { itemPath: null } });
    await untilReadiness(scenario.namespace, 'pathless', 'InvalidItemPath');
    expect(await read('pathless')).toEqual(before);
  });

  it('when its item loses every field', async () => {
    const before = await create('emptied');
    scenario.connect.store.updateItem('Prod', 'emptied', { fields: [] });
    await untilReadiness(scenario.namespace, 'emptied', 'ItemEmpty');
    expect(await read('emptied')).toEqual(before);
  });

  it('when its item becomes too large', async () => {
    const before = await create('large');
    scenario.connect.store.setField('Prod', 'large', 'password', 'x'.repeat(1024 ** 2 + 1));
    await untilReadiness(scenario.namespace, 'large', 'SecretTooLarge');
    expect(await read('large')).toEqual(before);
  });

  it('when the API server refuses the new one, as a TLS type without its keys', async () => {
    const before = await create('tls', { type: tls });
    scenario.connect.store.updateItem('Prod', 'tls', { fields: pair.slice(0, 1) });
    await untilReadiness(scenario.namespace, 'tls', 'SecretInvalid');
    expect(await read('tls')).toEqual(before);
  });
});

describe('an annotated Deployment', () => {
  it('records the revisions of its Secret in an annotation', async () => {
    const { namespace, connect } = scenario;
    const asks = { [annotations.itemPath]: 'vaults/Prod/items/recorded', [annotations.itemName]: 'recorded' };
    await namespace.createDeployment('recorded', 'recorded', asks);
    await recordOf('recorded', 1);
    connect.store.setField('Prod', 'recorded', 'password', 'next');
    const { secret } = await recordOf('recorded', 2);
    const revisions: unknown = JSON.parse((await read('recorded')).metadata.annotations?.[annotations.revisions] ?? '');
    expect(secret.revisions).toEqual(revisions);
    expect(revisions).toEqual({ password: expect.any(Number) as number });
  });
});

it('nothing is ever deleted: not a Secret whose item is gone, nor one that is of no use to its resource', async () => {
  const before = await create('removed');
  scenario.connect.store.deleteItem('Prod', 'removed');
  await untilReadiness(scenario.namespace, 'removed', 'ItemNotFound');
  await scenario.namespace.patchItem('removed', { type: 'example.com/other' });
  await eventually('the other type', async () =>
    (await scenario.namespace.item('removed'))?.status?.observedGeneration === 2 ? true : undefined,
  );
  expect(await read('removed')).toEqual(before);
  expect(proxy.requests.writes().filter(({ method }) => method === 'DELETE')).toEqual([]);
});
