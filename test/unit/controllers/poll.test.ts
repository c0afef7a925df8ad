import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { OnePasswordItemStatus } from '../../../src/api/onepassword-item.ts';
import { createVaultIndex } from '../../../src/connect/vault-index.ts';
import { movedItems, runPoll } from '../../../src/controllers/poll.ts';
import type { OnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { connect } from '../connect/connect-server.ts';

const signal = new AbortController().signal;
const seed = { vaults: [{ name: 'Prod', items: [{ title: 'db' }] }] };

/** A poll that has looked once. */
async function poll() {
  const { server, client, clock } = await connect(seed);
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  const stop = new AbortController();
  const told: string[] = [];
  const options = {
    index,
    clock,
    interval: 10_000,
    onFailure: ({ reason }: { reason: string }) => told.push(reason),
    onRecovered: () => told.push('recovered'),
  };
  const ended = runPoll(options, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  const rests = (): Promise<void> => vi.waitFor(() => expect(clock.timers).toEqual([10_000]), { interval: 1 });
  await rests();
  return {
    server,
    clock,
    told,
    stop,
    ended,
    next: async () => {
      clock.advance(10_000);
      await rests();
    },
  };
}

describe('the poll', () => {
  it('looks once per interval', async () => {
    const { server, clock, next } = await poll();
    clock.advance(9_999);
    expect(server.requests.total).toBe(1);
    clock.advance(-9_999);
    await next();
    await next();
    expect(server.requests.total).toBe(3);
  });

  it('tells once that Connect fails and once that it answers again, and goes on all the time', async () => {
    const { server, told, next } = await poll();
    const fault = server.faults.order({ kind: 'status', status: 401 });
    await next();
    await next();
    expect(told).toEqual(['ConnectUnauthorized']);
    fault.clear();
    await next();
    await next();
    expect([told, server.requests.total]).toEqual([['ConnectUnauthorized', 'recovered'], 5]);
  });

  it.each([
    ['while it rests', 0, 1],
    ['while it asks', 10_000, 2],
  ])('ends without a word when it is stopped %s', async (_, wait, requests) => {
    const { server, clock, told, stop, ended } = await poll();
    server.faults.order({ kind: 'hang' });
    clock.advance(wait);
    await vi.waitFor(() => expect(server.requests.total).toBe(requests), { interval: 1 });
    stop.abort();
    await ended;
    expect(told).toEqual([]);
  });
});

it('the resources to look at are those not in sync, and those whose item has another version or is gone', async () => {
  const { server, client, clock } = await connect(seed);
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  const { vaultId, itemId: id } = await index.resolve({ vault: 'Prod', item: 'db' }, signal);
  server.store.setField('Prod', 'db', 'a', 'b');
  await index.refresh(signal);

  const items = createStore<OnePasswordItem>();
  const put = (name: string, ready: boolean, item: OnePasswordItemStatus['item']): void => {
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
    const meta = { namespace: 'ns', name, uid: name, resourceVersion: '1', generation: 1, labels: {}, annotations: {} };
    const status = { conditions, ...(item !== undefined && { item }) };
    items.put({ ...meta, deleting: false, legacyFinalizers: undefined, type: undefined, itemPath: 'p', status });
  };
  const held = { path: 'p', vaultId, id, version: 2 };
  put('in sync', true, held);
  put('behind', true, { ...held, version: 1 });
  put('ahead', true, { ...held, version: 3 });
  put('gone', true, { ...held, id: 'g'.repeat(26) });
  put('failed', false, held);
  put('new', true, undefined);
  expect(movedItems(items, index)).toEqual(['ns/behind', 'ns/ahead', 'ns/gone', 'ns/failed', 'ns/new']);
});
