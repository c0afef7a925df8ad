import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { canaryForms } from './canary.ts';
import { type Point, slopeOf } from './trend.ts';

/** What is fuzzed, and its part of all cases, in percent. */
const parts = {
  "Connect's answers": 14,
  'tokens and credentials': 4,
  'watches and lists': 8,
  'objects past their definition': 20,
  annotations: 24,
  'the whole operator': 2,
  'labels of metrics': 6,
  'lines of the log': 6,
  configuration: 10,
  'vault policies': 6,
};
type FuzzTarget = keyof typeof parts;

/** Of all targets together. `FUZZ_CASES=100000` is the long form. */
const cases = Number(process.env['FUZZ_CASES'] ?? 1_000);
/** The short form draws the same cases each time: whoever changes something else is not to be stopped by what nobody had drawn before. */
const usualSeed = process.env['FUZZ_CASES'] === undefined ? 1 : Date.now() % 2 ** 31;
const seed = Number(process.env['PROPERTY_SEED'] ?? usualSeed);
const path = process.env['PROPERTY_PATH'];

/** How long one case may take, in milliseconds: far more than any needs, so that only what hangs does not end in it. */
const deadline = 20_000;
/** From so many cases on the heap is held against itself. */
const longForm = 1_000;
const samples = 20;
/** What the heap may grow by over all cases after the warm-up, in bytes: caches that are bounded may still fill. */
const heapSlack = 8 * 1024 * 1024;

/**
 * Draws the part of a target's cases and has each checked; in the long form the heap must stay flat as well. The seed is printed before the first case.
 * What fails prints a path too, and `PROPERTY_SEED=<seed> PROPERTY_PATH=<path> vitest run --project property FILE -t TITLE` replays it.
 */
export async function fuzz<T>(target: FuzzTarget, drawn: fc.Arbitrary<T>, check: (one: T) => Promise<void> | void): Promise<void> {
  const count = Math.ceil((cases * parts[target]) / 100);
  process.stdout.write(`PROPERTY_SEED=${seed} draws the same ${count} cases of ${target} once more\n`);
  const heap: Point[] = [];
  let done = 0;
  const property = fc.asyncProperty(drawn, async (one) => {
    await check(one);
    done += 1;
    if (count >= longForm && done % Math.floor(count / samples) === 0) heap.push([done, heapUsed()]);
  });
  await fc.assert(property, { numRuns: count, seed, timeout: deadline, ...(path !== undefined && { path }) });
  if (path === undefined && count >= longForm) checkHeap(target, heap);
}

/** @throws Error when the heap grew with the cases; the first quarter is the warm-up */
function checkHeap(target: FuzzTarget, heap: readonly Point[]): void {
  const warm = heap.slice(Math.ceil(heap.length / 4));
  const slope = slopeOf(warm);
  const growth = slope * ((warm.at(-1)?.[0] ?? 0) - (warm[0]?.[0] ?? 0));
  process.stdout.write(`${target}: the heap grows by ${Math.round(slope * 1_000)} bytes in 1,000 cases\n`);
  if (growth > heapSlack) throw new Error(`${target}: the heap grew by ${Math.round(growth)} bytes: ${JSON.stringify(heap)}`);
}

let collect: (() => void) | undefined;

/** In bytes, after a forced collection. */
function heapUsed(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  return process.memoryUsage().heapUsed;
}

/** @throws Error when a canary stands in one of the texts, in any form; it says where, and not what */
export function refuseCanaries(texts: Readonly<Record<string, string>>): void {
  for (const [place, text] of Object.entries(texts)) {
    const bytes = Buffer.from(text);
    if (canaryForms.some((form) => bytes.includes(form))) throw new Error(`a value stands in ${place}`);
  }
}
