/** `make bench` measures the operator against what the same work takes without one; docs/benchmarks/ says how, and what came of it. */
import { rm, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { makeRunFolder } from '../../dev/demo/run-folder.ts';
import { sinkFor, startProgress } from '../../dev/tools/progress.ts';
import type { Bench, Run } from './bench.ts';
import { type Benchmark, type BenchmarkName, benchmarks, type RunName } from './benchmark-table.ts';
import { FlagError, type Flags, parseFlags, usage } from './flags.ts';
import { machine } from './machine.ts';
import { judge, type Measure, type Measures, type Result } from './result.ts';
import { runColdSync } from './run-cold-sync.ts';
import { runFanOut } from './run-fan-out.ts';
import { runQuietPoll } from './run-quiet-poll.ts';
import { runRestart } from './run-restart.ts';
import { runRotation } from './run-rotation.ts';
import { runScale } from './run-scale.ts';
import { keyturn, peerOf, type Subject } from './subject.ts';
import { type Row, terminalTable } from './terminal-table.ts';
import { startWorld, type World } from './world.ts';

/** In the order in which they run: those that others build on come first, and what fills the cluster last. */
const runs: Readonly<Record<RunName, Run>> = {
  'cold-sync': runColdSync,
  restart: runRestart,
  rotation: runRotation,
  'fan-out': runFanOut,
  scale: runScale,
  'quiet-poll': runQuietPoll,
};

async function main(flags: Flags): Promise<void> {
  if (flags.help) return console.log(usage);
  if (process.platform !== 'linux') throw new FlagError('memory and processor time are read from /proc: run this on Linux');
  const began = new Date();
  const loadBefore = loadavg();
  const { form } = flags;
  console.log(`${form.name} form; load average ${loadBefore.map((load) => load.toFixed(2)).join(' ')}`);
  const folder = await makeRunFolder('bench');
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const world = await startWorld(form, folder, console.log);
  endOnSignal(world, remove);
  const failures: Failed[] = [];
  const rows: Row[] = [];
  try {
    rows.push(...(await measureAll(world, flags, failures)));
    const { gitVersion } = await world.kube.request<{ gitVersion: string }>({ method: 'GET', path: '/version' });
    const results: readonly Result[] = [machine(form, began, loadBefore, gitVersion), ...rows.map(({ result }) => result)];
    if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(results, undefined, 2)}\n`);
  } finally {
    await world.end();
    if (failures.length === 0) await remove();
    else console.log(`what the processes said is in ${folder}`);
  }
  console.log(`\n${terminalTable(rows, form)}\n`);
  const minutes = (Date.now() - began.getTime()) / 60_000;
  if (flags.peer === undefined && minutes > form.minutes)
    console.log(`the ${form.name} form took ${minutes.toFixed(1)} minutes, and should take at most ${form.minutes}`);
  conclude(rows, runsFor(flags).length, failures);
}

/** A run or a benchmark of which nothing came, or a peer. */
interface Failed {
  readonly name: string;
  readonly message: string;
}

function wanted({ only, form }: Flags): readonly Benchmark[] {
  return (benchmarks as readonly Benchmark[]).filter(({ name, leftOut }) => only.has(name) && leftOut?.(form) !== true);
}

function runsFor(flags: Flags): readonly (readonly [string, Run])[] {
  return Object.entries(runs).filter(([name]) => wanted(flags).some(({ run }) => run === name));
}

async function measureAll(world: World, flags: Flags, failures: Failed[]): Promise<readonly Row[]> {
  const { form, only, peer } = flags;
  const ours = keyturn(world);
  let subjects: readonly Subject[] = [ours, ...(peer === undefined ? [] : [peerOf(world, peer)])];
  const bench: Bench = {
    world,
    get subjects() {
      return subjects;
    },
    leaveOutPeer(error) {
      subjects = [ours];
      failures.push({ name: 'peer', message: messagesOf(error) });
      console.error('FAIL peer:', error);
    },
    only,
    log: tell,
    synced: new Map(),
  };
  const own: Partial<Record<string, Measures[BenchmarkName]>> = {};
  const peers: Partial<Record<string, Measures[BenchmarkName]>> = {};
  const due = runsFor(flags);
  for (const [index, [name, run]] of due.entries()) {
    const progress = startProgress(`[${index + 1}/${due.length}] ${name}`, sinkFor(process.stdout, console.log));
    try {
      const measured = await run(bench);
      Object.assign(own, measured.keyturn);
      Object.assign(peers, measured.peer);
    } catch (error) {
      failures.push({ name, message: messagesOf(error) });
      console.error(`FAIL ${name}:`, error);
    } finally {
      progress.end();
    }
  }
  const failedRuns = new Set(failures.map(({ name }) => name));
  return wanted(flags).flatMap((benchmark): readonly Row[] => {
    const { name, run } = benchmark;
    const measure = finite(own[name]);
    if (measure !== undefined) return [{ benchmark, result: judge(benchmark, form, measure, finite(peers[name])) }];
    if (!failedRuns.has(run)) failures.push({ name, message: 'no figure came of it' });
    return [];
  });
}

/** Undefined for what is no number, which JSON does not know. */
function finite(measure: Measure | undefined): Measure | undefined {
  return measure !== undefined && Number.isFinite(measure.value) ? measure : undefined;
}

/** Only what is certain on any machine decides: that all ran, and the counts. A time that misses its target is told. */
function conclude(rows: readonly Row[], ran: number, failures: readonly Failed[]): void {
  const [counts, figures] = [rows.filter(({ benchmark }) => benchmark.invariant), rows.filter(({ benchmark }) => !benchmark.invariant)];
  const broken = counts.filter(({ result }) => result.met !== true);
  const missed = figures.filter(({ result }) => result.met === false);
  if (missed.length > 0) console.log(`above the target, which fails nothing: ${missed.map(({ result }) => result.name).join(', ')}`);
  for (const { name, message } of failures) console.log(`FAIL ${name}: ${message}`);
  for (const { result } of broken) console.log(`FAIL ${result.name}: ${result.value} ${result.unit}, at most ${String(result.target)}`);
  const failed = failures.length + broken.length;
  const failedRuns = failures.filter(({ name }) => name in runs).length;
  console.log(`${ran - failedRuns + counts.length - broken.length} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

/** A line of its own, also where progress stands in the last one. */
function tell(line: string): void {
  console.log(`${process.stdout.isTTY ? '\r\u001b[2K' : ''}  ${line}`);
}

function messagesOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return error.cause === undefined ? error.message : `${error.message}: ${messagesOf(error.cause)}`;
}

/** Leaves no process behind. */
function endOnSignal(world: World, remove: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void world
        .end()
        .then(remove)
        .finally(() => process.exit(130));
    });
  }
}

try {
  await main(parseFlags(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof FlagError ? `${error.message}\n\n${usage}` : error);
  process.exitCode = error instanceof FlagError ? 2 : 1;
}
// Whatever a run that failed has left behind ends with us.
process.exit();
