import { request } from 'node:https';
import { writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts } from '../../dev/control-plane/ports.ts';
import type { User } from '../../dev/control-plane/user.ts';
import { kubectl, sharedControlPlane, sharedUser } from '../support/control-plane.ts';
import { createCertificateAuthority } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { grantRole } from '../support/roles.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

let port = 0;
let scenario: Scenario;
let operator: User;
let scraper: User;
let stranger: User;
const lines: string[] = [];

/** Gives a user a ClusterRole for the length of the run. */
async function bind(name: string, role: string, { username }: User): Promise<void> {
  const [, , namespace, account] = username.split(':');
  const { code, stderr } = await kubectl([
    'create',
    'clusterrolebinding',
    name,
    `--clusterrole=${role}`,
    `--serviceaccount=${namespace}:${account}`,
  ]);
  if (code !== 0) throw new Error(stderr);
}

beforeAll(async () => {
  [port = 0] = await freePorts(1);
  [operator, scraper, stranger] = await Promise.all([
    sharedUser('metrics-operator'),
    sharedUser('metrics-scraper'),
    sharedUser('metrics-stranger'),
  ]);
  const { code, stderr } = await kubectl(['create', 'clusterrole', 'keyturn-metrics-reader', '--verb=get', '--non-resource-url=/metrics']);
  if (code !== 0) throw new Error(stderr);
  await bind('keyturn-metrics-reader', 'keyturn-metrics-reader', scraper);
  // What ships with Kubernetes for just this: to create reviews of tokens and of access.
  await bind('keyturn-auth-delegator', 'system:auth-delegator', operator);
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const flags = [`--metrics-bind-address=127.0.0.1:${port}`, '--metrics-secure'];
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items: [] }] }, flags, log });
  await grantRole(scenario.namespace, operator.username);
  await scenario.restartOperator({ kubeconfig: operator.kubeconfig });
});

afterAll(() => scenario?.end());

interface Scrape {
  readonly status: number;
  readonly body: string;
}

/** @param trusted an authority; without one any certificate does */
function scrape(token?: string, trusted?: string): Promise<Scrape> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const tls = trusted === undefined ? { rejectUnauthorized: false } : { ca: trusted };
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/metrics', headers, agent: false, ...tls }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on('error', reject)
      .end();
  });
}

describe('secure metrics', () => {
  it('are given to who may read them, and to nobody else', async () => {
    const allowed = await eventually('the right to be heeded', async () => {
      const answer = await scrape(scraper.token);
      return answer.status === 200 ? answer : undefined;
    });
    expect(allowed.body).toContain('keyturn_build_info');
    expect(await scrape(stranger.token)).toEqual({ status: 403, body: 'Forbidden' });
    expect(await scrape()).toEqual({ status: 401, body: 'Unauthorized' });
    expect(await scrape(`${scraper.token.slice(0, -8)}AAAAAAAA`)).toEqual({ status: 401, body: 'Unauthorized' });
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow('fetch failed');
    for (const { token } of [scraper, stranger]) expect(lines.join('')).not.toContain(token);
  });

  it('are served with the certificate of the files', async () => {
    const authority = createCertificateAuthority();
    const { cert, key } = authority.issue('127.0.0.1');
    const { directory } = sharedControlPlane();
    await Promise.all([writeFile(`${directory}/tls.crt`, cert), writeFile(`${directory}/tls.key`, key, { mode: 0o600 })]);
    await expect(scrape(scraper.token, authority.cert)).rejects.toThrow(/certificate/);
    const flags = [`--metrics-bind-address=127.0.0.1:${port}`, '--metrics-secure', `--metrics-cert-path=${directory}`];
    await scenario.restartOperator({ kubeconfig: operator.kubeconfig, flags });
    expect((await scrape(scraper.token, authority.cert)).status).toBe(200);
  });
});
