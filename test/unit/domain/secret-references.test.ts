import { describe, expect, it } from 'vitest';
import { type PodSpec, secretReferences } from '../../../src/domain/secret-references.ts';

const env = [{}, { valueFrom: {} }, { valueFrom: { secretKeyRef: { name: 'a' } } }];

describe('the Secrets that a pod consumes', () => {
  it.each<[string, PodSpec, readonly string[]]>([
    ['through a variable', { containers: [{ env }] }, ['a']],
    ['through all variables at once', { containers: [{ envFrom: [{}, { secretRef: { name: 'a' } }] }] }, ['a']],
    ['through a volume', { volumes: [{}, { secret: { secretName: 'a' } }] }, ['a']],
    ['through a projected volume', { volumes: [{ projected: { sources: [{}, { secret: { name: 'a' } }] } }] }, ['a']],
    ['in an init container', { initContainers: [{ env }] }, ['a']],
    [
      'each once, in order',
      { containers: [{ env }, { envFrom: [{ secretRef: { name: 'B' } }] }], volumes: [{ secret: { secretName: 'a' } }] },
      ['B', 'a'],
    ],
    ['but not for pulling its images', { imagePullSecrets: [{ name: 'registry' }], containers: [{}] } as PodSpec, []],
    ['none, when there is nothing', {}, []],
  ])('%s', (_, pod, names) => {
    expect(secretReferences(pod)).toEqual(names);
  });
});
