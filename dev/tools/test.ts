import { parseArgs } from 'node:util';
import { allSteps, controlPlaneStep, debianStep, integrationStep, nightlySteps, runSteps, type Step } from './steps.ts';
import { summaryLine } from './tally.ts';

/** What to run: everything once, or with `--repeat N` the integration tests alone, N times. */
export function stepsFor(repeat: string | undefined): readonly Step[] {
  if (repeat === undefined) return allSteps;
  const times = Number(repeat);
  if (!Number.isInteger(times) || times < 1) throw new Error(`--repeat takes a number of runs, not ${JSON.stringify(repeat)}`);
  const runs = Array.from({ length: times }, (_, index) => ({ ...integrationStep, name: `integration tests, run ${index + 1}` }));
  return [{ ...controlPlaneStep, kind: 'preparation' }, debianStep, ...runs];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { repeat: { type: 'string' }, nightly: { type: 'boolean' } } });
  const steps = values.nightly === true ? nightlySteps : stepsFor(values.repeat);
  const total = await runSteps(steps, (line) => console.log(line));
  for (const line of total.failures) console.log(`FAIL ${line}`);
  for (const line of total.skips) console.log(line);
  console.log(summaryLine(total));
  if (total.failed > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
