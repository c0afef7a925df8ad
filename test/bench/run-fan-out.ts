import { waitFor } from '../../dev/control-plane/wait.ts';
import { annotations, group, kind, version } from '../../src/api/names.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, deployments, secrets, type WireMeta } from '../../src/kube/resource.ts';
import { between, type RequestCounts } from './api-counts.ts';
import { openBareLoop } from './bare-loop.ts';
import type { Run } from './bench.ts';
import { median } from './result.ts';
import { type Asked, sameRequests } from './same-requests.ts';
import type { RunningSubject, Subject } from './subject.ts';
import { type Eye, openEye, type Watched } from './watches.ts';
import { sharedItem, usualLatency, valueAt, type World } from './world.ts';

/** How long one fan-out may take at the most, in milliseconds. */
const deadline = 300_000;
/**
 * Every so many Deployments have a pod, which is replaced. A pod costs the control plane a fifth of a second of processor time; with one for each,
 * both sides would wait for that, and nothing could be seen of the operator.
 */
const everyWithPod = 25;

/** One item, many Deployments that consume it, and no budget: ours against as many patches of the bare loop. */
export const runFanOut: Run = async (bench) => {
  const { world, subjects, log } = bench;
  const { fanOuts } = world.form;
  const [ours] = subjects;
  if (ours === undefined) return {};
  await world.delayConnect(usualLatency);
  const own: FanOut[] = [];
  const loops: FanOut[] = [];
  for (let round = 1; round <= fanOuts; round += 1) {
    log(`fan-out, round ${round} of ${fanOuts}`);
    const made = await fanOut(world, ours, round, own.at(-1));
    own.push(made.own);
    loops.push(made.loop);
  }
  const time = median(own.map((one) => one.time));
  const loopTime = median(loops.map((one) => one.time));
  const raw = {
    seconds: time / 1000,
    loopSeconds: loopTime / 1000,
    rounds: own.map((one) => one.time / 1000),
    loopRounds: loops.map((one) => one.time / 1000),
    firstPatchAfter: own.map((one) => one.first / 1000),
    requests: Object.fromEntries(own.at(-1)?.api ?? []),
    loopRequests: Object.fromEntries(loops.at(-1)?.api ?? []),
  };
  return {
    keyturn: {
      'fan-out': { value: time / loopTime, raw },
      'fan-out-requests': sameRequests(
        own.flatMap((one, round) => (loops[round] === undefined ? [] : [[patchesOf(one), patchesOf(loops[round])]])),
      ),
    },
  };
};

/** Times in milliseconds. */
interface FanOut {
  /** From the change of the Secret, or the begin of the loop, until the last template was changed. */
  readonly time: number;
  readonly first: number;
  readonly api: RequestCounts;
}

/** The loop has no Secret to keep, and tells as many events as ours did before. */
function patchesOf({ api }: FanOut): Asked {
  return { api: new Map([...api].filter(([what]) => what === 'patch deployments')), connect: {} };
}

/** One round of both sides, each in a namespace of its own; they take turns in being the first. */
async function fanOut(world: World, subject: Subject, round: number, last: FanOut | undefined): Promise<Record<'own' | 'loop', FanOut>> {
  const { kube, connect, form } = world;
  const [namespace, loopNamespace] = [await world.createNamespace(), await world.createNamespace()];
  const flags = ['--max-restarts=0', '--max-restarts-per-namespace=0', '--restart-debounce=0s'];
  const token = await connect.issueToken({ vaults: [sharedItem] });
  await kube.request({
    method: 'POST',
    path: collectionPath(onePasswordItems, namespace),
    body: {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: { name: sharedItem, annotations: { [annotations.autoRestart]: 'true' } },
      spec: { itemPath: `vaults/${sharedItem}/items/${sharedItem}` },
    },
  });
  const secretEye = await openEye(kube, secrets, namespace);
  const running = await subject.start({ namespace, token, pollingInterval: 1, flags });
  try {
    const made = secretEye.until('the Secret', 1, ({ metadata }) => metadata.name === sharedItem, deadline);
    await Promise.race([made, running.failed]);
    // Deployments that are younger than the Secret need no restart.
    await Promise.all([plantDeployments(world, namespace), plantDeployments(world, loopNamespace)]);
    await untilAll(world, loopNamespace, () => true);
    await untilAll(world, namespace, ({ metadata }) => metadata.annotations?.[annotations.knownRevisions] !== undefined);
    if (last !== undefined && round % 2 === 0) {
      const loop = await fanOutByLoop(world, loopNamespace, token, last);
      await untilAll(world, loopNamespace, () => true);
      return { own: await fanOutBySubject(world, subject, running, secretEye, namespace, round), loop };
    }
    const own = await fanOutBySubject(world, subject, running, secretEye, namespace, round);
    await running.stop();
    await untilAll(world, namespace, () => true);
    return { own, loop: await fanOutByLoop(world, loopNamespace, token, own) };
  } finally {
    await running.stop();
    await secretEye.close();
    for (const one of [namespace, loopNamespace]) await scaleDown(world, one, form.deployments);
  }
}

async function fanOutBySubject(
  world: World,
  subject: Subject,
  running: RunningSubject,
  secretEye: Eye,
  namespace: string,
  round: number,
): Promise<FanOut> {
  const { kube, connect, api, form } = world;
  const before = await api.settled(subject.user);
  const eye = await openEye(kube, deployments, namespace);
  try {
    const restarted = eye.until('restarted Deployments', form.deployments, isRestarted, deadline);
    const value = Buffer.from(valueAt(0, round)).toString('base64');
    const changed = secretEye.until('the changed Secret', 1, ({ data }) => data?.['password'] === value, deadline);
    const both = Promise.all([restarted, changed]);
    both.catch(() => {});
    await connect.edit('setField', sharedItem, sharedItem, 'password', valueAt(0, round));
    const [times, secret] = await Promise.race([both, running.failed]);
    return fanOutOf(times, secret.get(sharedItem) ?? Number.NaN, between(before, await api.settled(subject.user)));
  } finally {
    await eye.close();
  }
}

/** As many patches, each with as many events as ours tells. */
async function fanOutByLoop(world: World, namespace: string, token: string, { api: asked }: FanOut): Promise<FanOut> {
  const { kube, api, form, users } = world;
  const { username } = users.loop;
  const loop = await openBareLoop(world, { namespace, token });
  const eye = await openEye(kube, deployments, namespace);
  try {
    const before = await api.settled(username);
    const restarted = eye.until('restarted Deployments', form.deployments, isRestarted, deadline);
    restarted.catch(() => {});
    const names = Array.from({ length: form.deployments }, (_, index) => appOf(index));
    const eventsEach = Math.round((asked.get('create events') ?? 0) / form.deployments);
    const began = await loop.run({ do: 'restart', names, eventsEach });
    return fanOutOf(await restarted, began, between(before, await api.settled(username)));
  } finally {
    await eye.close();
    await loop.close();
  }
}

function fanOutOf(seen: ReadonlyMap<string, number>, from: number, api: RequestCounts): FanOut {
  const times = [...seen.values()];
  return { time: Math.max(...times) - from, first: Math.min(...times) - from, api };
}

function appOf(index: number): string {
  return `app-${index}`;
}

async function plantDeployments(world: World, namespace: string): Promise<void> {
  await world.plant(collectionPath(deployments, namespace), world.form.deployments, (index) => ({
    metadata: { name: appOf(index) },
    spec: {
      replicas: index % everyWithPod === 0 ? 1 : 0,
      selector: { matchLabels: { app: appOf(index) } },
      template: {
        metadata: { labels: { app: appOf(index) } },
        spec: { containers: [{ name: 'main', image: 'example.test/app:1', envFrom: [{ secretRef: { name: sharedItem } }] }] },
      },
    },
  }));
}

interface WireDeployment {
  readonly metadata: WireMeta;
  readonly spec: { readonly replicas: number };
  readonly status?: { readonly observedGeneration?: number; readonly availableReplicas?: number };
}

/** Waits until all Deployments have been rolled out, and are as `wanted`. */
async function untilAll({ kube, form }: World, namespace: string, wanted: (deployment: WireDeployment) => boolean): Promise<void> {
  const path = collectionPath(deployments, namespace);
  await waitFor(
    'the Deployments',
    async () => {
      const { items } = await kube.request<{ items: readonly WireDeployment[] }>({ method: 'GET', path });
      const there = items.filter(
        (one) =>
          wanted(one) &&
          one.status?.observedGeneration === one.metadata.generation &&
          (one.status?.availableReplicas ?? 0) === one.spec.replicas,
      );
      return there.length === form.deployments ? true : undefined;
    },
    { deadlineMs: deadline, intervalMs: 500 },
  );
}

function isRestarted({ spec }: Watched): boolean {
  return spec?.template?.metadata?.annotations?.[annotations.lastRestarted] !== undefined;
}

/** Their pods are in the way of what comes next. */
async function scaleDown({ kube }: World, namespace: string, count: number): Promise<void> {
  const path = collectionPath(deployments, namespace);
  for (let index = 0; index < count; index += everyWithPod) {
    await kube.request({ method: 'PATCH', path: `${path}/${appOf(index)}`, body: { spec: { replicas: 0 } } }).catch(() => {});
  }
}
