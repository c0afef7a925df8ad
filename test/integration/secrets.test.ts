import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, legacyFinalizer, managedLabel } from '../../src/api/names.ts';
import { readiness, untilReadiness } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

let scenario: Scenario;

beforeAll(async () => {
  const titles = [
    'restored',
    'edited',
    'foreign',
    'adopted',
    'typed',
    'labelled',
    'finalized',
    'unchanged',
    'stripped',
    'tagged',
    'unknown',
    'immutable',
    'older',
  ];
  scenario = await startScenario({
    seed: {
      vaults: [
        {
          name: 'Prod',
          items: [
            ...titles.map((title) => ({ title, fields: [{ label: 'password', value: `of ${title}` }] })),
            { title: 'files', fields: [{ label: 'user name', value: 'app' }], files: [{ name: 'tls.crt', content: 'certificate' }] },
            { title: 'empty', fields: [{ label: 'password', value: '' }] },
          ],
        },
      ],
    },
  });
});

afterAll(() => scenario?.end());

async function create(name: string, extra: object = {}): Promise<void> {
  await scenario.namespace.createItem(name, `vaults/prod/items/${name}`, extra);
  await untilReadiness(scenario.namespace, name, 'True');
}

describe('the Secret of a resource', () => {
  it('comes back when it is deleted', async () => {
    const { namespace } = scenario;
    await create('restored');
    const before = await namespace.secret('restored');
    await namespace.delete('secrets', 'restored');
    const after = await eventually('the Secret', () => namespace.secret('restored'));
    expect(after.metadata.uid).not.toBe(before?.metadata.uid);
    expect(after.values).toEqual({ password: 'of restored' });
    expect(after.metadata.annotations).not.toHaveProperty([annotations.revisions]);
  });

  it('is repaired when its values are edited, and that is no rotation', async () => {
    const { namespace } = scenario;
    await create('edited');
    await namespace.patchSecret('edited', { data: { password: null, other: 'eA==' } });
    const secret = await eventually('the repair', async () => {
      const found = await namespace.secret('edited');
      return found?.values['password'] === 'of edited' ? found : undefined;
    });
    expect(secret.values).toEqual({ password: 'of edited' });
    expect(secret.metadata.annotations).not.toHaveProperty([annotations.revisions]);
  });

  it('is repaired without a rotation when its annotations are taken away', async () => {
    const { namespace } = scenario;
    await create('stripped');
    const notes = { [annotations.itemVersion]: null, [annotations.itemPath]: null };
    await namespace.patchSecret('stripped', { metadata: { annotations: notes } });
    const secret = await eventually('the annotations', async () => {
      const found = await namespace.secret('stripped');
      return found?.metadata.annotations?.[annotations.itemVersion] === '1' ? found : undefined;
    });
    expect(secret.metadata.annotations).not.toHaveProperty([annotations.revisions]);
  });

  it('moves no revision for a new version of its item that changes no value, though somebody labelled it', async () => {
    const { namespace, connect } = scenario;
    await create('tagged');
    await scenario.stopOperator();
    await namespace.patchSecret('tagged', { metadata: { labels: { mine: 'x' } } });
    connect.store.updateItem('Prod', 'tagged', { tags: ['new'] });
    await scenario.restartOperator();
    const secret = await eventually('the new version', async () => {
      const found = await namespace.secret('tagged');
      return found?.metadata.annotations?.[annotations.itemVersion] === '2' ? found : undefined;
    });
    expect(secret.metadata.annotations).not.toHaveProperty([annotations.revisions]);
  });

  it('moves all revisions when somebody wrote values and the item has a new version', async () => {
    const { namespace, connect } = scenario;
    await create('unknown');
    await scenario.stopOperator();
    await namespace.patchSecret('unknown', { data: { password: 'bmV4dA==' } });
    connect.store.setField('Prod', 'unknown', 'password', 'next');
    await scenario.restartOperator();
    const secret = await eventually('the new version', async () => {
      const found = await namespace.secret('unknown');
      return found?.metadata.annotations?.[annotations.itemVersion] === '2' ? found : undefined;
    });
    expect(Object.keys(JSON.parse(secret.metadata.annotations?.[annotations.revisions] ?? '{}'))).toEqual(['*']);
  });

  it('stays immutable when it is, follows in its metadata, and says when a value cannot', async () => {
    const { namespace, connect } = scenario;
    await create('immutable');
    await namespace.patchSecret('immutable', { immutable: true });
    await namespace.patchItem('immutable', { metadata: { labels: { team: 'a' } } });
    await eventually('the label', async () =>
      (await namespace.secret('immutable'))?.metadata.labels?.['team'] === 'a' ? true : undefined,
    );
    connect.store.setField('Prod', 'immutable', 'password', 'next');
    await untilReadiness(namespace, 'immutable', 'SecretImmutable');
    expect((await namespace.secret('immutable'))?.values).toEqual({ password: 'of immutable' });
  });

  it('is made of an older version of its item rather than not at all', async () => {
    const { namespace, connect } = scenario;
    await create('older');
    connect.store.setField('Prod', 'older', 'password', 'two');
    await eventually('version 2', async () => ((await namespace.item('older'))?.status?.item?.version === 2 ? true : undefined));
    connect.store.updateItem('Prod', 'older', { version: 1 });
    await namespace.delete('secrets', 'older');
    await eventually('the Secret', () => namespace.secret('older'));
  });

  it('is left alone when it belongs to somebody else', async () => {
    const { namespace } = scenario;
    await namespace.createSecret('foreign', { password: 'mine' });
    await namespace.createItem('foreign', 'vaults/Prod/items/foreign');
    const item = await untilReadiness(namespace, 'foreign', 'SecretNotOwned');
    expect(item.status?.conditions?.[0]?.message).toContain(annotations.adopt);
    expect((await namespace.secret('foreign'))?.values).toEqual({ password: 'mine' });
    await namespace.patchSecret('foreign', { metadata: { annotations: { [annotations.adopt]: 'true' } } });
    await untilReadiness(namespace, 'foreign', 'True');
    expect((await namespace.secret('foreign'))?.values).toEqual({ password: 'of foreign' });
  });

  it('is taken over from the old operator without a change of its values', async () => {
    const { namespace, connect } = scenario;
    const { id, vaultId } = itemIds('adopted', connect);
    const notes = { [annotations.itemPath]: `vaults/${vaultId}/items/${id}`, [annotations.itemVersion]: '1' };
    await namespace.createSecret('adopted', { password: 'of adopted' }, { annotations: notes });
    await create('adopted');
    const secret = await namespace.secret('adopted');
    expect(secret?.metadata.ownerReferences).toMatchObject([{ kind: 'OnePasswordItem', name: 'adopted' }]);
    expect(secret?.metadata.labels).toMatchObject({ [managedLabel]: 'true' });
    expect(secret?.metadata.annotations).not.toHaveProperty([annotations.revisions]);
  });

  it('has the type of the resource, which cannot change', async () => {
    const { namespace } = scenario;
    await create('typed', { type: 'example.com/password' });
    expect((await namespace.secret('typed'))?.type).toBe('example.com/password');
    await namespace.patchItem('typed', { type: 'Opaque' });
    await untilReadiness(namespace, 'typed', 'SecretTypeImmutable');
    await namespace.delete('secrets', 'typed');
    await untilReadiness(namespace, 'typed', 'True');
    expect((await namespace.secret('typed'))?.type).toBe('Opaque');
    await namespace.patchItem('typed', { type: 'kubernetes.io/service-account-token' });
    await untilReadiness(namespace, 'typed', 'SecretTypeNotAllowed');
  });

  it('carries the labels of the resource as they change, and keeps those of others', async () => {
    const { namespace } = scenario;
    await create('labelled', { labels: { team: 'a', 'app.kubernetes.io/instance': 'argo' } });
    await namespace.patchSecret('labelled', { metadata: { labels: { mine: 'x' } } });
    await namespace.patchItem('labelled', { metadata: { labels: { team: null, stage: 'prod' } } });
    const secret = await eventually('the labels', async () => {
      const found = await namespace.secret('labelled');
      return found?.metadata.labels?.['stage'] === 'prod' ? found : undefined;
    });
    expect(secret.metadata.labels).toEqual({ mine: 'x', stage: 'prod', [managedLabel]: 'true' });
  });

  it('holds files of the item under their names', async () => {
    await create('files');
    expect((await scenario.namespace.secret('files'))?.values).toEqual({ 'user-name': 'app', 'tls.crt': 'certificate' });
  });

  it('is not made of an item without a value', async () => {
    const { namespace } = scenario;
    await namespace.createItem('empty', 'vaults/Prod/items/empty');
    await untilReadiness(namespace, 'empty', 'ItemEmpty');
    expect(await namespace.secret('empty')).toBeUndefined();
  });

  it("loses the old operator's finalizer", async () => {
    const { namespace } = scenario;
    await create('finalized');
    await namespace.patchItem('finalized', { metadata: { finalizers: [legacyFinalizer] } });
    await eventually('the finalizer to go', async () =>
      (await namespace.item('finalized'))?.metadata.finalizers === undefined ? true : undefined,
    );
  });

  it('is neither read nor written by a restarted operator when nothing changed', async () => {
    const { namespace, connect } = scenario;
    await create('unchanged');
    await eventually('all resources to settle', async () => {
      const items = await namespace.items();
      return items.every((item) => ['True', 'ItemEmpty', 'SecretTypeNotAllowed', 'SecretImmutable'].includes(readiness(item) ?? ''))
        ? true
        : undefined;
    });
    await scenario.stopOperator();
    const versions = async (): Promise<unknown> => [
      (await namespace.items()).map(({ metadata }) => metadata.resourceVersion),
      (await namespace.secret('unchanged'))?.metadata.resourceVersion,
    ];
    const before = await versions();
    connect.requests.reset();
    await scenario.restartOperator();
    await eventually('two polls', () => (connect.requests.count('GET /v1/vaults') >= 2 ? true : undefined));
    expect(await versions()).toEqual(before);
    const { id } = itemIds('unchanged', connect);
    expect(connect.requests.all.filter(({ path }) => path.includes(id))).toEqual([]);
  });
});

function itemIds(title: string, { store }: Scenario['connect']): { readonly id: string; readonly vaultId: string } {
  return { id: store.item('Prod', title).id, vaultId: store.vault('Prod').id };
}
