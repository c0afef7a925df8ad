import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { createCertificateAuthority } from '../support/certificates.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { installCrd } from '../support/scenario.ts';

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
  readonly output: () => string;
  readonly errors: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exit: Promise<number | null>;
}

function run(command: readonly string[], environment: Readonly<Record<string, string>>): Run {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { cwd: root, env: { PATH: process.env['PATH'], ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return { output: () => output, errors: () => errors, kill: (signal) => child.kill(signal), exit };
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

  it('waits for an API server that is away, though nothing else keeps it alive', async () => {
    const port = await freePort();
    const kubeconfig = `${sharedControlPlane().directory}/away-${port}.kubeconfig`;
    const text = await readFile(sharedControlPlane().kubeconfig, 'utf8');
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
        KUBECONFIG: sharedControlPlane().kubeconfig,
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
      KUBECONFIG: sharedControlPlane().kubeconfig,
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
    const environment = { KUBECONFIG: sharedControlPlane().kubeconfig, OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: 'x' };
    for (const file of ['/nowhere/ca.pem', new URL('../../package.json', import.meta.url).pathname]) {
      const { exit, errors } = run(fromSource, { ...environment, SSL_CERT_FILE: file });
      expect(await exit).toBe(2);
      expect(errors()).toContain('SSL_CERT_FILE');
    }
  });

  it('opens no inspector at SIGUSR1', async () => {
    const environment = { KUBECONFIG: sharedControlPlane().kubeconfig, OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: 'x' };
    const { kill, errors, output, exit } = run([...fromSource, '--health-probe-bind-address=0', '--metrics-bind-address=0'], environment);
    await eventually('the start', () => (output().includes('reconciling') ? true : undefined));
    kill('SIGUSR1');
    kill('SIGTERM');
    await exit;
    expect(errors()).not.toContain('Debugger');
  });
});
