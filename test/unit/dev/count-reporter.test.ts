import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { REPORT_FILE_VARIABLE } from '../../../dev/tools/count-reporter.ts';
import type { TestReport } from '../../../dev/tools/tally.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

const FILES = {
  'vitest.config.ts': `export default { test: { include: ['*.test.ts'] } };`,
  'a.test.ts': `
    import { beforeAll, describe, expect, test } from 'vitest';
    test('good', () => {});
    test('bad', () => expect(1).toBe(2));
    test('explained', (context) => context.skip('no pods'));
    test.skip('unexplained', () => {});
    describe('suite', () => {
      beforeAll(() => { throw new Error('hook'); });
      test('unreached', () => {});
    });`,
  'b.test.ts': `throw new Error('does not load');`,
  'c.test.ts': `
    import { test } from 'vitest';
    test('careless', () => { void Promise.reject(new Error('nobody awaits')); });`,
};

/** Runs Vitest in a folder of its own, inside the repository so that it finds its packages. */
async function reportOf(files: Readonly<Record<string, string>>): Promise<TestReport> {
  const cache = join(ROOT, '.cache');
  await mkdir(cache, { recursive: true });
  const directory = await mkdtemp(join(cache, 'reporter-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(directory, name), text)));
  const report = join(directory, 'report.json');
  const reporter = join(ROOT, 'dev/tools/count-reporter.ts');
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  await new Promise<void>((done) => {
    const env = { ...process.env, [REPORT_FILE_VARIABLE]: report };
    execFile(process.execPath, [vitest, 'run', `--root=${directory}`, `--reporter=${reporter}`], { env, timeout: 30_000 }, () => done());
  });
  return JSON.parse(await readFile(report, 'utf8')) as TestReport;
}

test('the report tells every outcome of a test, and every error outside of one', { timeout: 40_000 }, async () => {
  const report = await reportOf(FILES);
  expect(report.passed).toEqual(['a.test.ts > good', 'c.test.ts > careless']);
  expect(report.failed).toEqual(['a.test.ts > bad']);
  expect(report.skipped).toEqual([
    { name: 'a.test.ts > explained', reason: 'no pods' },
    { name: 'a.test.ts > unexplained' },
    { name: 'a.test.ts > suite > unreached' },
  ]);
  expect(report.errors.toSorted()).toEqual(['b.test.ts: does not load', 'suite: hook', 'unhandled error: nobody awaits']);
});
