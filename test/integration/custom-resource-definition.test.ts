import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KubeError } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, objectPath } from '../../src/kube/resource.ts';
import { createNamespace, type TestNamespace } from '../support/cluster.ts';
import { kubectl, sharedControlPlane } from '../support/control-plane.ts';
import { installCrd } from '../support/scenario.ts';

let namespace: TestNamespace;

beforeAll(async () => {
  await installCrd();
  namespace = await createNamespace(sharedControlPlane().kubeconfig);
});

afterAll(() => namespace?.kube.close());

function create(name: string, rest: object): Promise<unknown> {
  const body = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', metadata: { name }, ...rest };
  return namespace.kube.request({ method: 'POST', path: collectionPath(onePasswordItems, namespace.name), body });
}

describe('the API server', () => {
  it.each(['db', 'vaults/a', 'vaults/a/items/', 'vaults//items/b', 'vaults/items/b', 'items/b/vaults/a', ' vaults/a/items/b', ''])(
    'refuses the itemPath "%s"',
    async (itemPath) => {
      const refused = await create('refused', { spec: { itemPath } }).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(KubeError);
      expect(refused).toMatchObject({ status: 422, reason: 'Invalid' });
    },
  );

  it.each([
    'vaults/a/items/b',
    'vaults/hfnjvi6aymbsnfc2xeeoheizda/items/nwrhuano7bcwddcviubpp4mhfq',
    'vaults/My Vault/items/a title with "quotes", 50% and \\',
    'vaults/Prod/items/team/db/items/primary',
    'vaults/密/items/🔑',
    'vaults/a/items/two\nlines',
  ])('accepts the itemPath "%s"', async (itemPath) => {
    await expect(create('accepted', { spec: { itemPath } })).resolves.toMatchObject({ spec: { itemPath } });
    await namespace.delete('items', 'accepted');
  });

  it('accepts a resource without spec, and one with a type at the root', async () => {
    for (const [name, rest] of [
      ['bare', {}],
      ['empty-spec', { spec: {} }],
      ['typed', { type: 'kubernetes.io/tls', spec: { itemPath: 'vaults/a/items/b' } }],
    ] as const) {
      await expect(create(name, rest)).resolves.toMatchObject(rest);
    }
  });

  it("accepts the old operator's status", async () => {
    await create('old-status', { spec: { itemPath: 'vaults/a/items/b' } });
    const conditions = [
      { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' },
      { type: 'Other', status: 'False', message: 'why', lastTransitionTime: null },
    ];
    const path = `${objectPath(onePasswordItems, { namespace: namespace.name, name: 'old-status' })}/status`;
    await expect(namespace.kube.request({ method: 'PATCH', path, body: { status: { conditions } } })).resolves.toMatchObject({
      status: { conditions: [conditions[0], { type: 'Other', status: 'False', message: 'why' }] },
    });
  });

  it('serves a short name and columns that say whether a resource is in sync', async () => {
    const { stdout } = await kubectl(['get', 'opi', '-n', namespace.name]);
    expect(stdout.split('\n')[0]?.split(/\s+/)).toEqual(['NAME', 'READY', 'REASON', 'ITEM', 'VERSION', 'AGE']);
  });
});
