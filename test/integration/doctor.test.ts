import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import type { User } from '../../dev/control-plane/user.ts';
import { leaseName } from '../../src/api/names.ts';
import { readConfig } from '../../src/config.ts';
import { runDoctor } from '../../src/doctor.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { collectionPath, leases, objectPath } from '../../src/kube/resource.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { createNamespace, type TestNamespace } from '../support/cluster.ts';
import { type OwnControlPlane, ownControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { oldCrd } from '../support/old-crd.ts';
import { grantRole, operatorRules } from '../support/roles.ts';

interface Report {
  readonly lines: readonly string[];
  readonly exitCode: number | null;
}

let controlPlane: OwnControlPlane;
let proxy: ApiServerProxy;
let connect: ConnectServer;
let token: string;
let namespace: TestNamespace;
let user: User;
let folder: string;

function settings(): Readonly<Record<string, string>> {
  return { OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: token, WATCH_NAMESPACE: namespace.name, POD_NAMESPACE: namespace.name };
}

async function examine(environment: Readonly<Record<string, string>> = {}, flags: readonly string[] = [], ahead = 0): Promise<Report> {
  const lines: string[] = [];
  const config = readConfig({ ...settings(), ...environment }, ['doctor', ...flags]);
  const clock = { ...systemClock, now: () => Date.now() + ahead };
  const exitCode = await runDoctor({ config, credentials: credentialsFrom(proxy.kubeconfig), clock, print: (line) => lines.push(line) });
  return { lines, exitCode };
}

/** The same as a process. */
async function runProcess(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Report> {
  const child = spawn(process.execPath, ['--disable-sigusr1', 'src/main.ts', ...args], {
    cwd: new URL('../..', import.meta.url),
    env: { PATH: process.env['PATH'], KUBECONFIG: proxy.kubeconfig, ...settings(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, errors, exitCode] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('exit', resolve)),
  ]);
  expect(errors).toBe('');
  return { lines: output.trimEnd().split('\n'), exitCode };
}

/** What is not well. */
function complaints({ lines }: Report): readonly string[] {
  return lines.slice(0, -1).filter((line) => !line.startsWith('ok '));
}

async function applyCrd(manifest: string): Promise<void> {
  const { code, stderr } = await controlPlane.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], manifest);
  expect(code, stderr).toBe(0);
}

/** The schema that the API server publishes follows a definition by some moments. */
async function untilSaid(line: string): Promise<Report> {
  return await eventually(`doctor to say: ${line}`, async () => {
    const report = await examine();
    return report.lines.some((one) => one.includes(line)) ? report : undefined;
  });
}

/** `grantRole` waits for the rules of an operator, and these are others. */
async function grantRoleLoosely(rules: typeof operatorRules): Promise<void> {
  const path = objectPath({ root: '/apis/rbac.authorization.k8s.io/v1', plural: 'roles' }, { namespace: namespace.name, name: 'operator' });
  await namespace.kube.request({ method: 'PATCH', path, body: { rules } });
  await eventually('the Role to be heeded', async () =>
    (await examine()).lines.some((line) => line.startsWith('warn permission create on events')) ? true : undefined,
  );
}

async function hold(manager: string, renewedAgo = 0): Promise<void> {
  const path = objectPath(leases, { namespace: namespace.name, name: leaseName });
  await namespace.kube.request({ method: 'DELETE', path }).catch(() => {});
  const renewTime = new Date(Date.now() - renewedAgo).toISOString().replace('Z', '000Z');
  await namespace.kube.request({
    method: 'POST',
    path: collectionPath(leases, namespace.name),
    query: { fieldManager: manager },
    body: { metadata: { name: leaseName }, spec: { holderIdentity: 'pod-1_x', leaseDurationSeconds: 600, renewTime } },
  });
}
const ofLease = ({ lines }: Report): string | undefined => lines.find((line) => line.includes(`lease ${namespace.name}/`));

beforeAll(async () => {
  controlPlane = await ownControlPlane({ simulatePods: false });
  user = await controlPlane.user('keyturn');
  proxy = await startApiServerProxy({ controlPlane, user: { token: user.token } });
  connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'canary-71f0' }] }] }, { name: 'Shop' }] },
  });
  token = connect.issueToken({ vaults: ['*'] });
  namespace = await createNamespace(controlPlane.kubeconfig);
  await grantRole(namespace, user.username);
  folder = await mkdtemp(join(tmpdir(), 'keyturn-doctor-'));
  await writeFile(join(folder, 'policy.yaml'), 'vaultPolicy: [{namespaces: ["*"], vaults: [Prod]}]');
}, 120_000);

afterEach(() => {
  proxy.faults.clear();
  connect.faults.clear();
});

afterAll(async () => {
  await proxy?.close();
  await connect?.close();
  await namespace?.kube.close();
  await controlPlane?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('doctor in a cluster without the CRD', () => {
  it('says what to apply, and goes on with the rest', async () => {
    const report = await examine();
    expect(report.lines).toContain(
      'FAIL CRD: onepassworditems.onepassword.com is not installed; run kubectl apply -f crds/, or upgrade the chart with crds.install=true',
    );
    expect(report.lines.at(-1)).toMatch(/ ok, 1 warning, 1 failed$/);
    expect(report.exitCode).toBe(1);
  });
});

describe("doctor in a cluster with the Go operator's CRD", () => {
  beforeAll(() => applyCrd(oldCrd));

  it('names the fields that it lacks, and how to get them, as a warning', async () => {
    const { lines, exitCode } = await untilSaid('is an older one');
    expect(lines.find((line) => line.startsWith('warn CRD: '))).toMatch(
      /without .*status\.item.*status\.secret.*: all works but these; run kubectl apply -f crds\/,/,
    );
    expect(exitCode).toBe(0);
  });
});

describe('doctor where all is well', () => {
  beforeAll(async () => {
    await applyCrd(await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8'));
    await untilSaid('is served, and current');
  });

  it('says so of each thing, by the flags and the file of the operator, and exits with 0', async () => {
    const report = await runProcess(['doctor', '--leader-elect', '--config', join(folder, 'policy.yaml'), '--log-format=json']);
    expect(complaints(report)).toEqual([]);
    const { lines, exitCode } = report;
    expect(exitCode).toBe(0);
    expect(lines.at(-1)).toMatch(/^\d+ ok, 0 warnings, 0 failed$/);
    expect(lines).toContain('ok   vaults: the token reaches 2 vaults: "Prod", "Shop"');
    expect(lines).toContain('ok   vault policy: 1 rule, and every vault in it is there');
    expect(lines).toContain('ok   Connect health: version 1.7.1');
    expect(lines).toContain('ok   Connect health: sync is ACTIVE');
    expect(lines.find((line) => line.startsWith('ok   Kubernetes: '))).toContain(user.username);
    expect(lines).toContain(`ok   permission get, create, update on leases in ${namespace.name}: granted`);
    expect(lines).toContain(`ok   lease ${namespace.name}/${leaseName}: nobody holds it`);
    expect(lines.find((line) => line.startsWith('ok   token: '))).toMatch(/id [a-z0-9]{26}$/);
  });

  it('writes nothing, reads no item, and prints no token', async () => {
    proxy.requests.reset();
    connect.requests.reset();
    const { lines } = await examine({}, ['--leader-elect']);
    const asked = proxy.requests.all.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);
    expect(new Set(asked)).toEqual(
      new Set(['POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', 'POST /apis/authentication.k8s.io/v1/selfsubjectreviews']),
    );
    expect(new Set(connect.requests.all.map(({ route }) => route))).toEqual(new Set(['GET /heartbeat', 'GET /health', 'GET /v1/vaults']));
    const output = lines.join('\n');
    for (const secret of [token, user.token, 'canary-71f0']) expect(output).not.toContain(secret);
  });

  it('asks for the whole cluster when no namespace is named', async () => {
    const { lines, exitCode } = await examine({ WATCH_NAMESPACE: '' });
    const cure = `grant get, list, watch, create, update on secrets to ${user.username} by a ClusterRole`;
    expect(lines.find((line) => line.includes('on secrets in all namespaces'))).toContain(cure);
    expect(exitCode).toBe(1);
  });
});

describe('doctor tells the cure of', () => {
  it.each([
    ['a wrong token', { OP_CONNECT_TOKEN: 'a.b.c' }, 'FAIL vaults: Connect refuses the token (401); check OP_CONNECT_TOKEN'],
    [
      'a wrong host',
      { OP_CONNECT_HOST: 'http://127.0.0.1:1' },
      'FAIL Connect: Connect could not be asked (ECONNREFUSED); check OP_CONNECT_HOST',
    ],
    ['a namespace that is not there', { WATCH_NAMESPACE: 'nowhere' }, 'permission get, list, watch on onepassworditems in nowhere'],
  ])('%s', async (_, environment, said) => {
    const report = await examine(environment);
    expect(complaints(report).find((line) => line.includes(said))).toMatch(/; .+/);
    expect(report.exitCode).toBe(1);
  });

  it('a token without vaults', async () => {
    const report = await examine({ OP_CONNECT_TOKEN: connect.issueToken({ vaults: [] }) });
    expect(complaints(report)).toContain('FAIL vaults: the token reaches no vault; issue one in 1Password that has access to vaults');
  });

  it('a host that is no Connect server', async () => {
    const { lines } = await examine({ OP_CONNECT_HOST: `${connect.url}/elsewhere` });
    expect(lines).toContain('FAIL Connect: /heartbeat answers status 404; check that OP_CONNECT_HOST is a Connect server');
  });

  it('a policy that names a vault which is not there', async () => {
    const path = join(folder, 'typo.yaml');
    await writeFile(path, 'vaultPolicy: [{namespaces: [shop], vaults: [Prood]}]');
    expect(complaints(await examine({}, ['--config', path]))).toEqual([
      'warn vault policy: it names vaults that the token does not reach: "Prood"; check their spelling, or give the token access to them',
    ]);
  });

  it('an audit log that cannot be written', async () => {
    const { lines, exitCode } = await examine({}, ['--audit-log-path', folder]);
    expect(lines).toContain(`FAIL audit log: ${folder} is a folder; name a file in it with --audit-log-path`);
    expect(exitCode).toBe(1);
  });

  it('a clock that is wrong', async () => {
    const { lines } = await examine({}, [], 3_600_000);
    for (const whose of ['Connect', 'Kubernetes']) {
      expect(lines.find((line) => line.startsWith(`warn ${whose} clock: `))).toMatch(/: (3600|3599|3601) s behind ours; set both by NTP/);
    }
  });

  it('an API server that refuses or does not know us, and still looks at Connect', async () => {
    proxy.faults.order({ kind: 'status', status: 401, reason: 'Unauthorized' });
    const { lines, exitCode } = await examine();
    expect(lines).toContain(
      'FAIL Kubernetes: GET /version: 401 Unauthorized; the API server does not know these credentials: renew them, or choose others with KUBECONFIG',
    );
    expect(lines).toContain('warn CRD: not looked at; mend what is said of Kubernetes first');
    expect(lines.some((line) => line.startsWith('ok   vaults: '))).toBe(true);
    expect(exitCode).toBe(1);
  });

  it('a mistake in the configuration, with exit code 2', async () => {
    const { lines, exitCode } = await runProcess(['--leader-elekt', 'doctor'], { OP_CONNECT_HOST: '' });
    expect(lines).toEqual([
      'FAIL configuration: unknown argument --leader-elekt: did you mean --leader-elect? --help shows the flags',
      expect.stringMatching(/^FAIL configuration: OP_CONNECT_HOST is not set: give the URL/),
      '0 ok, 0 warnings, 2 failed',
    ]);
    expect(exitCode).toBe(2);
  });
});

describe('a Role without something', () => {
  afterAll(() => grantRole(namespace, user.username));

  it('is a failure where Secrets cannot be kept without it, and a warning with what is lost otherwise', async () => {
    const rules = operatorRules
      .filter(({ resources }) => !resources.includes('events'))
      .map((rule) => (rule.resources.includes('secrets') ? { ...rule, verbs: rule.verbs.filter((verb) => verb !== 'update') } : rule));
    await grantRoleLoosely(rules);
    const report = await examine();
    const { name } = namespace;
    expect(complaints(report).filter((line) => line.includes('permission'))).toEqual([
      `FAIL permission get, list, watch, create, update on secrets in ${name}: update is not granted; grant update on secrets to ${user.username} by a Role in ${name}`,
      `warn permission create on events in ${name}: create is not granted: nothing is told by events; grant create on events to ${user.username} by a Role in ${name}`,
    ]);
    expect(report.exitCode).toBe(1);
  });
});

describe('a Lease that is held', () => {
  it('by Keyturn is said, with its holder', async () => {
    await hold('keyturn');
    expect(ofLease(await examine({}, ['--leader-elect']))).toBe(`ok   lease ${namespace.name}/${leaseName}: pod-1_x holds it`);
  });

  it('by Keyturn is a warning to one that would not heed it', async () => {
    await hold('keyturn');
    expect(ofLease(await examine())).toContain('would not be heeded; give all replicas --leader-elect, or run only one');
  });

  it('by the Go operator is a warning, with what to do', async () => {
    await hold('manager');
    const report = await examine({}, ['--leader-elect']);
    expect(ofLease(report)).toMatch(/^warn lease .*pod-1_x holds it, which is no Keyturn: most likely the Go operator, .*; stop it, /);
    expect(report.exitCode).toBe(0);
  });

  it('no longer than it lasts, is free', async () => {
    await hold('manager', 700_000);
    expect(ofLease(await examine({}, ['--leader-elect']))).toBe(`ok   lease ${namespace.name}/${leaseName}: free: pod-1_x held it last`);
  });
});
