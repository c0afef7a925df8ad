import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { FaultOrder } from '../../../dev/connect-server/faults.ts';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../../dev/connect-server/server.ts';
import { Failure, type Reason } from '../../../src/api/reasons.ts';
import { type ConnectClient, createConnectClient } from '../../../src/connect/client.ts';
import { createConnectToken } from '../../../src/connect/token.ts';
import { type Certificate, createCertificateAuthority } from '../../support/certificates.ts';
import { eventually } from '../../support/eventually.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { connect } from './connect-server.ts';
import { failureOf as failureOfType } from '../../support/failure-of.ts';

const canary = 'canary-e4d2';
const signal = new AbortController().signal;
const vaultId = 'v'.repeat(26);
const itemId = 'i'.repeat(26);
const fileId = 'f'.repeat(26);
const file = { id: fileId, name: 'ca.crt', size: 5 };

const seed: Seed = {
  vaults: [
    {
      id: vaultId,
      name: canary,
      items: [
        {
          id: itemId,
          title: canary,
          urls: [{ label: 'url', href: 'https://db', primary: true }, { href: 'https://other' }],
          fields: [
            { label: 'password', value: canary, type: 'CONCEALED' },
            { label: 'code', value: '1', type: 'OTP' },
          ],
          files: [{ id: fileId, name: 'ca.crt', content: 'bytes' }],
        },
      ],
    },
  ],
};

type Ask = (client: ConnectClient) => Promise<unknown>;
const vaults: Ask = (client) => client.listVaults(signal);
const items: Ask = (client) => client.listItems(vaultId, signal);
const item: Ask = (client) => client.getItem(vaultId, itemId, signal);
const content: Ask = (client) => client.getFile(vaultId, itemId, file, signal);

const failureOf = (promise: Promise<unknown>): Promise<Failure> => failureOfType(promise, Failure);

describe('Connect is read', () => {
  it('vaults, listings, items and files, with values wrapped', async () => {
    const { client, clock, reported } = await connect(seed);
    const createdAt = clock.now();
    expect(await client.listVaults(signal)).toEqual([{ id: vaultId, name: canary, contentVersion: 2, createdAt }]);
    const updatedAt = createdAt;
    expect(await client.listItems(vaultId, signal)).toEqual([
      { id: itemId, title: canary, version: 1, createdAt, updatedAt, frozen: false },
    ]);
    const read = await client.getItem(vaultId, itemId, signal);
    expect(read).toMatchObject({ id: itemId, vaultId, version: 1, files: [file] });
    expect(read.urls.map(({ label, primary }) => [label, primary])).toEqual([
      ['url', true],
      ['', false],
    ]);
    expect(read.fields.map(({ label, type }) => [label, type])).toEqual([
      ['password', 'CONCEALED'],
      ['code', 'OTP'],
    ]);
    expect(read.fields[0]?.value.exposeBase64()).toBe(Buffer.from(canary).toString('base64'));
    expect(inspect(read, { depth: null })).not.toContain(canary);
    expect((await client.getFile(vaultId, itemId, file, signal)).exposeBase64()).toBe(Buffer.from('bytes').toString('base64'));
    expect(reported.map(([route, status]) => `${route} ${status}`)).toEqual([
      '/v1/vaults 200',
      '/v1/vaults/{vault}/items 200',
      '/v1/vaults/{vault}/items/{item} 200',
      '/v1/vaults/{vault}/items/{item}/files/{file}/content 200',
    ]);
  });

  it('as Go writes it: null for empty lists, without what is optional', async () => {
    const { server, client } = await connect(seed);
    const bare = { id: itemId, title: 't', vault: { id: vaultId }, category: 'NEW', version: 3, unknown: {} };
    server.faults.order({ kind: 'status', status: 200, body: { ...bare, urls: null, fields: [{ id: 'x' }], files: null } });
    expect(await client.getItem(vaultId, itemId, signal)).toMatchObject({ urls: [], fields: [{ label: '', type: 'STRING' }], files: [] });
    server.faults.clear();
    server.faults.order({ kind: 'status', status: 200, body: [bare, { ...bare, state: 'ARCHIVED' }] });
    expect(await client.listItems(vaultId, signal)).toEqual([
      { id: itemId, title: 't', version: 3, createdAt: 0, updatedAt: 0, frozen: false },
    ]);
  });

  it('with fields and files of every section alike, those of one label in two sections too', async () => {
    const { server, client } = await connect(seed);
    const [one, two] = [{ section: { id: 'one', label: 'One' } }, { section: { id: 'two', label: 'Two' } }];
    const fields = [
      { id: 'a', label: 'password', value: 'x', ...one },
      { id: 'b', label: 'password', value: 'y', ...two },
      { id: 'c', label: 'user', value: 'z' },
    ];
    const bare = { id: itemId, title: 't', vault: { id: vaultId }, category: 'LOGIN', version: 1 };
    server.faults.order({ kind: 'status', status: 200, body: { ...bare, fields, files: [{ ...file, ...two }] } });
    const read = await client.getItem(vaultId, itemId, signal);
    expect([read.fields.map(({ label }) => label), read.files]).toEqual([['password', 'password', 'user'], [file]]);
  });

  it('for a file by ids, wherever its content_path leads', async () => {
    const { server, client } = await connect(seed);
    const files = [{ ...file, content_path: `/v1/vaults/${vaultId}/items/${itemId}/files/${'x'.repeat(26)}/content` }];
    const bare = { id: itemId, title: 't', vault: { id: vaultId }, category: 'LOGIN', version: 1 };
    server.faults.order({ kind: 'status', status: 200, body: { ...bare, files }, times: 1 });
    const read = await client.getItem(vaultId, itemId, signal);
    for (const found of read.files) await client.getFile(vaultId, itemId, found, signal);
    expect(server.requests.all.map(({ path }) => path).slice(1)).toEqual([`/v1/vaults/${vaultId}/items/${itemId}/files/${fileId}/content`]);
  });

  it('below a path, when OP_CONNECT_HOST has one', async () => {
    const { server } = await connect(seed);
    const options = { token: createConnectToken({ token: 't' }), userAgent: 'test', clock: createFakeClock() };
    const client = createConnectClient({ ...options, host: `${server.url}/connect` });
    onTestFinished(() => client.close());
    await vaults(client).catch(() => {});
    expect(server.requests.all.map(({ path }) => path)).toEqual(['/connect/v1/vaults']);
  });

  it('with no more requests at a time than allowed', async () => {
    const { server, client } = await connect(seed, 3);
    server.faults.order({ kind: 'latency', ms: 2 });
    await Promise.all(Array.from({ length: 12 }, () => vaults(client)));
    expect([server.requests.total, server.requests.peak]).toEqual([12, 3]);
  });

  it('with 32 requests at a time when nothing else is said', async () => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'latency', ms: 200 });
    await Promise.all(Array.from({ length: 40 }, () => vaults(client)));
    expect([server.requests.total, server.requests.peak]).toEqual([40, 32]);
  });
});

describe('a failure has a name, and quotes no word of the answer', () => {
  const status = (code: number, body: unknown = { status: code, message: canary }): FaultOrder => ({ kind: 'status', status: code, body });
  const page: FaultOrder = { kind: 'status', status: 200, body: `<html>${canary}`, contentType: 'text/html' };

  it.each<[string, Ask, FaultOrder, Reason, RegExp]>([
    ['401', vaults, status(401), 'ConnectUnauthorized', /OP_CONNECT_TOKEN/],
    ['403', items, status(403), 'ConnectForbidden', /grant it access/],
    ['404 for the vaults: no Connect server', vaults, status(404), 'ConnectProtocolError', /OP_CONNECT_HOST/],
    ['404 for a vault', items, status(404), 'VaultNotFound', /vault does not exist/],
    ['404 for an item', item, status(404), 'ItemNotFound', /item does not exist/],
    ['404 for a file', content, status(404), 'ItemNotFound', /a file of the item/],
    ['429', item, status(429), 'ConnectUnavailable', /429/],
    ['500', content, status(500), 'ConnectUnavailable', /500/],
    ['503 with a page', vaults, status(503, `<html>${canary}`), 'ConnectUnavailable', /503/],
    ['400', item, status(400), 'ConnectProtocolError', /status 400/],
    ['204', vaults, status(204), 'ConnectProtocolError', /status 204/],
    ['a redirect, which is not followed', vaults, { kind: 'redirect', location: '/heartbeat' }, 'ConnectProtocolError', /status 302/],
    ['a page that says so', vaults, page, 'ConnectProtocolError', /OP_CONNECT_HOST/],
    ['half an answer as if it were all', item, { kind: 'malformed' }, 'ConnectProtocolError', /not JSON/],
    ['a page', vaults, status(200, `<html>${canary}`), 'ConnectProtocolError', /not JSON/],
    ['nothing', vaults, status(200, ''), 'ConnectProtocolError', /not JSON/],
    ['another shape', vaults, status(200, { [canary]: canary }), 'ConnectProtocolError', /value at the top/],
    [
      'an entry of another shape',
      vaults,
      status(200, [{ id: vaultId, name: canary, contentVersion: canary }]),
      'ConnectProtocolError',
      /value at 0\.contentVersion/,
    ],
    [
      'an id that is none',
      vaults,
      status(200, [{ id: `../${canary}`, name: 'n', contentVersion: 1 }]),
      'ConnectProtocolError',
      /value at 0\.id/,
    ],
    [
      'another item than was asked for',
      item,
      status(200, { id: 'o'.repeat(26), title: canary, vault: { id: vaultId }, category: 'LOGIN', version: 1 }),
      'ConnectProtocolError',
      /another item/,
    ],
    [
      'an item of another vault',
      item,
      status(200, { id: itemId, title: canary, vault: { id: 'o'.repeat(26) }, category: 'LOGIN', version: 1 }),
      'ConnectProtocolError',
      /another item/,
    ],
    [
      'a value of another type',
      item,
      status(200, {
        id: itemId,
        title: 't',
        vault: { id: vaultId },
        category: 'LOGIN',
        version: 1,
        fields: [{ id: 'x', value: { [canary]: 1 } }],
      }),
      'ConnectProtocolError',
      /value at fields\.0\.value/,
    ],
    ['an answer that is too large', item, status(200, canary.repeat(800_000)), 'ConnectProtocolError', /larger than 8 MiB/],
    ['a file that no Secret can hold', content, status(200, canary.repeat(100_000)), 'SecretTooLarge', /1 MiB/],
    ['a connection that ends early', item, { kind: 'truncated' }, 'ConnectUnavailable', /UND_ERR_SOCKET|OP_CONNECT_HOST/],
    ['a connection that breaks in the answer', item, { kind: 'reset', at: 'body' }, 'ConnectUnavailable', /OP_CONNECT_HOST/],
  ])('%s', async (_, ask, fault, reason, message) => {
    const { server, client } = await connect(seed);
    server.faults.order(fault);
    const failure = await failureOf(ask(client));
    expect(failure).toMatchObject({ reason, message: expect.stringMatching(message) as string });
    expect(inspect(failure, { depth: null, showHidden: true })).not.toContain(canary);
    expect(server.requests.total).toBe(1);
  });

  it('a connection that breaks before the answer, twice: a kept one may have been closed just then', async () => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'reset' });
    expect(await failureOf(vaults(client))).toMatchObject({ reason: 'ConnectUnavailable' });
    expect(server.requests.total).toBe(2);
  });

  it('when nobody listens', async () => {
    const { server, client, reported } = await connect(seed);
    await server.close();
    expect(await failureOf(vaults(client))).toMatchObject({
      reason: 'ConnectUnavailable',
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
    expect(reported).toEqual([['/v1/vaults', 0]]);
  });

  it('when it is aborted while Connect does not answer', async () => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'hang' });
    const stop = new AbortController();
    const asked = client.listVaults(stop.signal);
    stop.abort();
    await expect(asked).rejects.toMatchObject({ name: 'AbortError' });
  });

  it.each(['ARCHIVED', 'DELETED'])('when the item answers by id as %s', async (state) => {
    const { server, client } = await connect(seed);
    const gone = { id: itemId, title: 't', vault: { id: vaultId }, category: 'LOGIN', version: 3, state };
    server.faults.order({ kind: 'status', status: 200, body: gone });
    expect((await failureOf(item(client))).reason).toBe('ItemNotFound');
  });

  it('when the item is archived, which still answers by id', async () => {
    const { server, client } = await connect(seed);
    server.store.archiveItem(vaultId, itemId);
    expect(await failureOf(item(client))).toMatchObject({ reason: 'ItemNotFound', message: expect.stringContaining('archived') as string });
  });
});

it.each<[string, string | number | undefined, number | undefined]>([
  ['as asked', 7, 7_000],
  ['not beyond a minute', 3_600, 60_000],
  ['by our own backoff when none is asked for', 0, undefined],
  ['by our own backoff when it is no number', 'soon', undefined],
  ['by our own backoff when nothing is said', undefined, undefined],
])('Connect that asks to come back later is left alone: %s', async (_, retryAfter, expected) => {
  const { server, client } = await connect(seed);
  server.faults.order({ kind: 'status', status: 429, ...(retryAfter !== undefined && { retryAfter }) });
  expect((await failureOf(vaults(client))).retryAfter).toBe(expected);
});

describe('a token that is refused', () => {
  it('is replaced by the one that is in its file by then, and nobody notices', async () => {
    const { server, client, changeToken, revoke } = await connect(seed);
    revoke();
    await changeToken();
    expect(await vaults(client)).toHaveLength(1);
    expect([client.outage(), server.requests.all.map(({ status }) => status)]).toEqual([undefined, [401, 200]]);
  });

  it('is not asked with again while it is the same', async () => {
    const { server, client, revoke } = await connect(seed);
    revoke();
    expect((await failureOf(vaults(client))).reason).toBe('ConnectUnauthorized');
    expect([client.outage()?.failure.reason, server.requests.total]).toEqual(['ConnectUnauthorized', 1]);
  });

  it('opens what it had shut as soon as there is another one, without a pause', async () => {
    const { client, changeToken, revoke } = await connect(seed);
    revoke();
    await failureOf(vaults(client));
    expect((await failureOf(vaults(client))).reason).toBe('ConnectUnauthorized');
    await changeToken();
    expect([client.reloadToken(), client.reloadToken(), client.probeIn]).toEqual([true, false, 0]);
    expect(await vaults(client)).toHaveLength(1);
    expect(client.outage()).toBeUndefined();
  });

  it('opens a vault that it did not reach', async () => {
    const { server, client, changeToken } = await connect(seed);
    server.faults.order({ kind: 'status', status: 403, times: 1 });
    await failureOf(items(client));
    expect((await failureOf(items(client))).reason).toBe('ConnectForbidden');
    await changeToken();
    // A file may be half written: it has to say the same twice.
    expect([client.reloadToken(), client.reloadToken()]).toEqual([false, true]);
    expect(await items(client)).toHaveLength(1);
  });
});

it('without any token Connect is not asked, and is as soon as there is one', async () => {
  const { server } = await connect(seed);
  const tokenFile = join(await mkdtemp(join(tmpdir(), 'keyturn-token-')), 'token');
  const client = createConnectClient({
    host: server.url,
    token: createConnectToken({ file: tokenFile }),
    userAgent: 'test',
    clock: createFakeClock(),
  });
  onTestFinished(() => client.close());
  expect(await failureOf(vaults(client))).toMatchObject({
    reason: 'ConnectUnauthorized',
    message: expect.stringContaining('OP_CONNECT_TOKEN_FILE') as string,
  });
  expect(server.requests.total).toBe(0);
  await writeFile(tokenFile, server.issueToken({ vaults: ['*'] }));
  client.reloadToken();
  expect(await vaults(client)).toHaveLength(1);
});

it('JSON is read under any content type', async () => {
  const { server, client } = await connect(seed);
  server.faults.order({ kind: 'content-type', contentType: 'text/plain' });
  expect(await vaults(client)).toHaveLength(1);
});

it.each<[string, Ask]>([
  ['the vaults', vaults],
  ['a listing', items],
  ['an item', item],
  ['a file', content],
])('a redirect is never followed, and the token goes nowhere else: %s', async (_, ask) => {
  const { server, client } = await connect(seed);
  const elsewhere = await startConnectServer({ seed });
  onTestFinished(() => elsewhere.close());
  server.faults.order({ kind: 'redirect', location: `${elsewhere.url}/v1/vaults` });
  expect((await failureOf(ask(client))).reason).toBe('ConnectProtocolError');
  expect([server.requests.total, elsewhere.requests.total]).toEqual([1, 0]);
});

describe('an answer that does not end in a minute is given up', () => {
  it.each<FaultOrder>([{ kind: 'hang' }, { kind: 'hang', at: 'body' }, { kind: 'latency', ms: 3_600_000 }])('%j', async (fault) => {
    const { server, client, clock } = await connect(seed);
    server.faults.order(fault);
    const outcome = failureOf(item(client));
    const settled = vi.fn<() => void>();
    void outcome.then(settled);
    const halfway = fault.kind === 'hang' && fault.at === 'body';
    await eventually('the request', () =>
      server.requests.total === 1 && (!halfway || server.requests.all[0]?.status === 200) ? true : undefined,
    );
    clock.advance(59_999);
    await fetch(`${server.url}/dev/faults`);
    expect(settled).not.toHaveBeenCalled();
    clock.advance(1);
    expect((await outcome).reason).toBe('ConnectUnavailable');
    await vi.waitFor(() => expect(server.requests.all[0]).toHaveProperty('sent'));
  });

  it('and the next request is answered', async () => {
    const { server, client, clock } = await connect(seed, 1);
    server.faults.order({ kind: 'hang', times: 1 });
    const outcome = failureOf(item(client));
    await vi.waitFor(() => expect(server.requests.total).toBe(1));
    const next = client.listVaults(signal);
    clock.advance(60_000);
    await outcome;
    expect(await next).toHaveLength(1);
  });
});

describe('an answer without end', { timeout: 60_000 }, () => {
  const mebibyte = 1024 ** 2;
  const bytes = 256 * mebibyte;
  /** What may be under way beside what is kept: buffers of both ends, and garbage. */
  const slack = 48 * mebibyte;

  const cases = [
    { what: 'the vaults', ask: vaults, limit: 64 * mebibyte, reason: 'ConnectProtocolError' },
    { what: 'a listing', ask: items, limit: 64 * mebibyte, reason: 'ConnectProtocolError' },
    { what: 'an item', ask: item, limit: 8 * mebibyte, reason: 'ConnectProtocolError' },
    { what: 'a file', ask: content, limit: mebibyte, reason: 'SecretTooLarge' },
  ] as const;
  const lengths = cases.flatMap((one) => [true, false].map((contentLength) => ({ ...one, contentLength })));

  it.each(lengths)('is refused: $what, contentLength $contentLength', async ({ ask, reason, limit, contentLength }) => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'huge', bytes: limit + 1, contentLength });
    expect((await failureOf(ask(client))).reason).toBe(reason);
  });

  it.each(lengths)('is not read to its end: $what, contentLength $contentLength', async ({ ask, limit, contentLength }) => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'huge', bytes, contentLength });
    await failureOf(ask(client));
    const sent = await eventually('the answer to end', () => server.requests.all[0]?.sent);
    expect(sent).toBeLessThan(limit + slack);
  });

  it.each(cases)('is not kept beyond its limit: $what', async ({ ask, limit }) => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'huge', bytes, contentLength: false });
    expect(await growthDuring(() => failureOf(ask(client)))).toBeLessThan(limit + slack);
  });

  it.each(cases)('is read when it just fits: $what', async ({ ask, limit }) => {
    const { server, client } = await connect(seed);
    server.faults.order({ kind: 'huge', bytes: limit });
    expect(await ask(client)).toBeDefined();
  });

  it('does not spoil the next request', async () => {
    const { server, client } = await connect(seed, 1);
    server.faults.order({ kind: 'huge', bytes, times: 1 });
    await failureOf(item(client));
    expect(await item(client)).toMatchObject({ id: itemId });
  });
});

/** The most bytes by which the buffers in use in this process grew while `work` was under way; garbage does not count. */
async function growthDuring(work: () => Promise<unknown>): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const inUse = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  inUse();
  const before = inUse();
  let most = before;
  const sampling = setInterval(() => (most = Math.max(most, inUse())), 40);
  try {
    await work();
  } finally {
    clearInterval(sampling);
  }
  return most - before;
}

describe('the certificate of Connect is verified', () => {
  const authority = createCertificateAuthority();

  /** A Connect server over TLS, and a client for it; the authority is trusted by the whole process until the test ends if `trusted`. */
  async function connectTls(
    certificate: Certificate,
    trusted: boolean,
  ): Promise<{ readonly server: ConnectServer; readonly client: ConnectClient; readonly expiries: readonly number[] }> {
    const before = getCACertificates('default');
    if (trusted) setDefaultCACertificates([...before, authority.cert]);
    const server = await startConnectServer({ seed, tls: certificate });
    const token = createConnectToken({ token: server.issueToken({ vaults: ['*'] }) });
    const expiries: number[] = [];
    const onCertificate = (expiry: number): void => void expiries.push(expiry);
    const client = createConnectClient({ host: server.url, token, userAgent: 'test', clock: createFakeClock(), onCertificate });
    onTestFinished(async () => {
      setDefaultCACertificates(before);
      await client.close();
      await server.close();
    });
    return { server, client, expiries };
  }

  it('once more after every sixty requests, though the connection could be kept', async () => {
    const { client, expiries } = await connectTls(authority.issue('127.0.0.1'), true);
    for (let count = 0; count < 10; count += 1) await vaults(client);
    // Two, perhaps, when the first was not quite free.
    const before = expiries.length;
    for (let count = 0; count < 120; count += 1) await vaults(client);
    expect(expiries.length).toBeGreaterThan(before);
  });

  it('and it is read when its authority is trusted', async () => {
    const { client } = await connectTls(authority.issue('127.0.0.1'), true);
    expect(await vaults(client)).toHaveLength(1);
  });

  it.each<[string, Certificate, boolean, RegExp]>([
    ['of an unknown authority', authority.issue('127.0.0.1'), false, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
    ['of another host', authority.issue('connect.example.com'), true, /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['that has expired', authority.issue('127.0.0.1', { until: new Date(0) }), true, /CERT_HAS_EXPIRED/],
  ])('one %s is refused, with its code and a cure', async (_, certificate, trusted, code) => {
    const { server, client } = await connectTls(certificate, trusted);
    const failure = await failureOf(vaults(client));
    expect(failure).toMatchObject({ reason: 'ConnectUnavailable', message: expect.stringMatching(code) as string });
    expect(failure.message).toContain('; ');
    expect(server.requests.total).toBe(0);
  });

  it('even where the environment says not to', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    onTestFinished(() => {
      vi.unstubAllEnvs();
      warned.mockRestore();
    });
    const { client } = await connectTls(authority.issue('127.0.0.1'), false);
    expect((await failureOf(vaults(client))).reason).toBe('ConnectUnavailable');
  });

  it('and a server that does not speak TLS at all is refused', async () => {
    const { server } = await connect(seed);
    const host = server.url.replace('http:', 'https:');
    const client = createConnectClient({ host, token: createConnectToken({ token: 't' }), userAgent: 'test', clock: createFakeClock() });
    onTestFinished(() => client.close());
    expect((await failureOf(vaults(client))).reason).toBe('ConnectUnavailable');
  });
});

describe('only ids enter a path', () => {
  it.each<[string, Ask]>([
    ['a title for a vault', (client) => client.listItems('../heartbeat', signal)],
    ['a title for an item', (client) => client.getItem(vaultId, 'My Item', signal)],
    ['nothing', (client) => client.getItem(vaultId, '', signal)],
    ['an id in capitals', (client) => client.getItem(vaultId.toUpperCase(), itemId, signal)],
    ['an id with a line break', (client) => client.getItem(`${vaultId}\n`, itemId, signal)],
    ['another path for a file', (client) => client.getFile(vaultId, itemId, { ...file, id: '..' }, signal)],
  ])('and not %s', async (_, ask) => {
    const { server, client } = await connect(seed);
    await expect(ask(client)).rejects.toThrow(/ id/);
    expect(server.requests.total).toBe(0);
  });
});
