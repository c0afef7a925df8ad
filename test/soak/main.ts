/**
 * `make soak` changes items at full speed, 100,000 times over 1,000 resources unless told otherwise, and looks whether the operator's heap, handles,
 * descriptors and sockets stay as they are: the production bundle as a process of its own, on a real control plane with simulated pods, the dev
 * Connect server as another process. Exit code 1 when something grows beyond its bound.
 */
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { annotations, group, kind, version } from '../../src/api/names.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, deployments, namespaces } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSemaphore } from '../../src/runtime/semaphore.ts';
import { type ControlPlane, startControlPlane } from '../../dev/control-plane/start.ts';
import { waitFor } from '../../dev/control-plane/wait.ts';
import { ROOT } from '../../dev/tools/command.ts';
import { sinkFor, startProgress } from '../../dev/tools/progress.ts';
import { makeDefinition, untilAllReady } from '../../dev/tools/resources.ts';
import { type BundledOperator, bundleInto, startBundledOperator } from '../support/bundled-operator.ts';
import { type ConnectProcess, startConnectProcess } from '../support/connect-process.ts';
import { openFilesOf } from '../support/open-files.ts';
import { memoryOf } from '../support/process-usage.ts';
import { parseFlags } from './flags.ts';
import { type Rotations, type SoakItem, startRotations } from './rotations.ts';
import { formatTrend, isWithin, type Sample, trendsOf } from './trends.ts';

const namespace = 'soak';
const vault = 'v'.repeat(26);
/** Deployments that consume the first Secrets, and are rolled as often as their rollouts end. */
const consumers = 5;
/** Between two samples; in the full form there are fewer. */
const leastBetween = 400;
const mostSamples = 50;
/** Without a rotation for so long, in milliseconds, nothing will come any more. */
const standstill = 120_000;
const lookInterval = 200;

/** What a run leaves behind. */
interface Outcome {
  readonly samples: readonly Sample[];
  readonly checks: readonly Check[];
}

interface Check {
  readonly what: string;
  readonly problem: string | undefined;
}

function itemsOf(count: number): readonly SoakItem[] {
  return Array.from({ length: count }, (_, index) => ({ id: `item${index}`.padEnd(26, 'x'), name: `item-${index}` }));
}

async function plant(kube: KubeClient, items: readonly SoakItem[]): Promise<void> {
  await kube.request({ method: 'POST', path: collectionPath(namespaces), body: { metadata: { name: namespace } } });
  const bounded = createSemaphore(24);
  const resources = items.map(({ id, name }) =>
    bounded(() =>
      kube.request({
        method: 'POST',
        path: collectionPath(onePasswordItems, namespace),
        body: { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec: { itemPath: `vaults/${vault}/items/${id}` } },
      }),
    ),
  );
  await Promise.all([...resources, ...items.slice(0, consumers).map(({ name }) => plantConsumer(kube, name))]);
}

async function plantConsumer(kube: KubeClient, name: string): Promise<void> {
  const labels = { app: name };
  const containers = [{ name: 'main', image: 'example.com/web', envFrom: [{ secretRef: { name } }] }];
  await kube.request({
    method: 'POST',
    path: collectionPath(deployments, namespace),
    body: {
      metadata: { name, annotations: { [annotations.autoRestart]: 'true' } },
      spec: {
        replicas: 1,
        revisionHistoryLimit: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers } },
      },
    },
  });
}

async function sampleOf(rotations: number, operator: BundledOperator, controlPlane: ControlPlane): Promise<Sample> {
  await untilIdle(operator);
  const { heapUsed, external, handles } = await operator.heap();
  const files = await openFilesOf(operator.pid);
  const { rss } = await operator.memory();
  const memories = await Promise.all(controlPlane.processes().map(({ pid }) => memoryOf(pid)));
  return {
    rotations,
    heap: heapUsed,
    external,
    handles,
    rss,
    ...files,
    controlPlaneRss: memories.reduce((sum, memory) => sum + memory.rss, 0),
    // What is written ahead of it is kept in files of one size, five at most.
    database: (await stat(join(controlPlane.directory, 'etcd/member/snap/db'))).size,
  };
}

/** A Secret may have followed while its status is still on its way. */
async function untilIdle(operator: BundledOperator): Promise<void> {
  const isIdle = async (): Promise<true | undefined> =>
    metricOf(await operator.metrics(), 'controller_runtime_active_workers{') === 0 ? true : undefined;
  await waitFor('the operator to have nothing to do', isIdle, { deadlineMs: standstill, intervalMs: 50 });
}

/** What came of a run that does not come to its end stands in its output. */
function tell(sample: Sample): Sample {
  const { rotations, heap, handles, descriptors, sockets } = sample;
  console.log(
    `after ${rotations} rotations: heap ${(heap / 1e6).toFixed(2)} MB, ${handles} handles, ${descriptors} descriptors, ${sockets} sockets`,
  );
  return sample;
}

/** Samples until all rotations are done. @throws Error when none comes any more */
async function follow(
  rotations: Rotations,
  total: number,
  { connect, sample }: { readonly connect: ConnectProcess; readonly sample: (done: number) => Promise<Sample> },
): Promise<readonly Sample[]> {
  const progress = startProgress('rotations', sinkFor(process.stdout, console.log));
  const samples: Sample[] = [];
  const every = Math.max(leastBetween, total / mostSamples);
  let seen = { done: 0, at: performance.now() };
  try {
    while (rotations.done < total) {
      await sleep(lookInterval);
      const { done } = rotations;
      progress.update(done, total);
      if (done > seen.done) seen = { done, at: performance.now() };
      if (performance.now() - seen.at > standstill)
        throw new Error(
          `no rotation for ${standstill / 1000} s; these Secrets do not follow: ${rotations.outstanding.slice(0, 5).join(', ')}`,
        );
      if (done < every * (samples.length + 1)) continue;
      // What is under way would count as open.
      await rotations.pause(standstill);
      samples.push(tell(await sample(rotations.done)));
      // It remembers every request.
      await connect.requests.reset();
      rotations.resume();
    }
    return [...samples, tell(await sample(rotations.done))];
  } finally {
    progress.end();
  }
}

/** A sample of a scrape: its value, summed over the series whose name and labels begin with `name`. */
function metricOf(scrape: string, name: string): number {
  const lines = scrape.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

function counted(what: string, is: boolean, found: string): Check {
  return { what: `${what}: ${found}`, problem: is ? undefined : what };
}

const restartsOfDeployments = 'keyturn_restarts_total{kind="Deployment",result="restarted"';

/** Consumers are rolled some time after a change, which a short run does not take. That none is rolled at all is for the check to say. */
async function untilRolled(operator: BundledOperator): Promise<void> {
  const isRolled = async (): Promise<true | undefined> =>
    metricOf(await operator.metrics(), restartsOfDeployments) > 0 ? true : undefined;
  await waitFor('a consumer to be rolled', isRolled, { deadlineMs: 30_000, intervalMs: lookInterval }).catch(() => {});
}

async function finalChecks(total: number, done: number, operator: BundledOperator): Promise<readonly Check[]> {
  await untilRolled(operator);
  const scrape = await operator.metrics();
  const updated = metricOf(scrape, 'keyturn_secret_writes_total{result="updated"');
  const restarts = metricOf(scrape, restartsOfDeployments);
  const lines = (await readFile(operator.outputFile, 'utf8')).split('\n');
  const errors = lines.filter((line) => line.includes('"level":"error"'));
  return [
    counted('every change of an item reached its Secret', done === total, `${done} of ${total}`),
    counted('each by one write', updated === total, `keyturn_secret_writes_total counts ${updated}`),
    counted('consumers were rolled meanwhile', restarts > 0, `${restarts} restarts`),
    counted('the log has no error', errors.length === 0, errors[0]?.slice(0, 300) ?? 'none'),
  ];
}

async function run(folder: string, { rotations: total, resources }: ReturnType<typeof parseFlags>): Promise<Outcome> {
  const items = itemsOf(resources);
  const bundle = await bundleInto(folder);
  const controlPlane = await startControlPlane({ directory: join(folder, 'control-plane'), log: console.log });
  const kube = createKubeClient({ load: credentialsFrom(controlPlane.kubeconfig), clock: systemClock, userAgent: 'keyturn-soak' });
  const connect = await startConnectProcess({
    vaults: [
      {
        id: vault,
        name: 'Soak',
        items: items.map(({ id, name }) => ({
          id,
          title: name,
          fields: [
            { label: 'password', value: 'rotation-0' },
            { label: 'user', value: name },
          ],
        })),
      },
    ],
  });
  let operator: BundledOperator | undefined;
  try {
    await makeDefinition(kube);
    await plant(kube, items);
    operator = await startBundledOperator({
      bundle,
      kubeconfig: controlPlane.kubeconfig,
      connect: connect.url,
      token: connect.token,
      pollingInterval: 1,
      // The audit log is put aside now and then, so that this is seen to leave nothing open.
      flags: ['--audit-log-maxsize=4', '--audit-log-maxbackup=1'],
      folder,
      name: 'operator',
      inspectable: true,
    });
    await untilAllReady(kube, namespace, resources);
    return await rotate(total, { kube, connect, items, operator, controlPlane });
  } finally {
    await operator?.stop();
    await connect.stop();
    await kube.close();
    await controlPlane.stop();
  }
}

interface Running {
  readonly kube: KubeClient;
  readonly connect: ConnectProcess;
  readonly items: readonly SoakItem[];
  readonly operator: BundledOperator;
  readonly controlPlane: ControlPlane;
}

async function rotate(total: number, { kube, connect, items, operator, controlPlane }: Running): Promise<Outcome> {
  const began = performance.now();
  const rotations = startRotations({ kube, connect, namespace, vault, items, total });
  try {
    const samples = await follow(rotations, total, { connect, sample: (done) => sampleOf(done, operator, controlPlane) });
    const seconds = (performance.now() - began) / 1_000;
    console.log(`${rotations.done} rotations in ${seconds.toFixed(0)} s: ${(rotations.done / seconds).toFixed(0)} in a second`);
    return { samples, checks: await finalChecks(total, rotations.done, operator) };
  } finally {
    await rotations.end();
  }
}

async function main(): Promise<void> {
  if (process.platform !== 'linux') throw new Error('descriptors are read from /proc: run this on Linux');
  const flags = parseFlags(process.argv.slice(2));
  // What was started ends with this process, but not by a signal that ends it at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  // Not where runs of tests are: they remove the folders of processes that are gone.
  const runs = resolve(ROOT, '.cache/soak');
  await mkdir(runs, { recursive: true });
  const folder = await mkdtemp(join(runs, `${process.pid}-`));
  let holds = false;
  try {
    holds = judge(await run(folder, flags));
  } finally {
    if (holds) await rm(folder, { recursive: true, force: true });
    else console.log(`the logs are in ${folder}`);
  }
  if (!holds) process.exitCode = 1;
}

/** Prints what came of a run. @returns false when something of it failed */
function judge({ samples, checks }: Outcome): boolean {
  const trends = trendsOf(samples);
  for (const trend of trends) console.log(formatTrend(trend));
  for (const { what, problem } of checks) console.log(`${problem === undefined ? 'ok  ' : 'FAIL'} ${what}`);
  const judged = trends.filter(({ bound }) => bound !== undefined);
  const failed = judged.filter((trend) => !isWithin(trend)).length + checks.filter(({ problem }) => problem !== undefined).length;
  console.log(`${judged.length + checks.length - failed} passed, ${failed} failed`);
  return failed === 0;
}

await main();
