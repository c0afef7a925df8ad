import { describe, expect, test } from 'vitest';
import { addTallies, EMPTY_TALLY, failure, summaryLine, tallyOfCommand, tallyOfTests, type TestReport } from '../../../dev/tools/tally.ts';

const OK = { kind: 'exited', code: 0 } as const;
const BAD = { kind: 'exited', code: 1 } as const;
const EMPTY: TestReport = { passed: [], failed: [], skipped: [], errors: [] };

describe('a command', () => {
  test('counts as one', () => {
    expect(tallyOfCommand('lint', OK)).toEqual({ ...EMPTY_TALLY, passed: 1 });
  });

  test.each([
    [BAD, 'lint: exit code 1'],
    [{ kind: 'timed-out' } as const, 'lint: exceeded its time limit'],
    [{ kind: 'signalled', signal: 'SIGSEGV' } as const, 'lint: ended by SIGSEGV'],
    [{ kind: 'not-run', reason: 'ENOENT' } as const, 'lint: could not run: ENOENT'],
  ])('that ends as %j is a failure', (result, message) => {
    expect(tallyOfCommand('lint', result)).toEqual(failure(message));
  });
});

describe('a run of tests', () => {
  test('counts as its tests', () => {
    const report = { ...EMPTY, passed: ['a', 'b'], failed: ['c'] };
    expect(tallyOfTests('unit', report, BAD)).toEqual({ passed: 2, failed: 1, skips: [], failures: ['c'] });
  });

  test('prints a skip with its reason, and does not count it', () => {
    const report = { ...EMPTY, passed: ['a'], skipped: [{ name: 'b', reason: 'no pods' }] };
    expect(tallyOfTests('unit', report, OK)).toEqual({ passed: 1, failed: 0, skips: ['SKIP b: no pods'], failures: [] });
  });

  test('fails for a skip without a reason', () => {
    const report = { ...EMPTY, passed: ['a'], skipped: [{ name: 'b' }, { name: 'c', reason: ' ' }] };
    expect(tallyOfTests('unit', report, OK)).toMatchObject({ passed: 1, failed: 2, skips: [] });
  });

  test('fails for an error outside of any test', () => {
    const report = { ...EMPTY, passed: ['a'], errors: ['x.test.ts: does not load'] };
    expect(tallyOfTests('unit', report, BAD)).toMatchObject({ failed: 1, failures: ['unit: x.test.ts: does not load'] });
  });

  test('fails without a test', () => {
    expect(tallyOfTests('unit', EMPTY, OK)).toEqual(failure('unit: no test was run'));
  });

  test('fails without a report', () => {
    expect(tallyOfTests('unit', undefined, OK)).toMatchObject({ passed: 0, failed: 1 });
  });

  test('fails for an exit code that no test explains', () => {
    expect(tallyOfTests('unit', { ...EMPTY, passed: ['a'] }, BAD)).toMatchObject({ passed: 1, failed: 1 });
  });

  test('counts a time limit only once when tests failed too', () => {
    expect(tallyOfTests('unit', { ...EMPTY, failed: ['a'] }, { kind: 'timed-out' })).toMatchObject({ failed: 1 });
  });
});

test('tallies add up to the summary line', () => {
  const sum = addTallies({ passed: 2, failed: 0, skips: ['SKIP a: b'], failures: [] }, { ...failure('c'), passed: 3 });
  expect(sum).toEqual({ passed: 5, failed: 1, skips: ['SKIP a: b'], failures: ['c'] });
  expect(summaryLine(sum)).toBe('5 passed, 1 failed');
});
