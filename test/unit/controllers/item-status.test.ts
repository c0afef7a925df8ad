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
  const onNoStatus = vi.fn<() => void>();
  const statuses = createItemStatuses({ items, kube, onOutdated, onNoStatus, onTransition: () => {} });
  const crd = { keepsAll, hasStatus: true, uids: ['db', 'other'] };
  const messages: (string | undefined)[] = [];
  let version = 1;

  function serve({ method, path, body, answer }: Exchange): void {
    if (method === 'GET') {
      const uid = crd.uids.find((one) => path.endsWith(`/${one}`));
      answer(uid === undefined ? 404 : 200, { metadata: { uid } });
      return;
    }
    if (!crd.hasStatus) {
      answer(404, { reason: 'NotFound' });
      return;
    }
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
  return { crd, report, onOutdated, onNoStatus };
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

describe('a CRD without a status that could be written', () => {
  it('is told of once, however many resources there are, and once more when it had one meanwhile', async () => {
    const { report, crd, onNoStatus } = await setUp(true);
    const calls: number[] = [];
    for (const [hasStatus, names] of [
      [false, ['db', 'other']],
      [true, ['other']],
      [false, ['db']],
    ] as const) {
      crd.hasStatus = hasStatus;
      for (const name of names) await report(name);
      calls.push(onNoStatus.mock.calls.length);
    }
    expect(calls).toEqual([1, 1, 2]);
  });

  it('is none where the resource is gone, or another has its name', async () => {
    const { report, crd, onNoStatus } = await setUp(true);
    crd.hasStatus = false;
    crd.uids = [];
    await report('db');
    expect(onNoStatus).not.toHaveBeenCalled();
  });
});
