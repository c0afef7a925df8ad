import type { CollectedHeap } from '../support/bundled-operator.ts';
import type { ProcessMemory } from '../support/process-usage.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { between, type RequestCounts } from './api-counts.ts';
import { type BareLoop, openBareLoop } from './bare-loop.ts';
import type { Bench } from './bench.ts';
import { defaultInterval } from './form.ts';
import type { RunningSubject, Subject } from './subject.ts';
import { isReady, openEye } from './watches.ts';
import { plantResources, usualLatency, type World } from './world.ts';

/** How long one cold sync may take at the most, in milliseconds. */
const deadline = 600_000;

/** One cold sync of one side. */
export interface ColdSync {
  readonly namespace: string;
  /** From its first request to Connect until the last resource was Ready, in milliseconds. */
  readonly time: number;
  /** From the start of its process. */
  readonly sinceStart: number | undefined;
  /** Processor time from the start of its process until all had been said. */
  readonly cpuSeconds: number;
  /** What it asked of the API server, leases left out; of Connect by route. */
  readonly api: RequestCounts;
  readonly connect: Readonly<Record<string, number>>;
  /** When all had been said. */
  readonly memory: ProcessMemory | undefined;
  readonly heap: CollectedHeap | undefined;
}

/** Has an operator make the Secrets of a new namespace. */
export async function coldSync(bench: Bench, subject: Subject, size: number, latency = usualLatency): Promise<ColdSync> {
  const { world } = bench;
  let running: RunningSubject | undefined;
  try {
    return await timed(world, size, latency, subject.user, async (namespace, token, ready) => {
      const started = await subject.start({ namespace, token, pollingInterval: defaultInterval, inspectable: true });
      running = started;
      await Promise.race([ready, started.failed]);
      return {
        startedAt: started.spawnedAt,
        cpuSeconds: () => started.cpuSeconds(),
        measure: async () => ({ memory: await started.memory(), heap: await started.ours?.heap() }),
      };
    });
  } finally {
    await running?.stop();
  }
}

/** The same by the bare loop. */
export async function coldLoop(world: World, size: number, latency = usualLatency): Promise<ColdSync> {
  let loop: BareLoop | undefined;
  try {
    return await timed(world, size, latency, world.users.loop.username, async (namespace, token, ready) => {
      const opened = await openBareLoop(world, { namespace, token });
      loop = opened;
      await Promise.all([opened.run({ do: 'sync' }), ready]);
      return { cpuSeconds: () => opened.cpuSeconds() };
    });
  } finally {
    await loop?.close();
  }
}

interface Side {
  readonly cpuSeconds: () => Promise<number>;
  readonly startedAt?: number;
  readonly measure?: () => Promise<{ readonly memory: ProcessMemory | undefined; readonly heap: CollectedHeap | undefined }>;
}

async function timed(
  world: World,
  size: number,
  latency: number,
  user: string,
  work: (namespace: string, token: string, ready: Promise<unknown>) => Promise<Side>,
): Promise<ColdSync> {
  const { kube, connect, api } = world;
  const namespace = await world.createNamespace();
  const token = await world.tokenFor(size);
  await plantResources(world, namespace, size);
  await world.delayConnect(latency);
  await connect.requests.reset();
  const before = await api.of(user);
  const eye = await openEye(kube, onePasswordItems, namespace);
  try {
    const ready = eye.until('all resources to be Ready', size, isReady, deadline);
    ready.catch(() => {});
    const { startedAt, cpuSeconds, measure } = await work(namespace, token, ready);
    const end = Math.max(...(await ready).values());
    const log = await connect.requests.log();
    const first = log[0]?.at ?? Number.NaN;
    const asked = between(before, await api.settled(user));
    return {
      namespace,
      time: end - first,
      sinceStart: startedAt === undefined ? undefined : end - startedAt,
      cpuSeconds: await cpuSeconds(),
      api: asked,
      connect: await connect.requests.counts(),
      ...(measure === undefined ? { memory: undefined, heap: undefined } : await measure()),
    };
  } finally {
    await eye.close();
    await world.delayConnect(usualLatency);
  }
}
