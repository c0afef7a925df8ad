import { describe, expect, it } from 'vitest';
import type { Heartbeat } from '../../../src/connect/health.ts';
import { AccessToken } from '../../../src/connect/token.ts';
import { runChecks } from '../../../src/doctor/check.ts';
import { connectChecks, type ConnectChecksOptions } from '../../../src/doctor/connect.ts';
import { formatFinding } from '../../../src/domain/finding.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const clock = createFakeClock(Date.UTC(2026, 0, 1));
const day = 24 * 60 * 60 * 1000;
const jwt = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.canary`;
const vault = (name: string) => ({ id: name.padEnd(26, 'x').toLowerCase(), name, contentVersion: 1, createdAt: 0 });

interface Given {
  readonly config?: Partial<ConnectChecksOptions['config']>;
  readonly token?: string;
  readonly vaults?: readonly string[];
  readonly heartbeat?: Partial<Heartbeat>;
  readonly dependencies?: { service: string; status: string }[];
}

async function examine({ config, token, vaults = ['Prod'], heartbeat, dependencies = [] }: Given): Promise<string> {
  const lines: string[] = [];
  const checks = connectChecks({
    config: {
      connectHost: 'https://user:canary@connect.test:8443/base',
      connectTokenFile: undefined,
      connectProxy: undefined,
      vaultPolicy: undefined,
      ...config,
    },
    token: token === undefined ? undefined : new AccessToken(token),
    client: { listVaults: async () => vaults.map(vault) },
    probe: {
      heartbeat: async () => ({ ahead: 0, certificateExpiry: undefined, ...heartbeat }),
      health: async () => ({ name: 'Connect', version: '1.7.2', dependencies }),
    },
    clock,
  });
  await runChecks(checks, { clock, limit: 1_000, onFinding: (finding) => lines.push(formatFinding(finding)) });
  const report = lines.join('\n');
  expect(report).not.toContain('canary');
  return report;
}

describe('what doctor says of the token', () => {
  it.each([
    [
      'what it says of itself',
      jwt({ jti: 'id-1', exp: Date.UTC(2027, 0, 1) / 1000, '1password.com/fts': ['vaultaccess'], '1password.com/vts': [{}] }),
      'ok   token: from OP_CONNECT_TOKEN: id id-1, expires on 2027-01-01, features vaultaccess, made for 1 vault',
    ],
    [
      'that it expired',
      jwt({ jti: 'id-1', exp: Date.UTC(2025, 0, 1) / 1000 }),
      'FAIL token: that of OP_CONNECT_TOKEN expired on 2025-01-01 (id id-1); issue another one in 1Password',
    ],
    ['that it is none of 1Password', 'canary', 'warn token: that of OP_CONNECT_TOKEN is no JWT with an id'],
    ['that there is none', undefined, 'FAIL token: OP_CONNECT_TOKEN holds none; write an access token'],
  ])('is %s', async (_, token, line) => {
    expect(await examine(token === undefined ? {} : { token })).toContain(line);
  });

  it('names its file', async () => {
    expect(await examine({ token: jwt({ jti: 'id' }), config: { connectTokenFile: '/run/token' } })).toContain(
      'token: from /run/token: id id',
    );
  });
});

describe('what doctor says of Connect', () => {
  it('is where it is and by which way, without passwords', async () => {
    const report = await examine({ config: { connectProxy: 'http://me:canary@proxy.test:3128/' } });
    expect(report).toContain('ok   Connect: https://connect.test:8443 answers, through the proxy proxy.test:3128');
  });

  it.each([
    [15, 'ok   Connect: https://connect.test:8443 answers; its certificate is good until 2026-01-16'],
    [13, 'warn Connect: the certificate of https://connect.test:8443 expires on 2026-01-14; renew it'],
  ])('is that its certificate expires in %i days', async (days, line) => {
    expect(await examine({ heartbeat: { certificateExpiry: clock.now() + days * day } })).toContain(line);
  });

  it.each([
    [4_000, 'ok   Connect clock: agrees'],
    [60_000, 'warn Connect clock: 60 s ahead of ours; set both by NTP'],
    [-60_000, 'warn Connect clock: 60 s behind ours; set both by NTP'],
    [undefined, 'warn Connect clock: its answers have no Date to compare with; '],
  ])('is how its clock goes: %s', async (ahead, line) => {
    expect(await examine({ heartbeat: { ahead } })).toContain(line);
  });

  it.each([
    ['ACTIVE', 'ok   Connect health: sync is ACTIVE'],
    ['TOKEN_NEEDED', 'FAIL Connect health: sync waits for a first request with a good token (TOKEN_NEEDED); mend'],
    ['INACTIVE', 'FAIL Connect health: sync is INACTIVE; see the logs of connect-api and connect-sync'],
  ])('is that a part of it is %s', async (status, line) => {
    expect(await examine({ dependencies: [{ service: 'sync', status }] })).toContain(line);
  });
});

describe('what doctor says of vaults', () => {
  it('names twenty of them, and counts the others', async () => {
    const report = await examine({ vaults: Array.from({ length: 23 }, (_, i) => `v${i}`) });
    expect(report).toContain('ok   vaults: the token reaches 23 vaults: "v0", ');
    expect(report).toContain('"v19", and 3 more');
  });

  it.each([
    ['there is no policy', undefined, 'warn vault policy: there is none: every namespace'],
    ['all of its vaults are there', ['prod', '*', vault('Prod').id], 'ok   vault policy: 1 rule, and'],
    ['one is not', ['Prod', 'Prood'], 'warn vault policy: it names vaults that the token does not reach: "Prood"; '],
  ])('says of the policy that %s', async (_, vaults, line) => {
    expect(await examine({ config: { vaultPolicy: vaults && [{ namespaces: ['*'], vaults }] } })).toContain(line);
  });
});
