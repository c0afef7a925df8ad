import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { OnePasswordItemStatus } from '../../../src/api/onepassword-item.ts';
import { createItemStatuses } from '../../../src/controllers/item-status.ts';
import type { Readiness } from '../../../src/domain/conditions.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { type OnePasswordItem, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type Exchange, startApiServer } from '../kube/api-server.ts';

const signal = new AbortController().signal;
const synced: Readiness = { ready: true, reason: 'Synced', message: 'version 1, 1 key' };
const record = {
  item: { path: 'vaults/v/items/i', vaultId: 'v'.repeat(26), id: 'i'.repeat(26), version: 1 },
  secret: { name: 'db', resourceVersion: '2' },
};

/** Resources in a cluster whose CRD keeps the conditions alone while `keepsAll` is false. */
async function setUp(keepsAll = false) {
  const api = await startApiServer();
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => kube.close());
  const items = createStore<OnePasswordItem>();
  const onOutdated = vi.fn<() => void>();
  const statuses = createItemStatuses({ items, kube, onOutdated, onTransition: () => {} });
  const crd = { keepsAll };
  const messages: (string | undefined)[] = [];
  let version = 1;

  function serve({ path, body, answer }: Exchange): void {
    const { status } = JSON.parse(body) as { status: OnePasswordItemStatus };
    messages.push(status.conditions?.[0]?.message);
    version += 1;
    const name = path.split('/').at(-2) ?? '';
    const metadata = { namespace: 'ns', name, uid: name, resourceVersion: String(version), generation: 1 };
    answer(200, { metadata, status: crd.keepsAll ? status : { conditions: status.conditions } });
  }

  void (async () => {
    for (;;) serve(await api.next());
  })();

  /** Reports on a resource as the cluster has it; gives the messages that were written for it. */
  async function report(name: string): Promise<readonly (string | undefined)[]> {
    const metadata = { namespace: 'ns', name, uid: name, resourceVersion: '1', generation: 1 };
    await statuses.report(items.get(`ns/${name}`) ?? reduceOnePasswordItem({ metadata }), synced, record, signal);
    return messages.splice(0);
  }
  return { crd, report, onOutdated };
}

const noted = /^version 1, 1 key; CRDOutdated: /;

describe('a CRD that drops fields of the status', () => {
  it('is told of in the condition', async () => {
    const { report } = await setUp();
    expect((await report('db')).at(-1)).toMatch(noted);
  });

  it('is told of in the condition of whoever comes next, in one write', async () => {
    const { report } = await setUp();
    await report('db');
    expect(await report('other')).toEqual([expect.stringMatching(noted)]);
  });

  it('is told of in the log once, however many resources there are', async () => {
    const { report, onOutdated } = await setUp();
    for (const name of ['db', 'other', 'third']) await report(name);
    expect(onOutdated).toHaveBeenCalledTimes(1);
  });

  it('costs no further write while nothing changes', async () => {
    const { report } = await setUp();
    await report('db');
    expect(await report('db')).toEqual([]);
  });

  it('is no longer told of once it is replaced', async () => {
    const { report, crd } = await setUp();
    await report('db');
    crd.keepsAll = true;
    await report('other');
    expect(await report('third')).toEqual(['version 1, 1 key']);
  });
});

it('a CRD that keeps all is nothing to talk about', async () => {
  const { report, onOutdated } = await setUp(true);
  expect([await report('db'), onOutdated.mock.calls.length]).toEqual([['version 1, 1 key'], 0]);
});
