import type { Config } from './config.ts';
import { createConnectClient } from './connect/client.ts';
import type { Outage } from './connect/gate.ts';
import { createVaultIndex } from './connect/vault-index.ts';
import { createAnnouncer } from './controllers/announcer.ts';
import { createConsumers } from './controllers/consumers.ts';
import { createContention } from './controllers/contention.ts';
import { createDeploymentReconciler } from './controllers/deployment-reconciler.ts';
import { createItemReconciler } from './controllers/item-reconciler.ts';
import { createItemSource } from './controllers/item-source.ts';
import { createItemStatuses } from './controllers/item-status.ts';
import { isMoved, runPoll } from './controllers/poll.ts';
import { createSecretSync } from './controllers/secret-sync.ts';
import { createWorkloadReconciler, isConflict } from './controllers/workload-reconciler.ts';
import { readyCondition } from './domain/conditions.ts';
import { objectKey } from './domain/object.ts';
import { createKubeClient, type KubeError } from './kube/client.ts';
import { createClusterCache, reflectCluster } from './kube/cluster-cache.ts';
import type { LoadCredentials } from './kube/credentials.ts';
import { createEventRecorder } from './kube/events.ts';
import { deploymentKind, eventSubject, isStatusAlone, type OnePasswordItem, onePasswordItems, type Workload } from './kube/objects.ts';
import type { ResourceType } from './kube/resource.ts';
import { createStoreIndex } from './kube/store-index.ts';
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
  readonly times?: Partial<typeof defaultTimes>;
}

const itemWorkers = 32;
const deploymentWorkers = 8;
const workloadWorkers = 8;
/** Short enough that whatever ends is noticed within seconds: what lasts is waited for at a gate, or in a refusal. */
const backoff = { base: 500, max: 8_000 };
/** How soon a resource is looked at when nothing but its status changed, in milliseconds. */
const statusDelay = 5_000;
/** Between two resources that say that an outage lasts, or is over: not more than 20 status writes a second. */
const outagePace = 50;
const defaultTimes = {
  /** After a change a vault is listed at every poll for this long. */
  settleTime: 30_000,
  /** Every vault in use is listed this often, and a lower version is believed when it stayed so long. */
  fullListingInterval: 600_000,
  /** Between a change and the rollout that it calls for. */
  debounce: 2_000,
  /** What is in sync says nothing of an outage that is younger. */
  outageGrace: 60_000,
};

/** Builds the parts, joins them, and runs until `stop` is aborted. @throws Error when an address to listen on is taken */
export async function runOperator(options: OperatorOptions, stop: AbortSignal): Promise<void> {
  const { config, credentials, log, clock = systemClock, random = systemRandom, onReady } = options;
  const { settleTime, fullListingInterval, debounce, outageGrace } = { ...defaultTimes, ...options.times };
  // The end of one part, for whatever reason, is the end of all: nothing goes on half alive.
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);

  const userAgent = `keyturn/${version}`;
  const metrics = createMetrics(version);
  const kube = createKubeClient({ load: credentials, clock, userAgent, onRequest: metrics.kubeRequest });
  const connect = createConnectClient({
    host: config.connectHost,
    token: config.connectToken,
    ca: config.connectCa,
    userAgent,
    clock,
    onRequest: metrics.connectRequest,
    onOutage: outageTurned,
  });
  const events = createEventRecorder({ kube, clock, signal, onLost: () => log.debug('an event was lost') });
  const announcer = createAnnouncer(log, events);

  const cache = createClusterCache();
  const itemQueue = createWorkQueue({ clock, random, backoff });
  const deploymentQueue = createWorkQueue({ clock, random, backoff });
  const workloadQueue = createWorkQueue({ clock, random, backoff });
  const itemContention = createContention(clock);
  const deploymentContention = createContention(clock);

  const index = createVaultIndex({ client: connect, clock, settleTime, fullListingInterval, onChange: enqueueMoved });
  const consumers = createConsumers({ ...cache, autoRestart: config.autoRestart });
  const claimants = createStoreIndex(cache.workloads, ({ namespace, claim }) =>
    claim?.secretName === undefined ? [] : [objectKey({ namespace, name: claim.secretName })],
  );
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
  const source = createItemSource({ connect, index, settings: config });
  const sync = createSecretSync({
    secrets: cache.secrets,
    kube,
    source,
    adoptConsumers: workloadReconciler.adoptConsumers,
    patience: fullListingInterval,
  });
  const statuses = createItemStatuses({
    items: cache.items,
    kube,
    onOutdated: () =>
      log.warn(
        { reason: 'CRDOutdated' },
        'the CRD of OnePasswordItem drops fields of the status: apply that of this version; all works meanwhile',
      ),
    onTransition: (resource, readiness) => announcer.transition(eventSubject(resource), readiness),
  });
  const itemReconciler = createItemReconciler({
    items: cache.items,
    kube,
    clock,
    source,
    sync,
    statuses,
    contention: itemContention,
    enableAnnotations: config.enableAnnotations,
    outageGrace,
    onSynced: (resource, result) => announcer.synced(eventSubject(resource), result),
  });
  const deploymentReconciler = createDeploymentReconciler({
    workloads: cache.workloads,
    kube,
    source,
    sync,
    contention: deploymentContention,
    onTransition: (workload, readiness) => announcer.transition({ ...workload, ...deploymentKind }, readiness),
    onSynced: (workload, result) => announcer.synced({ ...workload, ...deploymentKind }, result),
  });

  cache.items.onChange((key, before, after) => {
    if (before !== undefined && before.uid !== after?.uid) forgetItem(key, before);
    // What another operator leaves behind when it writes over us: its finalizer, and a status without our fields.
    else if (before !== undefined && after !== undefined && (isFinalizerBack(before, after) || isStatusWiped(before, after)))
      itemContention.undone(key);
    // A status is nearly always our own: taken up at once, it would cut short the pause after the failure it tells of.
    if (before !== undefined && after !== undefined && isStatusAlone(before, after)) itemQueue.addAfter(key, statusDelay);
    else itemQueue.add(key);
  });
  cache.secrets.onChange((key) => {
    itemQueue.add(key);
    for (const workload of claimants(key)) deploymentQueue.add(objectKey(workload));
    for (const workload of consumers.of(key)) workloadQueue.add(objectKey(workload));
  });
  cache.workloads.onChange((key, before, after) => {
    if (before !== undefined && before.uid !== after?.uid) forgetDeployment(key, before);
    else if (before !== undefined && after !== undefined && isFinalizerBack(before, after)) deploymentContention.undone(key);
    if (after?.claim !== undefined || after?.legacyFinalizers !== undefined) deploymentQueue.add(key);
    workloadQueue.add(key);
  });
  cache.namespaces.onChange((_, before, after) => {
    if (before?.autoRestart === after?.autoRestart) return;
    for (const workload of cache.workloads.values()) if (workload.namespace === after?.name) workloadQueue.add(objectKey(workload));
  });

  const running: Promise<void>[] = [];
  let ready = false;
  const listeners: Listener[] = [];
  try {
    await openListeners();
    const { watchNamespaces } = config;
    const reflection = reflectCluster(
      cache,
      { client: kube, clock, random, watchNamespaces, onSynced: scopeSynced, onFailure: watchFailed },
      signal,
    );
    running.push(reflection.ended);
    await Promise.race([reflection.started, reflection.ended]);
    if (!signal.aborted) {
      log.info({ resources: cache.items.size, secrets: cache.secrets.size, deployments: cache.workloads.size }, 'reconciling');
      onReady?.();
    }
    const inSyncedNamespace =
      (reconcile: ControllerOptions['reconcile']): ControllerOptions['reconcile'] =>
      async (key, within) =>
        reflection.isSynced(key.slice(0, key.indexOf('/'))) ? await reconcile(key, within) : { next: 'done' };
    running.push(
      run('onepassworditem', itemQueue, itemWorkers, inSyncedNamespace(itemReconciler.reconcile)),
      run('deployment-annotation', deploymentQueue, deploymentWorkers, inSyncedNamespace(deploymentReconciler.reconcile)),
      run('deployment', workloadQueue, workloadWorkers, inSyncedNamespace(workloadReconciler.reconcile)),
      runPoll({ index, connect, clock, interval: config.pollingInterval, onFailure: pollFailed }, signal),
    );
    await Promise.all(running);
  } finally {
    failed.abort();
    await Promise.allSettled(running);
    await Promise.all([...listeners.map((listener) => listener.close()), kube.close(), connect.close()]);
  }

  function run(name: string, queue: ControllerOptions['queue'], workers: number, reconcile: ControllerOptions['reconcile']): Promise<void> {
    return runController(
      {
        queue,
        clock,
        workers,
        reconcile,
        onError: (key, error) =>
          log[isConflict(error) ? 'debug' : 'error']({ controller: name, key, ...describeError(error) }, 'reconcile failed; trying again'),
        onReconciled: (result) => metrics.reconciled(name, result),
      },
      signal,
    );
  }

  function isReady(resource: OnePasswordItem): boolean {
    return readyCondition(statuses.of(resource).conditions)?.status === 'True';
  }

  function enqueueMoved(): void {
    for (const resource of cache.items.values()) {
      if (!isReady(resource) || isMoved(statuses.of(resource).item, index)) itemQueue.add(objectKey(resource));
    }
    for (const workload of cache.workloads.values()) {
      const key = objectKey(workload);
      if (workload.claim !== undefined && (deploymentReconciler.isFailing(key) || isMoved(workload.claim.record.item, index))) {
        deploymentQueue.add(key);
      }
    }
  }

  function outageTurned(outage: Outage | undefined, vaultId: string | undefined): void {
    if (signal.aborted) return;
    const about = vaultId === undefined ? 'Connect' : 'a vault';
    if (outage === undefined) {
      log.info({ vault: vaultId }, `${about} can be read again`);
      enqueueAfterOutage();
      return;
    }
    const { reason, message } = outage.failure;
    log.error({ vault: vaultId, reason, error: message }, `${about} cannot be read; trying again every few seconds`);
    const cancel = clock.after(outageGrace, () => {
      signal.removeEventListener('abort', cancel);
      if (connect.outage(vaultId)?.since === outage.since) enqueueInterrupted(vaultId);
    });
    signal.addEventListener('abort', cancel, { once: true });
  }

  function enqueueInterrupted(vaultId: string | undefined): void {
    const affected = [...cache.items.values()].filter((resource) => {
      const { item } = statuses.of(resource);
      return isReady(resource) && item !== undefined && (vaultId === undefined || item.vaultId === vaultId);
    });
    for (const [position, resource] of affected.entries()) itemQueue.addAfter(objectKey(resource), position * outagePace);
  }

  function enqueueAfterOutage(): void {
    let position = 0;
    for (const resource of cache.items.values()) {
      const key = objectKey(resource);
      if (itemReconciler.toldOfOutage(key)) itemQueue.addAfter(key, outagePace * position++);
      else if (!isReady(resource)) itemQueue.add(key);
    }
    for (const workload of cache.workloads.values()) {
      const key = objectKey(workload);
      if (deploymentReconciler.isFailing(key)) deploymentQueue.add(key);
    }
  }

  function forgetItem(key: string, { uid }: OnePasswordItem): void {
    itemContention.forget(key);
    statuses.forget(key);
    itemReconciler.forget(key);
    sync.forget(uid);
  }

  function forgetDeployment(key: string, { uid }: Workload): void {
    deploymentContention.forget(key);
    deploymentReconciler.forget(key);
    sync.forget(uid);
  }

  function scopeSynced(namespace: string | undefined): void {
    ready = true;
    for (const store of [cache.items, cache.workloads]) {
      for (const object of store.values()) {
        if (namespace !== undefined && object.namespace !== namespace) continue;
        if (store === cache.items) itemQueue.add(objectKey(object));
        else workloadQueue.add(objectKey(object));
      }
    }
  }

  function watchFailed(error: KubeError, type: ResourceType, failures: number, delay: number): void {
    const retryIn = Math.round(delay);
    if (type === onePasswordItems && error.status === 404) {
      if (failures === 1) log.error('the CRD of OnePasswordItem is not installed: apply it, it is waited for');
      return;
    }
    // One failure is the ordinary end of a connection; a streak is worth waking somebody, once.
    log[failures === 3 ? 'error' : 'debug']({ error: error.message, failures, retryIn }, 'watch failed; trying again');
  }

  function pollFailed({ reason, message }: { readonly reason: string; readonly message: string }): void {
    log.debug({ reason, error: message }, 'poll failed');
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

/** The old operator's finalizer was gone, and is there again. */
function isFinalizerBack(before: OnePasswordItem | Workload, after: OnePasswordItem | Workload): boolean {
  return before.legacyFinalizers === undefined && after.legacyFinalizers !== undefined;
}

function isStatusWiped(before: OnePasswordItem, after: OnePasswordItem): boolean {
  return before.status.item !== undefined && after.status.item === undefined;
}
