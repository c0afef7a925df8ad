import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { commandOf, ConfigError, helpText, readConfig, takeEnvironment, type Config, wantsPrinted } from '../../../src/config.ts';
import { settingNames, settingOf } from '../../../src/config/settings.ts';

const token = 'canary-token';
const connect = { OP_CONNECT_HOST: 'http://onepassword-connect:8080', OP_CONNECT_TOKEN: token };
const read = (environment: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Config =>
  readConfig({ ...connect, ...environment }, flags);

function problemsOf(environment: Readonly<Record<string, string>>, flags: readonly string[] = []): readonly string[] {
  try {
    readConfig(environment, flags);
  } catch (error) {
    if (error instanceof ConfigError && !error.message.includes('canary')) return error.problems;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  it('needs no more than the Connect server and its token', () => {
    expect(read()).toEqual({
      connectHost: 'http://onepassword-connect:8080',
      connectToken: token,
      watchNamespaces: [],
      pollingInterval: 10_000,
      autoRestart: false,
      enableAnnotations: false,
      allowEmptyValues: false,
      healthAddress: { host: undefined, port: 8081 },
      metricsAddress: { host: undefined, port: 8080 },
      restartMode: 'restart',
      restartDebounce: 2_000,
      maxRestarts: { inAll: 50, perNamespace: 10 },
      leaderElection: {
        enabled: false,
        leaseDuration: 15_000,
        renewDeadline: 10_000,
        retryPeriod: 2_000,
        namespace: undefined,
        identity: hostname(),
      },
      audit: { path: undefined, maxSize: 104_857_600, maxBackups: 10, required: false },
      requireConnectTls: false,
      metricsNamespaceLabel: false,
      clusterName: '',
      podName: hostname(),
      plan: false,
      logLevel: 'info',
      logFormat: 'json',
      warnings: [],
    });
  });

  it('is as if a variable were not set when it is empty or blank', () => {
    const empty = { WATCH_NAMESPACE: '', POLLING_INTERVAL: ' ', AUTO_RESTART: '\n', MANAGE_CONNECT: '', OP_SERVICE_ACCOUNT_TOKEN: '' };
    expect(read(empty)).toEqual(read());
  });

  it('is free of the white space around its values', () => {
    const padded = {
      OP_CONNECT_HOST: ' https://connect ',
      OP_CONNECT_TOKEN: ' t\n',
      POLLING_INTERVAL: ' 5 ',
      AUTO_RESTART: ' true\n',
      WATCH_NAMESPACE: ' a , b,,a ',
    };
    expect(read(padded)).toMatchObject({
      connectHost: 'https://connect',
      connectToken: 't',
      pollingInterval: 5_000,
      autoRestart: true,
      watchNamespaces: ['a', 'b'],
    });
  });

  it('tells every problem at once, each with its cure', () => {
    const problems = problemsOf(
      { OP_CONNECT_HOST: 'connect:8080', OP_CONNECT_TOKEN: 'canary with space', AUTO_RESTART: 'canary?', WATCH_NAMESPACE: 'good,Bad_Name' },
      ['--enable-annotations=perhaps', '--metrics-bind-address=nowhere', '--no-such-flag', 'positional', '--zap-log-level=loud'],
    );
    expect(problems).toEqual([
      expect.stringContaining('unknown argument --no-such-flag'),
      expect.stringContaining('unknown argument in position 4'),
      expect.stringContaining('OP_CONNECT_HOST must be a URL'),
      expect.stringContaining('OP_CONNECT_TOKEN has white space inside'),
      expect.stringContaining('WATCH_NAMESPACE: "Bad_Name"'),
      expect.stringContaining('--enable-annotations must be true or false'),
      expect.stringContaining('AUTO_RESTART must be true or false'),
      expect.stringContaining('--metrics-bind-address must be host:port'),
      expect.stringContaining('--zap-log-level must be'),
    ]);
    expect(new ConfigError(problems).message).toMatch(/^the configuration has 9 problems:\n {2}- unknown argument/);
  });

  it.each([
    [{}, [/OP_CONNECT_HOST is not set/, /OP_CONNECT_TOKEN is not set/]],
    [{ OP_CONNECT_HOST: 'http://connect' }, [/OP_CONNECT_TOKEN is not set/]],
    [{ OP_SERVICE_ACCOUNT_TOKEN: 'canary' }, [/OP_SERVICE_ACCOUNT_TOKEN is set, but .* set OP_CONNECT_HOST/]],
    [{ ...connect, OP_SERVICE_ACCOUNT_TOKEN: 'canary' }, []],
    [{ ...connect, OP_CONNECT_HOST: 'ftp://connect' }, [/OP_CONNECT_HOST must be a URL/]],
  ])('needs to know Connect: %j', (environment, expected) => {
    const problems = problemsOf(environment);
    expect(problems).toEqual(expected.map((pattern) => expect.stringMatching(pattern) as string));
  });

  it.each([
    ['1', 1_000, 0],
    ['600', 600_000, 0],
    ['86400', 86_400_000, 0],
    ['0', 10_000, 1],
    ['-5', 10_000, 1],
    ['1.5', 10_000, 1],
    ['10s', 10_000, 1],
    ['86401', 10_000, 1],
  ])('POLLING_INTERVAL %j means %i ms, with %i warnings', (text, interval, warnings) => {
    const config = read({ POLLING_INTERVAL: text });
    expect([config.pollingInterval, config.warnings.length]).toEqual([interval, warnings]);
  });

  it('warns once that MANAGE_CONNECT has no effect, when it is true', () => {
    expect(read({ MANAGE_CONNECT: 'True' }).warnings).toEqual([expect.stringContaining('MANAGE_CONNECT')]);
    expect(read({ MANAGE_CONNECT: 'false' }).warnings).toEqual([]);
  });
});

describe('flags', () => {
  it.each([
    [['--enable-annotations'], { enableAnnotations: true }],
    [['-enable-annotations'], { enableAnnotations: true }],
    [['--enable-annotations=false'], { enableAnnotations: false }],
    [['--allow-empty-values=T'], { allowEmptyValues: true }],
    [['--enable-annotations=false', '--enable-annotations'], { enableAnnotations: true }],
    [['--metrics-bind-address=127.0.0.1:9000'], { metricsAddress: { host: '127.0.0.1', port: 9000 } }],
    [
      ['-metrics-bind-address', 'localhost:9000', '--allow-empty-values'],
      { metricsAddress: { host: 'localhost', port: 9000 }, allowEmptyValues: true },
    ],
    [['--metrics-bind-address=[::1]:9000'], { metricsAddress: { host: '::1', port: 9000 } }],
    [['--health-probe-bind-address=:0'], { healthAddress: { host: undefined, port: 0 } }],
    [['--health-probe-bind-address', '0', '--metrics-bind-address=0'], { healthAddress: undefined, metricsAddress: undefined }],
    [['--plan'], { plan: true }],
    [['--zap-log-level=debug'], { logLevel: 'debug' }],
    [['--zap-log-level', 'ERROR'], { logLevel: 'error' }],
    [['--zap-log-level=panic'], { logLevel: 'error' }],
    [['--zap-log-level=5'], { logLevel: 'debug' }],
    [['--log-level=warn'], { logLevel: 'warn' }],
    [['--log-level=info', '--zap-log-level=debug'], { logLevel: 'info' }],
    [['--log-format=text'], { logFormat: 'text' }],
    [['--leader-elect'], { leaderElection: expect.objectContaining({ enabled: true, leaseDuration: 15_000 }) as object }],
    [
      ['--leader-elect-lease-duration=30s', '--leader-elect-renew-deadline', '20s', '--leader-elect-retry-period=500ms'],
      { leaderElection: expect.objectContaining({ leaseDuration: 30_000, renewDeadline: 20_000, retryPeriod: 500 }) as object },
    ],
    [['--metrics-secure=false'], { metricsSecure: undefined }],
    [['--metrics-secure'], { metricsSecure: { certFile: undefined, keyFile: undefined } }],
    [['--metrics-secure', '--metrics-cert-path=/certs'], { metricsSecure: { certFile: '/certs/tls.crt', keyFile: '/certs/tls.key' } }],
    [
      ['--metrics-secure', '--metrics-cert-path=/certs', '--metrics-cert-name=a.crt', '--metrics-cert-key', 'a.key'],
      { metricsSecure: { certFile: '/certs/a.crt', keyFile: '/certs/a.key' } },
    ],
    [['--metrics-secure', '--metrics-cert-path='], { metricsSecure: { certFile: undefined, keyFile: undefined } }],
    [['--metrics-secure', '--metrics-cert-path', ''], { metricsSecure: { certFile: undefined, keyFile: undefined } }],
    [['--cluster-name=blue', '--cluster-name='], { clusterName: '' }],
    [['--max-restarts='], { maxRestarts: { inAll: 50, perNamespace: 10 } }],
    [['--metrics-namespace-label'], { metricsNamespaceLabel: true }],
    [
      ['--audit-log-path=/var/log/audit', '--audit-log-maxsize=1', '--audit-log-maxbackup=3', '--audit-required'],
      { audit: { path: '/var/log/audit', maxSize: 1_048_576, maxBackups: 3, required: true } },
    ],
    [['--audit-log-path=-'], { audit: expect.objectContaining({ path: undefined }) as object }],
    [['--cluster-name=blue'], { clusterName: 'blue' }],
    [['--connect-host=http://flagged'], { connectHost: 'http://flagged' }],
    [
      ['--watch-namespace=a,b', '--polling-interval=60', '--auto-restart'],
      { watchNamespaces: ['a', 'b'], pollingInterval: 60_000, autoRestart: true },
    ],
    [['--restart-mode=report'], { restartMode: 'report' }],
    [['--restart-mode', 'restart'], { restartMode: 'restart' }],
    [['--restart-debounce=0'], { restartDebounce: 0 }],
    [['--restart-debounce', '1m30s'], { restartDebounce: 90_000 }],
    [['--restart-debounce=10m'], { restartDebounce: 600_000 }],
    [['--max-restarts=0'], { maxRestarts: { inAll: 0, perNamespace: 10 } }],
    [['--max-restarts-per-namespace', '0'], { maxRestarts: { inAll: 50, perNamespace: 0 } }],
    [['--max-restarts=999999', '--max-restarts-per-namespace=1'], { maxRestarts: { inAll: 999_999, perNamespace: 1 } }],
  ])('%j', (flags, expected) => {
    expect(read({}, flags)).toMatchObject({ ...expected, warnings: [] });
  });

  it('of the old operator without meaning here are accepted with one warning, values and all', () => {
    const old = ['--zap-devel', '-zap-encoder', 'json', '--zap-time-encoding=iso8601', '--enable-http2'];
    const config = read({}, [...old, '--enable-annotations']);
    expect(config.enableAnnotations).toBe(true);
    expect(config.warnings).toEqual(['accepted, but without effect here: --zap-devel, --zap-encoder, --zap-time-encoding, --enable-http2']);
  });

  it.each([
    ['--leader-election', /^unknown argument --leader-election: did you mean --leader-elect\? --help shows the flags$/],
    ['--nothing-like-it', /^unknown argument --nothing-like-it: --help shows the flags$/],
    ['canary', /unknown argument in position 1/],
    ['---enable-annotations', /unknown argument in position 1/],
    ['--metrics-bind-address', /--metrics-bind-address needs a value/],
    ['--metrics-bind-address=:99999', /host:port, :port, or 0/],
    ['--metrics-bind-address=8080', /host:port, :port, or 0/],
    ['--log-level=panic', /^--log-level must be debug, info, warn or error$/],
    ['--log-format=xml', /^--log-format must be json or text$/],
    ['--polling-interval=10s', /^--polling-interval must be a whole number of seconds from 1 to 86400$/],
    ['--watch-namespace=Bad_Name', /^--watch-namespace: "Bad_Name" is no name of a namespace$/],
    ['--leader-elect-lease-duration=10s', /^--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline/],
    ['--leader-elect-retry-period=9s', /^--leader-elect-renew-deadline must be longer than 1\.2 times --leader-elect-retry-period/],
    [
      '--leader-elect-lease-duration=1d',
      /^--leader-elect-lease-duration must be a duration of at least 1s and at most 10m, for instance 15s$/,
    ],
    ['--audit-log-maxsize=0', /^--audit-log-maxsize must be a whole number of MiB from 1 to 102400$/],
    ['--audit-log-maxbackup=-1', /^--audit-log-maxbackup must be a whole number up to 1000; 0 keeps all$/],
    ['--zap-log-level=0', /--zap-log-level must be/],
    ['--zap-log-level=-1', /--zap-log-level must be/],
    ['--restart-mode', /--restart-mode needs a value/],
    ['--restart-mode=dry-run', /^--restart-mode must be restart, or report, which restarts nothing$/],
    ['--restart-mode=Report', /--restart-mode must be/],
    ['--restart-debounce=2', /^--restart-debounce must be a duration of at most 10m, for instance 2s$/],
    ['--restart-debounce=-2s', /--restart-debounce must be/],
    ['--restart-debounce=10m1ms', /--restart-debounce must be/],
    ['--restart-debounce=1d', /--restart-debounce must be/],
    ['--max-restarts=many', /^--max-restarts must be a whole number; 0 is no limit$/],
    ['--max-restarts=-1', /--max-restarts must be/],
    ['--max-restarts=1.5', /--max-restarts must be/],
    ['--max-restarts=1000000', /--max-restarts must be/],
    ['--max-restarts-per-namespace=1e3', /^--max-restarts-per-namespace must be a whole number; 0 is no limit$/],
    ['--metrics-secure=', /--metrics-secure needs a value/],
  ])('%s is a problem', (flag, problem) => {
    expect(problemsOf(connect, [flag])).toEqual([expect.stringMatching(problem)]);
  });
});

it('certificates for metrics without TLS are a warning', () => {
  expect(read({}, ['--metrics-cert-path=/certs']).warnings).toEqual([
    expect.stringMatching(/^without effect: --metrics-cert-path; .*--metrics-secure/),
  ]);
  expect(read({}, ['--metrics-secure', '--metrics-cert-name=x']).warnings).toEqual([expect.stringContaining('--metrics-cert-name')]);
});

it('a pod says who it is and where its lease belongs', () => {
  expect(read({ POD_NAME: 'keyturn-0', POD_NAMESPACE: 'ops', CLUSTER_NAME: 'blue' })).toMatchObject({
    podName: 'keyturn-0',
    clusterName: 'blue',
    leaderElection: { identity: 'keyturn-0', namespace: 'ops' },
  });
});

const formatOf = (flags: readonly string[], terminal: boolean): string => readConfig(connect, flags, { terminal }).logFormat;

it('a log on a terminal is text where nothing was said', () => {
  expect([formatOf([], true), formatOf([], false), formatOf(['--log-format=json'], true)]).toEqual(['text', 'json', 'json']);
});

describe('the token', () => {
  it.each([
    [['--connect-token', token]],
    [[`--connect-token=${token}`]],
    [['--op-connect-token', token]],
    [['-OP_CONNECT_TOKEN', token]],
    [['--token', token]],
  ])('is refused as a flag, and not repeated: %j', (flags) => {
    expect(problemsOf(connect, flags)).toEqual([expect.stringMatching(/^--[\w-]+: the token has no place there: .*OP_CONNECT_TOKEN_FILE/)]);
  });

  it('leaves the environment once it has been taken', () => {
    const environment: Record<string, string | undefined> = { ...connect, OP_SERVICE_ACCOUNT_TOKEN: token, PATH: '/bin' };
    expect(readConfig(takeEnvironment(environment), []).connectToken).toBe(token);
    expect(environment).toEqual({ OP_CONNECT_HOST: connect.OP_CONNECT_HOST, PATH: '/bin' });
  });
});

describe('what is printed', () => {
  it.each([
    [['--help'], 'help'],
    [['-h'], 'help'],
    [['-help=true', '--no-such-flag'], 'help'],
    [['--version'], 'version'],
    [['--config', '--help'], undefined],
    [['--help=false'], undefined],
    [[], undefined],
  ])('%j: %s', (flags, expected) => {
    expect(wantsPrinted(flags)).toBe(expected);
  });

  it('as help has every flag, variable and key, with its default', () => {
    const text = helpText('1.2.3');
    expect(text).toContain('keyturn 1.2.3');
    for (const name of settingNames) {
      const { flag, variables = [], inFile, default: fallback = '' } = settingOf(name);
      for (const part of [...(flag === undefined ? [] : [`--${flag}`]), ...variables, ...(inFile === false ? [] : [name]), fallback]) {
        expect(text).toContain(part);
      }
    }
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });
});

describe('doctor', () => {
  it.each([
    [['doctor'], 'doctor'],
    [['--leader-elect', 'doctor', '--nothing-like-it'], 'doctor'],
    [['--cluster-name', 'doctor'], undefined],
    [['--leader-elect'], undefined],
  ])('is asked for by a word that stands alone: %j: %s', (flags, expected) => {
    expect(commandOf(flags)).toBe(expected);
  });

  it('leaves all settings as they are, and is no plan', () => {
    expect(read({}, ['doctor', '--leader-elect'])).toEqual(read({}, ['--leader-elect']));
    expect(problemsOf(connect, ['doctor', '--plan'])).toEqual(['doctor and --plan are two things: give one of them']);
  });
});

it('every setting has one sentence, and a place where it can be set', () => {
  for (const name of settingNames) {
    const { about, flag, variables, inFile } = settingOf(name);
    expect(about).toMatch(/^[A-Z].*\.$/);
    expect(flag !== undefined || variables !== undefined || inFile !== false).toBe(true);
  }
});
