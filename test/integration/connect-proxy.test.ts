import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { Failure } from '../../src/api/reasons.ts';
import { type ConnectClient, createConnectClient } from '../../src/connect/client.ts';
import { createConnectToken } from '../../src/connect/token.ts';
import { createCertificateAuthority } from '../support/certificates.ts';
import { canary, canaryForms } from '../support/canary.ts';
import { readInProcess } from '../support/connect-client-process.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { complement } from '../support/heap-scan.ts';
import { type HttpProxy, type HttpProxyOptions, startHttpProxy } from '../support/http-proxy.ts';
import { failureOf as failureOfType } from '../support/failure-of.ts';

const signal = new AbortController().signal;
const vaultId = 'v'.repeat(26);
const itemId = 'i'.repeat(26);
const authority = createCertificateAuthority();
const proxyAuthority = createCertificateAuthority('Proxy authority');
const password = 'p%40ss-4c1e';

interface Setting {
  readonly server: ConnectServer;
  readonly proxy: HttpProxy;
  readonly client: ConnectClient;
  readonly token: string;
  /** When certificates expire that were met, in milliseconds since the epoch. */
  readonly expiries: readonly number[];
}

/** A Connect server, over TLS or not, behind a proxy, and a client for it. */
async function setUp(tls: boolean, options: HttpProxyOptions = {}, user = ''): Promise<Setting> {
  const fields = [{ label: 'password', value: canary('proxied'), type: 'CONCEALED' as const }];
  const server = await startConnectServer({
    seed: { vaults: [{ id: vaultId, name: 'Prod', items: [{ id: itemId, title: 'db', fields }] }] },
    ...(tls && { tls: authority.issue('127.0.0.1') }),
  });
  const proxy = await startHttpProxy(options);
  const token = server.issueToken({ vaults: ['*'] });
  const expiries: number[] = [];
  const client = createConnectClient({
    onCertificate: (expiry) => expiries.push(expiry),
    host: server.url,
    token: createConnectToken({ token }),
    userAgent: 'test',
    clock: createFakeClock(),
    ca: authority.cert,
    proxy: proxy.url.replace('//', `//${user}`),
  });
  onTestFinished(async () => {
    await client.close();
    await proxy.close();
    await server.close();
  });
  return { server, proxy, client, token, expiries };
}

const failureOf = (promise: Promise<unknown>): Promise<Failure> => failureOfType(promise, Failure);

describe('Connect behind a proxy', () => {
  it('is reached over TLS through one tunnel that is kept, and its own authority is the one that counts', async () => {
    const { server, proxy, client, expiries } = await setUp(true);
    await client.listVaults(signal);
    await setImmediate();
    await client.getItem(vaultId, itemId, signal);
    expect(expiries).toHaveLength(1);
    expect(proxy.asked).toEqual([`CONNECT ${new URL(server.url).host}`]);
    expect(server.requests.all.map(({ status }) => status)).toEqual([200, 200]);
  });

  it('is reached over plain HTTP by requests that the proxy passes on', async () => {
    const { server, proxy, client } = await setUp(false);
    await client.listVaults(signal);
    expect(proxy.asked).toEqual([`GET ${server.url}/v1/vaults`]);
  });

  it.each([true, false])('that asks who it is gets user and password, and Connect does not (TLS %s)', async (tls) => {
    const { proxy, client } = await setUp(tls, { credentials: 'me:p@ss-4c1e' }, `me:${password}@`);
    expect(await client.listVaults(signal)).toHaveLength(1);
    expect(proxy.credentials).toEqual([`Basic ${Buffer.from('me:p@ss-4c1e').toString('base64')}`]);
  });

  it('may be a proxy that is spoken to over TLS itself, trusted by the same file', async () => {
    const { proxy, client } = await setUp(true, { certificate: authority.issue('127.0.0.1') });
    expect(await client.listVaults(signal)).toHaveLength(1);
    expect(proxy.asked).toHaveLength(1);
  });

  it.each<[string, boolean, HttpProxyOptions]>([
    ['refuses the password', true, { credentials: 'me:other' }],
    ['refuses the password', false, { credentials: 'me:other' }],
    ['forbids the host', true, { tunnel: 403 }],
    ['cannot reach the host', true, { tunnel: 502 }],
    ['shows a certificate that nobody trusts', true, { certificate: proxyAuthority.issue('127.0.0.1') }],
  ])('is not when the proxy %s (TLS %s); the failure says where to look, and no password', async (_, tls, options) => {
    const { server, client } = await setUp(tls, options, `me:${password}@`);
    const failure = await failureOf(client.listVaults(signal));
    expect(failure.reason).toBe('ConnectUnavailable');
    expect(failure.message).toMatch(/HTTPS_PROXY|SSL_CERT_FILE/);
    const printed = inspect(failure, { depth: null, showHidden: true });
    for (const secret of [password, 'p@ss-4c1e', Buffer.from('me:p@ss-4c1e').toString('base64')]) expect(printed).not.toContain(secret);
    expect(server.requests.total).toBe(0);
  });

  it('is not when its certificate is of another authority, though the proxy is trusted', async () => {
    const { server, client, proxy } = await setUp(true);
    const other = createConnectClient({
      host: server.url,
      token: createConnectToken({ token: 't' }),
      userAgent: 'test',
      clock: createFakeClock(),
      ca: proxyAuthority.cert,
      proxy: proxy.url,
    });
    onTestFinished(() => other.close());
    expect((await failureOf(other.listVaults(signal))).message).toContain('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(await client.listVaults(signal)).toHaveLength(1);
  });

  it('is given up when the proxy never says whether there is a tunnel', { timeout: 20_000 }, async () => {
    const { client } = await setUp(true, { tunnel: 'hang' });
    expect((await failureOf(client.listVaults(signal))).reason).toBe('ConnectUnavailable');
  });
});

describe('a process of its own that reads an item', () => {
  it.each([
    { tls: true, proxied: true },
    { tls: true, proxied: false },
    { tls: false, proxied: true },
    { tls: false, proxied: false },
  ])(
    'keeps no byte of the answer in a string or a buffer (TLS $tls, through a proxy $proxied)',
    { timeout: 60_000 },
    async ({ tls, proxied }) => {
      const { server, proxy, token } = await setUp(tls);
      const order = { host: server.url, token, ca: authority.cert, vaultId, itemId, ...(proxied && { proxy: proxy.url }) };
      const { outcome, findings } = await readInProcess({ ...order, questions: { canaries: complement(canaryForms) } });
      expect([outcome, findings?.['canaries']]).toEqual(['read', { strings: {}, buffers: {} }]);
    },
  );

  it.each(['with a proxy', 'without'])('verifies the certificate even where NODE_TLS_REJECT_UNAUTHORIZED says not to (%s)', async (how) => {
    const { server, proxy, token } = await setUp(true);
    const order = { host: server.url, token, vaultId, itemId, ...(how === 'with a proxy' && { proxy: proxy.url }) };
    const lax = { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' };
    expect((await readInProcess(order, lax)).outcome).toContain('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(server.requests.total).toBe(0);
    expect((await readInProcess({ ...order, ca: authority.cert }, lax)).outcome).toBe('read');
  });
});
