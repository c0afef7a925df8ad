/**
 * `make chaos` runs the operator while it, the API server, etcd and Connect are killed, stopped and spoiled, and users are busy; when it is calm again,
 * the history that was recorded must hold all invariants. Exit code 1 when one is broken. See docs/reliability.md.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ROOT } from '../../dev/tools/command.ts';
import { summaryLine } from '../../dev/tools/tally.ts';
import { type ChaosOptions, readOptions } from './options.ts';
import { type Finding, runChaos } from './run.ts';
import { describeStep, scheduleOf } from './schedule.ts';

/** Lines of an object's history that are printed; the rest is in the report. */
const printed = 40;

async function main(): Promise<void> {
  if (process.platform !== 'linux') throw new Error('sockets and memory are read from /proc: run this on Linux');
  // What was started ends with this process, but not by a signal that ends it at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const options = readOptions(process.argv.slice(2), Math.random);
  const { seed, duration, time, bundle } = options;
  const replay = `make chaos SEED=${seed} TIME=${time}`;
  console.log(`seed ${seed}: "${replay}" repeats this schedule`);
  const schedule = scheduleOf(seed, duration);
  const parent = resolve(ROOT, '.cache/chaos');
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, `${seed}-`));
  await writeFile(join(folder, 'schedule.txt'), schedule.steps.map((step) => `${step.at} ${describeStep(step)}\n`).join(''));
  const began = performance.now();
  const log = (line: string): void => console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} ${line}`);
  try {
    await report(await runChaos({ schedule, duration, folder, bundle, log }), folder, options, replay);
  } catch (error) {
    console.log(error);
    console.log(`FAIL the run came to no end; everything is in ${folder}; repeat with: ${replay}`);
    console.log(summaryLine({ passed: 0, failed: 1, skips: [], failures: [] }));
    process.exitCode = 1;
  }
}

async function report(findings: readonly Finding[], folder: string, { seed }: ChaosOptions, replay: string): Promise<void> {
  const broken = findings.filter(({ violations }) => violations.length > 0);
  for (const { invariant, violations } of findings) console.log(`${violations.length === 0 ? 'ok  ' : 'FAIL'} ${invariant}`);
  const told = broken.flatMap(({ invariant, violations }) =>
    violations.map(({ object, detail, history }) => ({ invariant, object, detail, history: history?.() ?? [] })),
  );
  for (const { invariant, object, detail, history } of told) {
    console.log(`\nFAIL ${invariant}: ${object}: ${detail}`);
    for (const line of history.slice(-printed)) console.log(`       ${line}`);
  }
  if (broken.length > 0) {
    await writeFile(join(folder, 'report.json'), JSON.stringify(told, undefined, 2));
    console.log(`\nseed ${seed}; the report, with whole histories, and all logs are in ${folder}; repeat with: ${replay}`);
    process.exitCode = 1;
  } else await rm(folder, { recursive: true, force: true });
  console.log(summaryLine({ passed: findings.length - broken.length, failed: broken.length, skips: [], failures: [] }));
}

await main();
