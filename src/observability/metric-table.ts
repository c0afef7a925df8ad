import { workloadKinds } from '../api/names.ts';
import { restartResults, secretWriteResults, waitReasons } from '../api/outcomes.ts';
import { connectReasons } from '../api/reasons.ts';

/** A metric as it is declared; from this come the metric itself and its line in docs/reference/metrics.md. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** By name, the values of each: a list where we choose them, else what they come from. There are never more than a few dozens. */
  readonly labels?: Readonly<Record<string, readonly string[] | string>>;
  /** With --metrics-namespace-label it has a label `namespace` beside the others. */
  readonly namespaced?: true;
  /** Of a histogram: upper bounds, in the metric's unit. */
  readonly buckets?: readonly number[];
  /** It has no value until there is something to tell. */
  readonly absent?: true;
}

const controllers = ['onepassworditem', 'deployment-annotation', 'workload', 'consumer-status'] as const;
export type ControllerName = (typeof controllers)[number];

/** The states of `keyturn_resources` that are no reasons of ours: not looked at yet, and said by somebody else. */
export const noReason = 'Pending';
export const foreignReason = 'Other';

/** As client-go's: from 10 ns to 1,000 s, each ten times the one before. */
const queueBuckets = Array.from({ length: 12 }, (_, power) => Number(`1e${power - 8}`));
const queue = { labels: { name: 'as `controller`', controller: controllers } } as const;
/** From seconds, as a rotation in a healthy cluster, to an hour, as after an outage. */
const rotationBuckets = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600];

/** All metrics, by their names, but those of the process itself. */
export const metricTable = {
  controller_runtime_reconcile_total: {
    type: 'counter',
    help: 'Reconciliations, by how they ended',
    labels: { controller: controllers, result: ['success', 'error', 'requeue', 'requeue_after'] },
  },
  controller_runtime_reconcile_errors_total: {
    type: 'counter',
    help: 'Reconciliations that ended in an error nobody expected; what has a reason is no error here',
    labels: { controller: controllers },
  },
  controller_runtime_reconcile_time_seconds: {
    type: 'histogram',
    help: 'How long reconciliations took',
    labels: { controller: controllers },
    buckets: [
      0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4,
      4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
    ],
  },
  controller_runtime_active_workers: {
    type: 'gauge',
    help: 'Workers that reconcile something now',
    labels: { controller: controllers },
  },
  controller_runtime_max_concurrent_reconciles: {
    type: 'gauge',
    help: 'Workers that there are',
    labels: { controller: controllers },
  },
  workqueue_depth: { type: 'gauge', help: 'Keys that are due', ...queue },
  workqueue_adds_total: { type: 'counter', help: 'Times that a key became due', ...queue },
  workqueue_retries_total: {
    type: 'counter',
    help: 'Times that a key was put off until later: another attempt, or one more look',
    ...queue,
  },
  workqueue_queue_duration_seconds: {
    type: 'histogram',
    help: 'How long keys were due before a worker took them',
    ...queue,
    buckets: queueBuckets,
  },
  workqueue_work_duration_seconds: { type: 'histogram', help: 'How long the work on a key took', ...queue, buckets: queueBuckets },
  workqueue_unfinished_work_seconds: {
    type: 'gauge',
    help: 'How long all work under way has taken together; it grows by one a second for each worker that hangs',
    ...queue,
  },
  workqueue_longest_running_processor_seconds: {
    type: 'gauge',
    help: 'How long the longest work under way has taken',
    ...queue,
  },
  rest_client_requests_total: {
    type: 'counter',
    help: 'Requests to the API server',
    labels: { code: 'HTTP status, or `<error>` without an answer', method: 'HTTP method', host: 'host and port of the API server' },
  },
  leader_election_master_status: {
    type: 'gauge',
    help: '1 while this process is the one that reconciles, as it is without leader election',
    labels: { name: 'name of the Lease' },
  },
  keyturn_build_info: { type: 'gauge', help: 'Always 1', labels: { version: 'version of Keyturn' } },
  keyturn_resources: {
    type: 'gauge',
    help: 'Resources and annotated Deployments, by what became of their Secrets; Deployments are told of by the leader alone',
    labels: {
      kind: 'OnePasswordItem, Deployment',
      ready: 'True, False, Unknown',
      reason: `[reasons](reasons.md), ${noReason} before the first attempt, ${foreignReason} for what another operator wrote`,
    },
    namespaced: true,
  },
  keyturn_secret_writes_total: {
    type: 'counter',
    help: 'Writes of Secrets, by what became of them; a conflict is tried again at once',
    labels: { result: secretWriteResults },
    namespaced: true,
  },
  keyturn_drift_repaired_total: {
    type: 'counter',
    help: 'Secrets in which values that somebody else had written were replaced',
    namespaced: true,
  },
  keyturn_rotation_to_secret_seconds: {
    type: 'histogram',
    help: 'From the change of an item, as Connect dates it, until its Secret had the new values',
    buckets: rotationBuckets,
  },
  keyturn_rotation_to_rolled_seconds: {
    type: 'histogram',
    help: 'From the change of an item, as Connect dates it, until all pods of a workload that it restarted had the new values',
    buckets: rotationBuckets,
  },
  keyturn_restarts_total: {
    type: 'counter',
    help: 'Restarts of workloads, by what became of them: each that is restarted is counted again when its rollout has completed, failed or been reverted',
    labels: { kind: workloadKinds, result: restartResults },
    namespaced: true,
  },
  keyturn_restarts_waiting: {
    type: 'gauge',
    help: 'Workloads whose restart is due and has not begun, by what it waits for',
    labels: { reason: waitReasons },
    namespaced: true,
  },
  keyturn_restarts_waiting_oldest_seconds: {
    type: 'gauge',
    help: 'How long the first of them has waited',
    labels: { reason: waitReasons },
    namespaced: true,
  },
  keyturn_rollouts_in_progress: {
    type: 'gauge',
    help: 'Rollouts that hold a place in the budget of --max-restarts',
    namespaced: true,
  },
  keyturn_connect_requests_total: {
    type: 'counter',
    help: 'Requests to Connect',
    labels: { route: 'template of the path', code: 'HTTP status, or `<error>` without an answer' },
  },
  keyturn_connect_request_duration_seconds: {
    type: 'histogram',
    help: 'How long requests to Connect took, to the last byte',
    labels: { route: 'template of the path' },
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  keyturn_connect_up: { type: 'gauge', help: '1 while Connect is asked, 0 while its gate is shut after a failure' },
  keyturn_connect_gate_closed: {
    type: 'gauge',
    help: '1 for the reason why the gate is shut',
    labels: { reason: connectReasons },
  },
  keyturn_connect_last_poll_timestamp_seconds: {
    type: 'gauge',
    help: 'When Connect last told what changed; 0 before it has',
  },
  keyturn_connect_poll_interval_seconds: { type: 'gauge', help: 'POLLING_INTERVAL: how often Connect is asked' },
  keyturn_connect_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    help: "When Connect's certificate expires, as of the last connection; absent with plain HTTP",
    absent: true,
  },
  keyturn_vaults_indexed: { type: 'gauge', help: 'Vaults that the token reaches' },
  keyturn_items_indexed: { type: 'gauge', help: 'Items in the listings of the vaults that are in use' },
  keyturn_audit_records_written_total: { type: 'counter', help: 'Audit records written' },
  keyturn_audit_records_lost_total: { type: 'counter', help: 'Audit records that could not be written' },
  keyturn_audit_failing: { type: 'gauge', help: '1 from the first record that could not be written until one is written again' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export type MetricName = keyof typeof metricTable;

/** Of the process itself, as prom-client measures them; those of /proc on Linux alone. */
export const processMetrics = {
  process_cpu_seconds_total: 'CPU time of the process',
  process_start_time_seconds: 'When the process started, in seconds since the epoch',
  process_resident_memory_bytes: 'Resident memory',
  process_virtual_memory_bytes: 'Virtual memory; on Linux',
  process_open_fds: 'Open file descriptors; on Linux',
  process_max_fds: 'File descriptors that may be open; on Linux',
  nodejs_eventloop_lag_seconds: 'Delay of the event loop at the scrape',
  nodejs_eventloop_lag_mean_seconds: 'The same, mean since the last scrape',
  nodejs_eventloop_lag_p99_seconds: 'The same, 99th percentile since the last scrape',
  nodejs_heap_size_total_bytes: "Size of V8's heap",
  nodejs_heap_size_used_bytes: 'What of it is used',
  nodejs_external_memory_bytes: 'Memory outside of the heap that objects in it hold',
  nodejs_gc_duration_seconds: 'Pauses for garbage collection, by `kind`',
} as const;
