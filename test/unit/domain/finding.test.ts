import { describe, expect, it } from 'vitest';
import { fail, formatFinding, ok, summarize, warn } from '../../../src/domain/finding.ts';

describe('a finding', () => {
  it.each([
    [ok('CRD', 'is served'), 'ok   CRD: is served'],
    [warn('CRD', 'is old', 'apply the new one'), 'warn CRD: is old; apply the new one'],
    [fail('CRD', 'is missing', 'apply it'), 'FAIL CRD: is missing; apply it'],
  ])('is a line that says how it is, with its cure when it is not well', (finding, line) => {
    expect(formatFinding(finding)).toBe(line);
  });

  it('cannot begin a line of its own, or command a terminal', () => {
    expect(formatFinding(ok('vaults', 'a\nFAIL b\u001B[2J\u202E'))).toBe('ok   vaults: a?FAIL b?[2J?');
  });
});

it('the sum of findings counts each kind', () => {
  expect(summarize([ok('a', ''), ok('b', ''), warn('c', '', ''), fail('d', '', '')])).toBe('2 ok, 1 warning, 1 failed');
  expect(summarize([])).toBe('0 ok, 0 warnings, 0 failed');
});
