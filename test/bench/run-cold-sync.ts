import { told, writesOf } from './api-counts.ts';
import { attempt, type Bench, type Run } from './bench.ts';
import { coldLoop, type ColdSync, coldSync } from './cold-sync.ts';
import { type Measure, type Measures, median, type Raw } from './result.ts';
import { type Round, sameRequests } from './same-requests.ts';
import type { Subject } from './subject.ts';
import { keepSynced } from './synced.ts';
import { usualLatency } from './world.ts';

/** Cold syncs by each operator and by the bare loop in turns, so that what else the machine does concerns all alike. */
export const runColdSync: Run = async (bench) => {
  const { coldRounds, small } = bench.world.form;
  const fast = await compare(bench, usualLatency, coldRounds.at5ms);
  const slow = await compare(bench, 50, coldRounds.at50ms);
  return Object.fromEntries(
    bench.subjects.map(({ name }): [Subject['name'], Measures] => [
      name,
      {
        'cold-sync-5ms': ratio(fast, name),
        'cold-sync-50ms': ratio(slow, name),
        'cold-sync-requests': sameRequests([...roundsOf(fast, name), ...roundsOf(slow, name)]),
        'writes-created': writesEach(
          [fast, slow].flatMap(({ syncs }) => syncs.get(name) ?? []),
          small,
        ),
      },
    ]),
  );
};

interface Comparison {
  readonly loops: readonly ColdSync[];
  readonly syncs: ReadonlyMap<Subject['name'], readonly ColdSync[]>;
}

async function compare(bench: Bench, latency: number, rounds: number): Promise<Comparison> {
  const { world, log } = bench;
  const { small } = world.form;
  const loops: ColdSync[] = [];
  const syncs = new Map<Subject['name'], ColdSync[]>();
  for (let round = 1; round <= rounds; round += 1) {
    log(`cold sync at ${latency} ms, round ${round} of ${rounds}: bare loop`);
    const loop = await coldLoop(world, small, latency);
    loops.push(loop);
    if (latency === usualLatency) keepSynced(bench, 'loop', small, loop);
    for (const subject of bench.subjects) {
      log(`cold sync at ${latency} ms, round ${round} of ${rounds}: ${subject.name}`);
      const made = await attempt(bench, subject, () => coldSync(bench, subject, small, latency));
      if (made === undefined) continue;
      syncs.set(subject.name, [...(syncs.get(subject.name) ?? []), made]);
      if (latency === usualLatency) keepSynced(bench, subject, small, made);
    }
  }
  return { loops, syncs };
}

function roundsOf({ loops, syncs }: Comparison, name: Subject['name']): readonly Round[] {
  const own = syncs.get(name) ?? [];
  return loops.flatMap((loop, index) => (own[index] === undefined ? [] : [[own[index], loop] as const]));
}

function ratio({ loops, syncs }: Comparison, name: Subject['name']): Measure {
  const own = syncs.get(name) ?? [];
  const time = median(own.map((sync) => sync.time));
  const loopTime = median(loops.map((loop) => loop.time));
  const raw: Raw = {
    seconds: time / 1000,
    loopSeconds: loopTime / 1000,
    rounds: own.map((sync) => sync.time / 1000),
    loopRounds: loops.map((loop) => loop.time / 1000),
    secondsSinceStart: own.map(({ sinceStart = Number.NaN }) => sinceStart / 1000),
    cpuSeconds: own.map(({ cpuSeconds }) => cpuSeconds),
    loopCpuSeconds: loops.map(({ cpuSeconds }) => cpuSeconds),
    ...requestsOf('requests', own.at(-1)),
    ...requestsOf('loopRequests', loops.at(-1)),
  };
  return { value: time / loopTime, raw };
}

/** Reads are left out: they are those that open the watches, and a few more. */
function requestsOf(prefix: string, sync: ColdSync | undefined): Raw {
  const { api = new Map<string, number>(), connect = {} } = sync ?? {};
  const writes = [...api].filter(([what]) => !/^(list|watch|get) /.test(what));
  return { [`${prefix}ToConnect`]: connect, [`${prefix}ToApi`]: Object.fromEntries(writes) };
}

function writesEach(made: readonly ColdSync[], size: number): Measure {
  const writes = made.map(({ api }) => writesOf(api, told));
  return { value: Math.max(...writes) / size, raw: { writes, resources: size, requests: Object.fromEntries(made.at(-1)?.api ?? []) } };
}
