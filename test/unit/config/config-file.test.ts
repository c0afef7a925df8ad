import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Config, readConfig, readVaultPolicy } from '../../../src/config.ts';
import { problemsOf as problemsIn } from '../../support/problems-of.ts';

const canary = 'canary-5522';
const connect = { OP_CONNECT_HOST: 'http://onepassword-connect:8080', OP_CONNECT_TOKEN: 'token' };
const folder = mkdtempSync(join(tmpdir(), 'keyturn-config-'));
const path = join(folder, 'config.yaml');

afterAll(() => rmSync(folder, { recursive: true }));

function read(yaml: string, environment: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Config {
  writeFileSync(path, yaml);
  return readConfig({ ...connect, ...environment }, ['--config', path, ...flags]);
}

const problemsOf = (run: () => unknown): readonly string[] => problemsIn(run, canary);

const namedBy = (file: string) => problemsOf(() => readConfig(connect, ['--config', file]));

const named = (file: string, environment: Readonly<Record<string, string>> = {}) =>
  problemsOf(() => readConfig({ OP_CONNECT_HOST: 'http://connect', OP_CONNECT_TOKEN_FILE: file, ...environment }, []));
const holding = (text: string): string => {
  const file = join(folder, 'token');
  writeFileSync(file, text);
  return file;
};

describe('the configuration file', () => {
  it('sets what it names, and leaves all else', () => {
    const plain = readConfig(connect, []);
    const yaml = `
      clusterName: blue
      watchNamespace: [shop, pay]
      pollingInterval: 30
      restartDebounce: 5s
      maxRestarts: 0
      metricsBindAddress: 0
      healthProbeBindAddress: :9000
      leaderElect: true
      logFormat:
    `;
    expect(read(yaml)).toEqual({
      ...plain,
      configFile: path,
      clusterName: 'blue',
      watchNamespaces: ['shop', 'pay'],
      pollingInterval: 30_000,
      restartDebounce: 5_000,
      maxRestarts: { inAll: 0, perNamespace: 10 },
      metricsAddress: undefined,
      healthAddress: { host: undefined, port: 9000 },
      leaderElection: { ...plain.leaderElection, enabled: true },
    });
  });

  it.each(['', '\n', '# nothing\n', '---\n', '{}'])('may be empty: %j', (yaml) => {
    expect(read(yaml)).toEqual({ ...readConfig(connect, []), configFile: path });
  });

  it('gives way to a variable, and a variable to a flag', () => {
    const yaml = 'clusterName: file';
    expect(read(yaml).clusterName).toBe('file');
    expect(read(yaml, { CLUSTER_NAME: '' }).clusterName).toBe('file');
    expect(read(yaml, { CLUSTER_NAME: 'variable' }).clusterName).toBe('variable');
    expect(read(yaml, { CLUSTER_NAME: 'variable' }, ['--cluster-name=flag']).clusterName).toBe('flag');
    expect(read('enableAnnotations: true', {}, ['--enable-annotations=false']).enableAnnotations).toBe(false);
  });

  it('gives way with its log level to that of either flag', () => {
    const levels = [[], ['--zap-log-level=debug'], ['--zap-log-level=debug', '--log-level=error']].map(
      (flags) => read('logLevel: warn', {}, flags).logLevel,
    );
    expect(levels).toEqual(['warn', 'debug', 'error']);
  });

  it('has its polling interval where the variable is malformed, which is a warning', () => {
    expect(read('pollingInterval: 60', { POLLING_INTERVAL: '10s' })).toMatchObject({
      pollingInterval: 60_000,
      warnings: [expect.stringMatching(/^POLLING_INTERVAL must be .*: using pollingInterval in /)],
    });
  });

  it('gives way with the file of a token to a token in the environment', () => {
    const yaml = 'connectTokenFile: /nowhere/token';
    expect(read(yaml)).toMatchObject({ connectToken: 'token', connectTokenFile: undefined });
    expect(read(yaml, { OP_CONNECT_TOKEN: '', OP_CONNECT_TOKEN_FILE: holding('token') })).toMatchObject({
      connectTokenFile: join(folder, 'token'),
    });
  });

  it('can have all that Connect needs, but the token', () => {
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, `${canary}\n`);
    writeFileSync(path, `connectHost: https://connect\nconnectTokenFile: ${tokenFile}\n`);
    expect(readConfig({}, ['--config', path])).toMatchObject({
      connectHost: 'https://connect',
      connectToken: '',
      connectTokenFile: tokenFile,
    });
  });

  it.each(['connectToken', 'OP_CONNECT_TOKEN', 'token', 'connect-token'])('must not hold the token: %s', (key) => {
    expect(problemsOf(() => read(`${key}: ${canary}`))).toEqual([
      `"${key}" in ${path}: the token has no place there: name a file that holds it with OP_CONNECT_TOKEN_FILE, or set OP_CONNECT_TOKEN`,
    ]);
  });

  it('tells every problem at once, by key and file, and quotes no value', () => {
    const yaml = `
      pollingIntervall: ${canary}
      somethingElse: ${canary}
      plan: true
      1: ${canary}
      pollingInterval: 10s ${canary}
      autoRestart: ${canary}
      clusterName: {a: ${canary}}
      watchNamespace: [{a: ${canary}}]
      maxRestarts: -1
      logLevel: ${canary}
    `;
    expect(problemsOf(() => read(yaml, {}, ['--log-format=canary']))).toEqual([
      `"pollingIntervall" in ${path} is no setting: did you mean pollingInterval?`,
      `"somethingElse" in ${path} is no setting: docs/reference/config.md lists the keys`,
      `"plan" in ${path} is no setting: docs/reference/config.md lists the keys`,
      `"1" in ${path} is no setting: docs/reference/config.md lists the keys`,
      `clusterName in ${path} must be a text`,
      `watchNamespace in ${path} must be names of namespaces, separated by commas`,
      `pollingInterval in ${path} must be a whole number of seconds from 1 to 86400`,
      `autoRestart in ${path} must be true or false`,
      `maxRestarts in ${path} must be a whole number; 0 is no limit`,
      `logLevel in ${path} must be debug, info, warn or error`,
      '--log-format must be json or text',
    ]);
  });

  it.each([
    [`a: [${canary}`, /is no YAML: look at line 1$/],
    [`clusterName: a\nclusterName: ${canary}`, /is no YAML: look at line 2$/],
    [`clusterName: a\n---\nclusterName: ${canary}`, /is no YAML: look at line 2$/],
    ['a: b\n'.repeat(50), /is no YAML: look at line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 39 more$/],
    [`- ${canary}`, /must hold settings by their keys/],
    [canary, /must hold settings by their keys/],
    [`clusterName: &x a\nwatchNamespace: *x`, /watchNamespace in .* must be written out: aliases are not read$/],
    [`{connectToken:${canary}}`, /^a key that is not shown here in .* is no setting: docs/],
    [`vaultPolicy: [{namespaces: [a], vaults: [b], "c: ${canary}": d}]`, /and not a key that is not shown here$/],
    [`vaultPolicy: [*${canary}]`, /is no YAML: look at line 1|vaultPolicy/],
  ])('is refused whole when it is not one: %j', (yaml, problem) => {
    expect(problemsOf(() => read(yaml))).toEqual([expect.stringMatching(problem)]);
  });

  it('has to be there, and to be readable', () => {
    const large = join(folder, 'large.yaml');
    writeFileSync(large, ' '.repeat(1024 * 1024 + 1));
    expect(namedBy(join(folder, 'nowhere'))).toEqual([
      '--config names a file that does not exist: check its path, and in a pod the Secret or ConfigMap that is mounted there',
    ]);
    expect(namedBy(folder)).toEqual(['--config names a folder: name the file in it']);
    expect(namedBy('/dev/null')).toEqual(['--config names no regular file: name one']);
    expect(namedBy(large)).toEqual(['--config names a file of more than 1 MiB: it must be another one']);
  });
});

describe('the vault policy', () => {
  it('is a list of namespaces and the vaults they may use', () => {
    const yaml = `
      vaultPolicy:
        - namespaces: [shop, "team-*"]
          vaults: [Prod, abcdefghijklmnopqrstuvwxyz]
        - {namespaces: ["*"], vaults: [Common]}
    `;
    const policy = [
      { namespaces: ['shop', 'team-*'], vaults: ['Prod', 'abcdefghijklmnopqrstuvwxyz'] },
      { namespaces: ['*'], vaults: ['Common'] },
    ];
    expect(read(yaml).vaultPolicy).toEqual(policy);
    expect(readVaultPolicy(path)).toEqual({ policy });
  });

  it('may be empty, which denies all, and be absent, which does not', () => {
    expect(read('vaultPolicy: []').vaultPolicy).toEqual([]);
    expect(read('clusterName: a').vaultPolicy).toBeUndefined();
  });

  it.each([
    ['all', ['vaultPolicy must be a list of entries with namespaces and vaults']],
    ['[all]', ['vaultPolicy[0] must be an entry with namespaces and vaults']],
    ['[{namespaces: [a]}]', ['vaultPolicy[0].vaults must be a list with at least one entry']],
    ['[{namespaces: [], vaults: [a]}]', ['vaultPolicy[0].namespaces must be a list with at least one entry']],
    ['[{namespaces: a, vaults: [a]}]', ['vaultPolicy[0].namespaces must be a list with at least one entry']],
    ['[{namespaces: [A_b], vaults: [a]}]', ['vaultPolicy[0].namespaces[0] must be a name of a namespace, in which * is any text']],
    ['[{namespaces: [a], vaults: [1]}]', ['vaultPolicy[0].vaults[0] must be a text, in quotes when it looks like a number']],
    ['[{namespaces: [a], vaults: [" "]}]', ['vaultPolicy[0].vaults[0] must not be empty']],
    [
      '[{namespaces: {length: {toString: null}}, vaults: [{length: {valueOf: 1, toString: 1}}]}]',
      [
        'vaultPolicy[0].namespaces must be a list with at least one entry',
        'vaultPolicy[0].vaults[0] must be a text, in quotes when it looks like a number',
      ],
    ],
    [
      '[{namespaces: [a], vaults: [a], vault: x}, {vaults: []}]',
      [
        'vaultPolicy[0] may have namespaces and vaults, and not "vault"',
        'vaultPolicy[1].namespaces must be a list with at least one entry',
        'vaultPolicy[1].vaults must be a list with at least one entry',
      ],
    ],
  ])('is read strictly: %s', (policy, expected) => {
    const problems = problemsOf(() => read(`vaultPolicy: ${policy}`));
    expect(problems.map((problem) => problem.replace(` in ${path}`, ''))).toEqual(expected);
  });

  it.each(['', ' ""', " ''", ' null', ' ~'])('is a problem, and not absent, when it has no value: %j', (value) => {
    const problem = `vaultPolicy in ${path} must be a list of entries with namespaces and vaults`;
    expect(problemsOf(() => read(`vaultPolicy:${value}`))).toEqual([problem]);
    writeFileSync(path, `clusterName: blue\nvaultPolicy:${value}`);
    expect(readVaultPolicy(path)).toEqual({ problem });
  });

  it.each([
    ['vaultPolicy: all', /^vaultPolicy in .* must be a list/],
    ['vaultPolicy: []\nno: 1', /^"no" in .* is no setting/],
    ['vaultPolicy: []\nlogLevel: loud', /^logLevel in .* must be debug/],
    ['x: [', /is no YAML: look at line 1$/],
    ['', /holds no settings$/],
    ['# nothing yet', /holds no settings$/],
  ])('of a file that was broken meanwhile is a problem, and not absent: %j', (yaml, problem) => {
    writeFileSync(path, yaml);
    expect(readVaultPolicy(path)).toEqual({ problem: expect.stringMatching(problem) as string });
  });

  it('of a file that has settings, and none of these, is absent', () => {
    writeFileSync(path, 'clusterName: blue');
    expect(readVaultPolicy(path)).toEqual({ policy: undefined });
  });
});

describe('the file of the token', () => {
  it.each([
    [
      'is not there',
      () => join(folder, 'nowhere'),
      'a file that does not exist: check its path, and in a pod the Secret or ConfigMap that is mounted there',
    ],
    ['is a folder', () => folder, 'a folder: name the file in it'],
    ['is empty', () => holding(' \n'), 'an empty file: write an access token of the Connect server into it'],
    ['holds more', () => holding(`${canary} ${canary}`), 'a file with white space inside the token: give the token alone, on one line'],
  ])('is a problem when it %s', (_, file, problem) => {
    expect(named(file())).toEqual([`OP_CONNECT_TOKEN_FILE names ${problem}`]);
  });

  it('is a problem when it cannot be read for another reason', () => {
    const loop = join(folder, 'loop');
    symlinkSync(loop, loop);
    expect(named(loop)).toEqual(['OP_CONNECT_TOKEN_FILE names a file that cannot be read (ELOOP): check its path and permissions']);
  });

  it('must not be named beside a token', () => {
    const file = holding(canary);
    expect(named(file)).toEqual([]);
    expect(named(file, { OP_CONNECT_TOKEN: '' })).toEqual([]);
    expect(named(file, { OP_CONNECT_TOKEN: canary })).toEqual([
      expect.stringMatching(/^OP_CONNECT_TOKEN and OP_CONNECT_TOKEN_FILE are both set: unset one/),
    ]);
  });
});
