import { describe, expect, it } from 'vitest';
import { itemSchema, itemSummaryListSchema, vaultListSchema, vaultSchema } from '../../../src/connect/schema.ts';
import { manualClock, startServer } from './harness.ts';

const unknownId = 'a'.repeat(26);
const filtered = (filter: string) => `?filter=${encodeURIComponent(filter)}`;

describe('vaults', () => {
  it('lists the vaults with their versions and their numbers of active items', async () => {
    const server = await startServer();
    const vaults = await server.read(vaultListSchema, '/v1/vaults');
    expect(vaults.map(({ name, items, contentVersion }) => ({ name, items, contentVersion }))).toStrictEqual([
      { name: 'Demo', items: 2, contentVersion: 3 },
      { name: 'Other', items: 1, contentVersion: 2 },
    ]);
  });

  it('gives one vault by its id, with or without a slash at the end', async () => {
    const server = await startServer();
    const path = server.path('Demo');
    expect(await server.read(vaultSchema, path)).toMatchObject({ name: 'Demo', type: 'USER_CREATED' });
    expect(await server.read(vaultSchema, `${path}/`)).toStrictEqual(await server.read(vaultSchema, path));
  });

  it.each(['name eq "demo"', 'title eq "DEMO"', 'name EQ "Demo"'])('filters by %s, in any letter case', async (filter) => {
    const server = await startServer();
    const vaults = await server.read(vaultListSchema, `/v1/vaults${filtered(filter)}`);
    expect(vaults.map(({ name }) => name)).toStrictEqual(['Demo']);
  });
});

describe('items', () => {
  it('lists summaries without fields, sections and files', async () => {
    const server = await startServer();
    const response = await server.request('GET', `${server.path('Demo')}/items`);
    const text = await response.text();
    expect(itemSummaryListSchema.parse(JSON.parse(text)).map(({ title }) => title)).toStrictEqual(['database', 'api-key']);
    expect(text).not.toMatch(/fields|sections|files/);
  });

  it('lists what a client needs to see a change: tags, version, and no state while the item is active', async () => {
    const clock = manualClock();
    const server = await startServer({ clock: clock.now });
    const createdAt = new Date(clock.now()).toISOString();
    clock.advance(1000);
    server.store.updateItem('Demo', 'database', { tags: ['c'] });
    const [database] = await server.read(itemSummaryListSchema, `${server.path('Demo')}/items`);
    expect(database).toMatchObject({ tags: ['c'], version: 2, createdAt });
    expect(database?.updatedAt).toBe(new Date(clock.now()).toISOString());
    expect(database).not.toHaveProperty('state');
  });

  it('gives an item in full', async () => {
    const server = await startServer();
    const item = await server.read(itemSchema, server.path('Demo', 'database'));
    expect(item).toMatchObject({
      category: 'DATABASE',
      tags: ['a', 'b'],
      urls: [{ label: 'url', href: 'https://db.example.com', primary: true }],
      sections: [{ label: 'connection' }],
      version: 1,
    });
    expect(item.fields.map(({ label, value }) => [label, value])).toStrictEqual([
      ['username', 'shop'],
      ['password', 'first'],
      ['host', 'db.example.com'],
      ['code', 'JBSWY3DPEHPK3PXP'],
    ]);
    expect(item.fields[2]?.section?.id).toBe(item.sections[0]?.id);
    expect(item.files[0]?.content_path).toMatch(/^\/v1\/vaults\//);
  });

  it('gives the one-time code of the moment in a field of type OTP', async () => {
    const server = await startServer({ clock: () => 59_000 });
    const rfc6238Secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
    server.store.setField('Demo', 'database', 'code', `otpauth://totp/x?secret=${rfc6238Secret}&digits=8`);
    const { fields } = await server.read(itemSchema, server.path('Demo', 'database'));
    expect(fields.find(({ label }) => label === 'code')).toMatchObject({ type: 'OTP', totp: '94287082' });
  });

  it('keeps archived items out of listings and counts, and answers them by id', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'api-key');
    server.store.archiveItem('Demo', 'api-key');
    const listed = await server.read(itemSummaryListSchema, `${server.path('Demo')}/items`);
    expect(listed.map(({ title }) => title)).toStrictEqual(['database']);
    expect(await server.read(vaultSchema, server.path('Demo'))).toMatchObject({ items: 1 });
    expect(await server.read(itemSchema, path)).toMatchObject({ state: 'ARCHIVED', version: 2 });
  });

  it.each(['plain', 'with space', 'with "quotes"', 'back\\slash', '\\"', 'ümläut', 'a&b=c+d%'])(
    'finds the title %j by a filter that escapes it as JSON',
    async (title) => {
      const server = await startServer();
      server.store.createItem('Demo', { title });
      const path = `${server.path('Demo')}/items${filtered(`title eq ${JSON.stringify(title)}`)}`;
      expect((await server.read(itemSummaryListSchema, path)).map((item) => item.title)).toStrictEqual([title]);
    },
  );

  it('finds titles by a part of them', async () => {
    const server = await startServer();
    const found = await server.read(itemSummaryListSchema, `${server.path('Demo')}/items${filtered('title co "pi-k"')}`);
    expect(found.map(({ title }) => title)).toStrictEqual(['api-key']);
  });

  it('tells titles apart by letter case, and gives all that share one', async () => {
    const server = await startServer();
    server.store.createItem('Demo', { title: 'twin' });
    server.store.createItem('Demo', { title: 'twin' });
    server.store.createItem('Demo', { title: 'Twin' });
    expect(await server.read(itemSummaryListSchema, `${server.path('Demo')}/items${filtered('title eq "twin"')}`)).toHaveLength(2);
  });

  it('lists ten thousand items', async () => {
    const items = Array.from({ length: 10_000 }, (_, index) => ({ title: `item-${index}` }));
    const server = await startServer({ seed: { vaults: [{ name: 'Large', items }] } });
    const path = `${server.path('Large')}/items`;
    expect(await server.read(itemSummaryListSchema, path)).toHaveLength(10_000);
    server.store.updateItem('Large', 'item-5000', { title: 'renamed' });
    const again = await server.read(itemSummaryListSchema, path);
    expect(again.filter(({ version }) => version === 2).map(({ title }) => title)).toStrictEqual(['renamed']);
  });
});

describe('refusals', () => {
  it.each(['/v1/vaults/Demo', '/v1/vaults/Demo/items', `/v1/vaults/${unknownId.toUpperCase()}/items/${unknownId}`])(
    'answers 400 to the malformed id in %s',
    async (path) => {
      const server = await startServer();
      expect(await server.fail('GET', path)).toMatchObject({ status: 400 });
    },
  );

  it('answers 400 to a malformed item id in a vault that exists', async () => {
    const server = await startServer();
    expect(await server.fail('GET', `${server.path('Demo')}/items/database`)).toMatchObject({ status: 400 });
  });

  it('answers 404 to a vault, an item, and a file that do not exist', async () => {
    const server = await startServer();
    expect(await server.fail('GET', `/v1/vaults/${unknownId}`)).toStrictEqual({ status: 404, message: `vault ${unknownId} not found` });
    expect(await server.fail('GET', `${server.path('Demo')}/items/${unknownId}`)).toStrictEqual({
      status: 404,
      message: `item ${unknownId} not found`,
    });
    expect(await server.fail('GET', `${server.path('Demo', 'database')}/files/${unknownId}`)).toStrictEqual({
      status: 404,
      message: `file ${unknownId} not found`,
    });
  });

  it('does not find an item through another vault', async () => {
    const server = await startServer();
    const { id } = server.store.item('Demo', 'database');
    expect(await server.fail('GET', `${server.path('Other')}/items/${id}`)).toMatchObject({ status: 404 });
  });

  it.each(['title eq database', 'title eq "a"b"', 'name eq "x"', 'title sw "x"', '"x"'])(
    'answers 400 to the filter %s on items',
    async (filter) => {
      const server = await startServer();
      expect(await server.fail('GET', `${server.path('Demo')}/items${filtered(filter)}`)).toMatchObject({ status: 400 });
    },
  );

  it('answers 404 to an unknown path, and 405 with the methods of a known one', async () => {
    const server = await startServer();
    expect(await server.fail('GET', '/v2/vaults')).toMatchObject({ status: 404 });
    const response = await server.request('DELETE', '/v1/vaults');
    expect([response.status, response.headers.get('allow')]).toStrictEqual([405, 'GET']);
  });
});

describe('tokens', () => {
  it('answers 401 without a token, with a made-up one, and with one that was tampered with', async () => {
    const server = await startServer();
    for (const token of ['', 'nonsense', `${server.token}x`]) {
      expect(await server.fail('GET', '/v1/vaults', undefined, token)).toMatchObject({ status: 401 });
    }
  });

  it('answers 401 from the moment a token is revoked, and goes on with others', async () => {
    const server = await startServer();
    const token = server.issueToken({ vaults: ['Demo'] });
    expect((await server.request('GET', '/v1/vaults', undefined, token)).status).toBe(200);
    server.revokeToken(token);
    expect(await server.fail('GET', '/v1/vaults', undefined, token)).toStrictEqual({ status: 401, message: 'Invalid token signature' });
    expect((await server.request('GET', '/v1/vaults')).status).toBe(200);
  });

  it('shows a token only the vaults in its scope, and answers 403 to others, existing or not', async () => {
    const server = await startServer();
    const token = server.issueToken({ vaults: ['Demo'] });
    const listed = vaultListSchema.parse(await (await server.request('GET', '/v1/vaults', undefined, token)).json());
    expect(listed.map(({ name }) => name)).toStrictEqual(['Demo']);
    const other = server.store.vault('Other').id;
    expect(await server.fail('GET', server.path('Other'), undefined, token)).toStrictEqual({
      status: 403,
      message: `vault ${other} is not in scope`,
    });
    expect(await server.fail('GET', server.path('Other', 'admin'), undefined, token)).toMatchObject({ status: 403 });
    expect(await server.fail('GET', `/v1/vaults/${unknownId}`, undefined, token)).toMatchObject({ status: 403 });
  });

  it('answers 403 to edits with a token that may only read', async () => {
    const server = await startServer();
    const token = server.issueToken({ vaults: ['Demo'] });
    expect(await server.fail('DELETE', server.path('Demo', 'api-key'), undefined, token)).toMatchObject({ status: 403 });
    expect(server.store.item('Demo', 'api-key').version).toBe(1);
  });

  it('issues a signed JWT that names its scope', async () => {
    const server = await startServer();
    const [header = '', claims = '', signature] = server.issueToken({ vaults: ['Demo'] }).split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toStrictEqual({ alg: 'HS256', typ: 'JWT' });
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      vaults: [server.store.vault('Demo').id],
      write: false,
    });
    expect(signature).toMatch(/^[\w-]{43}$/);
  });
});
