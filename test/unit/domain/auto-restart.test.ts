import { describe, expect, it } from 'vitest';
import { optIn, parseAutoRestart } from '../../../src/domain/auto-restart.ts';

describe('an auto-restart annotation', () => {
  it.each([
    ['yes', ['1', 't', 'T', 'true', 'TRUE', 'True', 'tRuE']],
    ['no', ['0', 'f', 'F', 'false', 'FALSE', 'False']],
    ['invalid', ['', 'yes', 'on', ' true', 'true\n', 'truee', '01', 'null']],
    ['unset', [undefined]],
  ] as const)('means %s for %j', (meaning, values) => {
    expect(values.map(parseAutoRestart)).toEqual(values.map(() => meaning));
  });
});

describe('whether a pair of Secret and workload is opted in', () => {
  it.each<[string, readonly (string | undefined)[], boolean, boolean]>([
    ['is what the operator says where nobody else does', [undefined, undefined, undefined], true, true],
    ['is what the Secret says before the workload', ['true', 'false', 'false'], false, true],
    ['is what the workload says before the namespace', [undefined, 'false', 'true'], true, false],
    ['is what the namespace says before the operator', [undefined, undefined, 'true'], false, true],
    ['is no for a value that is no boolean, whatever comes after it', ['maybe', 'true', 'true'], true, false],
  ])('%s', (_, annotations, fallback, expected) => {
    expect(optIn(annotations, fallback).restarts).toBe(expected);
  });

  it('names the annotation that decided, and says when that cannot be read', () => {
    expect(optIn([undefined, 'maybe', 'true'], true)).toEqual({ restarts: false, by: 1, invalid: true });
    expect(optIn(['f', 'maybe'], true)).toEqual({ restarts: false, by: 0, invalid: false });
    expect(optIn([undefined], true)).toEqual({ restarts: true, by: undefined, invalid: false });
  });
});
