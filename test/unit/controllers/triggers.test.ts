import { expect, it, onTestFinished } from 'vitest';
import { settleTime } from '../../../src/controllers/consumer-status.ts';
import { createConsumers } from '../../../src/controllers/consumers.ts';
import { createContention } from '../../../src/controllers/contention.ts';
import { createItemStatuses } from '../../../src/controllers/item-status.ts';
import { createOwners } from '../../../src/controllers/owners.ts';
import { createTriggers } from '../../../src/controllers/triggers.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createClusterCache } from '../../../src/kube/cluster-cache.ts';
import { reduceNamespace, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import { reduceWorkload } from '../../../src/kube/workload.ts';
import { done } from '../../../src/runtime/controller.ts';
import { createWorkQueue } from '../../../src/runtime/work-queue.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, startApiServer } from '../kube/api-server.ts';

let resourceVersion = 0;
const meta = (name: string, namespace = 'ns') => ({ namespace, name, uid: name, resourceVersion: String((resourceVersion += 1)) });
const envFrom = [{ secretRef: { name: 'db' } }, { secretRef: { name: 'foreign' } }];
const spec = { template: { spec: { containers: [{ envFrom }] } } };

/** In the namespaces `ns` and `other` a Deployment that consumes the Secret of a resource; nothing is due any more. */
async function setUp() {
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(await startApiServer(), clock));
  onTestFinished(() => kube.close());
  const cache = createClusterCache();
  const queueOf = () => createWorkQueue({ clock, random: () => 0.5, backoff: { base: 1_000, max: 60_000 } });
  const [items, deployments, workloads, consumerStatus] = [queueOf(), queueOf(), queueOf(), queueOf()];
  const triggers = createTriggers({
    cache,
    consumers: createConsumers({ ...cache, owners: createOwners(cache), autoRestart: false }),
    owners: createOwners(cache),
    index: { listed: () => undefined },
    sync: { forget: () => {} },
    statuses: createItemStatuses({ items: cache.items, kube, onOutdated: () => {}, onNoStatus: () => {}, onTransition: () => {} }),
    items: { queue: items, contention: createContention(clock) },
    deployments: {
      queue: deployments,
      reconciler: { reconcile: () => Promise.resolve(done), isFailing: () => false, failureOf: () => undefined, forget: () => {} },
      contention: createContention(clock),
    },
    workloads: { queue: workloads },
    consumerStatus: { queue: consumerStatus, forget: () => {} },
  });

  async function dueIn(queue: typeof workloads): Promise<readonly string[]> {
    const keys: string[] = [];
    while (queue.depth > 0) {
      const key = (await queue.take()) ?? '';
      keys.push(key);
      queue.done(key);
    }
    return keys;
  }
  /** The keys of workloads and of counts that are due, or get so when all has settled; they are not any more then. */
  async function due(): Promise<{ readonly workloads: readonly string[]; readonly counts: readonly string[] }> {
    clock.advance(settleTime);
    return { workloads: await dueIn(workloads), counts: await dueIn(consumerStatus) };
  }
  const optIn = (autoRestart?: string): void => {
    const annotations = autoRestart === undefined ? {} : { 'operator.1password.io/auto-restart': autoRestart };
    cache.namespaces.put(reduceNamespace({ metadata: { ...meta('ns', ''), annotations } }));
  };
  optIn();
  for (const namespace of ['ns', 'other']) {
    cache.items.put(reduceOnePasswordItem({ metadata: meta('db', namespace) }));
    cache.workloads.put(
      reduceWorkload('Deployment')({ metadata: meta('shop', namespace), spec } as Parameters<ReturnType<typeof reduceWorkload>>[0]),
    );
  }
  await due();
  return { due, optIn, triggers };
}

it('the workloads of a namespace that opts in are due, and the counts of those that they consume', async () => {
  const { due, optIn } = await setUp();
  optIn('true');
  expect(await due()).toEqual({ workloads: ['ns/Deployment/shop'], counts: ['ns/db'] });
});

it('nobody is due for a namespace that changes in something else', async () => {
  const { due, optIn } = await setUp();
  optIn();
  expect(await due()).toEqual({ workloads: [], counts: [] });
});

it('all of a namespace is due when it has been read, or is taken over from another process, and its counts too', async () => {
  const { due, triggers } = await setUp();
  triggers.namespaceRead('ns');
  expect(await due()).toEqual({ workloads: ['ns/Deployment/shop'], counts: ['ns/db'] });
});
