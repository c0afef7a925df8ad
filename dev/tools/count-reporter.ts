import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import type { TestReport } from './tally.ts';

/** Where the reporter writes to: the name of an environment variable that holds a path. */
export const REPORT_FILE_VARIABLE = 'KEYTURN_TEST_REPORT';

/** Counts the tests of a finished run. Vitest's own JSON report lacks the reasons of skipped tests. */
export function reportOf(modules: readonly TestModule[], unhandledErrors: readonly { readonly message: string }[]): TestReport {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const named = (state: string): string[] => tests.filter((test) => test.result().state === state).map(nameOf);
  const suites = modules.flatMap((module) => [...module.children.allSuites()]);
  return {
    passed: named('passed'),
    // A test that never ended, because its worker died, is pending for ever.
    failed: [...named('failed'), ...named('pending')],
    skipped: tests.flatMap((test) => {
      const result = test.result();
      if (result.state !== 'skipped') return [];
      return [{ name: nameOf(test), ...(result.note !== undefined && { reason: result.note }) }];
    }),
    errors: [
      ...modules.flatMap((module) => module.errors().map(({ message }) => `${module.relativeModuleId}: ${message}`)),
      ...suites.flatMap((suite) => suite.errors().map(({ message }) => `${suite.fullName}: ${message}`)),
      ...unhandledErrors.map(({ message }) => `unhandled error: ${message}`),
    ],
  };
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

/** Vitest makes its reporters by `new`, from the default export of a module. */
// oxlint-disable-next-line import/no-default-export -- the shape in which Vitest loads a reporter
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly { readonly message: string }[]): void {
    const file = process.env[REPORT_FILE_VARIABLE];
    if (file !== undefined) writeFileSync(file, JSON.stringify(reportOf(modules, unhandledErrors)));
  }
}
