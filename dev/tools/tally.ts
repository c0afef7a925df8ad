import type { CommandResult } from './command.ts';

/** What a step of the test run amounts to. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** One line for each skipped test: `SKIP name: reason`. */
  readonly skips: readonly string[];
  /** One line for each failure. */
  readonly failures: readonly string[];
}

/** What `count-reporter.ts` writes at the end of a Vitest run. */
export interface TestReport {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly reason?: string }[];
  /** Errors outside of any test: a file that does not load, a hook, an unhandled rejection. */
  readonly errors: readonly string[];
}

export const EMPTY_TALLY: Tally = { passed: 0, failed: 0, skips: [], failures: [] };

/** The sum of two tallies. */
export function addTallies(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skips: [...a.skips, ...b.skips],
    failures: [...a.failures, ...b.failures],
  };
}

/** A tally of one failure. */
export function failure(message: string): Tally {
  return { ...EMPTY_TALLY, failed: 1, failures: [message] };
}

/** A command that counts as one check. */
export function tallyOfCommand(name: string, result: CommandResult): Tally {
  const problem = problemOf(result);
  return problem === undefined ? { ...EMPTY_TALLY, passed: 1 } : failure(`${name}: ${problem}`);
}

/**
 * A Vitest run counts as its tests. What is not a plain success is a failure: a test skipped without a reason, an error
 * outside of any test, no test at all, no report, an exit code that the tests do not explain.
 */
export function tallyOfTests(name: string, report: TestReport | undefined, result: CommandResult): Tally {
  const problem = problemOf(result);
  if (report === undefined) return failure(`${name}: ${problem ?? 'ended well'}, without a report of its tests`);
  const unexplained = report.skipped.filter(({ reason }) => reason === undefined || reason.trim() === '');
  const failures = [
    ...report.failed,
    ...report.errors.map((error) => `${name}: ${error}`),
    ...unexplained.map((test) => `${test.name}: skipped without a reason`),
  ];
  if (report.passed.length + report.failed.length + report.skipped.length === 0) failures.push(`${name}: no test was run`);
  if (problem !== undefined && failures.length === 0) failures.push(`${name}: ${problem}, although no test failed`);
  return {
    passed: report.passed.length,
    failed: failures.length,
    skips: report.skipped.filter((test) => !unexplained.includes(test)).map((test) => `SKIP ${test.name}: ${test.reason ?? ''}`),
    failures,
  };
}

/** `12 passed, 0 failed` */
export function summaryLine({ passed, failed }: Tally): string {
  return `${passed} passed, ${failed} failed`;
}

function problemOf(result: CommandResult): string | undefined {
  switch (result.kind) {
    case 'exited':
      return result.code === 0 ? undefined : `exit code ${result.code}`;
    case 'signalled':
      return `ended by ${result.signal}`;
    case 'timed-out':
      return 'exceeded its time limit';
    case 'not-run':
      return `could not run: ${result.reason}`;
  }
  return undefined;
}
