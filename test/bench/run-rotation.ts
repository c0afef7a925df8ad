import { setTimeout as pause } from 'node:timers/promises';
import { secrets } from '../../src/kube/resource.ts';
import { between, told, writesOf } from './api-counts.ts';
import { openBareLoop } from './bare-loop.ts';
import { type Bench, bySubject, type Run } from './bench.ts';
import { defaultInterval, type Rounds } from './form.ts';
import { look, untilLook } from './looks.ts';
import { type Measure, median, percentile, type Raw } from './result.ts';
import { type Asked, type Round, sameRequests } from './same-requests.ts';
import type { Subject } from './subject.ts';
import { syncedNamespace } from './synced.ts';
import { type Eye, openEye, type Watched } from './watches.ts';
import { nextValues, passwordOf, untilCurrent } from './values.ts';
import { usualLatency, vaultOf, type World } from './world.ts';

/** A look with its listings is over by then, in milliseconds: a change while it lasts might be found by it, and not by the next. */
const lookTime = 100;
/** How long one rotation may take at the most, in milliseconds. */
const deadline = 120_000;

/** Rotates items of what is in sync, with each operator and with the bare loop. */
export const runRotation: Run = async (bench) => {
  const { small, rotations } = bench.world.form;
  await bench.world.delayConnect(usualLatency);
  const loops = await rotateByLoop(bench);
  return bySubject(bench, async (subject) => {
    const fast = await rotateBySubject(bench, subject, 1, rotations.atOneSecond);
    const { atDefault } = rotations;
    const usual = atDefault.tenth === 0 ? undefined : await rotateBySubject(bench, subject, defaultInterval, atDefault);
    return {
      ...(usual !== undefined && { 'rotation-p99-default': lateness(usual) }),
      'rotation-p99-1s': lateness(fast),
      'rotation-one': ratio(fast.one, loops.one),
      'rotation-tenth': ratio(fast.tenth, loops.tenth),
      'rotation-all': ratio(fast.all, loops.all),
      'rotation-requests': sameRequests([
        ...roundsOf(fast.one, loops.one),
        ...roundsOf(fast.tenth, loops.tenth),
        ...roundsOf(fast.all, loops.all),
      ]),
      'writes-rotated': writesEach(fast.all, small),
    };
  });
};

/** One rotation of one side. Times in milliseconds. */
interface Rotation extends Asked {
  /** Of each Secret, from the change in Connect. */
  readonly latencies: readonly number[];
  /** From the change until the look that found it. */
  readonly wait: number;
  /** From that look until the last Secret. */
  readonly work: number;
}

/** By how many items were rotated. */
interface Rotations {
  readonly one: readonly Rotation[];
  readonly tenth: readonly Rotation[];
  readonly all: readonly Rotation[];
}

/** Changes are made just after a look, so that the wait for the next is as long as it can be. */
async function rotateBySubject(bench: Bench, subject: Subject, interval: number, rounds: Rounds): Promise<Rotations> {
  const { world } = bench;
  const { small } = world.form;
  const namespace = await syncedNamespace(bench, subject, small);
  bench.log(`rotations, a poll each ${interval} s: ${subject.name}`);
  const running = await subject.start({ namespace, token: await world.tokenFor(small), pollingInterval: interval });
  try {
    const ready = async (): Promise<void> => {
      await untilLook(world);
      await pause(lookTime);
    };
    const rotate = async (): Promise<Rotations> => {
      await untilCurrent(world, namespace, small);
      return await eachSize(world, namespace, subject.user, rounds, (count, eye) => rotation(world, subject.user, count, eye, { ready }));
    };
    return await Promise.race([rotate(), running.failed]);
  } finally {
    await running.stop();
  }
}

async function rotateByLoop(bench: Bench): Promise<Rotations> {
  const { world } = bench;
  const { small, rotations } = world.form;
  const namespace = await syncedNamespace(bench, 'loop', small);
  bench.log('rotations: bare loop');
  const loop = await openBareLoop(world, { namespace, token: await world.tokenFor(small) });
  try {
    const begin = async (names: readonly string[]): Promise<void> => void (await loop.run({ do: 'rotate', names }));
    const { username } = world.users.loop;
    return await eachSize(world, namespace, username, rotations.atOneSecond, (count, eye) =>
      rotation(world, username, count, eye, { begin }),
    );
  } finally {
    await loop.close();
  }
}

async function eachSize(
  world: World,
  namespace: string,
  user: string,
  rounds: Rounds,
  rotate: (count: number, eye: Eye) => Promise<Rotation>,
): Promise<Rotations> {
  const { small } = world.form;
  const eye = await openEye(world.kube, secrets, namespace);
  const several = async (count: number, times: number): Promise<readonly Rotation[]> => {
    const made: Rotation[] = [];
    for (let round = 0; round < times; round += 1) made.push(await rotate(count, eye));
    return made;
  };
  try {
    // Each rotation ends with the same.
    await world.api.settled(user);
    return { one: await several(1, rounds.one), tenth: await several(small / 10, rounds.tenth), all: await several(small, rounds.all) };
  } finally {
    await eye.close();
  }
}

interface Begin {
  /** Resolves at the moment for the change. */
  readonly ready?: () => Promise<void>;
  /** Starts the work of a side that does not look by itself. */
  readonly begin?: (names: readonly string[]) => Promise<void>;
}

async function rotation(world: World, user: string, count: number, eye: Eye, { ready, begin }: Begin): Promise<Rotation> {
  const { connect, api } = world;
  const { small } = world.form;
  const before = await api.of(user);
  await connect.requests.reset();
  await ready?.();
  const wanted = nextValues(small, count);
  const isRotated = (secret: Watched): boolean => wanted.get(secret.metadata.name) === passwordOf(secret);
  const seen = eye.until(`${count} rotated Secrets`, count, isRotated, deadline);
  seen.catch(() => {});
  const changes = [...wanted].map(([name, value], index) => [vaultOf(small, index), name, 'password', value]);
  const changedAt = await connect.editAll(changes.map((args) => ({ method: 'setField' as const, args })));
  const [times] = await Promise.all([seen.then((at) => [...at.values()]), begin?.([...wanted.keys()])]);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const log = await connect.requests.log();
  // The look that found it is the last before anything came of it; one that was under way at the change may have found it, too.
  const lookAt = log.findLast(({ route, at }) => route === look && at <= first)?.at ?? Number.NaN;
  const from = Math.max(lookAt, changedAt);
  const asked = between(before, await api.settled(user));
  return {
    api: asked,
    connect: await connect.requests.counts(),
    latencies: times.map((at) => at - changedAt),
    wait: from - changedAt,
    work: last - from,
  };
}

/** Pairs of one size. */
function roundsOf(own: readonly Rotation[], loops: readonly Rotation[]): readonly Round[] {
  return own.flatMap((one, index) => (loops[index] === undefined ? [] : [[one, loops[index]] as const]));
}

function lateness({ one, tenth, all }: Rotations): Measure {
  const seconds = tenth.flatMap(({ latencies }) => latencies).map((latency) => latency / 1000);
  return {
    value: percentile(seconds, 0.99),
    raw: {
      p50Seconds: percentile(seconds, 0.5),
      slowestSeconds: Math.max(...seconds),
      secondsOfOne: spread(one),
      secondsOfTenth: spread(tenth),
      secondsOfAll: spread(all),
    },
  };
}

/** Undefined where nothing was rotated. */
function spread(rotations: readonly Rotation[]): Raw | undefined {
  if (rotations.length === 0) return undefined;
  const latencies = rotations.flatMap((one) => one.latencies);
  return {
    p50: percentile(latencies, 0.5) / 1000,
    p99: percentile(latencies, 0.99) / 1000,
    waitForLook: rotations.map(({ wait }) => wait / 1000),
    afterLook: rotations.map(({ work }) => work / 1000),
  };
}

function ratio(own: readonly Rotation[], loops: readonly Rotation[]): Measure {
  const time = median(own.map(({ work }) => work));
  const loopTime = median(loops.map(({ work }) => work));
  return {
    value: time / loopTime,
    raw: {
      seconds: time / 1000,
      loopSeconds: loopTime / 1000,
      rounds: own.map(({ work }) => work / 1000),
      loopRounds: loops.map(({ work }) => work / 1000),
      ...requestsOf('requests', own.at(-1)),
      ...requestsOf('loopRequests', loops.at(-1)),
    },
  };
}

function requestsOf(prefix: string, { connect, api }: Partial<Asked> = {}): Raw {
  return { [`${prefix}ToConnect`]: connect, [`${prefix}ToApi`]: Object.fromEntries(api ?? []) };
}

function writesEach(rotations: readonly Rotation[], count: number): Measure {
  const writes = rotations.map(({ api }) => writesOf(api, told));
  return {
    value: Math.max(...writes) / count,
    raw: { writes, resources: count, requests: Object.fromEntries(rotations.at(-1)?.api ?? []) },
  };
}
