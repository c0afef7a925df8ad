import { describe, expect, it } from 'vitest';
import { consumedKeys, type PodSpec } from '../../../src/domain/consumed-keys.ts';

const variable = (name: string, key: string) => ({ valueFrom: { secretKeyRef: { name, key } } });
const optionalVariable = { valueFrom: { secretKeyRef: { name: 'a', key: 'x', optional: true } } };
const mount = (subPath?: string) => ({ volumeMounts: [{ name: 'v', ...(subPath !== undefined && { subPath }) }] });
const volume = (items?: readonly (readonly [key: string, path: string])[]) => [
  { name: 'v', secret: { secretName: 'a', ...(items && { items: items.map(([key, path]) => ({ key, path })) }) } },
];
const items = [
  ['crt', 'tls/server.crt'],
  ['key', 'tls/server.key'],
  ['ca', 'ca.crt'],
] as const;

describe('the keys that a pod consumes', () => {
  it.each<[string, PodSpec, Readonly<Record<string, readonly string[]>>]>([
    ['of a variable', { containers: [{ env: [{}, { valueFrom: {} }, variable('a', 'x')] }] }, { a: ['x'] }],
    [
      'of several variables, in order and each once',
      { containers: [{ env: [variable('a', 'y'), variable('a', 'x'), variable('a', 'y')] }] },
      { a: ['x', 'y'] },
    ],
    [
      'of all variables at once',
      { containers: [{ envFrom: [{}, { secretRef: { name: 'a' } }], env: [variable('a', 'x')] }] },
      { a: ['*', 'x'] },
    ],
    [
      'of an init container',
      { initContainers: [{ env: [variable('a', 'x')] }], containers: [{ env: [variable('a', 'y')] }] },
      { a: ['x', 'y'] },
    ],
    ['of a whole volume', { containers: [mount()], volumes: volume() }, { a: ['*'] }],
    ['of a file of a volume', { containers: [mount('x')], volumes: volume() }, { a: ['x'] }],
    [
      'of a volume mounted whole by one container',
      { containers: [mount('x')], initContainers: [mount()], volumes: volume() },
      { a: ['*'] },
    ],
    [
      'of a volume whose mount is known in the pod alone',
      { containers: [{ volumeMounts: [{ name: 'v', subPathExpr: '$(POD)' }] }], volumes: volume() },
      { a: ['*'] },
    ],
    ['of the items of a volume', { containers: [mount()], volumes: volume(items) }, { a: ['ca', 'crt', 'key'] }],
    ['of one item of a volume', { containers: [mount('ca.crt')], volumes: volume(items) }, { a: ['ca'] }],
    ['of a folder of items', { containers: [mount('./tls/')], volumes: volume(items) }, { a: ['crt', 'key'] }],
    ['of no item, when the mount shows none', { containers: [mount('tl')], volumes: volume(items) }, {}],
    ['of a volume that nobody mounts: none', { containers: [{}], volumes: volume() }, {}],
    [
      'of a projected volume',
      {
        containers: [mount()],
        volumes: [
          {
            name: 'v',
            projected: { sources: [{}, { secret: { name: 'a' } }, { secret: { name: 'b', items: [{ key: 'x', path: 'p' }] } }] },
          },
        ],
      },
      { a: ['*'], b: ['x'] },
    ],
    [
      'of a file of a projected volume, which any source may have',
      {
        containers: [mount('x')],
        volumes: [
          { name: 'v', projected: { sources: [{ secret: { name: 'a' } }, { secret: { name: 'b', items: [{ key: 'k', path: 'x' }] } }] } },
        ],
      },
      { a: ['x'], b: ['k'] },
    ],
    ['but not for pulling its images', { imagePullSecrets: [{ name: 'registry' }], containers: [{}] } as PodSpec, {}],
    ['that may be missing', { containers: [{ env: [optionalVariable, variable('a', 'y')] }] }, { a: ['y', 'x?'] }],
    [
      'that may be missing in a volume',
      { containers: [mount('z')], volumes: [{ name: 'v', secret: { secretName: 'a', optional: true } }] },
      { a: ['z?'] },
    ],
    ['none, when there is nothing', {}, {}],
  ])('%s', (_, pod, keys) => {
    const shown = [...consumedKeys(pod)].map(([secret, { whole, required, optional }]) => [
      secret,
      [...(whole ? ['*'] : []), ...required, ...optional.map((key) => `${key}?`)],
    ]);
    expect(Object.fromEntries(shown)).toEqual(keys);
  });
});
