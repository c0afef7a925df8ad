import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { startApiServerProxy } from '../support/api-server-proxy.ts';
import { createCertificateAuthority } from '../support/certificates.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { installCrd } from '../support/scenario.ts';
import { type GatedWrite, openWriteGate, type Passage } from '../support/write-gate.ts';

const canary = 'canary-71c2ee';
const root = new URL('../..', import.meta.url).pathname;
const children = new Set<ChildProcess>();

let connect: ConnectServer;
let namespace: TestNamespace;

beforeAll(async () => {
  await installCrd();
  connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: canary }] }] }] },
  });
  namespace = await createNamespace(sharedControlPlane().kubeconfig);
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await connect?.close();
  await namespace?.kube.close();
});

interface Run {
  readonly pid: number;
  readonly input: (text: string) => void;
  readonly output: () => string;
  readonly errors: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exit: Promise<number | null>;
}

function run(command: readonly string[], environment: Readonly<Record<string, string>>): Run {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { cwd: root, env: { PATH: process.env['PATH'], ...environment }, stdio: 'pipe' });
  children.add(child);
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return {
    pid: child.pid ?? 0,
    input: (text) => void child.stdin.write(text),
    output: () => output,
    errors: () => errors,
    kill: (signal) => child.kill(signal),
    exit,
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const fromSource = [process.execPath, '--disable-sigusr1', 'src/main.ts'];
/** Goes wrong when it is told to. */
const failing = [process.execPath, '--import', './test/support/fail-on-order.ts'];
const quietFlags = ['--health-probe-bind-address=0', '--metrics-bind-address=0'];

describe('the process', () => {
  it('names every problem of its configuration at once and exits with 2', async () => {
    const { exit, errors, output } = run([...fromSource, '--what', '--metrics-bind-address=here'], { WATCH_NAMESPACE: 'UPPER' });
    expect(await exit).toBe(2);
    expect(output()).toBe('');
    for (const name of ['OP_CONNECT_HOST', 'OP_CONNECT_TOKEN', 'WATCH_NAMESPACE', '--what', '--metrics-bind-address']) {
      expect(errors()).toContain(name);
    }
  });

  it('exits with 2 when its kubeconfig cannot be read', async () => {
    const environment = { KUBECONFIG: '/nowhere/config', OP_CONNECT_HOST: 'http://127.0.0.1:1', OP_CONNECT_TOKEN: 'x' };
    const { exit, errors } = run(fromSource, environment);
    expect(await exit).toBe(2);
    expect(errors()).toContain('KUBECONFIG');
  });

  it('acts on the cluster of --kubeconfig, whatever KUBECONFIG names', async () => {
    const kubeconfig = operatorKubeconfig();
    const asks = {
      OP_CONNECT_HOST: connect.url,
      OP_CONNECT_TOKEN: connect.issueToken({ vaults: ['*'] }),
      WATCH_NAMESPACE: namespace.name,
    };
    const right = run([...fromSource, '--plan', '--kubeconfig', kubeconfig], { ...asks, KUBECONFIG: '/nowhere/config' });
    expect(await right.exit).toBe(0);
    const wrong = run([...fromSource, '--plan', '--kubeconfig=/nowhere/config'], { ...asks, KUBECONFIG: kubeconfig });
    expect([await wrong.exit, wrong.errors()]).toEqual([2, expect.stringContaining('--kubeconfig')]);
  });

  it('waits for an API server that is away, though nothing else keeps it alive', async () => {
    const port = await freePort();
    const kubeconfig = `${sharedControlPlane().directory}/away-${port}.kubeconfig`;
    const text = await readFile(operatorKubeconfig(), 'utf8');
    await writeFile(kubeconfig, text.replaceAll(sharedControlPlane().url, `https://127.0.0.1:${port}`), { mode: 0o600 });
    const environment = { KUBECONFIG: kubeconfig, OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: 'x' };
    const { exit, kill, output } = run(
      [...fromSource, '--health-probe-bind-address=0', '--metrics-bind-address=0', '--zap-log-level=debug'],
      environment,
    );
    await eventually('three attempts', () => (/"failures":3/.test(output()) ? true : undefined));
    kill('SIGTERM');
    expect(await exit).toBe(0);
  });

  it('exits with 2 when there is no cluster to talk to', async () => {
    const { exit, errors } = run(fromSource, { HOME: '/nowhere' });
    expect(await exit).toBe(2);
    for (const name of ['OP_CONNECT_HOST', 'OP_CONNECT_TOKEN', 'KUBECONFIG']) expect(errors()).toContain(name);
  });

  it('syncs, answers probes and scrapes, logs no value, and ends at SIGTERM with 0', async () => {
    await run([process.execPath, 'dev/tools/bundle.ts'], {}).exit;
    for (const [index, command] of [fromSource, [process.execPath, 'dist/keyturn.js']].entries()) {
      const [health, metrics] = [await freePort(), await freePort()];
      const flags = [`--health-probe-bind-address=127.0.0.1:${health}`, `-metrics-bind-address`, `127.0.0.1:${metrics}`];
      const { exit, kill, output } = run([...command, ...flags], {
        KUBECONFIG: operatorKubeconfig(),
        OP_CONNECT_HOST: connect.url,
        OP_CONNECT_TOKEN: connect.issueToken({ vaults: ['*'] }),
        WATCH_NAMESPACE: namespace.name,
        POLLING_INTERVAL: '1',
      });
      await eventually('readiness', async () => ((await fetch(`http://127.0.0.1:${health}/readyz`)).ok ? true : undefined));
      expect((await fetch(`http://127.0.0.1:${health}/healthz`)).status).toBe(200);
      await namespace.createItem(`db-${index}`, 'vaults/Prod/items/db');
      await untilReadiness(namespace, `db-${index}`, 'True');
      // The attempt is counted when it has ended, which is after the status was written.
      const scraped = await eventually('the attempt to be counted', async () => {
        const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
        return /controller_runtime_reconcile_total\{controller="onepassworditem",result="success"\} [1-9]/.test(text) ? text : undefined;
      });
      expect(scraped).toMatch(/keyturn_connect_requests_total\{route="\/v1\/vaults",code="200"\} [1-9]/);
      kill('SIGTERM');
      expect(await exit).toBe(0);
      expect(output()).toContain('"msg":"reconciling"');
      expect(output() + scraped).not.toContain(canary);
    }
  });

  it('trusts a Connect server by the certificate that SSL_CERT_FILE names, and says what to do without it', async () => {
    const authority = createCertificateAuthority();
    const secured = await startConnectServer({
      seed: { vaults: [{ name: 'Prod', items: [{ title: 'db' }] }] },
      tls: authority.issue('127.0.0.1'),
    });
    onTestFinished(() => secured.close());
    const file = `${sharedControlPlane().directory}/connect-ca.pem`;
    await writeFile(file, authority.cert);
    const environment = {
      KUBECONFIG: operatorKubeconfig(),
      OP_CONNECT_HOST: secured.url,
      OP_CONNECT_TOKEN: secured.issueToken({ vaults: ['*'] }),
      WATCH_NAMESPACE: namespace.name,
    };
    const command = [...fromSource, '--health-probe-bind-address=0', '--metrics-bind-address=0'];
    const without = run(command, environment);
    await eventually('the cure', () => (without.output().includes('SSL_CERT_FILE') ? true : undefined));
    expect(secured.requests.total).toBe(0);
    const withFile = run(command, { ...environment, SSL_CERT_FILE: file });
    await eventually('a poll', () => (secured.requests.total > 0 ? true : undefined));
    for (const { kill, exit } of [without, withFile]) {
      kill('SIGTERM');
      expect(await exit).toBe(0);
    }
  });

  it('exits with 2 when SSL_CERT_FILE holds no certificate', async () => {
    const environment = { KUBECONFIG: operatorKubeconfig(), OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: 'x' };
    for (const file of ['/nowhere/ca.pem', new URL('../../package.json', import.meta.url).pathname]) {
      const { exit, errors } = run(fromSource, { ...environment, SSL_CERT_FILE: file });
      expect(await exit).toBe(2);
      expect(errors()).toContain('SSL_CERT_FILE');
    }
  });

  it('prints its version and its settings without a configuration or a cluster, and exits with 0', async () => {
    for (const [flag, expected] of [
      ['--version', /^keyturn \d+\.\d+\.\d+\n$/],
      ['--help', /^keyturn [\s\S]*--leader-elect/],
    ] as const) {
      const { exit, output, errors } = run([...fromSource, flag], { HOME: '/nowhere' });
      expect(await exit).toBe(0);
      expect(output()).toMatch(expected);
      expect(errors()).toBe('');
    }
  });

  it('takes its settings from a file, and names each of its mistakes', async () => {
    const file = `${sharedControlPlane().directory}/keyturn.yaml`;
    const tokenFile = `${sharedControlPlane().directory}/connect-token`;
    await writeFile(tokenFile, connect.issueToken({ vaults: ['*'] }));
    const settings = `connectHost: ${connect.url}\nhealthProbeBindAddress: 0\nmetricsBindAddress: 0\nlogFormat: text\n`;
    await writeFile(file, `${settings}connectTokenFile: ${tokenFile}\nwatchNamespace: [${namespace.name}]\n`);
    const environment = { KUBECONFIG: operatorKubeconfig() };
    const { exit, kill, output } = run([...fromSource, '--config', file], environment);
    await eventually('the start', () => (/ INFO {2}reconciling resources=/.test(output()) ? true : undefined));
    kill('SIGINT');
    expect(await exit).toBe(0);

    await writeFile(file, `${settings}connectToken: ${canary}\nlogLevl: ${canary}\n`);
    const wrong = run([...fromSource, '--config', file], environment);
    expect(await wrong.exit).toBe(2);
    expect(wrong.errors()).toMatch(/"connectToken" in .*OP_CONNECT_TOKEN_FILE[\s\S]*"logLevl" in .*did you mean logLevel\?/);
    expect(wrong.errors()).not.toContain(canary);
  });

  it('gives no token to what it starts', async () => {
    const folder = sharedControlPlane().directory;
    const [program, seen] = [`${folder}/plugin.sh`, `${folder}/plugin-environment`];
    const answer = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: 'x' } };
    await writeFile(program, `#!/bin/sh\nenv > ${seen}.new\nmv ${seen}.new ${seen}\necho '${JSON.stringify(answer)}'\n`, { mode: 0o700 });
    const kubeconfig = `${folder}/plugin.kubeconfig`;
    const exec = { apiVersion: answer.apiVersion, command: program, interactiveMode: 'Never' };
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'u', user: { exec } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    await writeFile(kubeconfig, JSON.stringify(config));
    const secret = { OP_CONNECT_TOKEN: canary, OP_SERVICE_ACCOUNT_TOKEN: canary };
    const environment = { KUBECONFIG: kubeconfig, OP_CONNECT_HOST: connect.url, CLUSTER_NAME: 'blue', ...secret };
    const { kill, exit } = run([...fromSource, ...quietFlags], environment);
    const inherited = await eventually('the plugin', () => readFile(seen, 'utf8').catch(() => undefined));
    expect(inherited).toContain('CLUSTER_NAME=blue');
    expect(inherited).not.toContain(canary);
    kill('SIGTERM');
    expect(await exit).toBe(0);
  });

  it.each([
    ['is not set, as in production', fromSource, {}],
    ['is missing', [process.execPath, 'src/main.ts'], {}],
  ])('opens no inspector at SIGUSR1 and lives on, though --disable-sigusr1 %s', async (_, command, more) => {
    const { kill, errors, exit, metrics } = await started(command, more);
    kill('SIGUSR1');
    // A signal that was sent before has been seen when the process answers after it.
    for (let scrape = 0; scrape < 3; scrape += 1) expect((await fetch(metrics)).ok).toBe(true);
    expect(await isOpen(9229)).toBe(false);
    expect(errors()).not.toContain('Debugger');
    kill('SIGTERM');
    expect(await exit).toBe(0);
  });

  it('is started without an inspector by the scripts that start it', async () => {
    const { scripts } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { readonly scripts: Readonly<Record<string, string>> };
    expect(scripts['start']).toMatch(/^node --disable-sigusr1 /);
    const readme = await readFile(`${root}README.md`, 'utf8');
    const commands = readme.match(/^node_modules\/\.bin\/node .*keyturn\.js.*$/gm) ?? [];
    expect(commands.length).toBeGreaterThan(0);
    for (const command of commands) expect(command).toContain(' --disable-sigusr1 ');
  });

  it('writes no diagnostic report, though it is asked for one', async () => {
    const folder = `${sharedControlPlane().directory}/reports`;
    await mkdir(folder);
    const options = `--report-on-signal --report-signal=SIGUSR2 --report-uncaught-exception --report-on-fatalerror --report-directory=${folder}`;
    const command = [...failing, '--disable-sigusr1', 'src/main.ts'];
    const [signalled, thrown] = await Promise.all([
      started(command, { NODE_OPTIONS: options }),
      started(command, { NODE_OPTIONS: options }),
    ]);
    // Without the report the signal has its usual meaning.
    signalled.kill('SIGUSR2');
    expect(await signalled.exit).toBeNull();
    thrown.input('throw uncaught');
    expect(await thrown.exit).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each(['--heapsnapshot-signal=SIGUSR2', '--heapsnapshot-near-heap-limit=1'])('does not start with %s', async (option) => {
    const environment = { KUBECONFIG: operatorKubeconfig(), OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: 'x' };
    for (const { exit, errors } of [
      run(fromSource, { ...environment, NODE_OPTIONS: option }),
      run([process.execPath, option, 'src/main.ts'], environment),
    ]) {
      expect(await exit).toBe(2);
      expect(errors()).toContain(`${option.split('=')[0]} would write every value in memory to disk`);
    }
  });

  it.each([
    ['reject unhandled', 'TypeError'],
    ['throw uncaught', 'RangeError'],
  ])('logs an error that nobody caught without its text, and exits with 1: %s', async (way, type) => {
    const { input, exit, output, errors } = await started([...failing, '--disable-sigusr1', 'src/main.ts']);
    input(way);
    expect(await exit).toBe(1);
    const last = JSON.parse(output().trimEnd().split('\n').at(-1) ?? '') as object;
    expect(last).toMatchObject({ level: 'fatal', error: type, msg: 'stopped by an error' });
    expect(output() + errors()).not.toContain(canary);
  });

  it('finishes a write that is under way at SIGTERM, begins no other, and exits with 0', async () => {
    const gate = await openWriteGate(sharedControlPlane());
    onTestFinished(() => gate.close());
    const { promise: held, resolve: arrived } = Promise.withResolvers<void>();
    const { promise: released, resolve: release } = Promise.withResolvers<Passage>();
    gate.decide((write) => {
      if (!isSecret(write)) return 'passed';
      arrived();
      return released;
    });
    const { kill, exit, output } = await started(fromSource, { KUBECONFIG: gate.kubeconfig });
    await namespace.createItem('under-way', 'vaults/Prod/items/db');
    await held;
    kill('SIGTERM');
    await eventually('the stop', () => (output().includes('stopping') ? true : undefined));
    const before = gate.writes.length;
    release('passed');
    expect(await exit).toBe(0);
    expect(gate.writes.find(isSecret)).toMatchObject({ status: 201 });
    expect(gate.writes.length).toBe(before);
    await namespace.delete('items', 'under-way');
  });

  it('exits with 0 within ten seconds of SIGTERM, though a write is never answered', { timeout: 40_000 }, async () => {
    const { kill, exit } = await heldInWrite('never-answered');
    const began = performance.now();
    kill('SIGTERM');
    expect(await exit).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
    await namespace.delete('items', 'never-answered');
  });

  it('exits with 1 within ten seconds of an error that ends it, though something hangs', { timeout: 60_000 }, async () => {
    const api = await startApiServerProxy({ controlPlane: sharedControlPlane() });
    onTestFinished(() => api.close());
    const election = [
      '--leader-elect',
      '--leader-elect-lease-duration=3s',
      '--leader-elect-renew-deadline=2s',
      '--leader-elect-retry-period=1s',
    ];
    const environment = { KUBECONFIG: api.kubeconfig, POD_NAMESPACE: namespace.name };
    const { input, exit, output } = await started([...failing, '--disable-sigusr1', 'src/main.ts', ...election], environment);
    input('hang at the end');
    await eventually('the order to be taken', () => (output().includes('hangs at the end') ? true : undefined));
    const began = performance.now();
    api.faults.order({ kind: 'refuse' });
    expect(await exit).toBe(1);
    expect(output()).toContain('stopped by an error');
    expect(performance.now() - began).toBeLessThan(3_000 + 10_000);
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('ends at once at a second signal: %s', async (signal, code) => {
    const name = `second-${signal.toLowerCase()}`;
    const { kill, exit, output } = await heldInWrite(name);
    kill('SIGTERM');
    await eventually('the stop', () => (output().includes('stopping') ? true : undefined));
    const began = performance.now();
    kill(signal);
    expect(await exit).toBe(code);
    expect(performance.now() - began).toBeLessThan(3_000);
    await namespace.delete('items', name);
  });
});

function operatorKubeconfig(): string {
  return sharedControlPlane().accounts.namespaced.kubeconfig;
}

function isSecret({ path }: GatedWrite): boolean {
  return path.endsWith('/secrets');
}

/** The process, reconciling; `metrics` answers as long as it lives. */
async function started(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Run & { metrics: string }> {
  const port = await freePort();
  const process = run([...command, '--health-probe-bind-address=0', `--metrics-bind-address=127.0.0.1:${port}`], {
    KUBECONFIG: operatorKubeconfig(),
    OP_CONNECT_HOST: connect.url,
    OP_CONNECT_TOKEN: connect.issueToken({ vaults: ['*'] }),
    WATCH_NAMESPACE: namespace.name,
    ...environment,
  });
  await eventually('the start', () => (process.output().includes('reconciling') ? true : undefined));
  return { ...process, metrics: `http://127.0.0.1:${port}/metrics` };
}

/** A process in the middle of a write that is never answered. */
async function heldInWrite(name: string): Promise<Run> {
  const gate = await openWriteGate(sharedControlPlane());
  onTestFinished(() => gate.close());
  const { promise: held, resolve: arrived } = Promise.withResolvers<void>();
  gate.decide((write) => {
    if (!isSecret(write)) return 'passed';
    arrived();
    return new Promise(() => {});
  });
  const process = await started(fromSource, { KUBECONFIG: gate.kubeconfig });
  await namespace.createItem(name, 'vaults/Prod/items/db');
  await held;
  return process;
}

/** Whether somebody listens on a port of this machine. */
async function isOpen(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  try {
    return await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]);
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
