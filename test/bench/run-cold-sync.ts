import { told, writesOf } from './api-counts.ts';
import type { Bench, Run } from './bench.ts';
import { coldLoop, type ColdSync, coldSync } from './cold-sync.ts';
import { type Measure, type Measures, median, type Raw } from './result.ts';
import type { Subject } from './subject.ts';
import { keepSynced } from './synced.ts';
import { usualLatency } from './world.ts';

/** Cold syncs by each operator and by the bare loop in turns, so that what else the machine does concerns all alike. */
export const runColdSync: Run = async (bench) => {
  const fast = await compare(bench, usualLatency);
  const slow = await compare(bench, 50);
  return Object.fromEntries(
    bench.subjects.map(({ name }): [Subject['name'], Measures] => {
      const made = [fast, slow].flatMap(({ syncs }) => syncs.get(name) ?? []);
      return [
        name,
        {
          'cold-sync-5ms': ratio(fast, name),
          'cold-sync-50ms': ratio(slow, name),
          'writes-created': writesEach(made, bench.world.form.small),
        },
      ];
    }),
  );
};

interface Comparison {
  readonly loops: readonly ColdSync[];
  readonly syncs: ReadonlyMap<Subject['name'], readonly ColdSync[]>;
}

async function compare(bench: Bench, latency: number): Promise<Comparison> {
  const { world, subjects, log } = bench;
  const { small, coldRounds } = world.form;
  const loops: ColdSync[] = [];
  const syncs = new Map<Subject['name'], ColdSync[]>();
  for (let round = 1; round <= coldRounds; round += 1) {
    for (const side of ['loop' as const, ...subjects]) {
      const name = side === 'loop' ? 'bare loop' : side.name;
      log(`cold sync at ${latency} ms, round ${round} of ${coldRounds}: ${name}`);
      const made = side === 'loop' ? await coldLoop(world, small, latency) : await coldSync(bench, side, small, latency);
      if (latency === usualLatency) keepSynced(bench, side, small, made);
      if (side === 'loop') loops.push(made);
      else syncs.set(side.name, [...(syncs.get(side.name) ?? []), made]);
    }
  }
  return { loops, syncs };
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
