import { describe, expect, it } from 'vitest';
import { Failure } from '../../../src/api/reasons.ts';
import { type Check, runChecks } from '../../../src/doctor/check.ts';
import { fail, type Finding, formatFinding, ok, warn } from '../../../src/domain/finding.ts';
import { KubeError } from '../../../src/kube/client.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const well = (name: string, more: Partial<Check> = {}): Check => ({ name, run: async () => [ok(name, 'fine')], ...more });

async function run(...checks: readonly Check[]): Promise<readonly string[]> {
  const told: Finding[] = [];
  const findings = await runChecks(checks, { clock: createFakeClock(), limit: 20_000, onFinding: (finding) => told.push(finding) });
  expect(findings).toEqual(told);
  return told.map(formatFinding);
}

/** A check that ends in an error. */
function failing(error: unknown): Check {
  return well('first', {
    run: () => {
      throw error;
    },
  });
}

describe('a check that fails', () => {
  it.each([
    [new Failure('ConnectUnauthorized', 'refused; check it; twice'), 'FAIL first: refused; check it; twice'],
    [new Failure('ItemNotFound', 'gone'), 'FAIL first: gone; see the reason ItemNotFound in docs/reference/reasons.md'],
    [new KubeError('GET', '/x', 403, 'Forbidden'), 'FAIL first: GET /x: 403 Forbidden; grant that to whom the operator runs as'],
    [new KubeError('GET', '/x', 0, 'CERT_HAS_EXPIRED'), expect.stringContaining('; check the certificate of the API server')],
    [new KubeError('GET', '/x', 0, 'ECONNREFUSED'), expect.stringContaining('; check KUBECONFIG')],
    [new KubeError('GET', '/x', 0, 'RequestFailed'), expect.stringContaining('; check the kubeconfig')],
    [new KubeError('GET', '/x', 500, 'InternalError'), expect.stringContaining('logs of the API server')],
    [new TypeError('canary'), 'FAIL first: ended by an error (TypeError); report it as a defect of Keyturn'],
    ['canary', 'FAIL first: ended by an error (of unknown kind); report it as a defect of Keyturn'],
  ])('names the cure of %s, and keeps no other from being done', async (error, line) => {
    expect(await run(failing(error), well('second'))).toEqual([line, 'ok   second: fine']);
  });

  it('stops what needs it, and what needs that, without a failure of their own', async () => {
    const bad = well('first', { run: async () => [fail('first', 'bad', 'mend it')] });
    expect(
      await run(bad, well('second', { needs: 'first' }), well('third', { needs: 'second' }), well('fourth', { after: 'first' })),
    ).toEqual([
      'FAIL first: bad; mend it',
      'warn second: not looked at; mend what is said of first first',
      'warn third: not looked at; mend what is said of second first',
      'ok   fourth: fine',
    ]);
  });

  it('by a warning stops nothing', async () => {
    const odd = well('first', { run: async () => [warn('first', 'odd', 'mend it')] });
    expect(await run(odd, well('second', { needs: 'first' }))).toContain('ok   second: fine');
  });
});

it('a check that never ends is a failure when its time is over', async () => {
  const clock = createFakeClock();
  const lines: string[] = [];
  const done = runChecks([well('first', { run: () => new Promise(() => {}) }), well('second')], {
    clock,
    limit: 20_000,
    onFinding: (finding) => lines.push(formatFinding(finding)),
  });
  await Promise.resolve();
  while (clock.timers.length === 0) await Promise.resolve();
  clock.advance(20_000);
  await done;
  expect(lines).toEqual(['FAIL first: no answer within 20 s; check the network and its policies, and try again', 'ok   second: fine']);
});

it('findings are told in the order of the checks, each as soon as it can be', async () => {
  const slow = Promise.withResolvers<void>();
  const lines: string[] = [];
  const second = well('second', { run: async () => (await slow.promise, [ok('second', 'late')]) });
  const done = runChecks([well('first'), second, well('third')], {
    clock: createFakeClock(),
    limit: 20_000,
    onFinding: ({ name }) => lines.push(name),
  });
  while (lines.length === 0) await Promise.resolve();
  expect(lines).toEqual(['first']);
  slow.resolve();
  await done;
  expect(lines).toEqual(['first', 'second', 'third']);
});
