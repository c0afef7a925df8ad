import { waitFor } from '../../dev/control-plane/wait.ts';
import { eventually } from '../support/eventually.ts';
import { between, writesOf } from './api-counts.ts';
import { type Bench, bySubject, type Run } from './bench.ts';
import { defaultInterval } from './form.ts';
import { type Measures, median } from './result.ts';
import type { RunningSubject, Subject } from './subject.ts';
import { syncedNamespace } from './synced.ts';
import type { World } from './world.ts';

/** Starts each operator over what it has synced before. */
export const runRestart: Run = (bench) =>
  bySubject(bench, async (subject) => {
    const namespace = await syncedNamespace(bench, subject, bench.world.form.small);
    const starts: Start[] = [];
    for (let round = 1; round <= bench.world.form.restarts; round += 1) {
      bench.log(`own restart, round ${round} of ${bench.world.form.restarts}: ${subject.name}`);
      starts.push(await restart(bench, subject, namespace));
    }
    return measuresOf(starts);
  });

interface Start {
  /** Milliseconds from the start of the process. */
  readonly firstRequest: number;
  readonly inSync: number;
  readonly cpuSeconds: number;
  readonly requests: Readonly<Record<string, number>>;
  readonly writes: number;
  readonly api: Readonly<Record<string, number>>;
}

async function restart({ world }: Bench, subject: Subject, namespace: string): Promise<Start> {
  const { small } = world.form;
  const { connect, api } = world;
  const token = await world.tokenFor(small);
  await world.delayConnect(5);
  await connect.requests.reset();
  const before = await api.of(subject.user);
  const running = await subject.start({ namespace, token, pollingInterval: defaultInterval });
  try {
    const inSyncAt = await Promise.race([untilInSync(world, running), running.failed]);
    const cpuSeconds = await running.cpuSeconds();
    const asked = between(before, await api.settled(subject.user));
    const log = await connect.requests.log();
    return {
      firstRequest: (log[0]?.at ?? Number.NaN) - running.spawnedAt,
      inSync: inSyncAt - running.spawnedAt,
      cpuSeconds,
      requests: await connect.requests.counts(),
      writes: writesOf(asked),
      api: Object.fromEntries(asked),
    };
  } finally {
    await running.stop();
  }
}

/**
 * Ours is in sync when it has looked at every resource and has nothing left to do, by its metrics; another operator when it has asked Connect
 * nothing for three seconds, which is when it last did.
 *
 * @returns milliseconds since the epoch
 */
async function untilInSync(world: World, { ours }: RunningSubject): Promise<number> {
  const { small } = world.form;
  if (ours !== undefined) {
    return eventually(
      'all resources to be known in sync',
      async () => {
        const metrics = await ours.metrics();
        const labels = 'controller="onepassworditem"';
        const looked = valueOf(metrics, 'controller_runtime_reconcile_total', `${labels},result="success"`);
        const left = valueOf(metrics, 'workqueue_depth', labels) + valueOf(metrics, 'controller_runtime_active_workers', labels);
        return looked >= small && left === 0 ? Date.now() : undefined;
      },
      60_000,
    );
  }
  const { requests } = world.connect;
  const asked = async (): Promise<number> => totalOf(await requests.counts());
  let [before, since] = [0, Date.now()];
  return waitFor(
    'Connect to be left alone',
    async () => {
      // The whole log, many times a second, would be work for Connect while a start is timed.
      const now = await asked();
      if (now !== before) [before, since] = [now, Date.now()];
      return now > 0 && Date.now() - since > 3_000 ? (await requests.log()).at(-1)?.at : undefined;
    },
    { deadlineMs: 120_000, intervalMs: 250 },
  );
}

/** The sum over the series of a metric whose labels hold a text. */
function valueOf(metrics: string, name: string, labels: string): number {
  const lines = metrics.split('\n').filter((line) => line.startsWith(`${name}{`) && line.includes(labels));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

function measuresOf(starts: readonly Start[]): Measures {
  const requests = starts.map((start) => totalOf(start.requests));
  const writes = starts.map((start) => start.writes);
  const last = starts.at(-1);
  const seconds = starts.map(({ inSync }) => inSync / 1000);
  const firsts = starts.map(({ firstRequest }) => firstRequest / 1000);
  return {
    'restart-requests': { value: Math.max(...requests), raw: { rounds: requests, requests: last?.requests } },
    'restart-writes': { value: Math.max(...writes), raw: { rounds: writes, requests: last?.api } },
    'restart-time': { value: median(seconds), raw: { rounds: seconds, cpuSeconds: starts.map((start) => start.cpuSeconds) } },
    start: { value: median(firsts), raw: { rounds: firsts, until: 'its first request to Connect arrived' } },
  };
}

function totalOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
