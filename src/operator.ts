import type { Config } from './config.ts';
import { createConnectClient } from './connect/client.ts';
import { createVaultIndex } from './connect/vault-index.ts';
import { createConsumers } from './controllers/consumers.ts';
import { createItemReconciler } from './controllers/item-reconciler.ts';
import { createItemSource } from './controllers/item-source.ts';
import { movedItems, runPoll } from './controllers/poll.ts';
import { createWorkloadReconciler, isConflict } from './controllers/workload-reconciler.ts';
import { objectKey } from './domain/object.ts';
import { createKubeClient } from './kube/client.ts';
import { isStatusAlone } from './kube/objects.ts';
import { createClusterCache, reflectCluster } from './kube/cluster-cache.ts';
import type { LoadCredentials } from './kube/credentials.ts';
import { healthEndpoints, listen, type Listener } from './observability/http.ts';
import { describeError, type Log } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';
import { type Clock, systemClock } from './runtime/clock.ts';
import { type ControllerOptions, runController } from './runtime/controller.ts';
import { type Random, systemRandom } from './runtime/random.ts';
import { createWorkQueue } from './runtime/work-queue.ts';
import { version } from './version.ts';

export interface OperatorOptions {
  readonly config: Config;
  readonly credentials: LoadCredentials;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Called once the cluster has been read and the controllers run. */
  readonly onReady?: () => void;
  /** For tests and benchmarks: times that are otherwise those of the design, in milliseconds. */
  readonly times?: { readonly settleTime?: number; readonly fullListingInterval?: number; readonly debounce?: number };
}

const itemWorkers = 32;
const workloadWorkers = 8;
const backoff = { base: 500, max: 30_000 };
/** How soon a resource is looked at when nothing but its status changed, in milliseconds. */
const statusDelay = 5_000;
const defaultTimes = { settleTime: 30_000, fullListingInterval: 600_000, debounce: 2_000 };

/** Builds the parts, joins them, and runs until `stop` is aborted. @throws Error when an address to listen on is taken */
export async function runOperator(options: OperatorOptions, stop: AbortSignal): Promise<void> {
  const { config, credentials, log, clock = systemClock, random = systemRandom, onReady } = options;
  const { settleTime, fullListingInterval, debounce } = { ...defaultTimes, ...options.times };
  const userAgent = `keyturn/${version}`;
  const metrics = createMetrics(version);
  const kube = createKubeClient({ load: credentials, clock, userAgent, onRequest: metrics.kubeRequest });
  const connect = createConnectClient({
    host: config.connectHost,
    token: config.connectToken,
    userAgent,
    clock,
    onRequest: metrics.connectRequest,
  });

  const cache = createClusterCache();
  const itemQueue = createWorkQueue({ clock, random, backoff });
  const workloadQueue = createWorkQueue({ clock, random, backoff });

  const index = createVaultIndex({ client: connect, clock, settleTime, fullListingInterval, onChange: enqueueMoved });
  const consumers = createConsumers({ ...cache, autoRestart: config.autoRestart });
  const workloadReconciler = createWorkloadReconciler({
    workloads: cache.workloads,
    consumers,
    kube,
    debounce,
    onAdoptionRefused: ({ namespace, name }, error) =>
      log.warn({ namespace, deployment: name, error: error.message }, 'cannot be patched; a change of its Secrets may not restart it'),
    onRestart: ({ namespace, name }, changed) => {
      metrics.restarted();
      log.info({ namespace, deployment: name, secrets: changed }, 'restarted');
    },
  });
  const reconcileItem = createItemReconciler({
    ...cache,
    kube,
    source: createItemSource({ connect, index, settings: config }),
    adoptConsumers: workloadReconciler.adoptConsumers,
    enableAnnotations: config.enableAnnotations,
    onWrite: ({ namespace, name }, write, itemVersion) => log.info({ namespace, secret: name, itemVersion }, `Secret ${write}`),
  });

  cache.items.onChange((key, before, after) => {
    // A status is nearly always our own: taken up at once, it would cut short the pause after the failure it tells of.
    if (before !== undefined && after !== undefined && isStatusAlone(before, after)) itemQueue.addAfter(key, statusDelay);
    else itemQueue.add(key);
  });
  cache.secrets.onChange((key) => {
    itemQueue.add(key);
    for (const workload of consumers.of(key)) workloadQueue.add(objectKey(workload));
  });
  cache.workloads.onChange((key) => workloadQueue.add(key));
  cache.namespaces.onChange((_, before, after) => {
    if (before?.autoRestart === after?.autoRestart) return;
    for (const workload of cache.workloads.values()) if (workload.namespace === after?.name) workloadQueue.add(objectKey(workload));
  });

  // The end of one part, for whatever reason, is the end of all: nothing goes on half alive.
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  const running: Promise<void>[] = [];
  let ready = false;
  const listeners: Listener[] = [];
  try {
    await openListeners();
    const { watchNamespaces } = config;
    const reflectors = reflectCluster(cache, { client: kube, clock, random, watchNamespaces, onFailure: watchFailed }, signal);
    running.push(reflectors.ended);
    await Promise.race([reflectors.synced, reflectors.ended]);
    ready = true;
    if (!signal.aborted) {
      log.info({ resources: cache.items.size, secrets: cache.secrets.size, deployments: cache.workloads.size }, 'reconciling');
      onReady?.();
    }
    running.push(
      runController(controller('onepassworditem', itemQueue, itemWorkers, reconcileItem), signal),
      runController(controller('deployment', workloadQueue, workloadWorkers, workloadReconciler.reconcile), signal),
      runPoll({ index, clock, interval: config.pollingInterval, onFailure: connectFailed, onRecovered: connectRecovered }, signal),
    );
    await Promise.all(running);
  } finally {
    failed.abort();
    await Promise.allSettled(running);
    await Promise.all([...listeners.map((listener) => listener.close()), kube.close(), connect.close()]);
  }

  function enqueueMoved(): void {
    for (const key of movedItems(cache.items, index)) itemQueue.add(key);
  }

  function controller(
    name: string,
    queue: ControllerOptions['queue'],
    workers: number,
    reconcile: ControllerOptions['reconcile'],
  ): ControllerOptions {
    return {
      queue,
      clock,
      workers,
      reconcile,
      onError: (key, error) =>
        log[isConflict(error) ? 'debug' : 'error']({ controller: name, key, ...describeError(error) }, 'reconcile failed; trying again'),
      onReconciled: (result) => metrics.reconciled(name, result),
    };
  }

  function watchFailed(error: Error, failures: number, delay: number): void {
    // One failure is the ordinary end of a connection; a streak is worth waking somebody, once.
    log[failures === 3 ? 'error' : 'debug']({ error: error.message, failures, retryIn: Math.round(delay) }, 'watch failed; trying again');
  }

  function connectFailed({ reason, message }: { readonly reason: string; readonly message: string }): void {
    log.error({ reason, error: message }, 'Connect cannot be read; trying again at every poll');
  }

  function connectRecovered(): void {
    log.info('Connect answers again');
    enqueueMoved();
  }

  async function openListeners(): Promise<void> {
    const { healthAddress, metricsAddress } = config;
    const scrape = { '/metrics': async () => ({ status: 200, ...(await metrics.render()) }) };
    if (healthAddress !== undefined)
      listeners.push(
        await listen(
          '--health-probe-bind-address',
          healthAddress,
          healthEndpoints(() => ready),
        ),
      );
    if (metricsAddress !== undefined) listeners.push(await listen('--metrics-bind-address', metricsAddress, scrape));
  }
}
