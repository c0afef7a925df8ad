import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FaultOrder } from '../../../dev/connect-server/faults.ts';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import { Failure, type Reason } from '../../../src/api/reasons.ts';
import { type ConnectClient, createConnectClient } from '../../../src/connect/client.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { connect } from './connect-server.ts';

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

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw new Error('it did not fail with a Failure', { cause: error });
  return error;
}

describe('Connect is read', () => {
  it('vaults, listings, items and files, with values wrapped', async () => {
    const { client, clock, reported } = await connect(seed);
    const createdAt = clock.now();
    expect(await client.listVaults(signal)).toEqual([{ id: vaultId, name: canary, contentVersion: 2, createdAt }]);
    expect(await client.listItems(vaultId, signal)).toEqual([{ id: itemId, title: canary, version: 1, createdAt, frozen: false }]);
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
    expect(await client.listItems(vaultId, signal)).toEqual([{ id: itemId, title: 't', version: 3, createdAt: 0, frozen: false }]);
  });

  it('below a path, when OP_CONNECT_HOST has one', async () => {
    const { server } = await connect(seed);
    const options = { token: 't', userAgent: 'test', clock: createFakeClock() };
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
});

describe('a failure has a name, and quotes no word of the answer', () => {
  const status = (code: number, body: unknown = { status: code, message: canary }): FaultOrder => ({ kind: 'status', status: code, body });

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
