/** `make e2e`: what a new user does, on a real node; the last line is `N passed, N failed`. */
import { chooseTarget, type TargetKind } from '../../test/e2e/targets.ts';
import { undoLeftovers } from '../node/start.ts';
import { controlPlaneStep, runSteps, type Step } from './steps.ts';
import { EMPTY_TALLY, summaryLine } from './tally.ts';

const MINUTE = 60_000;
const helmBuild = 'Helm build';

const demoOnNode: Step = {
  name: 'demo on the node',
  kind: 'check',
  command: { file: 'node', args: ['dev/demo/main.ts', '--once', '--node'], timeoutMs: 5 * MINUTE },
};

function stepsFor(kind: TargetKind): readonly Step[] {
  const preparation = (name: string, ...args: readonly string[]): Step => ({
    name,
    kind: 'preparation',
    command: { file: 'node', args, timeoutMs: 30 * MINUTE },
  });
  return [
    { ...controlPlaneStep, kind: 'preparation' },
    ...(kind === 'node' ? [preparation('kubelet build', 'dev/tools/build-control-plane.ts', 'node')] : []),
    preparation(helmBuild, 'dev/tools/build-go-tool.ts', 'helm'),
    {
      name: 'end-to-end tests',
      kind: 'tests',
      needs: helmBuild,
      command: {
        file: 'vitest',
        args: ['run', '--project', 'e2e', '--reporter=verbose', '--reporter=./dev/tools/count-reporter.ts'],
        timeoutMs: 25 * MINUTE,
        env: { E2E_TARGET: kind },
      },
    },
    ...(kind === 'node' ? [demoOnNode] : []),
  ];
}

const log = (line: string): void => console.log(line);
const choice = await chooseTarget(process.env, log);
if ('problem' in choice) {
  console.error(choice.problem);
  process.exitCode = 2;
} else if ('skipped' in choice) {
  log(`SKIPPED: ${choice.skipped}`);
  log(summaryLine(EMPTY_TALLY));
} else {
  const total = await runSteps(stepsFor(choice.kind), log);
  // Tests that were ended by a signal or a time limit leave their node.
  await undoLeftovers(log);
  for (const line of total.failures) log(`FAIL ${line}`);
  for (const line of total.skips) log(line);
  log(summaryLine(total));
  if (total.failed > 0) process.exitCode = 1;
}
