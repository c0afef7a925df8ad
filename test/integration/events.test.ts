import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, kind } from '../../src/api/names.ts';
import { collectionPath, events } from '../../src/kube/resource.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { type ReadItem, untilReadiness } from '../support/cluster.ts';
import { kubectl, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

/** Part of every value: it may stand nowhere but in a Secret. */
const canary = 'kanarienvogel';

interface Event {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly name: string; readonly kind: string };
  readonly reportingComponent: string;
}

let proxy: ApiServerProxy;
let scenario: Scenario;

beforeAll(async () => {
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
  const value = `${canary} one`;
  const fields = [{ label: 'password', value }];
  const titles = [
    'table',
    'wide',
    'failing',
    'flapping',
    'settled',
    'ready',
    'generation',
    'bad',
    'drifted',
    'broken',
    'other',
    'Data base',
  ];
  scenario = await startScenario({
    kubeconfig: proxy.kubeconfig,
    seed: {
      vaults: [
        {
          name: 'Prod',
          items: [
            ...titles.map((title) => ({ title, fields })),
            {
              title: 'colliding',
              fields: [
                { label: 'user name', value: `${canary} two` },
                { label: 'user-name', value: `${canary} three` },
                { label: 'password', value },
              ],
            },
            { title: 'docker', fields: [{ label: '.dockerconfigjson', value: `{"${canary}` }] },
            { title: 'large', files: [{ name: 'blob', content: canary.repeat(100_000) }] },
          ],
        },
      ],
    },
  });
});

afterAll(async () => {
  await scenario?.end();
  await proxy?.close();
});

async function create(name: string, title = name, extra: object = {}): Promise<ReadItem> {
  await scenario.namespace.createItem(name, `vaults/Prod/items/${title}`, extra);
  return await untilReadiness(scenario.namespace, name, 'True');
}

async function listEvents(name?: string): Promise<readonly Event[]> {
  const { kube, name: namespace } = scenario.namespace;
  const query = { fieldSelector: name === undefined ? `involvedObject.kind=${kind}` : `involvedObject.name=${name}` };
  return (await kube.request<{ items: readonly Event[] }>({ method: 'GET', path: collectionPath(events, namespace), query })).items;
}

async function reasonsOf(name: string): Promise<readonly string[]> {
  return (await listEvents(name)).map(({ reason }) => reason).toSorted();
}

function untilEvent(name: string, reason: string): Promise<Event> {
  return eventually(`an event ${reason} on ${name}`, async () => (await listEvents(name)).find((event) => event.reason === reason));
}

function messageOf(item: ReadItem | undefined): string | undefined {
  return item?.status?.conditions?.find(({ type }) => type === 'Ready')?.message;
}

/** How often the operator wrote the status of a resource: a write that changes nothing leaves no trace in the resource. */
function statusWrites(name: string): number {
  return proxy.requests.writes().filter(({ path }) => path.endsWith(`/onepassworditems/${name}/status`)).length;
}

/** Changes another item of the vault some times: whatever is not ready is tried again each time. */
async function changeElsewhere(times: number): Promise<void> {
  const { namespace, connect } = scenario;
  if ((await namespace.item('other')) === undefined) await create('other');
  for (let count = 0; count < times; count += 1) {
    const { version } = connect.store.setField('Prod', 'other', 'password', `${canary} ${performance.now()}`);
    await eventually(`version ${version} of another item`, async () =>
      (await namespace.item('other'))?.status?.item?.version === version ? true : undefined,
    );
  }
}

function pointTo(name: string, title: string): Promise<ReadItem> {
  return scenario.namespace.patchItem(name, { spec: { itemPath: `vaults/Prod/items/${title}` } });
}

describe('an event', () => {
  it('tells that a resource became ready, and who says so', async () => {
    await create('ready');
    const event = await untilEvent('ready', 'Synced');
    expect(event).toMatchObject({ type: 'Normal', message: 'version 1, 1 key', involvedObject: { kind }, reportingComponent: 'keyturn' });
  });

  it('tells of a failure once, however often it is tried again', async () => {
    const { namespace } = scenario;
    await namespace.createItem('failing', 'vaults/Prod/items/nothing like it');
    await untilReadiness(namespace, 'failing', 'ItemNotFound');
    expect(await untilEvent('failing', 'ItemNotFound')).toMatchObject({ type: 'Warning' });
    await changeElsewhere(3);
    expect(await reasonsOf('failing')).toEqual(['ItemNotFound']);
  });

  it('is not repeated for a resource that fails and recovers again and again', async () => {
    const { namespace } = scenario;
    await create('flapping');
    for (let count = 0; count < 3; count += 1) {
      await pointTo('flapping', 'nothing like it');
      await untilReadiness(namespace, 'flapping', 'ItemNotFound');
      await pointTo('flapping', 'flapping');
      await untilReadiness(namespace, 'flapping', 'True');
    }
    await create('table');
    await untilEvent('table', 'Synced');
    expect(await reasonsOf('flapping')).toEqual(['ItemNotFound', 'Synced']);
  });

  it('tells which keys several fields want, and the condition does too', async () => {
    const item = await create('colliding');
    expect(messageOf(item)).toBe('version 1, 2 keys; several fields want the same key, the last has it: user-name');
    const event = await untilEvent('colliding', 'KeyCollision');
    expect(event).toMatchObject({ type: 'Warning', message: expect.stringMatching(/: user-name$/) });
  });
});

describe('the status', () => {
  it('names titles that look alike when there is no item of the title', async () => {
    const { namespace } = scenario;
    await namespace.createItem('similar', 'vaults/Prod/items/data-base');
    const item = await untilReadiness(namespace, 'similar', 'ItemNotFound');
    expect(messageOf(item)).toContain('(1 similar: "Data base")');
  });

  it('is not written again while the same attempt fails in the same way', async () => {
    const { namespace } = scenario;
    await namespace.createItem('same', 'vaults/Prod/items/nothing like it');
    await untilReadiness(namespace, 'same', 'ItemNotFound');
    await changeElsewhere(3);
    expect(statusWrites('same')).toBe(1);
  });

  it('is written once for a resource that becomes ready, and not again when others write metadata', async () => {
    const { namespace } = scenario;
    await create('settled');
    await namespace.patchItem('settled', { metadata: { annotations: { mine: 'x' } } });
    await namespace.patchSecret('settled', { metadata: { labels: { mine: 'x' } } });
    await changeElsewhere(1);
    expect(statusWrites('settled')).toBe(1);
  });

  it('speaks of the generation that was acted upon, in the condition too, whether that failed or not', async () => {
    const { namespace } = scenario;
    await create('generation');
    await pointTo('generation', 'nothing like it');
    const failed = await untilReadiness(namespace, 'generation', 'ItemNotFound');
    expect(failed).toMatchObject({
      metadata: { generation: 2 },
      status: { observedGeneration: 2, conditions: [{ observedGeneration: 2 }] },
    });
    await pointTo('generation', 'generation');
    const ready = await untilReadiness(namespace, 'generation', 'True');
    expect(ready).toMatchObject({
      metadata: { generation: 3 },
      status: { observedGeneration: 3, conditions: [{ observedGeneration: 3 }] },
    });
  });

  it('speaks of the present generation though nothing else is new', async () => {
    const { namespace } = scenario;
    await create('bad');
    await pointTo('bad', 'nothing like it');
    const before = await untilReadiness(namespace, 'bad', 'ItemNotFound');
    await namespace.patchItem('bad', { type: 'example.com/other' });
    const after = await eventually('the generation', async () => {
      const item = await namespace.item('bad');
      return item?.status?.observedGeneration === 3 ? item : undefined;
    });
    expect(after.status?.conditions?.[0]).toEqual({ ...before.status?.conditions?.[0], observedGeneration: 3 });
  });

  it('can be waited for', async () => {
    await scenario.namespace.createItem('wide', 'vaults/Prod/items/wide');
    const { code, stderr } = await kubectl(['-n', scenario.namespace.name, 'wait', '--for=condition=Ready', 'opi/wide', '--timeout=20s']);
    expect(code, stderr).toBe(0);
  });

  it.each([
    { flags: [], header: ['NAME', 'READY', 'REASON', 'ITEM', 'VERSION', 'AGE'], end: '' },
    { flags: ['-o', 'wide'], header: ['NAME', 'READY', 'REASON', 'ITEM', 'VERSION', 'MESSAGE', 'AGE'], end: 'version 1, 1 key' },
  ])('is shown by kubectl get opi $flags', async ({ flags, header, end }) => {
    const { namespace } = scenario;
    if ((await namespace.item('table')) === undefined) await create('table');
    const { stdout } = await kubectl(['-n', namespace.name, 'get', 'opi', 'table', ...flags]);
    const [head = '', row = ''] = stdout.trim().split('\n');
    expect(head.split(/ +/)).toEqual(header);
    expect(row.split(/ {2,}/).slice(0, -1)).toEqual([
      'table',
      'True',
      'Synced',
      'vaults/Prod/items/table',
      '1',
      ...(end === '' ? [] : [end]),
    ]);
  });
});

describe('a value', () => {
  it('is in no event and in no resource, whatever happens to it', async () => {
    const { namespace, connect } = scenario;
    await create('drifted');
    connect.store.setField('Prod', 'drifted', 'password', `${canary} next`);
    await eventually('the rotation', async () => ((await namespace.item('drifted'))?.status?.item?.version === 2 ? true : undefined));
    await namespace.patchSecret('drifted', { data: { password: Buffer.from(`${canary} foreign`).toString('base64') } });
    await untilEvent('drifted', 'DriftRepaired');
    await namespace.createItem('docker', 'vaults/Prod/items/docker', { type: 'kubernetes.io/dockerconfigjson' });
    await untilReadiness(namespace, 'docker', 'SecretInvalid');
    await namespace.createItem('large', 'vaults/Prod/items/large');
    await untilReadiness(namespace, 'large', 'SecretTooLarge');
    await namespace.createSecret('broken', { password: `${canary} foreign` });
    await namespace.createItem('broken', 'vaults/Prod/items/broken');
    await untilReadiness(namespace, 'broken', 'SecretNotOwned');
    await namespace.patchSecret('broken', { metadata: { annotations: { [annotations.adopt]: 'true' } } });
    for (const [name, reason] of [
      ['docker', 'SecretInvalid'],
      ['large', 'SecretTooLarge'],
      ['broken', 'SecretNotOwned'],
    ] as const) {
      await untilEvent(name, reason);
    }
    const seen = JSON.stringify([await listEvents(), await namespace.items()]);
    const forms = [canary, ...[0, 1, 2].map((shift) => Buffer.from(canary).subarray(shift).toString('base64').slice(0, 12))];
    expect(forms.filter((form) => seen.includes(form))).toEqual([]);
  });
});
