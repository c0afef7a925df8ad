import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FlagError, parseFlags } from '../../../dev/demo/flags.ts';

describe('the flags of the demo', () => {
  it('are off, in a cluster of its own, unless they are given', () => {
    expect(parseFlags([], {})).toStrictEqual({ once: false, yes: false, kubeconfig: undefined, node: false, help: false });
  });

  it('come on the command line', () => {
    expect(parseFlags(['--once', '--yes', '--kubeconfig', '/a/config'], {})).toMatchObject({
      once: true,
      yes: true,
      kubeconfig: '/a/config',
    });
  });

  it('come as the variables that make passes', () => {
    expect(parseFlags([], { ONCE: '1', YES: '1', KUBECONFIG: '/a/config' })).toMatchObject({
      once: true,
      yes: true,
      kubeconfig: '/a/config',
    });
  });

  it.each(['', '0', 'false', 'no'])('are off when the variable is "%s"', (value) => {
    expect(parseFlags([], { ONCE: value, YES: value, KUBECONFIG: '' })).toMatchObject({ once: false, yes: false, kubeconfig: undefined });
  });

  it('prefer the command line to the variable', () => {
    expect(parseFlags(['--kubeconfig=/b'], { KUBECONFIG: '/a' }).kubeconfig).toBe('/b');
  });

  it('know the home folder, relative paths and lists', () => {
    expect(parseFlags(['--kubeconfig=~/a:b:/c'], {}).kubeconfig).toBe(`${homedir()}/a:${resolve('b')}:/c`);
  });

  it('ask for a node with real pods', () => {
    expect(parseFlags(['--node'], {}).node).toBe(true);
    expect(parseFlags([], { DEMO_NODE: '1' }).node).toBe(true);
  });

  it('leave alone what npm says in the variable NODE', () => {
    expect(parseFlags([], { NODE: '/usr/bin/node' }).node).toBe(false);
  });

  it('refuse a node in a cluster of the reader', () => {
    expect(() => parseFlags(['--node', '--kubeconfig=/a'], {})).toThrow('leave one of them out');
    expect(() => parseFlags([], { DEMO_NODE: '1', KUBECONFIG: '/a' })).toThrow(FlagError);
  });

  it.each([[['--unknown']], [['positional']], [['--kubeconfig']]])('refuse %s', (args) => {
    expect(() => parseFlags(args, {})).toThrow(FlagError);
  });

  it('refuse a variable that is neither on nor off', () => {
    expect(() => parseFlags([], { YES: 'perhaps' })).toThrow('YES has to be 1 or 0');
  });
});
