import { describe, expect, test } from 'vitest';
import { buildFlags, kubernetesVersion, olderKubernetes } from '../../../dev/control-plane/build.ts';
import { buildHash } from '../../../dev/tools/go-build.ts';

const INPUTS = { goVersion: 'go version go1.26.8 linux/amd64', flags: buildFlags('v1.36.3'), sources: { 'go.mod': 'a', 'main.go': 'b' } };

describe('buildHash', () => {
  test('does not depend on the order of the files', () => {
    expect(buildHash({ ...INPUTS, sources: { 'main.go': 'b', 'go.mod': 'a' } })).toBe(buildHash(INPUTS));
  });

  test.each([
    ['the compiler', { ...INPUTS, goVersion: 'go version go1.27.0 linux/amd64' }],
    ['the flags', { ...INPUTS, flags: buildFlags('v1.36.4') }],
    ['a source', { ...INPUTS, sources: { 'go.mod': 'a', 'main.go': 'c' } }],
    ['a file name', { ...INPUTS, sources: { 'go.mod': 'a', 'main2.go': 'b' } }],
    ['where one file ends', { ...INPUTS, sources: { 'go.mod': 'ab', 'main.go': '' } }],
  ])('depends on %s', (_, inputs) => {
    expect(buildHash(inputs)).not.toBe(buildHash(INPUTS));
  });
});

test('the version of Kubernetes is the one that go.mod requires', () => {
  const goMod = 'require (\n\tk8s.io/kubectl v0.36.3\n\tk8s.io/kubernetes v1.36.3\n)\nreplace k8s.io/api => k8s.io/api v0.36.3\n';
  expect(kubernetesVersion(goMod)).toBe('v1.36.3');
  expect(() => kubernetesVersion('require k8s.io/api v0.36.3')).toThrow('does not require k8s.io/kubernetes');
});

test('the flags tell the server its version', () => {
  const flags = buildFlags('v1.36.3').join(' ');
  expect(flags).toContain('version.gitVersion=v1.36.3 ');
  expect(flags).toContain('version.gitMinor=36');
});

describe('the variable KUBERNETES', () => {
  const files = ['go.mod', 'go-1.35.mod', 'go-1.35.sum'];

  test.each([undefined, ''])('asks for no other version when it is %j', (KUBERNETES) => {
    expect(olderKubernetes({ ...(KUBERNETES !== undefined && { KUBERNETES }) }, files)).toBeUndefined();
  });

  test('asks for a minor version that has a go.mod of its own', () => {
    expect(olderKubernetes({ KUBERNETES: '1.35' }, files)).toBe('1.35');
  });

  test('is refused for another one, with those that there are', () => {
    expect(() => olderKubernetes({ KUBERNETES: '1.34' }, files)).toThrow('set 1.35, or nothing for the newest');
  });
});
