/**
 * `npm run footprint` measures the operator's memory and start in a cluster with 1,000 resources and 10,000 Secrets of others: the bundle as a
 * process of its own, on a real control plane, with the dev Connect server as another one. Exit code 1 when an aim is missed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { group, kind, version } from '../../src/api/names.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, namespaces, secrets } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSemaphore } from '../../src/runtime/semaphore.ts';
import { waitFor } from '../control-plane/wait.ts';
import { startControlPlane } from '../control-plane/start.ts';
import { bundle } from './bundle.ts';
import { ROOT } from './command.ts';
import { makeDefinition, untilAllReady } from './resources.ts';
import { startFlags } from './start-flags.ts';

const resources = 1_000;
const foreignSecrets = 10_000;
const foreignBytes = 8 * 1024;
/** Of a value of an item. */
const valueBytes = 64;
/** RSS in MB (10^6 bytes), and milliseconds from the start of the process. */
const aims = { rss: 130, start: 1_000 };
/** How long it is let alone after all is in sync, in milliseconds. */
const quiet = 60_000;
/** The same for what is no aim. */
const settling = 10_000;
const starts = 5;
const namespace = 'footprint';

const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A process of ours that ends with us. */
function startProcess(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

interface Started {
  readonly child: ChildProcess;
  /** From the spawn to the line `reconciling`, in milliseconds. */
  readonly time: number;
  /** How long it had a processor until then, in milliseconds. */
  readonly cpu: number;
}

/** Starts the bundle as the image does; resolves once it reconciles. */
async function startOperator(file: string, env: Readonly<Record<string, string>>): Promise<Started> {
  const began = performance.now();
  const child = startProcess(
    [...startFlags, file, '--health-probe-bind-address=127.0.0.1:0', '--metrics-bind-address=127.0.0.1:0', '--audit-log-path=/dev/null'],
    env,
  );
  const { promise, resolve: found, reject } = Promise.withResolvers<Started>();
  child.once('exit', (code) => reject(new Error(`the operator ended with ${String(code)}`)));
  createInterface({ input: child.stdout ?? process.stdin }).on('line', (line) => {
    if (line.includes('"reconciling"')) found({ child, time: performance.now() - began, cpu: cpuOf(child) });
  });
  return await promise;
}

/** In milliseconds; the kernel counts in hundredths of a second (proc(5), fields 14 and 15 after the name). */
function cpuOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Of a process, in MB. `anonymous` is what it wrote itself; the rest of `rss` is pages of files, the program of Node above all. */
interface Memory {
  readonly rss: number;
  readonly anonymous: number;
  readonly peak: number;
}

async function memoryOf({ pid }: ChildProcess): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string): number => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6;
  return { rss: megabytes('VmRSS'), anonymous: megabytes('RssAnon'), peak: megabytes('VmHWM') };
}

function tell(state: string, { rss, anonymous, peak }: Memory): void {
  console.log(`${state}: RSS ${rss.toFixed(0)} MB, of which its own ${anonymous.toFixed(0)} MB; peak ${peak.toFixed(0)} MB`);
}

/** Tells the memory of a process after it had time to settle, and ends it. */
async function measure(state: string, child: ChildProcess): Promise<void> {
  await sleep(settling);
  tell(state, await memoryOf(child));
  await stop(child);
}

async function create(kube: KubeClient, count: number, path: string, body: (index: number) => object): Promise<void> {
  const bounded = createSemaphore(24);
  await Promise.all(Array.from({ length: count }, (_, index) => bounded(() => kube.request({ method: 'POST', path, body: body(index) }))));
}

async function plantForeignSecrets(kube: KubeClient): Promise<void> {
  const data = { blob: Buffer.alloc(foreignBytes, 'x').toString('base64') };
  await create(kube, foreignSecrets, collectionPath(secrets, namespace), (index) => ({ metadata: { name: `foreign-${index}` }, data }));
}

async function plantResources(kube: KubeClient): Promise<void> {
  await create(kube, resources, collectionPath(onePasswordItems, namespace), (index) => ({
    apiVersion: `${group}/${version}`,
    kind,
    metadata: { name: `item-${index}` },
    spec: { itemPath: `vaults/Prod/items/item ${index}` },
  }));
}

/** A seed in JSON, which is YAML. */
function seed(): string {
  const items = Array.from({ length: resources }, (_, index) => ({
    title: `item ${index}`,
    fields: [
      { label: 'username', value: `user ${index}` },
      { label: 'password', value: `${index}`.padEnd(valueBytes, '.') },
    ],
  }));
  return JSON.stringify({ vaults: [{ name: 'Prod', items }] });
}

async function main(): Promise<void> {
  if (process.platform !== 'linux') throw new Error('memory is read from /proc: run this on Linux');
  await mkdir(resolve(ROOT, '.cache/run'), { recursive: true });
  const folder = await mkdtemp(resolve(ROOT, '.cache/run', `${process.pid}-`));
  const file = join(folder, 'keyturn.mjs');
  const seedFile = join(folder, 'seed.yaml');
  const readyFile = join(folder, 'connect.json');
  await bundle(file);
  await writeFile(seedFile, seed());
  const controlPlane = await startControlPlane({ directory: join(folder, 'control-plane'), simulatePods: false, log: console.log });
  const kube = createKubeClient({ load: credentialsFrom(controlPlane.kubeconfig), clock: systemClock, userAgent: 'keyturn-footprint' });
  const connectServer = startProcess(['dev/connect-server/main.ts', '--port=0', `--seed=${seedFile}`, `--ready-file=${readyFile}`], {});
  connectServer.stdout?.resume();
  try {
    const { url, token } = await waitFor('Connect', async () => JSON.parse(await readFile(readyFile, 'utf8')) as Connect, {
      deadlineMs: 30_000,
    });
    await makeDefinition(kube);
    await kube.request({ method: 'POST', path: collectionPath(namespaces), body: { metadata: { name: namespace } } });
    const env = { KUBECONFIG: controlPlane.kubeconfig, OP_CONNECT_HOST: url, OP_CONNECT_TOKEN: token, POLLING_INTERVAL: '10' };
    await measure('Node alone', startProcess([...startFlags, '-e', 'setInterval(() => {}, 60_000)'], {}));
    await measure('the operator in an empty cluster', (await startOperator(file, env)).child);
    console.log(`making ${foreignSecrets} Secrets of ${foreignBytes / 1024} KiB and ${resources} resources`);
    await plantForeignSecrets(kube);
    await measure('among the Secrets of others', (await startOperator(file, env)).child);
    await plantResources(kube);
    const first = await startOperator(file, env);
    await untilAllReady(kube, namespace, resources);
    tell('when it has just made all Secrets', await memoryOf(first.child));
    await sleep(quiet);
    const settled = await memoryOf(first.child);
    tell('a quiet minute later', settled);
    await stop(first.child);
    await measure('after a restart, with nothing to do', (await startOperator(file, env)).child);

    const started: Started[] = [];
    for (let start = 0; start < starts; start += 1) {
      const one = await startOperator(file, env);
      started.push(one);
      await stop(one.child);
    }
    const [fastest, , median] = started.toSorted((a, b) => a.time - b.time);
    report(
      'memory',
      settled.rss < aims.rss,
      `RSS ${settled.rss.toFixed(0)} MB a quiet minute after all Secrets were made, peak ${settled.peak.toFixed(0)} MB`,
      `${aims.rss} MB`,
    );
    if (fastest === undefined || median === undefined) return;
    // Whatever else the machine does can only add to it.
    report(
      'start',
      fastest.time < aims.start,
      `${fastest.time.toFixed(0)} ms to the first reconcile, ${fastest.cpu.toFixed(0)} ms of them on a processor (fastest of ${starts}; median ${median.time.toFixed(0)} ms)`,
      `${aims.start} ms`,
    );
  } finally {
    await stop(connectServer);
    await kube.close();
    await controlPlane.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Connect {
  readonly url: string;
  readonly token: string;
}

function report(what: string, met: boolean, figure: string, aim: string): void {
  console.log(`${met ? 'ok  ' : 'FAIL'} ${what}: ${figure}; the aim is less than ${aim}`);
  if (!met) process.exitCode = 1;
}

await main();
