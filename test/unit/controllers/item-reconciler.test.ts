import { createHash } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createVaultIndex } from '../../../src/connect/vault-index.ts';
import { createItemReconciler } from '../../../src/controllers/item-reconciler.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createContention } from '../../../src/controllers/contention.ts';
import { createItemStatuses } from '../../../src/controllers/item-status.ts';
import { createSecretSync } from '../../../src/controllers/secret-sync.ts';
import { createItemSource } from '../../../src/controllers/item-source.ts';
import { createVaultAccess } from '../../../src/controllers/vault-access.ts';
import { type ManagedSecret, type OnePasswordItem, reduceOnePasswordItem, reduceSecret } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { done } from '../../../src/runtime/controller.ts';
import { createPace } from '../../../src/runtime/pace.ts';
import { unreadAudit } from '../../support/audit.ts';
import { connect } from '../connect/connect-server.ts';
import { clientOptions, type Exchange, startApiServer } from '../kube/api-server.ts';

const signal = new AbortController().signal;
const vaultId = 'v'.repeat(26);
const itemId = 'i'.repeat(26);
const itemPath = 'vaults/Prod/items/db';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A resource whose Secret holds version 1 of its item as the cluster has it, or that is new and has none. */
async function setUp(labels: Readonly<Record<string, string>> = {}, isNew = false) {
  const { server, client, clock } = await connect({
    vaults: [{ id: vaultId, name: 'Prod', items: [{ id: itemId, title: 'db', fields: [{ label: 'password', value: 'one' }] }] }],
  });
  const api = await startApiServer();
  const kube = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => kube.close());
  const item = { path: itemPath, vaultId, id: itemId, version: 1 };
  const conditions = [{ type: 'Ready', status: 'True', reason: 'Synced', message: 'version 1, 1 key', observedGeneration: 1 }];
  const resource = {
    metadata: { namespace: 'ns', name: 'db', uid: 'u', resourceVersion: '3', generation: 1, labels },
    spec: { itemPath },
    status: isNew ? {} : { observedGeneration: 1, conditions, item, secret: { name: 'db', resourceVersion: '2' } },
  };
  const secret = {
    metadata: {
      namespace: 'ns',
      name: 'db',
      uid: 's',
      resourceVersion: '2',
      labels: { 'keyturn.dev/managed': 'true' },
      annotations: { 'operator.1password.io/item-path': `vaults/${vaultId}/items/${itemId}`, 'operator.1password.io/item-version': '1' },
      ownerReferences: [{ apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'u' }],
    },
    type: 'Opaque',
    data: { password: base64('one') },
  };
  const items = createStore<OnePasswordItem>();
  const secrets = createStore<ManagedSecret>();
  items.put(reduceOnePasswordItem(resource));
  if (!isNew) secrets.put(reduceSecret(secret));
  const steps: string[] = [];
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  const access = createVaultAccess({ index, policy: () => undefined });
  const source = createItemSource({ connect: client, index, access, settings: { allowEmptyValues: false }, audit: unreadAudit });
  const adoptConsumers = async (): Promise<void> => void steps.push('adopt');
  const reconcile = createItemReconciler({
    items,
    kube,
    clock,
    source,
    sync: createSecretSync({
      secrets,
      kube,
      source,
      adoptConsumers,
      latestKnown: () => 0,
      holderOf: () => undefined,
      patience: 600_000,
      audit: unreadAudit,
    }),
    statuses: createItemStatuses({ items, kube, onOutdated: () => steps.push('outdated'), onNoStatus: () => {}, onTransition: () => {} }),
    contention: createContention(clock),
    enableAnnotations: false,
    outageGrace: 60_000,
    outagePace: createPace(clock, 50),
    onSynced: () => {},
  });
  return {
    server,
    steps,
    /** Reconciles, answering reads and writes of the Secret and writes of the status; gives the bodies that were written. */
    run: async () => {
      const bodies: Record<string, string> = {};
      const answer = ({ method, path, body, answer: reply }: Exchange): void => {
        steps.push(`${method} ${path.split('/').at(-1)}`);
        bodies[method] = body;
        if (method === 'GET') reply(200, secret);
        else if (method === 'PATCH')
          reply(200, { ...resource, metadata: { ...resource.metadata, resourceVersion: '10' }, ...statusIn(body) });
        else reply(200, { metadata: { ...(JSON.parse(body) as typeof secret).metadata, resourceVersion: '9' } });
      };
      const ended = reconcile('ns/db', signal);
      for (;;) {
        const exchange = await Promise.race([api.next(), ended.then(() => undefined)]);
        if (exchange === undefined) break;
        answer(exchange);
      }
      return { outcome: await ended, bodies };
    },
  };
}

function statusIn(body: string): { readonly status: object } {
  return { status: (JSON.parse(body) as { status: object }).status };
}

/** All that is written but the data of the Secret. */
function besideData(bodies: Readonly<Record<string, string>>): string {
  return Object.values(bodies)
    .filter((body) => body !== '')
    .map((body) => JSON.stringify({ ...(JSON.parse(body) as object), data: undefined }))
    .join('\n');
}

describe('a new resource', () => {
  it('has its Secret created without a look for one, and then says so: two writes', async () => {
    const { run, steps } = await setUp({}, true);
    const { bodies } = await run();
    expect(steps).toEqual(['POST secrets', 'PATCH status']);
    expect(JSON.parse(bodies['POST'] ?? '')).toMatchObject({ metadata: { name: 'db' }, data: { password: base64('one') } });
  });
});

describe('a resource in sync', () => {
  it('asks the API server for nothing', async () => {
    const { run, steps } = await setUp();
    expect((await run()).outcome).toEqual(done);
    expect(steps).toEqual([]);
  });

  it('whose labels changed has them copied, and leaves the consumers as they are', async () => {
    const { run, steps } = await setUp({ team: 'shop' });
    const { bodies } = await run();
    expect(steps).toEqual(['GET db', 'PUT db', 'PATCH status']);
    expect(JSON.parse(bodies['PUT'] ?? '')).toMatchObject({
      metadata: { resourceVersion: '2', labels: { team: 'shop' } },
      data: { password: base64('one') },
    });
  });
});

describe('a resource whose item changed', () => {
  it('has its consumers adopted before the new values are written, and then says so', async () => {
    const { run, steps, server } = await setUp();
    server.store.setField('Prod', 'db', 'password', 'two');
    const { bodies } = await run();
    expect(steps).toEqual(['GET db', 'adopt', 'PUT db', 'PATCH status']);
    expect(JSON.parse(bodies['PUT'] ?? '')).toMatchObject({
      data: { password: base64('two') },
      metadata: { annotations: { 'operator.1password.io/item-version': '2' } },
    });
    expect(JSON.parse(bodies['PATCH'] ?? '')).toMatchObject({
      status: { item: { version: 2 }, secret: { resourceVersion: '9', revisions: { password: expect.any(Number) as number } } },
    });
    expect(bodies['PATCH']).not.toContain(base64('two'));
  });

  it('is in sync after the two writes, before a watch has told of them', async () => {
    const { run, steps, server } = await setUp();
    server.store.setField('Prod', 'db', 'password', 'two');
    await run();
    steps.length = 0;
    expect((await run()).outcome).toEqual(done);
    expect(steps).toEqual([]);
  });

  it('has no hash of a value written anywhere', async () => {
    const { run, server } = await setUp();
    server.store.setField('Prod', 'db', 'password', 'two');
    const written = besideData((await run()).bodies);
    const hashes = ['one', 'two', base64('one'), base64('two')].flatMap((value) =>
      ['md5', 'sha1', 'sha256', 'sha512'].flatMap((algorithm) =>
        (['hex', 'base64'] as const).map((form) => createHash(algorithm).update(value).digest(form).slice(0, 10)),
      ),
    );
    expect(written).toContain('keyturn.dev/revisions');
    expect(hashes.filter((hash) => written.includes(hash))).toEqual([]);
  });

  it('keeps its Secret when Connect fails, and says why', async () => {
    const { run, steps, server } = await setUp();
    server.store.setField('Prod', 'db', 'password', 'two');
    server.faults.order({ kind: 'status', status: 503, route: 'GET /v1/vaults/{vault}/items/{item}', retryAfter: 7 });
    const { outcome, bodies } = await run();
    expect(steps).toEqual(['PATCH status']);
    // Connect asked for a pause, so the gate is shut: its opening wakes the resource.
    expect(outcome).toEqual(done);
    expect(JSON.parse(bodies['PATCH'] ?? '')).toMatchObject({
      status: { conditions: [{ status: 'False', reason: 'ConnectUnavailable' }] },
    });
  });
});
