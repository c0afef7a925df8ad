import { readFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import type { Rollout } from '../../../dev/demo/rollout.ts';
import { createListener, hearAll, speaking, spokenIn, spokenTable } from '../../../dev/demo/spoken.ts';

interface WireDeployment {
  readonly metadata: object;
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly { readonly image: string; readonly command?: string[] }[] } };
  };
}

const example = parse(await readFile('examples/deployment.yaml', 'utf8')) as WireDeployment;
const changed = speaking(example, 'local/shell:1') as WireDeployment;

function rollout(...pods: readonly (readonly [name: string, state: string])[]): Rollout {
  const replicaSet = { name: 'web-1', isNew: true, wanted: 2, ready: 2, pods: pods.map(([name, state]) => ({ name, state })) };
  return { complete: true, lastRestarted: undefined, replicaSets: [replicaSet] };
}

describe('the Deployment whose pods speak', () => {
  it('differs from the example by image and command alone', () => {
    const [container] = changed.spec.template.spec.containers;
    const [original] = example.spec.template.spec.containers;
    expect(container).toStrictEqual({ ...original, image: 'local/shell:1', command: ['sh', '-c', expect.any(String)] });
    expect({ ...changed, spec: 0 }).toStrictEqual({ ...example, spec: 0 });
  });

  it('prints the value of the variable, and looks for the file where the example mounts the Secret', () => {
    const script = changed.spec.template.spec.containers[0]?.command?.[2] ?? '';
    expect(script).toContain('cat /run/secrets/database/password');
    const echoes = script.split('\n').slice(0, 2).join('\n').replace('cat /run/secrets/database/password', 'echo from-file');
    const { stdout } = spawnSync('sh', ['-c', echoes], { env: { ...process.env, password: 'from-variable' }, encoding: 'utf8' });
    expect(spokenIn(stdout)).toEqual({ variable: 'from-variable', file: 'from-file' });
  });
});

it('a pod that has printed only one line has not said it yet', () => {
  expect(spokenIn('')).toBeUndefined();
  expect(spokenIn('variable password: a\n')).toBeUndefined();
});

it('ready pods are heard, each until it has said it', async () => {
  const logs = new Map([['a', 'variable password: x\nfile password: y\n']]);
  const asked: string[] = [];
  const listener = createListener({
    image: 'local/shell:1',
    log: (pod) => {
      asked.push(pod);
      return Promise.resolve(logs.get(pod) ?? '');
    },
  });
  const pods = rollout(['a', 'ready'], ['b', 'ready'], ['c', 'ending']);
  expect(spokenTable(await hearAll(listener, pods))).toEqual(['a  variable password: x', '   file password: y', 'b  has not said it yet']);
  logs.set('b', 'variable password: z\nfile password: z\n');
  expect((await hearAll(listener, pods)).get('b')).toEqual({ variable: 'z', file: 'z' });
  expect(asked).toEqual(['a', 'b', 'b']);
});
