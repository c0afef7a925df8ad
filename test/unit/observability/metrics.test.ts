import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { WaitReason } from '../../../src/api/outcomes.ts';
import type { Reason } from '../../../src/api/reasons.ts';
import { metricTable, processMetrics } from '../../../src/observability/metric-table.ts';
import { createMetrics, type Metrics, type ObservedState } from '../../../src/observability/metrics.ts';

const create = (namespaceLabel = false): Metrics => createMetrics({ version: '1.2.3', pollingInterval: 10_000, namespaceLabel });

/** The samples of the metrics whose names begin with one of `names`, by name and labels. */
async function scrape(metrics: Metrics, ...names: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const { body } = await metrics.render();
  const samples = body.split('\n').filter((line) => names.some((name) => line.startsWith(name)));
  return Object.fromEntries(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** Those that are not 0. */
async function counted(metrics: Metrics, ...names: readonly string[]): Promise<Readonly<Record<string, number>>> {
  return Object.fromEntries(Object.entries(await scrape(metrics, ...names)).filter(([, value]) => value !== 0));
}

const idle = { due: 0, work: { keys: 0, longest: 0, total: 0 } };

function stateWith(state: Partial<ObservedState>): ObservedState {
  return {
    controllers: { onepassworditem: idle, 'deployment-annotation': idle, workload: idle, 'consumer-status': idle },
    workers: { onepassworditem: 32, 'deployment-annotation': 8, workload: 8, 'consumer-status': 2 },
    resources: () => [],
    waiting: () => [],
    rollouts: () => [],
    connectFailure: () => undefined,
    indexed: () => ({ vaults: 0, items: 0 }),
    now: () => 0,
    ...state,
  };
}

describe('the metrics', () => {
  it('are those of the table, and of the process, and no others', async () => {
    const { body } = await create().render();
    const names = [...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
    const everywhere = Object.entries(processMetrics).filter(([, help]) => process.platform === 'linux' || !help.endsWith('on Linux'));
    expect(new Set(names)).toEqual(new Set([...Object.keys(metricTable), ...everywhere.map(([name]) => name)]));
  });

  it('of the process are made once, however often its metrics are', async () => {
    create();
    const observed = vi.spyOn(PerformanceObserver.prototype, 'observe');
    onTestFinished(() => observed.mockRestore());
    const bodies = await Promise.all([create().render(), create().render()]);
    expect(observed).not.toHaveBeenCalled();
    expect(bodies.every(({ body }) => body.includes('\nprocess_resident_memory_bytes '))).toBe(true);
  });

  it('have the types that they are declared with', async () => {
    const { body } = await create().render();
    for (const [name, { type }] of Object.entries(metricTable)) expect(body).toContain(`# TYPE ${name} ${type}\n`);
  });

  it('give the version of the build, and how often Connect is asked', async () => {
    expect(await scrape(create(), 'keyturn_build_info', 'keyturn_connect_poll_interval')).toEqual({
      'keyturn_build_info{version="1.2.3"}': 1,
      keyturn_connect_poll_interval_seconds: 10,
    });
  });

  it('begin at 0 where the values of labels are known, so that the first of a kind is an increase', async () => {
    const writes = await scrape(create(), 'keyturn_secret_writes_total');
    expect(Object.keys(writes)).toHaveLength(5);
    expect(Object.values(writes)).toEqual([0, 0, 0, 0, 0]);
    expect(Object.keys(await scrape(create(), 'keyturn_restarts_total'))).toHaveLength(4 * 8);
  });
});

describe('a controller', () => {
  it('is counted as controller-runtime does', async () => {
    const metrics = create();
    metrics.reconciled('workload', 'success', 20);
    metrics.reconciled('workload', 'error', 700);
    metrics.reconciled('workload', 'requeue_after', 1);
    metrics.reconciled('onepassworditem', 'requeue', 1);
    expect(await counted(metrics, 'controller_runtime_reconcile_total', 'controller_runtime_reconcile_errors_total')).toEqual({
      'controller_runtime_reconcile_total{controller="workload",result="success"}': 1,
      'controller_runtime_reconcile_total{controller="workload",result="error"}': 1,
      'controller_runtime_reconcile_total{controller="workload",result="requeue_after"}': 1,
      'controller_runtime_reconcile_total{controller="onepassworditem",result="requeue"}': 1,
      'controller_runtime_reconcile_errors_total{controller="workload"}': 1,
    });
    expect(await scrape(metrics, 'controller_runtime_reconcile_time_seconds')).toMatchObject({
      'controller_runtime_reconcile_time_seconds_bucket{le="0.01",controller="workload"}': 1,
      'controller_runtime_reconcile_time_seconds_bucket{le="0.025",controller="workload"}': 2,
      'controller_runtime_reconcile_time_seconds_bucket{le="0.7",controller="workload"}': 3,
      'controller_runtime_reconcile_time_seconds_sum{controller="workload"}': 0.721,
    });
  });

  it('has its workers and the state of its queue asked for at each scrape', async () => {
    const metrics = create();
    let queue = { due: 3, work: { keys: 2, longest: 1_500, total: 2_000 } };
    const controllers = { onepassworditem: idle, 'deployment-annotation': idle, workload: idle, 'consumer-status': idle };
    metrics.watch({
      ...stateWith({}),
      get controllers() {
        return { ...controllers, workload: queue };
      },
    });
    const names = ['workqueue_depth', 'workqueue_unf', 'workqueue_longest', 'controller_runtime_active'];
    const labels = 'name="workload",controller="workload"';
    expect(await counted(metrics, ...names)).toEqual({
      [`workqueue_depth{${labels}}`]: 3,
      [`workqueue_unfinished_work_seconds{${labels}}`]: 2,
      [`workqueue_longest_running_processor_seconds{${labels}}`]: 1.5,
      'controller_runtime_active_workers{controller="workload"}': 2,
    });
    queue = idle;
    expect(await counted(metrics, ...names)).toEqual({});
    expect(await scrape(metrics, 'controller_runtime_max')).toMatchObject({
      'controller_runtime_max_concurrent_reconciles{controller="onepassworditem"}': 32,
    });
  });

  it('has what goes through its queue counted as client-go does', async () => {
    const metrics = create();
    const observer = metrics.queueObserver('onepassworditem');
    const labels = 'name="onepassworditem",controller="onepassworditem"';
    expect(await scrape(metrics, 'workqueue_adds_total', 'workqueue_retries_total')).toEqual({
      [`workqueue_adds_total{${labels}}`]: 0,
      [`workqueue_retries_total{${labels}}`]: 0,
    });
    observer.added();
    observer.added();
    observer.putOff();
    observer.taken(50);
    observer.done(2_000);
    expect(await scrape(metrics, 'workqueue_')).toMatchObject({
      [`workqueue_adds_total{${labels}}`]: 2,
      [`workqueue_retries_total{${labels}}`]: 1,
      [`workqueue_queue_duration_seconds_bucket{le="0.01",${labels}}`]: 0,
      [`workqueue_queue_duration_seconds_bucket{le="0.1",${labels}}`]: 1,
      [`workqueue_work_duration_seconds_bucket{le="1",${labels}}`]: 0,
      [`workqueue_work_duration_seconds_bucket{le="10",${labels}}`]: 1,
      [`workqueue_work_duration_seconds_sum{${labels}}`]: 2,
    });
  });

  it("has client-go's buckets for its queue", async () => {
    const metrics = create();
    metrics.queueObserver('workload').taken(0);
    const { body } = await metrics.render();
    const bounds = [...body.matchAll(/^workqueue_queue_duration_seconds_bucket\{le="([^"]+)"/gm)].map(([, bound]) => Number(bound));
    const decades = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000, Number.NaN];
    expect(bounds).toEqual(decades);
  });
});

describe('requests', () => {
  it('to the API server are counted as client-go does', async () => {
    const metrics = create();
    metrics.kubeRequest('GET', 200, 'api:6443');
    metrics.kubeRequest('GET', 0, 'api:6443');
    expect(await scrape(metrics, 'rest_client_requests_total')).toEqual({
      'rest_client_requests_total{method="GET",code="200",host="api:6443"}': 1,
      'rest_client_requests_total{method="GET",code="<error>",host="api:6443"}': 1,
    });
  });

  it('to Connect are counted by the template of their route, and timed', async () => {
    const metrics = create();
    metrics.connectRequest('/v1/vaults', 200, 30);
    metrics.connectRequest('/v1/vaults', 0, 8_000);
    expect(await scrape(metrics, 'keyturn_connect_request')).toMatchObject({
      'keyturn_connect_requests_total{route="/v1/vaults",code="200"}': 1,
      'keyturn_connect_requests_total{route="/v1/vaults",code="<error>"}': 1,
      'keyturn_connect_request_duration_seconds_bucket{le="0.05",route="/v1/vaults"}': 1,
      'keyturn_connect_request_duration_seconds_sum{route="/v1/vaults"}': 8.03,
    });
  });
});

it('Connect is up until its gate is shut, and the reason is 1', async () => {
  const metrics = create();
  let failure: Reason | undefined;
  metrics.watch(stateWith({ connectFailure: () => failure }));
  const names = ['keyturn_connect_up', 'keyturn_connect_gate_closed'];
  expect(await counted(metrics, ...names)).toEqual({ keyturn_connect_up: 1 });
  failure = 'ConnectUnauthorized';
  expect(await scrape(metrics, ...names)).toEqual({
    keyturn_connect_up: 0,
    'keyturn_connect_gate_closed{reason="ConnectUnauthorized"}': 1,
    'keyturn_connect_gate_closed{reason="ConnectForbidden"}': 0,
    'keyturn_connect_gate_closed{reason="ConnectUnavailable"}': 0,
    'keyturn_connect_gate_closed{reason="ConnectProtocolError"}': 0,
  });
});

it('the last good poll is a time, and 0 before there was one', async () => {
  const metrics = create();
  const before = await scrape(metrics, 'keyturn_connect_last_poll');
  metrics.polled(Date.UTC(2026, 0, 1));
  expect([before, await scrape(metrics, 'keyturn_connect_last_poll')]).toEqual([
    { keyturn_connect_last_poll_timestamp_seconds: 0 },
    { keyturn_connect_last_poll_timestamp_seconds: Date.UTC(2026, 0, 1) / 1000 },
  ]);
});

it("the expiry of Connect's certificate is absent until one was seen", async () => {
  const metrics = create();
  const before = await scrape(metrics, 'keyturn_connect_certificate');
  metrics.connectCertificate(Date.UTC(2027, 0, 1));
  expect([before, await scrape(metrics, 'keyturn_connect_certificate')]).toEqual([
    {},
    { keyturn_connect_certificate_expiry_timestamp_seconds: Date.UTC(2027, 0, 1) / 1000 },
  ]);
});

it('what is indexed is asked for at each scrape', async () => {
  const metrics = create();
  metrics.watch(stateWith({ indexed: () => ({ vaults: 2, items: 40 }) }));
  expect(await scrape(metrics, 'keyturn_vaults', 'keyturn_items')).toEqual({ keyturn_vaults_indexed: 2, keyturn_items_indexed: 40 });
});

describe('resources', () => {
  it('are counted at each scrape, by what became of them; what is no more so is gone', async () => {
    const metrics = create();
    let reason = 'ItemNotFound';
    metrics.watch(
      stateWith({
        resources: () => [
          { kind: 'OnePasswordItem', namespace: 'a', ready: 'True', reason: 'Synced' },
          { kind: 'OnePasswordItem', namespace: 'b', ready: 'True', reason: 'Synced' },
          { kind: 'Deployment', namespace: 'a', ready: 'False', reason },
        ],
      }),
    );
    const first = await scrape(metrics, 'keyturn_resources');
    reason = 'ItemEmpty';
    expect([first, await scrape(metrics, 'keyturn_resources')]).toEqual(
      ['ItemNotFound', 'ItemEmpty'].map((name) => ({
        'keyturn_resources{kind="OnePasswordItem",ready="True",reason="Synced"}': 2,
        [`keyturn_resources{kind="Deployment",ready="False",reason="${name}"}`]: 1,
      })),
    );
  });
});

describe('the workloads that wait for their restart', () => {
  it('are counted at each scrape, by what they wait for, with how long the first has waited', async () => {
    const metrics = create();
    let waiting: { namespace: string; since: number; reason: WaitReason }[] = [];
    metrics.watch(stateWith({ waiting: () => waiting, now: () => 100_000 }));
    const none = await counted(metrics, 'keyturn_restarts_waiting');
    expect(Object.keys(await scrape(metrics, 'keyturn_restarts_waiting'))).toHaveLength(16);
    waiting = [
      { namespace: 'b', since: 50_000, reason: 'budget' },
      { namespace: 'a', since: 9_500, reason: 'budget' },
      { namespace: 'a', since: 90_000, reason: 'held' },
    ];
    expect([none, await counted(metrics, 'keyturn_restarts_waiting')]).toEqual([
      {},
      {
        'keyturn_restarts_waiting{reason="budget"}': 2,
        'keyturn_restarts_waiting{reason="held"}': 1,
        'keyturn_restarts_waiting_oldest_seconds{reason="budget"}': 90.5,
        'keyturn_restarts_waiting_oldest_seconds{reason="held"}': 10,
      },
    ]);
  });
});

it('rollouts in progress are those that hold a place in the budget', async () => {
  const metrics = create();
  const places = new Map([
    ['a', 2],
    ['b', 1],
  ]);
  metrics.watch(stateWith({ rollouts: () => places }));
  const some = await scrape(metrics, 'keyturn_rollouts_in_progress');
  places.clear();
  expect([some, await scrape(metrics, 'keyturn_rollouts_in_progress')]).toEqual([
    { keyturn_rollouts_in_progress: 3 },
    { keyturn_rollouts_in_progress: 0 },
  ]);
});

it('writes, drift, restarts, rotations and audit records are counted', async () => {
  const metrics = create();
  metrics.secretWritten('a', 'created');
  metrics.secretWritten('b', 'created');
  metrics.secretWritten('b', 'conflict');
  metrics.driftRepaired('a');
  metrics.restart({ kind: 'StatefulSet', namespace: 'a' }, 'restarted');
  metrics.restart({ kind: 'StatefulSet', namespace: 'a' }, 'completed');
  metrics.rotated('secret', 4_000);
  metrics.rotated('rolled', -20);
  metrics.auditWritten(1);
  metrics.auditLost(1);
  expect(await counted(metrics, 'keyturn_secret_writes', 'keyturn_drift', 'keyturn_restarts_total', 'keyturn_audit')).toEqual({
    'keyturn_secret_writes_total{result="created"}': 2,
    'keyturn_secret_writes_total{result="conflict"}': 1,
    keyturn_drift_repaired_total: 1,
    'keyturn_restarts_total{kind="StatefulSet",result="restarted"}': 1,
    'keyturn_restarts_total{kind="StatefulSet",result="completed"}': 1,
    keyturn_audit_records_written_total: 1,
    keyturn_audit_records_lost_total: 1,
  });
  expect(await scrape(metrics, 'keyturn_rotation')).toMatchObject({
    'keyturn_rotation_to_secret_seconds_bucket{le="2"}': 0,
    'keyturn_rotation_to_secret_seconds_bucket{le="5"}': 1,
    keyturn_rotation_to_rolled_seconds_sum: 0,
    keyturn_rotation_to_rolled_seconds_count: 1,
  });
});

it('the audit fails from when it is told so until it is told otherwise', async () => {
  const metrics = create();
  const seen: unknown[] = [await scrape(metrics, 'keyturn_audit_failing')];
  for (const isFailing of [true, false]) {
    metrics.setAuditFailing(isFailing);
    seen.push(await scrape(metrics, 'keyturn_audit_failing'));
  }
  expect(seen).toEqual([0, 1, 0].map((value) => ({ keyturn_audit_failing: value })));
});

it('the master status is 1 without election, and what it is told with it', async () => {
  const metrics = create();
  const name = 'leader_election_master_status{name="c26807fd.onepassword.com"}';
  const before = await scrape(metrics, 'leader_election');
  metrics.setLeader(false);
  expect([before, await scrape(metrics, 'leader_election')]).toEqual([{ [name]: 1 }, { [name]: 0 }]);
});

it('a label for the namespace is added to metrics of resources and restarts, when it is asked for', async () => {
  const metrics = create(true);
  metrics.secretWritten('a', 'created');
  metrics.driftRepaired('a');
  metrics.restart({ kind: 'Deployment', namespace: 'a' }, 'skipped');
  metrics.watch(
    stateWith({
      resources: () => [{ kind: 'OnePasswordItem', namespace: 'a', ready: 'True', reason: 'Synced' }],
      waiting: () => [
        { namespace: 'a', since: 0, reason: 'paused' },
        { namespace: 'b', since: 5_000, reason: 'paused' },
      ],
      rollouts: () => [['b', 2]],
      now: () => 9_000,
    }),
  );
  const names = ['resources', 'secret_writes', 'drift', 'restarts', 'rollouts'].map((name) => `keyturn_${name}`);
  expect(await scrape(metrics, ...names)).toEqual({
    'keyturn_resources{kind="OnePasswordItem",ready="True",reason="Synced",namespace="a"}': 1,
    'keyturn_secret_writes_total{result="created",namespace="a"}': 1,
    'keyturn_drift_repaired_total{namespace="a"}': 1,
    'keyturn_restarts_total{kind="Deployment",result="skipped",namespace="a"}': 1,
    'keyturn_restarts_waiting{reason="paused",namespace="a"}': 1,
    'keyturn_restarts_waiting{reason="paused",namespace="b"}': 1,
    'keyturn_restarts_waiting_oldest_seconds{reason="paused",namespace="a"}': 9,
    'keyturn_restarts_waiting_oldest_seconds{reason="paused",namespace="b"}': 4,
    'keyturn_rollouts_in_progress{namespace="b"}': 2,
  });
});
