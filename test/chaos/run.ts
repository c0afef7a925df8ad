import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isAlive } from '../../dev/control-plane/alive.ts';
import { type ControlPlane, startControlPlane } from '../../dev/control-plane/start.ts';
import { waitFor } from '../../dev/control-plane/wait.ts';
import { makeDefinition } from '../../dev/tools/resources.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { collectionPath, namespaces } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { auditRecords } from '../support/audit.ts';
import { bundleInto, type CollectedHeap } from '../support/bundled-operator.ts';
import { findCanaries } from '../support/canary.ts';
import { openNamespace, type TestNamespace } from '../support/cluster.ts';
import { type ConnectProcess, startConnectProcess } from '../support/connect-process.ts';
import { openFilesOf } from '../support/open-files.ts';
import { grantOperatorRole } from '../support/roles.ts';
import { auditIsComplete, versionsAreOnRecord } from './audit-invariant.ts';
import { type BusyClient, createBusyClient, firstItems } from './client.ts';
import { createDisturber, type Disturber, writeToken } from './disturber.ts';
import type { Gap, History, Interval } from './history.ts';
import { merge, subtract } from './intervals.ts';
import { heapIsBack, type HeapCompared, noCanaries, nobodyCrashed, nothingIsLeft } from './process-invariants.ts';
import { nobodyWritesTooLate, type SentWrite } from './leader-invariant.ts';
import { type Recorder, startRecorder } from './recorder.ts';
import { type Place, type Replicas, startReplicas } from './replicas.ts';
import { countChanges, countRolls, noRestartLost, noRestartRepeated } from './restart-invariants.ts';
import { type ClientAct, describeStep, type Disturbance, period, roundTime, type Schedule, type Scheduled } from './schedule.ts';
import { longestLack, secretsComeBack, secretsEqualItems, secretsStay, servedTime } from './secret-invariants.ts';
import { socketsAt } from './sockets.ts';
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
  readonly proxies: Readonly<Record<Place, ApiServerProxy>>;
  readonly recorder: Recorder;
  readonly client: BusyClient;
  readonly replicas: Replicas;
  readonly disturber: Disturber;
}

/** Carries a schedule out, waits until it is calm, and holds all that was recorded against the invariants. */
export async function runChaos(options: RunOptions): Promise<readonly Finding[]> {
  await using end = new AsyncDisposableStack();
  const { schedule, duration, log } = options;
  const stage = await setTheStage(options, end);
  const { controlPlane, namespace, connect, proxies, recorder, client, replicas, disturber } = stage;
  const pids = new Set([connect.pid]);
  const watchProcesses = (): void => controlPlane.processes().forEach(({ pid }) => pids.add(pid));
  await client.plant(schedule.world);
  await untilCalm(stage, 120_000);
  log(`${recorder.secrets.size} Secrets and ${recorder.workloads.size} workloads are there; ${schedule.steps.length} steps follow`);

  const texts: Record<string, string> = {};
  const errors: Violation[] = [];
  const restless: Violation[] = [];
  const heaps: HeapCompared[] = [];
  const late: Violation[] = [];
  const endLoops = beginLoops(stage, texts);
  end.defer(endLoops);
  for (const round of roundsOf(schedule.steps, duration)) {
    const before = heapsBesideConnect(round, replicas);
    await carryOut(round, stage, watchProcesses, errors, log);
    log('it is let alone');
    const reason = await restlessness(stage);
    late.push(...nobodyWritesTooLate(replicas.leaders(), takeWrites(proxies)));
    log(reason ?? 'it is calm');
    if (reason !== undefined) {
      restless.push({ object: `after ${round.to / 1_000} s`, detail: reason });
      break;
    }
    heaps.push(...compared(await before, await replicas.heaps()));
  }
  await recorder.caughtUp();
  const over = Date.now();
  await endLoops();
  await scrapeOnce(replicas, texts, 'at the end');
  const abandoned = await abandonedSockets(replicas);
  const history = historyOf(stage, disturber, over);

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
    `${replicas.count} processes; ${countRolls(history)} rolls for ${countChanges(history)} changes of values; ${records.length} audit records, ${requests.length} requests to Connect`,
  );
  log(`effects: ${[...disturber.effects].map(([what, count]) => `${what} ${count}`).join(', ')}`);
  for (const { name, before, after } of heaps)
    log(`heap of ${name}: ${megabytes(before.heapUsed)} before, ${megabytes(after.heapUsed)} after`);
  const whole = { from: 0, to: over };
  log(
    `all that is needed answered for ${seconds(servedTime(history.served, whole, 0))}, of which ${seconds(servedTime(history.served, whole))} count`,
  );
  log(
    `of that no Secret was missing or empty for longer than ${longestLack(history, over, 0)} ms, and ${longestLack(history, over)} ms count`,
  );

  const servers = [connect, controlPlane, ...Object.values(proxies)];
  const ports = new Set(servers.map(({ url }) => Number(new URL(url).port)));
  await end.disposeAsync();
  const left = await leftOvers(pids, ports);
  return [
    found('the client could do all that it wanted', errors),
    found('there was something to see', nothingHappened(options, stage, { history, records: records.length, heaps: heaps.length })),
    found('the watcher missed nothing', recorder.gaps.map(violationOfGap)),
    found('it becomes calm after each minute', restless),
    found('a Secret equals its item', secretsEqualItems(history)),
    found('a Secret stays whole', secretsStay(history)),
    found('a Secret comes back', secretsComeBack(history, over)),
    found('nobody writes when another one leads', late),
    found('no restart is lost', noRestartLost(history)),
    found('no restart is repeated, and no repair rolls anybody', noRestartRepeated(history)),
    found('no process ends by itself, but for the loss of its lease', nobodyCrashed(replicas.endings)),
    found('no value is told', noCanaries([...recorder.told, ...canaries])),
    found('the audit is complete', [
      ...auditIsComplete(requests, records, replicas.deaths()),
      ...versionsAreOnRecord(recorder.secrets, records),
    ]),
    found('the heap is back to where it was', heapIsBack(heaps)),
    found('nothing is left', nothingIsLeft(left.processes, [...abandoned, ...left.sockets])),
  ];
}

/** @param end takes what ends all that was started, also when the rest cannot be */
async function setTheStage({ folder, bundle, log }: RunOptions, end: AsyncDisposableStack): Promise<Stage> {
  const controlPlane = await startControlPlane({ directory: join(folder, 'control-plane'), keep: true, log });
  end.defer(() => controlPlane.stop());
  const connect = await startConnectProcess(firstSeed());
  end.defer(() => connect.stop());
  const user = await controlPlane.user(accountPath);
  const namespace = openNamespace(controlPlane.kubeconfig, world.namespace);
  end.defer(() => namespace.kube.close());
  await makeDefinition(namespace.kube);
  await namespace.kube.request({ method: 'POST', path: collectionPath(namespaces), body: { metadata: { name: world.namespace } } });
  await grantOperatorRole(namespace);
  const proxied = { controlPlane: { ...controlPlane, accounts: { clusterWide: user, namespaced: user } } };
  const proxies = { a: await startApiServerProxy(proxied), b: await startApiServerProxy(proxied) };
  for (const proxy of Object.values(proxies)) end.defer(() => proxy.close());
  // A client of its own: that of the busy client waits for connections when the API server is away.
  const watching = createKubeClient({ load: credentialsFrom(controlPlane.kubeconfig), clock: systemClock, userAgent: 'keyturn-chaos' });
  end.defer(() => watching.close());
  const recorder = await startRecorder(watching, world.namespace);
  end.defer(() => recorder.close());
  const client = createBusyClient({ kube: namespace.kube, connect });
  const tokenFile = join(folder, 'token');
  const token = await connect.issueToken({ vaults: ['*'] });
  await writeToken(tokenFile, token);
  const file = bundle ?? (await bundleInto(folder));
  const replicas = await startReplicas({
    log,
    optionsOf: (place) => ({
      bundle: file,
      kubeconfig: proxies[place].kubeconfig,
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
  end.defer(() => replicas.stop());
  const disturber = createDisturber({ controlPlane, connect, proxies, replicas, tokenFile, token, log });
  return { controlPlane, namespace, connect, proxies, recorder, client, replicas, disturber };
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

/** What the replicas have written since the last time. */
function takeWrites(proxies: Stage['proxies']): readonly SentWrite[] {
  return (['a', 'b'] as const).flatMap((place) => {
    const { requests } = proxies[place];
    const writes = requests.writes().map((write) => ({ ...write, place }));
    requests.reset();
    return writes;
  });
}

/** Why it does not become calm; undefined when it does. */
async function restlessness(stage: Stage): Promise<string | undefined> {
  try {
    await untilCalm(stage, calmDeadline);
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? (error.cause ?? error) : error;
    return `it does not become calm: ${why instanceof Error ? why.message : 'unknown'}`;
  }
}

/** Memory where nobody is killed any more before it is calm. */
async function heapsBesideConnect({ from, to }: Round, replicas: Replicas): Promise<ReadonlyMap<string, CollectedHeap>> {
  if (to - from <= period.all) return new Map();
  await pause(period.all);
  return replicas.heaps();
}

/** Of the processes that were there at both times. */
function compared(before: ReadonlyMap<string, CollectedHeap>, after: ReadonlyMap<string, CollectedHeap>): readonly HeapCompared[] {
  return [...after].flatMap(([name, heap]) => {
    const then = before.get(name);
    return then === undefined ? [] : [{ name, before: then, after: heap }];
  });
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
        errors.push({ object: describeStep(step), detail: error instanceof Error ? error.message : 'unknown' });
      }),
    );
  }
  await pause(Math.max(0, to - from - (performance.now() - began)));
  await Promise.all(under);
}

/** What shows that a disturbance disturbed anything. */
const effectOf: Readonly<Record<Disturbance['what'], string>> = {
  kill: 'replicas killed',
  stop: 'takeovers from a leader that was stopped',
  'kill-api-server': 'API servers killed',
  'pause-etcd': 'pauses of etcd',
  'break-watches': 'watches broken',
  'refuse-connections': 'connections refused',
  'refuse-requests': 'requests refused',
  'connect-fault': 'answers of Connect spoiled',
  'revoke-token': 'tokens revoked',
};

function isDisturbance(step: Disturbance | ClientAct): step is Disturbance {
  return Object.hasOwn(effectOf, step.what);
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
    items: client.items,
    interventions: client.interventions,
    served: servedParts(replicas.leading(), outages, end),
  };
}

function servedParts(leading: readonly Interval[], outages: readonly Interval[], end: number): readonly Interval[] {
  const disturbed = merge(outages);
  return merge(leading).flatMap(({ from, to }) => subtract({ from, to: Math.min(to, end) }, disturbed));
}

/** Scrapes, and keeps the controllers running. @returns what ends both */
function beginLoops({ controlPlane, replicas }: Stage, texts: Record<string, string>): () => Promise<void> {
  const stop = new AbortController();
  const loops = Promise.all([keepControllers(controlPlane, stop.signal), scrape(replicas, texts, stop.signal)]);
  return async () => {
    stop.abort();
    await loops;
  };
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

interface Seen {
  readonly history: History;
  readonly records: number;
  readonly heaps: number;
}

/** Each kind of disturbance had an effect, in a run that has all of them. */
function nothingHappened(
  { schedule, duration }: RunOptions,
  { replicas, disturber }: Stage,
  { history, records, heaps }: Seen,
): readonly Violation[] {
  const scheduled = new Set<string>(schedule.steps.map(({ what }) => what));
  const kinds = Object.entries(effectOf).filter(([what]) => scheduled.has(what));
  const counts = {
    'rolls of workloads': countRolls(history),
    'changes of values': countChanges(history),
    'audit records': records,
    'processes beyond the first two': replicas.count - 2,
    'time in which all answered': history.served.length,
    ...(duration >= roundTime && {
      'processes whose memory was compared': heaps,
      ...Object.fromEntries(kinds.map(([what, effect]) => [effect, disturber.effects.get(what) ?? 0])),
    }),
  };
  return Object.entries(counts)
    .filter(([, count]) => count <= 0)
    .map(([object]) => ({ object, detail: 'none' }));
}

function violationOfGap({ kind, from, to }: Gap): Violation {
  return { object: kind, detail: `versions from ${from} to ${to} may have been missed` };
}

/** Connections of replicas that the other side has closed, and nobody has noticed. */
async function abandonedSockets(replicas: Replicas): Promise<readonly string[]> {
  const open = replicas.running().map(async ({ pid }) => ({ pid, ...(await openFilesOf(pid)) }));
  return (await Promise.all(open)).flatMap(({ pid, halfClosed }) =>
    halfClosed === 0 ? [] : [`${halfClosed} half-closed sockets of ${pid}`],
  );
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

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(0)} s`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
