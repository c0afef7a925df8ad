import { describe, expect, it, onTestFinished } from 'vitest';
import type { ConsumerStatus } from '../../../src/api/onepassword-item.ts';
import { createConsumers } from '../../../src/controllers/consumers.ts';
import { createOwners } from '../../../src/controllers/owners.ts';
import { createConsumerStatus, settleTime } from '../../../src/controllers/consumer-status.ts';
import { createItemStatuses } from '../../../src/controllers/item-status.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import {
  type ManagedSecret,
  type Namespace,
  type OnePasswordItem,
  reduceOnePasswordItem,
  reduceSecret,
} from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';
import { done, type Outcome, requeue } from '../../../src/runtime/controller.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type Exchange, startApiServer } from '../kube/api-server.ts';

const signal = new AbortController().signal;
const second = 1_000;
const optedIn = 'operator.1password.io/auto-restart';

interface Given {
  readonly status?: ConsumerStatus;
  readonly deleting?: boolean;
  readonly reportOnly?: boolean;
  /** The CRD has `status.consumers`. */
  readonly current?: boolean;
}

/** The resource `db`, its Secret, and the API server that has its status. */
async function setUp({ status, deleting = false, current = true, reportOnly = false }: Given = {}) {
  const api = await startApiServer();
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => kube.close());
  const items = createStore<OnePasswordItem>();
  const secrets = createStore<ManagedSecret>();
  const workloads = createStore<Workload>(workloadKey);
  const consumers = createConsumers({
    workloads,
    secrets,
    namespaces: createStore<Namespace>(),
    owners: createOwners({ items, workloads }),
    autoRestart: true,
  });
  const writes: (readonly [number, ConsumerStatus | undefined])[] = [];
  let version = 1;
  const meta = (name: string) => ({ namespace: 'ns', name, uid: name, resourceVersion: String((version += 1)) });

  function serve({ body, answer }: Exchange): void {
    const { status: sent } = JSON.parse(body) as { readonly status: { readonly consumers?: ConsumerStatus } };
    writes.push([clock.monotonic() / second, sent.consumers]);
    answer(200, { metadata: meta('db'), status: current ? sent : {} });
  }
  void (async () => {
    for (;;) serve(await api.next());
  })();

  const waiting = new Set<string>();
  const underway = new Set<string>();
  const { reconcile, forget } = createConsumerStatus({
    items,
    secrets,
    consumers,
    rollouts: { isUnderway: (key) => underway.has(key) },
    restarts: { isWaiting: (key, secret) => waiting.has(`${key} ${secret}`) },
    statuses: createItemStatuses({ items, kube, onOutdated: () => {}, onNoStatus: () => {}, onTransition: () => {} }),
    clock,
    reportOnly,
  });
  const deletion = deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {};
  const resource = { metadata: { ...meta('db'), ...deletion }, status: status && { consumers: status } };
  items.put(reduceOnePasswordItem(resource));
  const secret = reduceSecret({ metadata: meta('db') });
  secrets.put(secret);
  /** Adds Deployments that consume the Secret. */
  function consume(names: readonly string[], more: Partial<Workload> = {}): void {
    const consumed = new Map([['db', { whole: true, required: [], optional: [] }]]);
    for (const name of names) workloads.put({ ...reduceWorkload('Deployment')({ metadata: meta(name) }), secrets: consumed, ...more });
  }
  const look = (): Promise<Outcome> => reconcile('ns/db', signal);
  /** Looks, and again as long as that is asked for. */
  async function settle(): Promise<void> {
    for (let outcome = await look(); outcome.next === 'requeue'; outcome = await look()) clock.advance(outcome.after);
  }
  return {
    clock,
    writes,
    look,
    settle,
    consume,
    forget,
    wait: (name: string, secretName = 'db') => void waiting.add(`ns/Deployment/${name} ${secretName}`),
    begin: (name: string) => void underway.add(`ns/Deployment/${name}`),
    end: (name: string) => {
      waiting.delete(`ns/Deployment/${name} db`);
      underway.delete(`ns/Deployment/${name}`);
    },
    removeSecret: () => secrets.remove({ ...secret, resourceVersion: '999' }),
  };
}

const counted = async (prepare: (setting: Awaited<ReturnType<typeof setUp>>) => void): Promise<ConsumerStatus | undefined> => {
  const setting = await setUp();
  prepare(setting);
  await setting.settle();
  return setting.writes.at(-1)?.[1];
};

describe('the consumers of a Secret are counted', () => {
  it('as current, unless they wait for their restart or are in one', async () => {
    const counts = await counted(({ consume, wait, begin }) => {
      consume(['a', 'b', 'c', 'd']);
      wait('b');
      begin('c');
      begin('b');
    });
    expect(counts).toEqual({ current: 2, waiting: 2 });
  });

  it('as current when they wait for another Secret', async () => {
    const counts = await counted(({ consume, wait }) => {
      consume(['a']);
      wait('a', 'tls');
    });
    expect(counts).toEqual({ current: 1, waiting: 0 });
  });

  it('without those that are being deleted, and those that its changes do not restart', async () => {
    const counts = await counted(({ consume }) => {
      consume(['a']);
      consume(['b'], { deleting: true });
      consume(['c'], { annotations: { [optedIn]: 'false' } });
    });
    expect(counts).toEqual({ current: 1, waiting: 0 });
  });

  it('without those whose pods stay as they are: they may have old values and wait for nobody', async () => {
    const counts = await counted(({ consume }) => {
      consume(['a']);
      consume(['b'], { annotations: { 'keyturn.dev/restart': 'skip' } });
    });
    expect(counts).toEqual({ current: 1, waiting: 0 });
  });

  it('not at all while nobody is restarted', async () => {
    const { consume, settle, writes } = await setUp({ reportOnly: true });
    consume(['a']);
    await settle();
    expect(writes).toEqual([]);
  });
});

describe('the counts are written', () => {
  it('when they have stayed the same for two seconds', async () => {
    const { look, consume, clock, writes } = await setUp();
    consume(['a']);
    const first = await look();
    const before = writes.length;
    clock.advance(settleTime);
    expect([first, before, await look(), writes]).toEqual([requeue(2 * second), 0, done, [[2, { current: 1, waiting: 0 }]]]);
  });

  it('not before they stay the same', async () => {
    const { look, consume, clock, writes } = await setUp();
    for (const name of ['a', 'b', 'c']) {
      consume([name]);
      expect(await look()).toEqual(requeue(2 * second));
      clock.advance(2 * second);
    }
    expect(writes).toEqual([]);
  });

  it('after ten seconds in which they did not settle', async () => {
    const { look, consume, clock, writes } = await setUp();
    for (let count = 0; count <= 5; count += 1) {
      consume([`w${count}`]);
      await look();
      clock.advance(2 * second);
    }
    expect(writes).toEqual([[10, { current: 6, waiting: 0 }]]);
  });

  it('at most every ten seconds, with the last counts', async () => {
    const { look, settle, consume, clock, writes, begin, end } = await setUp();
    consume(['a', 'b']);
    await settle();
    clock.advance(second);
    begin('a');
    const early = await look();
    clock.advance(second);
    end('a');
    begin('b');
    await settle();
    expect([early, writes]).toEqual([
      requeue(9 * second),
      [
        [2, { current: 2, waiting: 0 }],
        [12, { current: 1, waiting: 1 }],
      ],
    ]);
  });

  it('not when they are as the status says', async () => {
    const { look, consume, writes } = await setUp({ status: { current: 1, waiting: 0 } });
    consume(['a']);
    expect([await look(), writes]).toEqual([done, []]);
  });

  it('not when there are none and the status says nothing', async () => {
    const { look, writes } = await setUp();
    expect([await look(), writes]).toEqual([done, []]);
  });

  it('not when they were others for a moment', async () => {
    const { look, consume, clock, writes, begin, end } = await setUp({ status: { current: 1, waiting: 0 } });
    consume(['a']);
    begin('a');
    await look();
    clock.advance(second);
    end('a');
    clock.advance(second);
    expect([await look(), writes]).toEqual([done, []]);
  });

  it('once they have settled anew, when they were others for a moment before', async () => {
    const { look, settle, consume, clock, writes, begin, end } = await setUp();
    consume(['a']);
    await settle();
    begin('a');
    await look();
    end('a');
    await look();
    clock.advance(60 * second);
    begin('a');
    expect([await look(), writes.length]).toEqual([requeue(2 * second), 1]);
  });

  it('as none when the Secret is gone', async () => {
    const { settle, consume, removeSecret, writes } = await setUp({ status: { current: 1, waiting: 0 } });
    consume(['a']);
    removeSecret();
    await settle();
    expect(writes.map(([, counts]) => counts)).toEqual([{ current: 0, waiting: 0 }]);
  });

  it('as none when nobody consumes it any more', async () => {
    const { settle, writes } = await setUp({ status: { current: 3, waiting: 2 } });
    await settle();
    expect(writes.map(([, counts]) => counts)).toEqual([{ current: 0, waiting: 0 }]);
  });

  it('not for a resource that is being deleted, or is gone', async () => {
    const { look, consume, clock, writes } = await setUp({ deleting: true });
    consume(['a']);
    await look();
    clock.advance(20 * second);
    expect([await look(), writes]).toEqual([done, []]);
  });

  it('anew for a resource that was forgotten: it settles first', async () => {
    const { look, settle, consume, forget, begin } = await setUp();
    consume(['a']);
    await settle();
    forget('ns/db');
    begin('a');
    expect(await look()).toEqual(requeue(2 * second));
  });
});

describe('a CRD without these counts', () => {
  it('has them written no more often than every ten seconds', async () => {
    const { look, consume, clock, writes } = await setUp({ current: false });
    consume(['a']);
    for (let passed = 0; passed < 30; passed += 1) {
      await look();
      clock.advance(second);
    }
    expect(writes.map(([time]) => time)).toEqual([1, 11, 21]);
  });
});
