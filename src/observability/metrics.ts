import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { leaseName } from '../api/names.ts';
import { type RestartResult, type SecretWriteResult, type WaitReason, waitReasons } from '../api/outcomes.ts';
import { connectReasons, type Reason } from '../api/reasons.ts';
import { watchEventLoop } from '../runtime/event-loop-lag.ts';
import type { WorkQueue, WorkQueueObserver } from '../runtime/work-queue.ts';
import { type ControllerName, type MetricDefinition, type MetricName, metricTable, processMetrics } from './metric-table.ts';

/** What the process counts: `metric-table.ts` says what there is. Times come in milliseconds, and are shown in seconds. */
export interface Metrics {
  readonly queueObserver: (controller: ControllerName) => WorkQueueObserver;
  readonly reconciled: (controller: ControllerName, result: ReconcileResult, duration: number) => void;
  /** @param status 0 without an answer */
  readonly kubeRequest: (method: string, status: number, host: string) => void;
  readonly connectRequest: (route: string, status: number, duration: number) => void;
  /** @param expiry since the epoch */
  readonly connectCertificate: (expiry: number) => void;
  /** Connect told what changed, at a time since the epoch. */
  readonly polled: (time: number) => void;
  readonly secretWritten: (namespace: string, result: SecretWriteResult) => void;
  readonly driftRepaired: (namespace: string) => void;
  readonly restart: (workload: { readonly kind: string; readonly namespace: string }, result: RestartResult) => void;
  /** How long it took from the change of an item until its Secret, or all pods of a workload, had the new values. */
  readonly rotated: (reached: 'secret' | 'rolled', duration: number) => void;
  readonly setLeader: (isLeader: boolean) => void;
  readonly auditWritten: (records: number) => void;
  readonly auditLost: (records: number) => void;
  /** Whether audit records cannot be written, as far as is known. */
  readonly setAuditFailing: (isFailing: boolean) => void;
  /** Is asked at each scrape. */
  readonly watch: (state: ObservedState) => void;
  /** In the text format of Prometheus. */
  readonly render: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

export type ReconcileResult = 'success' | 'error' | 'requeue' | 'requeue_after';

/** What is not counted as it happens, but seen when somebody asks. */
export interface ObservedState {
  readonly controllers: Readonly<Record<ControllerName, Pick<WorkQueue, 'due' | 'work'>>>;
  readonly workers: Readonly<Record<ControllerName, number>>;
  readonly resources: () => Iterable<ResourceState>;
  /** The restarts that are due and have not begun, since when by the monotonic clock. */
  readonly waiting: () => Iterable<{ readonly namespace: string; readonly reason: WaitReason; readonly since: number }>;
  /** How many rollouts hold a place in the budget, by namespace. */
  readonly rollouts: () => Iterable<readonly [namespace: string, count: number]>;
  /** Why Connect is not asked; undefined while it is. */
  readonly connectFailure: () => Reason | undefined;
  readonly indexed: () => { readonly vaults: number; readonly items: number };
  /** By the monotonic clock. */
  readonly now: () => number;
}

/** What became of a resource, or of a Deployment that asks for a Secret. */
export interface ResourceState {
  readonly kind: 'OnePasswordItem' | 'Deployment';
  readonly namespace: string;
  readonly ready: 'True' | 'False' | 'Unknown';
  readonly reason: string;
}

export interface MetricsOptions {
  readonly version: string;
  /** Milliseconds between looks at Connect. */
  readonly pollingInterval: number;
  /** `--metrics-namespace-label` */
  readonly namespaceLabel: boolean;
}

type Made<D> = D extends { type: 'counter' } ? Counter : D extends { type: 'histogram' } ? Histogram : Gauge;
type MadeMetrics = { readonly [N in MetricName]: Made<(typeof metricTable)[N]> };

export function createMetrics({ version, pollingInterval, namespaceLabel }: MetricsOptions): Metrics {
  const registry = new Registry();
  const made = makeAll(registry, namespaceLabel);
  addProcessMetrics(registry);
  const inNamespace = (namespace: string): { readonly namespace?: string } => (namespaceLabel ? { namespace } : {});
  let observed: ObservedState | undefined;

  made.keyturn_build_info.set({ version }, 1);
  made.keyturn_connect_poll_interval_seconds.set(pollingInterval / 1000);
  const setLeader = (isLeader: boolean): void => made.leader_election_master_status.set({ name: leaseName }, isLeader ? 1 : 0);
  setLeader(true);

  function observe({ controllers, workers, resources, waiting, rollouts, connectFailure, indexed, now }: ObservedState): void {
    for (const [controller, { due, work }] of Object.entries(controllers)) {
      const labels = { name: controller, controller };
      const { keys, longest, total } = work;
      made.workqueue_depth.set(labels, due);
      made.workqueue_unfinished_work_seconds.set(labels, total / 1000);
      made.workqueue_longest_running_processor_seconds.set(labels, longest / 1000);
      made.controller_runtime_active_workers.set({ controller }, keys);
    }
    for (const [controller, count] of Object.entries(workers)) made.controller_runtime_max_concurrent_reconciles.set({ controller }, count);
    made.keyturn_resources.reset();
    for (const { namespace, ...state } of resources()) made.keyturn_resources.inc({ ...state, ...inNamespace(namespace) });
    observeWaiting(waiting(), now());
    made.keyturn_rollouts_in_progress.reset();
    for (const [namespace, count] of rollouts()) made.keyturn_rollouts_in_progress.inc(inNamespace(namespace), count);
    const failure = connectFailure();
    made.keyturn_connect_up.set(failure === undefined ? 1 : 0);
    for (const reason of connectReasons) made.keyturn_connect_gate_closed.set({ reason }, reason === failure ? 1 : 0);
    const { vaults, items } = indexed();
    made.keyturn_vaults_indexed.set(vaults);
    made.keyturn_items_indexed.set(items);
  }

  function observeWaiting(waiting: ReturnType<ObservedState['waiting']>, now: number): void {
    const { keyturn_restarts_waiting: count, keyturn_restarts_waiting_oldest_seconds: oldest } = made;
    count.reset();
    oldest.reset();
    for (const reason of namespaceLabel ? [] : waitReasons) {
      count.set({ reason }, 0);
      oldest.set({ reason }, 0);
    }
    const first = new Map<string, number>();
    for (const { namespace, reason, since } of waiting) {
      const labels = { reason, ...inNamespace(namespace) };
      count.inc(labels);
      const key = Object.values(labels).join('/');
      first.set(key, Math.min(since, first.get(key) ?? since));
      oldest.set(labels, (now - (first.get(key) ?? since)) / 1000);
    }
  }

  return {
    queueObserver(controller) {
      const labels = { name: controller, controller };
      const added = made.workqueue_adds_total.labels(labels);
      const retried = made.workqueue_retries_total.labels(labels);
      const waited = made.workqueue_queue_duration_seconds.labels(labels);
      const took = made.workqueue_work_duration_seconds.labels(labels);
      for (const counter of [added, retried]) counter.inc(0);
      return {
        added: () => added.inc(),
        putOff: () => retried.inc(),
        taken: (duration) => waited.observe(duration / 1000),
        done: (duration) => took.observe(duration / 1000),
      };
    },
    reconciled(controller, result, duration) {
      made.controller_runtime_reconcile_total.inc({ controller, result });
      made.controller_runtime_reconcile_time_seconds.observe({ controller }, duration / 1000);
      if (result === 'error') made.controller_runtime_reconcile_errors_total.inc({ controller });
    },
    kubeRequest: (method, status, host) => made.rest_client_requests_total.inc({ method, code: code(status), host }),
    connectRequest(route, status, duration) {
      made.keyturn_connect_requests_total.inc({ route, code: code(status) });
      made.keyturn_connect_request_duration_seconds.observe({ route }, duration / 1000);
    },
    connectCertificate: (expiry) => made.keyturn_connect_certificate_expiry_timestamp_seconds.set(expiry / 1000),
    polled: (time) => made.keyturn_connect_last_poll_timestamp_seconds.set(time / 1000),
    secretWritten: (namespace, result) => made.keyturn_secret_writes_total.inc({ result, ...inNamespace(namespace) }),
    driftRepaired: (namespace) => made.keyturn_drift_repaired_total.inc(inNamespace(namespace)),
    restart: ({ kind, namespace }, result) => made.keyturn_restarts_total.inc({ kind, result, ...inNamespace(namespace) }),
    // The clocks of two machines may differ by more than it took.
    rotated: (reached, duration) => made[`keyturn_rotation_to_${reached}_seconds`].observe(Math.max(0, duration) / 1000),
    setLeader,
    auditWritten: (records) => made.keyturn_audit_records_written_total.inc(records),
    auditLost: (records) => made.keyturn_audit_records_lost_total.inc(records),
    setAuditFailing: (isFailing) => made.keyturn_audit_failing.set(isFailing ? 1 : 0),
    watch: (state) => void (observed = state),
    async render() {
      if (observed !== undefined) observe(observed);
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function makeAll(registry: Registry, namespaceLabel: boolean): MadeMetrics {
  const made = Object.entries<MetricDefinition>(metricTable).map(([name, definition]) => [
    name,
    make(registry, name, definition, namespaceLabel && definition.namespaced === true),
  ]);
  return Object.fromEntries(made) as MadeMetrics;
}

/** A counter whose labels have known values begins with all of them at 0, so that the first of each kind is seen as an increase. */
function make(
  registry: Registry,
  name: string,
  { type, help, labels = {}, buckets = [], absent }: MetricDefinition,
  namespaced: boolean,
): Counter | Gauge | Histogram {
  const labelNames = [...Object.keys(labels), ...(namespaced ? ['namespace'] : [])];
  const shared = { name, help, labelNames, registers: [registry] };
  if (type === 'histogram') return new Histogram({ ...shared, buckets: [...buckets] });
  if (type === 'gauge') {
    const gauge = new Gauge(shared);
    if (absent) gauge.remove();
    return gauge;
  }
  const counter = new Counter(shared);
  if (!namespaced) for (const combination of combinations(labels)) counter.inc(combination, 0);
  return counter;
}

/** Every combination of the values of labels; none when those of a label are not known. */
function combinations(labels: NonNullable<MetricDefinition['labels']>): readonly Record<string, string>[] {
  return Object.entries(labels).reduce<readonly Record<string, string>[]>(
    (all, [label, values]) =>
      typeof values === 'string' ? [] : all.flatMap((known) => values.map((value) => ({ ...known, [label]: value }))),
    [{}],
  );
}

/** Of prom-client's own those whose names and types are as Prometheus wants them. */
function addProcessMetrics(registry: Registry): void {
  const all = metricsOfProcess();
  for (const name of Object.keys(processMetrics)) {
    const metric = all.getSingleMetric(name);
    if (metric !== undefined) registry.registerMetric(metric);
  }
}

let ofProcess: Registry | undefined;

/** Made once: each making adds an observer of garbage collection and a monitor of the event loop, which Node keeps until the process ends. */
function metricsOfProcess(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    // prom-client's own watch over the event loop wakes the process a hundred times in a second, and takes the time between for delay.
    collectDefaultMetrics({ register: ofProcess, eventLoopMonitoringPrecision: day });
    addEventLoopLag(ofProcess);
  }
  return ofProcess;
}

/** In milliseconds. */
const day = 86_400_000;

function addEventLoopLag(registry: Registry): void {
  const [mean, p99] = ['nodejs_eventloop_lag_mean_seconds', 'nodejs_eventloop_lag_p99_seconds'] as const;
  const lag = watchEventLoop();
  for (const name of [mean, p99]) registry.removeSingleMetric(name);
  const late = new Gauge({ name: p99, help: processMetrics[p99], registers: [] });
  const usual = new Gauge({
    name: mean,
    help: processMetrics[mean],
    registers: [],
    collect() {
      const seen = lag();
      this.set(seen.mean);
      late.set(seen.p99);
    },
  });
  for (const metric of [usual, late]) registry.registerMetric(metric);
}

/** A request without an answer is counted as client-go does. */
function code(status: number): string {
  return status === 0 ? '<error>' : String(status);
}
