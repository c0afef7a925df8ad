import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isAlive } from '../../dev/control-plane/alive.ts';
import { type ControlPlane, startControlPlane } from '../../dev/control-plane/start.ts';
import { waitFor } from '../../dev/control-plane/wait.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { collectionPath, namespaces } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { auditRecords } from '../support/audit.ts';
import { bundleInto } from '../support/bundled-operator.ts';
import { findCanaries } from '../support/canary.ts';
import { openNamespace, type TestNamespace } from '../support/cluster.ts';
import { type ConnectProcess, startConnectProcess } from '../support/connect-process.ts';
import { grantOperatorRole } from '../support/roles.ts';
import { auditIsComplete } from './audit-invariant.ts';
import { type BusyClient, createBusyClient, firstItems } from './client.ts';
import { createDisturber, type Disturber, writeToken } from './disturber.ts';
import type { History, Interval } from './history.ts';
import { merge, subtract } from './intervals.ts';
import { heapIsBack, type HeapCompared, noCanaries, nobodyCrashed, nothingIsLeft } from './process-invariants.ts';
import { type Recorder, startRecorder } from './recorder.ts';
import { type Replicas, startReplicas } from './replicas.ts';
import { countChanges, countRolls, noRestartLost, noRestartRepeated } from './restart-invariants.ts';
import { type ClientAct, describeStep, type Disturbance, roundTime, type Schedule, type Scheduled } from './schedule.ts';
import { longestLack, secretsComeBack, secretsEqualItems, secretsStay } from './secret-invariants.ts';
import { abandonedSockets, socketsAt } from './sockets.ts';
import type { Violation } from './violation.ts';
import { lease, world } from './world.ts';

/** An invariant, and where it did not hold. */
export interface Finding {
  readonly invariant: string;
  readonly violations: readonly Violation[];
}

export interface RunOptions {
  readonly schedule: Schedule;
  readonly duration: number;
  /** Takes all data and logs. */
  readonly folder: string;
  /** The bundle to run instead of one of the sources. */
  readonly bundle: string | undefined;
  readonly log: (line: string) => void;
}

/** After the last disturbance: retries may have pauses of a minute, and restarts wait for their turn. In milliseconds. */
const calmDeadline = 180_000;
/** Nobody writes anything for so long when it is over: longer than the debounce and a poll. In milliseconds. */
const quietTime = 6_000;
const scrapePause = 10_000;
/** The account whose Role `grantOperatorRole` makes. */
const accountPath = 'keyturn/keyturn-namespaced';

/** All that a run consists of. */
interface Stage {
  readonly controlPlane: ControlPlane;
  readonly namespace: TestNamespace;
  readonly connect: ConnectProcess;
  readonly proxy: ApiServerProxy;
  readonly recorder: Recorder;
  readonly client: BusyClient;
  readonly replicas: Replicas;
  readonly disturber: Disturber;
}

/** Carries a schedule out, waits until it is calm, and holds all that was recorded against the invariants. */
export async function runChaos({ schedule, duration, folder, bundle, log }: RunOptions): Promise<readonly Finding[]> {
  const controlPlane = await startControlPlane({ directory: join(folder, 'control-plane'), keep: true, log });
  const connect = await startConnectProcess(firstSeed());
  const errors: Violation[] = [];
  const pids = new Set([connect.pid]);
  const watchProcesses = (): void => controlPlane.processes().forEach(({ pid }) => pids.add(pid));
  let stage: Stage | undefined;
  try {
    stage = await setTheStage(controlPlane, connect, { folder, bundle, log });
    const { replicas, recorder, client, disturber, namespace } = stage;
    await client.plant(schedule.world);
    await untilCalm(stage, 120_000);
    const before = [...(await replicas.heaps()).values()].toSorted((a, b) => b.heapUsed - a.heapUsed)[0];
    log(`${recorder.secrets.size} Secrets and ${recorder.workloads.size} workloads are there; ${schedule.steps.length} steps follow`);

    const texts: Record<string, string> = {};
    const scraping = new AbortController();
    const kept = keepControllers(controlPlane, scraping.signal);
    const scraped = scrape(replicas, texts, scraping.signal);
    for (const round of roundsOf(schedule.steps, duration)) {
      await carryOut(round, stage, watchProcesses, errors, log);
      log('it is let alone');
      if (!(await becomesCalm(stage, log))) break;
      log('it is calm');
    }
    await recorder.caughtUp();
    const end = Date.now();
    scraping.abort();
    await Promise.all([scraped, kept]);
    await scrapeOnce(replicas, texts, 'at the end');
    const heaps: HeapCompared[] = [...(await replicas.heaps())].map(([name, after]) => ({ name, before: before ?? after, after }));
    const { hits } = disturber;
    const abandoned = (await Promise.all(replicas.running().map(({ pid }) => abandonedSockets(pid)))).flat();
    const history = historyOf(stage, disturber, end);
    for (const gap of recorder.gaps) log(`versions of ${gap.kind} from ${gap.from} to ${gap.to} may have been missed`);

    const requests = await connect.requests.log();
    watchProcesses();
    await replicas.stop();
    for (const pid of replicas.pids) pids.add(pid);
    const outputs = await replicas.outputs();
    const audits = await Promise.all(replicas.auditFiles.map((file) => readFile(file, 'utf8').catch(() => '')));
    const records = audits.flatMap((text) => auditRecords(withoutTornLine(text)));
    const canaries = await findCanaries(namespace, {
      ...texts,
      ...outputs,
      ...Object.fromEntries(audits.map((text, index) => [`audit ${index}`, text])),
    });
    log(
      `${replicas.count} processes; ${countRolls(history)} rolls for ${countChanges(history)} changes of values; ${records.length} audit records, ${requests.length} requests to Connect, ${hits} of them spoiled`,
    );
    for (const { name, before: then, after } of heaps)
      log(`heap of ${name}: ${megabytes(then.heapUsed)} before, ${megabytes(after.heapUsed)} after`);
    log(`all that is needed answered for ${(history.served.reduce((sum, { from, to }) => sum + to - from, 0) / 1_000).toFixed(0)} s`);
    log(`of that no Secret was missing or empty for longer than ${longestLack(history, end)} ms, warm-ups left out`);

    const ports = new Set([connect.url, controlPlane.url, stage.proxy.url].map((url) => Number(new URL(url).port)));
    await endStage(stage);
    const left = await leftOvers(pids, ports);
    return [
      found('the client could do all that it wanted', errors),
      found('there was something to see', nothingHappened(history, replicas, records.length)),
      found('a Secret equals its item', secretsEqualItems(history)),
      found('a Secret stays whole', secretsStay(history)),
      found('a Secret comes back', secretsComeBack(history, end)),
      found('no restart is lost', noRestartLost(history)),
      found('no restart is repeated, and no repair rolls anybody', noRestartRepeated(history)),
      found('no process ends by itself, but for the loss of its lease', nobodyCrashed(replicas.endings)),
      found('no value is told', noCanaries(canaries)),
      found('the audit is complete', auditIsComplete(requests, records, replicas.deaths())),
      found('the heap is back to where it was', heapIsBack(heaps)),
      found('nothing is left', nothingIsLeft(left.processes, [...abandoned, ...left.sockets])),
    ];
  } finally {
    if (stage === undefined) {
      await connect.stop();
      await controlPlane.stop();
    } else await endStage(stage);
  }
}

interface Staging extends Pick<RunOptions, 'folder' | 'bundle' | 'log'> {}

async function setTheStage(controlPlane: ControlPlane, connect: ConnectProcess, { folder, bundle, log }: Staging): Promise<Stage> {
  await installCrd(controlPlane);
  const user = await controlPlane.user(accountPath);
  const namespace = openNamespace(controlPlane.kubeconfig, world.namespace);
  await namespace.kube.request({ method: 'POST', path: collectionPath(namespaces), body: { metadata: { name: world.namespace } } });
  await grantOperatorRole(namespace);
  const accounts = { clusterWide: user, namespaced: user };
  const proxy = await startApiServerProxy({ controlPlane: { ...controlPlane, accounts } });
  // A client of its own: that of the busy client waits for connections when the API server is away.
  const watching = createKubeClient({ load: credentialsFrom(controlPlane.kubeconfig), clock: systemClock, userAgent: 'keyturn-chaos' });
  const recorder = await startRecorder(watching, world.namespace);
  const client = createBusyClient({ kube: namespace.kube, connect });
  const tokenFile = join(folder, 'token');
  const token = await connect.issueToken({ vaults: ['*'] });
  await writeToken(tokenFile, token);
  const file = bundle ?? (await bundleInto(folder));
  const replicas = await startReplicas({
    log,
    optionsOf: (place) => ({
      bundle: file,
      // One asks the API server itself, and so meets a port where nobody listens; the watches of the other one can be broken alone.
      kubeconfig: place === 'a' ? proxy.kubeconfig : user.kubeconfig,
      connect: connect.url,
      token: '',
      namespaces: [world.namespace],
      pollingInterval: 1,
      flags: [
        '--leader-elect',
        `--leader-elect-lease-duration=${lease.duration}ms`,
        `--leader-elect-renew-deadline=${lease.renew}ms`,
        `--leader-elect-retry-period=${lease.retry}ms`,
        '--restart-debounce=500ms',
        '--log-level=debug',
      ],
      env: { OP_CONNECT_TOKEN_FILE: tokenFile, POD_NAMESPACE: world.namespace, POD_NAME: `keyturn-${place}` },
      folder,
      inspectable: true,
    }),
  });
  const disturber = createDisturber({ controlPlane, connect, proxy, replicas, tokenFile, token, log });
  return { controlPlane, namespace, connect, proxy, recorder, client, replicas, disturber };
}

async function installCrd(controlPlane: ControlPlane): Promise<void> {
  const crd = await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8');
  for (const [args, input] of [
    [['apply', '--server-side', '-f', '-'], crd],
    [['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s'], ''],
  ] as const) {
    const { code, stderr } = await controlPlane.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
  }
}

function firstSeed(): Parameters<typeof startConnectProcess>[0] {
  const items = [...firstItems()].map(([title, data]) => ({
    title,
    fields: Object.entries(data).map(([label, value]) => ({ id: label, label, value })),
  }));
  return { vaults: [{ name: world.vault, items }] };
}

/** A part of a schedule. */
interface Round {
  readonly steps: readonly Scheduled[];
  readonly from: number;
  readonly to: number;
}

/** After each of them it has to become calm: a restart that is lost is not hidden by a later one. */
function roundsOf(steps: readonly Scheduled[], duration: number): readonly Round[] {
  return Array.from({ length: Math.ceil(duration / roundTime) }, (_, index) => {
    const [from, to] = [index * roundTime, Math.min((index + 1) * roundTime, duration)];
    return { from, to, steps: steps.filter(({ at }) => at >= from && at < to) };
  });
}

async function becomesCalm(stage: Stage, log: (line: string) => void): Promise<boolean> {
  try {
    await untilCalm(stage, calmDeadline);
    return true;
  } catch (error) {
    const why = error instanceof Error ? (error.cause ?? error) : error;
    log(`it does not become calm: ${why instanceof Error ? why.message : 'unknown'}`);
    return false;
  }
}

/** Begins each step at its time, and resolves when all are over. */
async function carryOut(
  { steps, from, to }: Round,
  { client, disturber }: Stage,
  beforeEach: () => void,
  errors: Violation[],
  log: (line: string) => void,
): Promise<void> {
  const began = performance.now();
  const under: Promise<void>[] = [];
  for (const step of steps) {
    await pause(Math.max(0, step.at - from - (performance.now() - began)));
    beforeEach();
    log(describeStep(step));
    const run = isDisturbance(step) ? disturber.disturb(step) : client.act(step, step.number);
    under.push(
      run.catch((error: unknown) => {
        errors.push({
          invariant: 'the client could do all that it wanted',
          object: describeStep(step),
          detail: error instanceof Error ? error.message : 'unknown',
          history: [],
        });
      }),
    );
  }
  await pause(Math.max(0, to - from - (performance.now() - began)));
  await Promise.all(under);
}

const disturbances: Readonly<Record<Disturbance['what'], true>> = {
  kill: true,
  stop: true,
  'kill-api-server': true,
  'pause-etcd': true,
  'break-watches': true,
  'refuse-connections': true,
  'refuse-requests': true,
  'connect-fault': true,
  'revoke-token': true,
};

function isDisturbance(step: Disturbance | ClientAct): step is Disturbance {
  return Object.hasOwn(disturbances, step.what);
}

/** Waits until both replicas are ready, all that has to be done has been done, and nobody writes any more. */
async function untilCalm(stage: Stage, deadlineMs: number): Promise<void> {
  const { replicas, recorder, disturber } = stage;
  await replicas.untilReady(deadlineMs);
  await waitFor(
    'everything to be level',
    async () => {
      if (Date.now() - recorder.lastChange() < quietTime) return undefined;
      await recorder.caughtUp();
      const history = historyOf(stage, disturber, Date.now());
      const open = [...secretsEqualItems(history), ...noRestartLost(history)];
      if (open.length > 0) throw new Error(open.map(({ object, detail }) => `${object}: ${detail}`).join('; '));
      return true;
    },
    { deadlineMs, intervalMs: 500 },
  );
}

function historyOf({ recorder, client, replicas }: Stage, { outages }: Disturber, end: number): History {
  return {
    secrets: recorder.secrets,
    resources: recorder.resources,
    workloads: recorder.workloads,
    pods: recorder.pods(),
    gaps: recorder.gaps,
    items: client.items,
    interventions: client.interventions,
    served: servedParts(replicas.leading(), outages, end),
  };
}

function servedParts(leading: readonly Interval[], outages: readonly Interval[], end: number): readonly Interval[] {
  const disturbed = merge(outages);
  return merge(leading).flatMap(({ from, to }) => subtract({ from, to: Math.min(to, end) }, disturbed));
}

async function scrape(replicas: Replicas, texts: Record<string, string>, signal: AbortSignal): Promise<void> {
  for (let round = 1; !signal.aborted; round += 1) {
    await scrapeOnce(replicas, texts, `scrape ${round}`);
    await pause(scrapePause, undefined, { signal }).catch(() => {});
  }
}

/** Starts again what a kubelet would: the scheduler ends itself when a watch has kept from it that a pod was replaced by another of its name. */
async function keepControllers(controlPlane: ControlPlane, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const running = new Set(controlPlane.processes().map(({ role }) => role));
    for (const role of ['scheduler', 'controller-manager', 'pods'] as const) {
      // The next look tries again.
      if (!running.has(role)) await controlPlane.restart(role).catch(() => {});
    }
    await pause(500, undefined, { signal }).catch(() => {});
  }
}

async function scrapeOnce(replicas: Replicas, texts: Record<string, string>, name: string): Promise<void> {
  for (const operator of replicas.running()) {
    // One that is stopped, or dead by now, has nothing to say.
    const text = await Promise.race([operator.metrics().catch(() => ''), pause(2_000, '')]);
    texts[`${name} of metrics of ${operator.pid}`] = text;
  }
}

/** A process that is killed leaves half a line at most, at the end. */
function withoutTornLine(text: string): string {
  return text.slice(0, text.lastIndexOf('\n') + 1);
}

function nothingHappened(history: History, replicas: Replicas, records: number): readonly Violation[] {
  const counts = {
    'rolls of workloads': countRolls(history),
    'changes of values': countChanges(history),
    'audit records': records,
    'processes beyond the first two': replicas.count - 2,
    'time in which all answered': history.served.length,
  };
  return Object.entries(counts)
    .filter(([, count]) => count <= 0)
    .map(([object]) => ({ invariant: 'there was something to see', object, detail: 'none', history: [] }));
}

const ended = new WeakSet<Stage>();

async function endStage(stage: Stage): Promise<void> {
  if (ended.has(stage)) return;
  ended.add(stage);
  const { replicas, recorder, connect, proxy, namespace, controlPlane } = stage;
  await replicas.stop();
  await recorder.close();
  await connect.stop();
  await proxy.close();
  await namespace.kube.close();
  await controlPlane.stop();
}

async function leftOvers(
  pids: ReadonlySet<number>,
  ports: ReadonlySet<number>,
): Promise<{ processes: readonly string[]; sockets: readonly string[] }> {
  const look = async () => ({
    processes: [...pids].filter((pid) => isAlive(pid)).map((pid) => `process ${pid}`),
    sockets: await socketsAt(ports),
  });
  // What has just been closed is on its way out.
  return waitFor(
    'everything to be gone',
    async () => {
      const left = await look();
      return left.processes.length + left.sockets.length === 0 ? left : undefined;
    },
    { deadlineMs: 10_000 },
  ).catch(look);
}

function found(invariant: string, violations: readonly Violation[]): Finding {
  return { invariant, violations };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
