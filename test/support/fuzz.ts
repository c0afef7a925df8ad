import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { canaryForms } from './canary.ts';
import { afterWarmUp, growthOf, type Point } from './trend.ts';

/** What is fuzzed, and its part of all cases, in percent. */
const parts = {
  "Connect's answers": 16,
  'tokens and credentials': 4,
  'watches and lists': 12,
  'objects past their definition': 20,
  annotations: 24,
  'labels of metrics': 8,
  configuration: 7,
  kubeconfigs: 3,
  'vault policies': 6,
  // Beside the hundred: a line of the log comes from inside, and a case of the whole operator takes as long as many others.
  'lines of the log': 6,
  'the whole operator': 0.3,
};
type FuzzTarget = keyof typeof parts;

/** Of all targets together. `FUZZ_CASES=100000` is the long form. */
const cases = Number(process.env['FUZZ_CASES'] ?? 1_000);
const fewest = 20;
/** The short form draws the same cases each time: whoever changes something else is not to be stopped by what nobody had drawn before. */
const usualSeed = process.env['FUZZ_CASES'] === undefined ? 1 : Date.now() % 2 ** 31;
const seed = Number(process.env['PROPERTY_SEED'] ?? usualSeed);
const path = process.env['PROPERTY_PATH'];
/** One case is drawn once more: what holds for many need not hold for it. */
export const isReplay = path !== undefined;

/** How much processor time one case may take, in milliseconds: far more than any needs, however busy the machine is. */
const mostWork = 5_000;
/** How long one case may take, in milliseconds, of which it may wait for anything. */
const deadline = 60_000;
/** How long all cases of a target may take, in milliseconds: in the long form less for all targets than its step has, so that a slow run says how far it got. */
const timeLimit = (count: number): number => 60_000 + count * 20;

/** From so many cases on the process is held against itself. */
const longForm = 200;
const samples = 20;
const collections = 4;

/** What the process holds, after a forced collection. */
interface Held {
  readonly heap: number;
  /** Of buffers and the like, outside of the heap. */
  readonly external: number;
  /** Sockets, timers, requests. */
  readonly resources: number;
}

/** What each may grow by over all cases after the warm-up, in bytes or by number: caches that are bounded may still fill, and connections come and go. */
const bounds: Held = { heap: 8 * 1024 * 1024, external: 8 * 1024 * 1024, resources: 50 };

/**
 * Draws the part of a target's cases and has each checked; with many of them the process must not grow either. The seed is printed before the first case.
 * What fails prints a path too, and `PROPERTY_SEED=<seed> PROPERTY_PATH=<path> vitest run --project property FILE -t TITLE` replays it.
 *
 * A case that works longer than it may fails when it has ended, and one that waits for ever at the deadline; a loop without an end ends with the step.
 */
export async function fuzz<T>(target: FuzzTarget, drawn: fc.Arbitrary<T>, check: (one: T) => Promise<void> | void): Promise<void> {
  const count = Math.max(fewest, Math.ceil((cases * parts[target]) / 100));
  process.stdout.write(`PROPERTY_SEED=${seed} draws the same ${count} cases of ${target} once more\n`);
  const began = performance.now();
  const held: (readonly [done: number, held: Held])[] = [];
  let done = 0;
  const property = fc.asyncProperty(drawn, async (one) => {
    const start = process.threadCpuUsage();
    await check(one);
    const { user, system } = process.threadCpuUsage(start);
    const worked = (user + system) / 1_000;
    if (worked > mostWork) throw new Error(`a case took ${Math.round(worked)} ms of processor time`);
    done += 1;
    if (count >= longForm && done % Math.floor(count / samples) === 0) held.push([done, await whatIsHeld()]);
  });
  await fc.assert(property, {
    numRuns: count,
    seed,
    timeout: deadline,
    interruptAfterTimeLimit: timeLimit(count),
    markInterruptAsFailure: true,
    ...(path !== undefined && { path }),
  });
  process.stdout.write(`${target}: ${done} cases in ${((performance.now() - began) / 1_000).toFixed(1)} s\n`);
  if (!isReplay && count >= longForm) checkGrowth(target, held);
}

/** @throws Error when something grew with the cases */
function checkGrowth(target: FuzzTarget, held: readonly (readonly [done: number, held: Held])[]): void {
  const warm = afterWarmUp(held);
  for (const what of ['heap', 'external', 'resources'] as const) {
    const points = warm.map(([done, one]): Point => [done, one[what]]);
    const growth = Math.round(growthOf(points));
    process.stdout.write(`${target}: ${what} grew by ${growth}\n`);
    if (growth > bounds[what])
      throw new Error(`${target}: ${what} grew by ${growth}: ${JSON.stringify(held.map(([at, one]) => [at, one[what]]))}`);
  }
}

let collect: (() => void) | undefined;

async function whatIsHeld(): Promise<Held> {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  // Memory outside of the heap goes after what held it: in a later turn, when it was finalized, or at the next collection, when it was swept beside.
  for (let round = 0; round < collections; round += 1) {
    // Checks that wait for nothing come one after another without a turn of the event loop, and what is to be done in one waits.
    await turn();
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return { heap: heapUsed, external, resources: process.getActiveResourcesInfo().length };
}

/** @throws Error when a canary stands in one of the texts, in any form; it says where, and not what */
export function refuseCanaries(texts: Readonly<Record<string, string>>): void {
  for (const [place, text] of Object.entries(texts)) {
    const bytes = Buffer.from(text);
    if (canaryForms.some((form) => bytes.includes(form))) throw new Error(`a value stands in ${place}`);
  }
}
