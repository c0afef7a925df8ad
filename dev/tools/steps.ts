import { mkdir, readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ROOT, runCommand, wasInterrupted, type Command } from './command.ts';
import { REPORT_FILE_VARIABLE } from './count-reporter.ts';
import { addTallies, EMPTY_TALLY, failure, tallyOfCommand, tallyOfTests, type Tally, type TestReport } from './tally.ts';

/** One step of a test run. */
export interface Step {
  readonly name: string;
  /** `check`: counts as one; `tests`: Vitest, counts as its tests; `preparation`: counts only when it fails. */
  readonly kind: 'check' | 'tests' | 'preparation';
  readonly command: Command;
  /** The name of an earlier step without whose success this one cannot run. */
  readonly needs?: string;
}

const MINUTE = 60_000;
/** The older minor version of Kubernetes that is tested by night; dev/control-plane has a go.mod for it. */
const OLDER_KUBERNETES = '1.35';
const REPORTERS = ['--reporter=default', '--reporter=./dev/tools/count-reporter.ts'];

/** Builds the program that integration tests run against. */
export const controlPlaneStep = {
  name: 'control plane build',
  command: { file: 'node', args: ['dev/tools/build-control-plane.ts'], timeoutMs: 30 * MINUTE },
} as const;

/** Installs what tests use of Debian's packages, where that is possible; elsewhere those tests are skipped. */
export const debianStep: Step = {
  name: "Debian's packages",
  kind: 'preparation',
  command: { file: 'sh', args: ['dev/tools/install-debian.sh', 'prometheus'], timeoutMs: 10 * MINUTE },
};

/** The tests that need a control plane. */
export const integrationStep: Step = {
  name: 'integration tests',
  kind: 'tests',
  command: { file: 'vitest', args: ['run', '--project', 'integration', ...REPORTERS], timeoutMs: 30 * MINUTE },
  needs: controlPlaneStep.name,
};

const helmStep = check('Helm build', 20 * MINUTE, 'node', 'dev/tools/build-go-tool.ts', 'helm');

/** All that `make test` runs, in order. */
export const allSteps: readonly Step[] = [
  check('format', 2 * MINUTE, 'prettier', '--check', '--log-level=warn', '.'),
  check('lint', 3 * MINUTE, 'oxlint', '--type-aware', '--deny-warnings'),
  check('types', 3 * MINUTE, 'tsc', '--noEmit'),
  check('boundaries', MINUTE, 'node', 'dev/tools/boundaries.ts'),
  check('spec map', MINUTE, 'node', 'dev/tools/spec-map.ts'),
  check('links', MINUTE, 'node', 'dev/tools/links.ts'),
  check('generated CRD', MINUTE, 'node', 'dev/tools/crd.ts', '--check'),
  check('generated configuration page', MINUTE, 'node', 'dev/tools/config-reference.ts', '--check'),
  check('generated page of annotations', MINUTE, 'node', 'dev/tools/annotations-page.ts', '--check'),
  check('generated page of the resource', MINUTE, 'node', 'dev/tools/resource-page.ts', '--check'),
  check('generated table of reasons', MINUTE, 'node', 'dev/tools/reasons-table.ts', '--check'),
  check('generated page of metrics', MINUTE, 'node', 'dev/tools/metrics-page.ts', '--check'),
  check('generated files of the chart', MINUTE, 'node', 'dev/tools/chart-files.ts', '--check'),
  check('generated page of the chart', MINUTE, 'node', 'dev/tools/chart-readme.ts', '--check'),
  check('generated page of benchmarks', MINUTE, 'node', 'test/bench/write-page.ts', '--check'),
  {
    name: 'unit and property tests',
    kind: 'tests',
    command: {
      file: 'vitest',
      args: ['run', '--project', 'unit', '--project', 'property', ...REPORTERS],
      timeoutMs: 10 * MINUTE,
    },
  },
  { ...controlPlaneStep, kind: 'check' },
  helmStep,
  check('workflows', 5 * MINUTE, 'node', 'dev/tools/workflows.ts'),
  debianStep,
  integrationStep,
  check('permissions used', MINUTE, 'node', 'dev/tools/permissions-used.ts'),
];

/** All that `make nightly` runs: what takes too long for each change. */
export const nightlySteps: readonly Step[] = [
  {
    name: 'restarts at length',
    kind: 'tests',
    command: {
      file: 'vitest',
      args: ['run', '--project', 'property', 'test/property/restart-model.test.ts', ...REPORTERS],
      timeoutMs: 90 * MINUTE,
      env: { PROPERTY_RUNS: '1000' },
    },
  },
  {
    name: 'fuzz at length',
    kind: 'tests',
    command: {
      file: 'vitest',
      args: ['run', '--project', 'property', 'test/property/fuzz-', ...REPORTERS],
      timeoutMs: 60 * MINUTE,
      env: { FUZZ_CASES: '100000' },
    },
  },
  { ...onOlderKubernetes(controlPlaneStep), kind: 'check' },
  helmStep,
  debianStep,
  onOlderKubernetes(integrationStep),
];

/** Runs all steps, whatever becomes of the ones before, and sums them up. */
export async function runSteps(steps: readonly Step[], log: (line: string) => void): Promise<Tally> {
  const broken = new Set<string>();
  let total = EMPTY_TALLY;
  for (const [index, step] of steps.entries()) {
    if (wasInterrupted()) return addTallies(total, failure('interrupted'));
    const label = `[${index + 1}/${steps.length}] ${step.name}`;
    log(`${label} …`);
    const began = performance.now();
    const blocked = step.needs !== undefined && broken.has(step.needs);
    const tally = blocked ? failure(`${step.name}: not run, for want of: ${step.needs}`) : await runStep(step);
    if (tally.failed > 0) broken.add(step.name);
    log(`${label}: ${tally.failed === 0 ? 'passed' : 'FAILED'} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    total = addTallies(total, tally);
  }
  return total;
}

async function runStep(step: Step): Promise<Tally> {
  if (step.kind === 'tests') return runTests(step);
  const tally = tallyOfCommand(step.name, await runCommand(step.command));
  return step.kind === 'preparation' ? { ...tally, passed: 0 } : tally;
}

async function runTests(step: Step): Promise<Tally> {
  const cache = resolve(ROOT, '.cache');
  const file = resolve(cache, `test-report-${process.pid}.json`);
  await mkdir(cache, { recursive: true });
  await rm(file, { force: true });
  const result = await runCommand({ ...step.command, env: { ...step.command.env, [REPORT_FILE_VARIABLE]: file } });
  const report = await readReport(file);
  await rm(file, { force: true });
  return tallyOfTests(step.name, report, result);
}

/** Undefined when Vitest ended without one, or in the middle of writing it. */
async function readReport(file: string): Promise<TestReport | undefined> {
  return readFile(file, 'utf8')
    .then((text) => JSON.parse(text) as TestReport)
    .catch(() => undefined);
}

function onOlderKubernetes<T extends Pick<Step, 'command'>>(step: T): T {
  return { ...step, command: { ...step.command, env: { KUBERNETES: OLDER_KUBERNETES } } };
}

function check(name: string, timeoutMs: number, file: string, ...args: string[]): Step {
  return { name, kind: 'check', command: { file, args, timeoutMs } };
}
