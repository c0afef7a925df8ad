import { describe, expect, test } from 'vitest';
import { nightlySteps, runSteps, type Step } from '../../../dev/tools/steps.ts';
import { stepsFor } from '../../../dev/tools/test.ts';

function shell(name: string, script: string, rest: Partial<Step> = {}): Step {
  return { name, kind: 'check', command: { file: 'sh', args: ['-c', script], timeoutMs: 5_000 }, ...rest };
}

const quiet = (): void => {};

describe('runSteps', () => {
  test('goes on after a failure', async () => {
    const lines: string[] = [];
    const tally = await runSteps([shell('a', 'exit 3'), shell('b', 'exit 0')], (line) => lines.push(line));
    expect(tally).toMatchObject({ passed: 1, failed: 1, failures: ['a: exit code 3'] });
    expect(lines.filter((line) => line.endsWith('…'))).toEqual(['[1/2] a …', '[2/2] b …']);
  });

  test('does not run a step whose need failed, and counts it as failed', async () => {
    const tally = await runSteps([shell('a', 'exit 1'), shell('b', 'exit 0', { needs: 'a' })], quiet);
    expect(tally).toMatchObject({ passed: 0, failed: 2 });
  });

  test('does not count a preparation that went well', async () => {
    expect(await runSteps([shell('a', 'exit 0', { kind: 'preparation' })], quiet)).toMatchObject({ passed: 0, failed: 0 });
  });

  test('ends a step that exceeds its limit, with all that it started', async () => {
    const began = performance.now();
    const slow = shell('slow', 'sleep 30 & sleep 30', {});
    const tally = await runSteps([{ ...slow, command: { ...slow.command, timeoutMs: 100 } }], quiet);
    expect(tally.failures).toEqual(['slow: exceeded its time limit']);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test('fails tests that leave no report', async () => {
    const tally = await runSteps([shell('tests', 'exit 0', { kind: 'tests' })], quiet);
    expect(tally.failures).toEqual(['tests: ended well, without a report of its tests']);
  });
});

describe('stepsFor', () => {
  test('repeats the integration tests alone', () => {
    expect(stepsFor('3').map(({ kind }) => kind)).toEqual(['preparation', 'preparation', 'tests', 'tests', 'tests']);
  });

  test.each(['0', 'x', '1.5'])('refuses to repeat %s times', (repeat) => {
    expect(() => stepsFor(repeat)).toThrow('--repeat takes a number of runs');
  });

  test('names only steps that come earlier as needs', () => {
    const steps = stepsFor(undefined);
    const early = steps.filter(({ needs }, index) => needs !== undefined && !steps.slice(0, index).some(({ name }) => name === needs));
    expect(early).toEqual([]);
  });
});

test('by night control plane and integration tests are of the older version', () => {
  const older = nightlySteps.filter(({ command }) => command.env?.['KUBERNETES'] === '1.35').map(({ name }) => name);
  expect(older).toEqual(['control plane build', 'integration tests']);
});
