import { group, plural } from './api/names.ts';
import type { Config } from './config.ts';
import { createConnectClient } from './connect/client.ts';
import type { Outage } from './connect/gate.ts';
import { createVaultIndex } from './connect/vault-index.ts';
import { createAnnouncer } from './controllers/announcer.ts';
import { createConsumers } from './controllers/consumers.ts';
import { createContention } from './controllers/contention.ts';
import { createDeploymentReconciler } from './controllers/deployment-reconciler.ts';
import { createConsumerStatus } from './controllers/consumer-status.ts';
import { createHolders } from './controllers/holders.ts';
import { createItemReconciler, type Synced } from './controllers/item-reconciler.ts';
import { createItemSource } from './controllers/item-source.ts';
import { createItemStatuses } from './controllers/item-status.ts';
import { createOwners } from './controllers/owners.ts';
import { runPoll } from './controllers/poll.ts';
import { createRestartNews } from './controllers/restart-news.ts';
import { resourceStates } from './controllers/resource-states.ts';
import { type Cause, createRollouts } from './controllers/rollouts.ts';
import { createSecretSync } from './controllers/secret-sync.ts';
import { createTriggers } from './controllers/triggers.ts';
import { createWorkloadReconciler } from './controllers/workload-reconciler.ts';
import { createKubeClient, isConflict, KubeError } from './kube/client.ts';
import { createClusterCache, isOptional, reflectCluster } from './kube/cluster-cache.ts';
import type { LoadCredentials } from './kube/credentials.ts';
import { createEventRecorder, type EventSubject } from './kube/events.ts';
import { eventSubject, onePasswordItems } from './kube/objects.ts';
import type { ResourceType } from './kube/resource.ts';
import { healthEndpoints, listen, type Listener } from './observability/http.ts';
import { describeError, type Log } from './observability/log.ts';
import type { ControllerName } from './observability/metric-table.ts';
import { createMetrics } from './observability/metrics.ts';
import { type Clock, systemClock } from './runtime/clock.ts';
import { type ControllerOptions, done, runController } from './runtime/controller.ts';
import { createPace } from './runtime/pace.ts';
import { type Random, systemRandom } from './runtime/random.ts';
import { createWorkQueue, type WorkQueue } from './runtime/work-queue.ts';
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

const workers: Readonly<Record<ControllerName, number>> = {
  onepassworditem: 32,
  'deployment-annotation': 8,
  workload: 8,
  'consumer-status': 2,
};
/** Short enough that whatever ends is noticed within seconds: what lasts is waited for at a gate, or in a refusal. */
const backoff = { base: 500, max: 8_000 };
/** Between two resources that say that an outage lasts, or is over: not more than 20 status writes a second; in milliseconds. */
const outageInterval = 50;
const forbiddenPause = 30_000;
const defaultTimes = {
  /** After a change a vault is listed at every poll for this long. */
  settleTime: 30_000,
  /** Every vault in use is listed this often, and a lower version is believed when it stayed so long. */
  fullListingInterval: 600_000,
  /** What is in sync says nothing of an outage that is younger. */
  outageGrace: 60_000,
};

/** Builds the parts, joins them, and runs until `stop` is aborted. @throws Error when an address to listen on is taken */
export async function runOperator(options: OperatorOptions, stop: AbortSignal): Promise<void> {
  const { config, credentials, log, clock = systemClock, random = systemRandom, onReady } = options;
  const { settleTime, fullListingInterval, outageGrace } = { ...defaultTimes, ...options.times };
  // The end of one part, for whatever reason, is the end of all: nothing goes on half alive.
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);

  // A slab of Node's pool is memory as somebody freed it, values and all, and outlives what is put into it.
  Buffer.poolSize = 0;

  const userAgent = `keyturn/${version}`;
  const metrics = createMetrics({ version, pollingInterval: config.pollingInterval, namespaceLabel: config.metricsNamespaceLabel });
  const kube = createKubeClient({ load: credentials, clock, userAgent, onRequest: metrics.kubeRequest });
  const connect = createConnectClient({
    host: config.connectHost,
    token: config.connectToken,
    ca: config.connectCa,
    userAgent,
    clock,
    onRequest: metrics.connectRequest,
    onCertificate: metrics.connectCertificate,
    onOutage: outageTurned,
  });
  const events = createEventRecorder({ kube, clock, signal, onLost: () => log.debug('an event was lost') });
  const announcer = createAnnouncer(log, events);

  const cache = createClusterCache();
  const queueOf = (name: ControllerName): WorkQueue => createWorkQueue({ clock, random, backoff, observer: metrics.queueObserver(name) });
  const itemQueue = queueOf('onepassworditem');
  const deploymentQueue = queueOf('deployment-annotation');
  const workloadQueue = queueOf('workload');
  const consumerStatusQueue = queueOf('consumer-status');
  const outagePace = createPace(clock, outageInterval);
  const itemContention = createContention(clock);
  const deploymentContention = createContention(clock);

  const index = createVaultIndex({ client: connect, clock, settleTime, fullListingInterval, onChange: () => triggers.indexChanged() });
  const consumers = createConsumers({ ...cache, autoRestart: config.autoRestart });
  const owners = createOwners(cache);
  const rollouts = createRollouts({
    clock,
    budget: config.maxRestarts,
    onTurn: (key) => workloadQueue.add(key),
    onHeld: (item) => triggers.rolloutsHeld(item),
    onEnd(workload, result, causes) {
      const { kind, namespace, name } = workload;
      log[result === 'failed' ? 'warn' : 'info']({ kind, namespace, name }, result === 'failed' ? 'rollout makes no progress' : 'rolled');
      metrics.restart(workload, result);
      if (result === 'completed') causes.forEach(rolled);
    },
  });
  const news = createRestartNews({ log, events, owners, onResult: metrics.restart });
  const workloadReconciler = createWorkloadReconciler({
    ...cache,
    consumers,
    owners,
    rollouts,
    kube,
    clock,
    news,
    debounce: config.restartDebounce,
    reportOnly: config.restartMode === 'report',
    onWaiting: (workload) => triggers.waitingChanged(workload),
  });
  const source = createItemSource({ connect, index, settings: config });
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
  const sync = createSecretSync({
    secrets: cache.secrets,
    kube,
    source,
    adoptConsumers: workloadReconciler.adoptConsumers,
    latestKnown: workloadReconciler.latestKnown,
    holderOf: createHolders({ items: cache.items, workloads: cache.workloads, statuses }),
    patience: fullListingInterval,
    onWrite: metrics.secretWritten,
  });
  const reconcileItem = createItemReconciler({
    items: cache.items,
    kube,
    clock,
    source,
    sync,
    statuses,
    contention: itemContention,
    enableAnnotations: config.enableAnnotations,
    outageGrace,
    outagePace,
    onSynced: (resource, result) => synced(eventSubject(resource), result),
  });
  const deploymentReconciler = createDeploymentReconciler({
    workloads: cache.workloads,
    kube,
    source,
    sync,
    contention: deploymentContention,
    onTransition: (workload, readiness) => announcer.transition(workload, readiness),
    onSynced: synced,
  });

  const consumerStatus = createConsumerStatus({ ...cache, consumers, rollouts, restarts: workloadReconciler, statuses, clock });
  const triggers = createTriggers({
    cache,
    consumers,
    owners,
    index,
    sync,
    statuses,
    items: { queue: itemQueue, contention: itemContention },
    deployments: { queue: deploymentQueue, reconciler: deploymentReconciler, contention: deploymentContention },
    workloads: { queue: workloadQueue },
    consumerStatus: { queue: consumerStatusQueue, forget: consumerStatus.forget },
  });

  metrics.watch({
    controllers: {
      onepassworditem: itemQueue,
      'deployment-annotation': deploymentQueue,
      workload: workloadQueue,
      'consumer-status': consumerStatusQueue,
    },
    workers,
    resources: () => resourceStates({ ...cache, statuses, deployments: deploymentReconciler }),
    waiting: () => workloadReconciler.waiting(),
    rollouts: () => rollouts.places,
    connectFailure: () => connect.outage()?.failure.reason,
    indexed: () => index.size,
    now: () => clock.monotonic(),
  });

  const running: Promise<void>[] = [];
  let ready = false;
  let crdMissed = false;
  const forbidden = new Set<string>();
  const listeners: Listener[] = [];
  try {
    await openListeners();
    const { watchNamespaces } = config;
    const reflection = reflectCluster(
      cache,
      { client: kube, clock, random, watchNamespaces, onSynced: namespaceRead, onFailure: watchFailed },
      signal,
    );
    running.push(reflection.ended);
    await Promise.race([reflection.started, reflection.ended]);
    if (!signal.aborted) {
      log.info({ resources: cache.items.size, secrets: cache.secrets.size, workloads: cache.workloads.size }, 'reconciling');
      onReady?.();
    }
    const inSyncedNamespace =
      (reconcile: ControllerOptions['reconcile']): ControllerOptions['reconcile'] =>
      async (key, within) => {
        if (reflection.isSynced(key.slice(0, key.indexOf('/')))) return await reconcile(key, within);
        rollouts.withdraw(key);
        return done;
      };
    running.push(
      run('onepassworditem', itemQueue, inSyncedNamespace(reconcileItem)),
      run('deployment-annotation', deploymentQueue, inSyncedNamespace(deploymentReconciler.reconcile)),
      run('workload', workloadQueue, inSyncedNamespace(workloadReconciler.reconcile)),
      run('consumer-status', consumerStatusQueue, inSyncedNamespace(consumerStatus.reconcile)),
      runPoll(
        { index, connect, clock, interval: config.pollingInterval, onSuccess: () => metrics.polled(clock.now()), onFailure: pollFailed },
        signal,
      ),
    );
    await Promise.all(running);
  } finally {
    failed.abort();
    await Promise.allSettled(running);
    rollouts.close();
    await Promise.all([...listeners.map((listener) => listener.close()), kube.close(), connect.close()]);
  }

  function run(name: ControllerName, queue: WorkQueue, reconcile: ControllerOptions['reconcile']): Promise<void> {
    return runController(
      {
        queue,
        clock,
        workers: workers[name],
        reconcile,
        onError: (key, error) =>
          log[isConflict(error) ? 'debug' : 'error']({ controller: name, key, ...describeError(error) }, 'reconcile failed; trying again'),
        pauseAfter,
        onReconciled: (result, duration) => metrics.reconciled(name, result, duration),
      },
      signal,
    );
  }

  function synced(owner: EventSubject, result: Synced): void {
    announcer.synced(owner, result);
    if (result.repaired.length > 0) metrics.driftRepaired(owner.namespace);
    if (result.rotatedAt !== undefined) metrics.rotated('secret', kube.serverTime() - result.rotatedAt);
  }

  /** A workload has the version of an item that its rollout was to bring; when that came to be is known while the listing gives it. */
  function rolled({ item, version: reached }: Cause): void {
    const [, vaultId = '', , itemId = ''] = item.split('/');
    const listed = index.listed(vaultId, itemId);
    if (listed?.updatedAt && String(listed.version) === reached) metrics.rotated('rolled', kube.serverTime() - listed.updatedAt);
  }

  function outageTurned(outage: Outage | undefined, vaultId: string | undefined): void {
    if (signal.aborted) return;
    const about = vaultId === undefined ? 'Connect' : 'a vault';
    outagePace.reset();
    if (outage === undefined) {
      log.info({ vault: vaultId }, `${about} can be read again`);
      // What changed meanwhile is to be known before anybody says that all is well; whoever waits is woken even so.
      void index
        .refresh(signal)
        .catch(() => {})
        .then(() => triggers.indexChanged());
      return;
    }
    const { reason, message } = outage.failure;
    log.error({ vault: vaultId, reason, error: message }, `${about} cannot be read; trying again every few seconds`);
    const cancel = clock.after(outageGrace, () => {
      signal.removeEventListener('abort', cancel);
      const lasting = vaultId === undefined ? connect.outage() : connect.vaultOutage(vaultId);
      if (lasting?.since === outage.since) triggers.outageLasts(vaultId);
    });
    signal.addEventListener('abort', cancel, { once: true });
  }

  function namespaceRead(namespace: string | undefined): void {
    ready = true;
    log.debug({ namespace }, 'read');
    workloadReconciler.takeOver(namespace);
    triggers.namespaceRead(namespace);
  }

  function watchFailed(error: KubeError, type: ResourceType, failures: number, delay: number): void {
    const retryIn = Math.round(delay);
    if (type === onePasswordItems && error.status === 404) {
      const message = `the CustomResourceDefinition ${plural}.${group} is not installed; run kubectl apply -f crds/`;
      log[crdMissed ? 'debug' : 'error']({ error: error.message, failures, retryIn }, message);
      crdMissed = true;
      return;
    }
    if (isOptional(type) && (error.status === 404 || error.status === 403)) {
      const first = error.status === 403 && !forbidden.has(type.plural);
      forbidden.add(type.plural);
      const why = error.status === 403 ? 'may not be read' : 'are unknown to this cluster';
      log[first ? 'warn' : 'debug']({ error: error.message, retryIn }, `${type.plural} ${why}: none of them is restarted`);
      return;
    }
    // One failure is the ordinary end of a connection; a streak is worth waking somebody, once.
    log[failures === 3 ? 'error' : 'debug']({ error: error.message, failures, retryIn }, 'watch failed; trying again');
  }

  function pollFailed({ reason, message }: { readonly reason: string; readonly message: string }, failures: number): void {
    // What shuts a gate is said when it does.
    log[failures === 3 && connect.outage() === undefined ? 'warn' : 'debug'](
      { reason, error: message, failures },
      'Connect cannot be read in full',
    );
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

/** What the API server forbids it will most likely forbid for a while; else as long as it asks for. In milliseconds. */
function pauseAfter(error: unknown): number {
  if (!(error instanceof KubeError)) return 0;
  return error.status === 403 ? forbiddenPause : (error.retryAfter ?? 0);
}
