import { randomUUID } from 'node:crypto';
import { applyCrd } from './api/custom-resource-definition.ts';
import { group, leaseName, plural } from './api/names.ts';
import { type Config, type ListenAddress, readVaultPolicy } from './config.ts';
import { createConnectClient } from './connect/client.ts';
import type { Outage } from './connect/gate.ts';
import { type ConnectToken, createConnectToken } from './connect/token.ts';
import { createVaultIndex } from './connect/vault-index.ts';
import { createAnnouncer } from './controllers/announcer.ts';
import { createConsumers } from './controllers/consumers.ts';
import { createContention } from './controllers/contention.ts';
import { createDeploymentReconciler } from './controllers/deployment-reconciler.ts';
import { createConsumerStatus } from './controllers/consumer-status.ts';
import { createHolders } from './controllers/holders.ts';
import { createItemReconciler, type Synced } from './controllers/item-reconciler.ts';
import { createItemSource, requesterOf } from './controllers/item-source.ts';
import { createItemStatuses } from './controllers/item-status.ts';
import { createOwners } from './controllers/owners.ts';
import { runPoll } from './controllers/poll.ts';
import { restartEntry } from './controllers/restart-entry.ts';
import { createRestartNews } from './controllers/restart-news.ts';
import { resourceStates } from './controllers/resource-states.ts';
import { type Cause, createRollouts, type RolloutEnd } from './controllers/rollouts.ts';
import { recordDeletions } from './controllers/secret-deletions.ts';
import { createSecretSync } from './controllers/secret-sync.ts';
import { watchPolicy } from './controllers/policy-watch.ts';
import { createTriggers } from './controllers/triggers.ts';
import { createVaultAccess } from './controllers/vault-access.ts';
import { createWorkloadReconciler } from './controllers/workload-reconciler.ts';
import { createAccessReview } from './kube/access-review.ts';
import { createKubeClient, isConflict, isFenced, isUncertain, KubeError } from './kube/client.ts';
import { createClusterCache, isOptional, reflectCluster } from './kube/cluster-cache.ts';
import type { LoadCredentials } from './kube/credentials.ts';
import { createEventRecorder, type EventSubject } from './kube/events.ts';
import { createLeaderElection, type LeaderElection, LeaseError } from './kube/lease.ts';
import { eventSubject, onePasswordItems } from './kube/objects.ts';
import type { ResourceType } from './kube/resource.ts';
import { type AuditSink, createAudit, policyRefusal } from './observability/audit.ts';
import { createAuditSink } from './observability/audit-sink.ts';
import { readCertificate, watchCertificate } from './observability/certificate-files.ts';
import { createFailureLog } from './observability/failure-log.ts';
import { authorized, type Endpoint, healthEndpoints, listen, type Listener } from './observability/http.ts';
import { describeError, type Log } from './observability/log.ts';
import type { ControllerName } from './observability/metric-table.ts';
import { createMetrics } from './observability/metrics.ts';
import { selfSignedCertificate } from './observability/self-signed-certificate.ts';
import { type Clock, systemClock } from './runtime/clock.ts';
import { type ControllerOptions, done, runController } from './runtime/controller.ts';
import { createHeartbeat, type Heartbeat } from './runtime/heartbeat.ts';
import { createPace } from './runtime/pace.ts';
import { type Random, systemRandom } from './runtime/random.ts';
import { createWorkQueue, type WorkQueue } from './runtime/work-queue.ts';
import { createWorkerProgress } from './runtime/worker-progress.ts';
import { version } from './version.ts';

export interface OperatorOptions {
  readonly config: Config;
  readonly credentials: LoadCredentials;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: Random;
  /** For tests: takes the audit records, instead of what the configuration names. */
  readonly auditSink?: AuditSink;
  /** Called once the cluster has been read and the controllers run. */
  readonly onReady?: () => void;
  /** Called when it ends by an error, before what is under way has ended. */
  readonly onFailed?: (error: unknown) => void;
  /** For tests and benchmarks: times that are otherwise those of the design, in milliseconds. */
  readonly times?: Partial<typeof defaultTimes>;
}

/** How much each controller works on at one time. */
export const workers: Readonly<Record<ControllerName, number>> = {
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
/** An event loop that was kept from turning for so long, in milliseconds, is not well. */
const stalledLoop = 30_000;
const defaultTimes = {
  /** After a change a vault is listed at every poll for this long. */
  settleTime: 30_000,
  /** Every vault in use is listed this often, and a lower version is believed when it stayed so long. */
  fullListingInterval: 600_000,
  /** What is in sync says nothing of an outage that is younger. */
  outageGrace: 60_000,
  /** The config file is looked at this often for another vault policy. */
  policyInterval: 10_000,
};
const rolloutEnds: Readonly<Record<RolloutEnd, string>> = {
  completed: 'rolled',
  failed: 'rollout makes no progress',
  reverted: 'somebody took the restart back',
};
const openPolicy = 'no vaultPolicy: every namespace may read every vault the token reaches';

/**
 * Builds the parts, joins them, and runs until `stop` is aborted.
 * @throws ListenError, CertificateError when it cannot listen; LeaseError when it led and does not any more
 */
export async function runOperator(options: OperatorOptions, stop: AbortSignal): Promise<void> {
  const { config, credentials, log, clock = systemClock, random = systemRandom, onReady, onFailed } = options;
  const { settleTime, fullListingInterval, outageGrace, policyInterval } = { ...defaultTimes, ...options.times };
  // The end of one part, for whatever reason, is the end of all: nothing goes on half alive.
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);

  // A slab of Node's pool is memory as somebody freed it, values and all, and outlives what is put into it.
  Buffer.poolSize = 0;

  const userAgent = `keyturn/${version}`;
  const metrics = createMetrics({ version, pollingInterval: config.pollingInterval, namespaceLabel: config.metricsNamespaceLabel });
  const kubeOptions = { load: credentials, clock, userAgent, onRequest: metrics.kubeRequest };
  // For what waits for nobody and goes on without leading: the lease, and who may read the metrics.
  const ownKube = createKubeClient(kubeOptions);
  const election = config.leaderElection.enabled ? electLeader() : undefined;
  if (election !== undefined) metrics.setLeader(false);
  const kube = createKubeClient({ ...kubeOptions, ...(election && { mayWrite: election.mayWrite }) });
  const auditLog = { path: config.audit.path ?? 'stdout' };
  const audit = createAudit({
    sink:
      options.auditSink ??
      createAuditSink({
        ...config.audit,
        fd: 1,
        clock,
        onStuck: (error) => log.error({ ...auditLog, ...describeError(error) }, 'the audit log cannot be put aside and grows on'),
      }),
    clock,
    newId: randomUUID,
    cluster: config.clusterName,
    pod: config.podName,
    version,
    connection: new URL(config.connectHost).origin,
    tokenId: () => token?.id() ?? 'opaque',
    required: config.audit.required,
    onWritten: metrics.auditWritten,
    onLost: metrics.auditLost,
    onFailing(error) {
      metrics.setAuditFailing(true);
      log.error(
        { ...auditLog, error },
        `audit records are lost${config.audit.required ? ', and nothing is retrieved until they can be written' : ''}`,
      );
    },
    onResumed(lost) {
      metrics.setAuditFailing(false);
      log.warn({ ...auditLog, lost }, 'audit records are written again');
    },
  });
  let token: ConnectToken | undefined;
  token = createConnectToken({
    token: config.connectToken,
    file: config.connectTokenFile,
    onLoaded: tokenLoaded,
    onUnreadable: (problem) => log.warn(`the file of OP_CONNECT_TOKEN_FILE has no access token: ${problem}; the last one stays in use`),
  });
  const connect = createConnectClient({
    host: config.connectHost,
    token,
    ca: config.connectCa,
    proxy: config.connectProxy,
    userAgent,
    clock,
    onRequest: metrics.connectRequest,
    onCertificate: metrics.connectCertificate,
    onOutage: outageTurned,
  });
  const events = createEventRecorder({ kube, clock, signal, onLost: (why) => log.debug({ why }, 'an event was lost') });
  const announcer = createAnnouncer(log, events);
  const failureLog = createFailureLog(log, clock);

  const cache = createClusterCache();
  let leads = election === undefined;
  const queueOf = (name: ControllerName): WorkQueue =>
    createWorkQueue({ clock, random, backoff, isWorkedOn: () => leads, observer: metrics.queueObserver(name) });
  const itemQueue = queueOf('onepassworditem');
  const deploymentQueue = queueOf('deployment-annotation');
  const workloadQueue = queueOf('workload');
  const consumerStatusQueue = queueOf('consumer-status');
  const outagePace = createPace(clock, outageInterval);
  const itemContention = createContention(clock);
  const deploymentContention = createContention(clock);

  const index = createVaultIndex({ client: connect, clock, settleTime, fullListingInterval, onChange: () => triggers.indexChanged() });
  const owners = createOwners(cache);
  const consumers = createConsumers({ ...cache, owners, autoRestart: config.autoRestart });
  const rollouts = createRollouts({
    clock,
    budget: config.maxRestarts,
    onTurn: (key) => workloadQueue.add(key),
    onHeld: (item) => triggers.rolloutsHeld(item),
    onEnd(workload, result, causes) {
      const { kind, namespace, name } = workload;
      log[result === 'completed' ? 'info' : 'warn']({ kind, namespace, name }, rolloutEnds[result]);
      metrics.restart(workload, result);
      if (result === 'completed') causes.forEach(rolled);
    },
  });
  const reportOnly = config.restartMode === 'report';
  const news = createRestartNews({ log, events, owners, onResult: metrics.restart });
  const workloadReconciler = createWorkloadReconciler({
    ...cache,
    consumers,
    owners,
    rollouts,
    kube,
    clock,
    news: {
      ...news,
      restarted(workload, change) {
        if (!workload.onDelete) void audit.record(restartEntry(workload, change, { secrets: cache.secrets, owners }));
        news.restarted(workload, change);
      },
    },
    debounce: config.restartDebounce,
    reportOnly,
    onWaiting: (workload) => triggers.waitingChanged(workload),
  });
  const access = createVaultAccess({
    index,
    policy: () => vaultPolicy,
    onRefusal: (claim) => void audit.record(policyRefusal(requesterOf(claim), claim.itemPath, 'VaultNotAllowed')),
  });
  const source = createItemSource({ connect, index, access, settings: config, audit });
  const statuses = createItemStatuses({
    items: cache.items,
    kube,
    onOutdated: () =>
      log.warn(
        { reason: 'CRDOutdated' },
        'the CRD of OnePasswordItem drops fields of the status: apply that of this version; all works meanwhile',
      ),
    onNoStatus: () =>
      log.error(
        'the status of OnePasswordItem cannot be written, for its CRD has no subresource for it: apply that of this version; Secrets are made meanwhile',
      ),
    onTransition: (resource, readiness) => announcer.transition(eventSubject(resource), readiness),
  });
  const sync = createSecretSync({
    secrets: cache.secrets,
    kube,
    source,
    adoptConsumers: workloadReconciler.adoptConsumers,
    latestKnown: workloadReconciler.latestKnown,
    holderOf: createHolders({ items: cache.items, owners, statuses }),
    patience: fullListingInterval,
    audit,
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

  const consumerStatus = createConsumerStatus({ ...cache, consumers, rollouts, restarts: workloadReconciler, statuses, clock, reportOnly });
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

  let vaultPolicy = config.vaultPolicy;
  if (vaultPolicy === undefined) log.warn(openPolicy);

  const progress = createWorkerProgress({ clock });
  const deletions = recordDeletions({ secrets: cache.secrets, kube, audit, clock, isLeading: () => leads }, signal);

  metrics.watch({
    controllers: {
      onepassworditem: itemQueue,
      'deployment-annotation': deploymentQueue,
      workload: workloadQueue,
      'consumer-status': consumerStatusQueue,
    },
    workers,
    resources: () => resourceStates({ ...cache, statuses, deployments: leads ? deploymentReconciler : undefined }),
    waiting: () => workloadReconciler.waiting(),
    rollouts: () => rollouts.places,
    connectFailure: () => connect.outage()?.failure.reason,
    indexed: () => index.size,
    now: () => clock.monotonic(),
  });

  const running: Promise<void>[] = [];
  /** Namespaces that have been read; undefined stands for all. */
  const namespacesRead = new Set<string | undefined>();
  let allRead = false;
  /** Writes under way have ended. */
  const settled = new AbortController();
  let holding: Promise<void> | undefined;
  let crdMissed = false;
  const forbidden = new Set<string>();
  const listeners: Listener[] = [];
  let heartbeat: Heartbeat | undefined;
  let stopCertificateWatch: (() => void) | undefined;
  try {
    await openListeners();
    if (token.current !== undefined) await audit.record({ action: 'token.load', result: 'success' });
    const { watchNamespaces } = config;
    const reflection = reflectCluster(
      cache,
      { client: kube, clock, random, watchNamespaces, onSynced: namespaceRead, onFailure: watchFailed },
      signal,
    );
    // Followed by replicas that wait, too: whoever begins to lead heeds the latest.
    running.push(reflection.ended, followPolicy());
    await Promise.race([reflection.started, reflection.ended]);
    allRead = true;
    if (election !== undefined && !signal.aborted) {
      log.info('the cluster has been read; waiting to lead');
      await Promise.race([election.acquire(signal), reflection.ended]);
      holding = leads ? election.hold(settled.signal) : undefined;
    }
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
    await Promise.race([Promise.all(running), ...(holding === undefined ? [] : [holding])]);
  } catch (error) {
    failed.abort();
    onFailed?.(error);
    // Somebody else may act by now: nothing that is under way is waited for.
    if (error instanceof LeaseError) await kube.close();
    throw error;
  } finally {
    failed.abort();
    await Promise.allSettled(running);
    settled.abort();
    await Promise.allSettled([holding]);
    await election?.release();
    heartbeat?.stop();
    rollouts.close();
    stopCertificateWatch?.();
    // Whatever else may hang, the records are kept.
    await audit.close();
    await Promise.all([...listeners.map((listener) => listener.close()), kube.close(), ownKube.close(), connect.close()]);
  }

  function run(name: ControllerName, queue: WorkQueue, reconcile: ControllerOptions['reconcile']): Promise<void> {
    return runController(
      {
        queue,
        clock,
        workers: workers[name],
        reconcile: progress.watch(name, queue, reconcile),
        onError: (key, error) =>
          isConflict(error) || isFenced(error)
            ? log.debug({ controller: name, key, ...describeError(error) }, 'reconcile failed; trying again')
            : reconcileFailed(name, key, error),
        pauseAfter,
        onReconciled: (result, duration) => metrics.reconciled(name, result, duration),
      },
      signal,
    );
  }

  /** While the API server does not answer, all keys fail alike: one of them speaks for the others. */
  function reconcileFailed(controller: ControllerName, key: string, error: unknown): void {
    const cause = error instanceof KubeError && isUncertain(error) ? `${error.status} ${error.reason}` : undefined;
    failureLog.failed(`${controller} ${cause ?? key}`, error, { controller, key }, cause);
  }

  async function followPolicy(): Promise<void> {
    const { configFile } = config;
    if (configFile === undefined) return;
    const read = () => readVaultPolicy(configFile);
    await watchPolicy(
      { read, initial: vaultPolicy, clock, interval: policyInterval, onChange: policyChanged, onProblem: policyUnread },
      signal,
    );
  }

  function policyUnread(problem: string): void {
    log.error(`the vault policy in the config file cannot be read: ${problem}; the last one goes on`);
  }

  function policyChanged(policy: typeof vaultPolicy): void {
    vaultPolicy = policy;
    if (policy === undefined) log.warn(openPolicy);
    else log.info({ rules: policy.length }, 'another vault policy');
    triggers.policyChanged();
  }

  function tokenLoaded(id: string, event: 'loaded' | 'changed'): void {
    log.info({ token: id }, `access token for Connect ${event}`);
    // That of the start is recorded when it is clear that there is one to go on.
    if (token !== undefined) void audit.record({ action: event === 'loaded' ? 'token.load' : 'token.change', result: 'success' });
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
    namespacesRead.add(namespace);
    log.debug({ namespace }, 'read');
    if (leads) takeOver(namespace);
  }

  /** What is to be found out when we begin to act in a namespace, or in all: another process may have acted until now. */
  function takeOver(namespace: string | undefined): void {
    workloadReconciler.takeOver(namespace);
    triggers.namespaceRead(namespace);
  }

  function electLeader(): LeaderElection {
    const { identity, namespace = ownKube.namespace, leaseDuration, renewDeadline, retryPeriod } = config.leaderElection;
    if (namespace === undefined) {
      throw new LeaseError('it is not known in which namespace the lease is: set POD_NAMESPACE to the namespace of the operator');
    }
    return createLeaderElection({
      kube: ownKube,
      clock,
      random,
      namespace,
      name: leaseName,
      // A container that is started again has the name of its pod, and what the one before it has sent may still be under way.
      identity: `${identity}_${randomUUID()}`,
      leaseDuration,
      renewDeadline,
      retryPeriod,
      onLeader(leading) {
        metrics.setLeader(leading);
        leads = leading;
        if (!leading) return;
        log.info({ lease: `${namespace}/${leaseName}` }, 'leading');
        for (const read of namespacesRead) takeOver(read);
        deletions.takeOver();
      },
      onHolder: (holder) => log.info({ holder }, holder === '' ? 'nobody leads' : 'another process leads'),
      onFailure: ({ message }, failures) =>
        log[failures === 3 ? 'error' : 'debug']({ error: message, failures }, 'the lease cannot be read or written; trying again'),
    });
  }

  function watchFailed(error: KubeError, type: ResourceType, failures: number, delay: number): void {
    const retryIn = Math.round(delay);
    if (type === onePasswordItems && error.status === 404) {
      const message = `the CustomResourceDefinition ${plural}.${group} is not installed; ${applyCrd}`;
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
    if (healthAddress !== undefined) listeners.push(await listenForProbes(healthAddress));
    if (metricsAddress !== undefined) listeners.push(await listenForScrapes(metricsAddress));
  }

  function listenForProbes(address: ListenAddress): Promise<Listener> {
    const loop = createHeartbeat(clock);
    heartbeat = loop;
    const health = healthEndpoints({
      healthz: [
        {
          name: 'event-loop',
          problem: () => (loop.lag > stalledLoop ? `stalled for ${Math.round(loop.lag / 1000)} s` : undefined),
        },
        { name: 'workers', problem: progress.problem },
      ],
      readyz: [{ name: 'caches', problem: () => (allRead ? undefined : 'still reading the cluster') }],
    });
    return listen('--health-probe-bind-address', address, health);
  }

  async function scrape(): ReturnType<Endpoint> {
    return { status: 200, ...(await metrics.render()) };
  }

  async function listenForScrapes(address: ListenAddress): Promise<Listener> {
    const flag = '--metrics-bind-address';
    if (config.metricsSecure === undefined) return await listen(flag, address, { '/metrics': scrape });
    const { certFile, keyFile } = config.metricsSecure;
    const review = createAccessReview({
      kube: ownKube,
      clock,
      path: '/metrics',
      verb: 'get',
      onFailure: (error) =>
        log.error(
          describeError(error),
          'metrics are given to nobody: the API server does not say who may read them; bind the ClusterRole system:auth-delegator',
        ),
    });
    const files = certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile };
    const pair = files === undefined ? selfSignedCertificate(clock.now()) : readCertificate(files);
    const listener = await listen(flag, address, { '/metrics': authorized(scrape, review) }, pair);
    if (files !== undefined) {
      const onFailure = ({ message }: Error): void => log.error({ error: message }, 'the certificate for metrics stays as it was');
      stopCertificateWatch = watchCertificate({ files, clock, onChange: (next) => listener.renew(next), onFailure }, pair);
    }
    return listener;
  }
}

/** What the API server forbids it will most likely forbid for a while; else as long as it asks for. In milliseconds. */
function pauseAfter(error: unknown): number {
  if (!(error instanceof KubeError)) return 0;
  return error.status === 403 ? forbiddenPause : (error.retryAfter ?? 0);
}
