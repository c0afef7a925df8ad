import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Failure } from '../../../src/api/reasons.ts';
import { createVaultIndex } from '../../../src/connect/vault-index.ts';
import { isMoved, runPoll } from '../../../src/controllers/poll.ts';
import { DeadlineExceeded } from '../../../src/runtime/deadline.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { connect } from '../connect/connect-server.ts';

const signal = new AbortController().signal;
const seed = { vaults: [{ name: 'Prod', items: [{ title: 'db' }] }] };

/** A poll that has looked once. */
async function poll(interval = 10_000) {
  const { server, client, clock, changeToken, revoke } = await connect(seed);
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  const stop = new AbortController();
  const told: string[] = [];
  let successes = 0;
  const onSuccess = (): void => void (successes += 1);
  const onFailure = ({ reason }: Failure): void => void told.push(reason);
  const ended = runPoll({ index, connect: client, clock, interval, onSuccess, onFailure }, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  const rests = (): Promise<void> =>
    vi.waitFor(() => expect(clock.timers.every((due) => due <= 5_000) && clock.timers.length).toBe(1), { interval: 1 });
  await rests();
  return {
    server,
    client,
    clock,
    told,
    successes: () => successes,
    stop,
    ended,
    changeToken,
    revoke,
    /** Lets time pass, second by second. */
    pass: async (seconds: number) => {
      for (let passed = 0; passed < seconds; passed += 1) {
        clock.advance(1_000);
        await rests();
      }
    },
  };
}

describe('the poll', () => {
  it('looks once per interval', async () => {
    const { server, pass } = await poll();
    await pass(9);
    expect(server.requests.total).toBe(1);
    await pass(11);
    expect(server.requests.total).toBe(3);
  });

  it('tells of each good look, and of no other', async () => {
    const { server, told, successes, pass } = await poll();
    server.faults.order({ kind: 'status', status: 401, times: 1 });
    await pass(10);
    const after = [successes(), told.length];
    await pass(10);
    expect([after, successes() > 1]).toEqual([[1, 1], true]);
  });

  it('looks every five seconds while Connect cannot be asked, however long the interval is', async () => {
    const { server, client, told, pass } = await poll(600_000);
    server.faults.order({ kind: 'status', status: 401, times: 3 });
    await client.listVaults(signal).catch(() => {});
    await pass(12);
    expect(told).toEqual(['ConnectUnauthorized', 'ConnectUnauthorized']);
    await pass(60);
    expect([told.length, server.requests.total]).toEqual([2, 5]);
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

describe('another token', () => {
  it('is looked for every five seconds, however long the interval is, and asks Connect at once for what it reaches', async () => {
    const { server, pass, changeToken } = await poll(600_000);
    await pass(20);
    const before = server.requests.total;
    await changeToken();
    // The first look finds it, the second takes it.
    await pass(5);
    await pass(5);
    expect([before, server.requests.total]).toEqual([1, 2]);
  });

  it('ends an outage that the last one made, within five seconds', async () => {
    const { server, client, pass, changeToken, revoke } = await poll(600_000);
    revoke();
    await client.listVaults(signal).catch(() => {});
    await pass(5);
    expect(client.outage()?.failure.reason).toBe('ConnectUnauthorized');
    await changeToken();
    await pass(5);
    expect(client.outage()).toBeUndefined();
    expect(server.requests.all.at(-1)?.status).toBe(200);
  });
});

it('an item has moved when it has another version than its Secret, when it is gone, and when no Secret holds it yet', async () => {
  const { server, client, clock } = await connect(seed);
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  const { vaultId, itemId: id } = await index.resolve({ vault: 'Prod', item: 'db' }, signal);
  server.store.setField('Prod', 'db', 'a', 'b');
  await index.refresh(signal);
  const held = { path: 'p', vaultId, id, version: 2 };
  const others = [{ ...held, version: 1 }, { ...held, version: 3 }, { ...held, id: 'g'.repeat(26) }, undefined];
  expect([isMoved(held, index), ...others.map((item) => isMoved(item, index))]).toEqual([false, true, true, true, true]);
});

it('a poll goes on when it shared the look of a reconcile whose time was over', async () => {
  const clock = createFakeClock();
  const stop = new AbortController();
  const told: string[] = [];
  let looks = 0;
  const index = {
    refresh: async (): Promise<void> => {
      looks += 1;
      if (looks === 1) throw new DeadlineExceeded(300_000);
    },
  };
  const client = { outage: () => undefined, probeIn: 0, reloadToken: () => false };
  const ended = runPoll({ index, connect: client, clock, interval: 1_000, onFailure: ({ reason }) => told.push(reason) }, stop.signal);
  await vi.waitFor(() => expect(told).toEqual(['ConnectUnavailable']), { interval: 1 });
  clock.advance(1_000);
  await vi.waitFor(() => expect(looks).toBe(2), { interval: 1 });
  stop.abort();
  await ended;
});
