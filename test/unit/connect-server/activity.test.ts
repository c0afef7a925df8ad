import { describe, expect, it } from 'vitest';
import { createRequestLog } from '../../../dev/connect-server/requests.ts';
import { apiRequestListSchema, serverHealthSchema } from '../../../src/connect/schema.ts';
import { eventually } from '../../support/eventually.ts';
import { startServer } from './harness.ts';

describe('activity', () => {
  it('records who did what to which version of which item, newest first', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    await server.request('GET', '/v1/vaults');
    await server.request('GET', path);
    await server.request('PATCH', path, [{ op: 'replace', path: '/title', value: 'renamed' }]);
    await server.request('DELETE', path);
    const entries = await server.read(apiRequestListSchema, '/v1/activity');
    expect(entries.map(({ action, result, resource }) => [action, result, resource.type, resource.itemVersion])).toStrictEqual([
      ['DELETE', 'SUCCESS', 'ITEM', 2],
      ['UPDATE', 'SUCCESS', 'ITEM', 2],
      ['READ', 'SUCCESS', 'ITEM', 1],
      ['READ', 'SUCCESS', 'VAULT', undefined],
    ]);
  });

  it('names the token and the user agent, and never holds the token itself', async () => {
    const server = await startServer();
    await server.request('GET', '/v1/vaults');
    const text = await (await server.request('GET', '/v1/activity')).text();
    const { jti } = JSON.parse(Buffer.from(server.token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
    expect(apiRequestListSchema.parse(JSON.parse(text))[0]?.actor).toMatchObject({ jti, userAgent: 'node', requestIp: '127.0.0.1' });
    expect(text).not.toContain(server.token);
  });

  it('records the creation of an item with its id', async () => {
    const server = await startServer();
    const vault = server.store.vault('Demo');
    await server.request('POST', `${server.path('Demo')}/items`, { vault: { id: vault.id }, title: 'new', category: 'LOGIN' });
    const [entry] = await server.read(apiRequestListSchema, '/v1/activity');
    expect(entry).toMatchObject({
      action: 'CREATE',
      resource: { vault: { id: vault.id }, item: { id: server.store.item('Demo', 'new').id }, itemVersion: 1 },
    });
  });

  it('records what was denied', async () => {
    const server = await startServer();
    const token = server.issueToken({ vaults: ['Other'] });
    await server.request('GET', server.path('Demo', 'database'), undefined, token);
    const [entry] = await server.read(apiRequestListSchema, '/v1/activity');
    expect(entry).toMatchObject({ action: 'READ', result: 'DENY', resource: { item: { id: server.store.item('Demo', 'database').id } } });
  });

  it('gives a page and says which', async () => {
    const server = await startServer();
    for (let count = 0; count < 5; count += 1) await server.request('GET', '/v1/vaults');
    const response = await server.request('GET', '/v1/activity?limit=2&offset=1');
    expect(apiRequestListSchema.parse(await response.json())).toHaveLength(2);
    expect(response.headers.get('content-range')).toBe('2-3/5');
    expect(await server.fail('GET', '/v1/activity?limit=-1')).toMatchObject({ status: 400 });
  });
});

describe('health', () => {
  it('answers the heartbeat with a dot and without a token', async () => {
    const server = await startServer();
    const response = await server.request('GET', '/heartbeat', undefined, '');
    expect([response.status, await response.text()]).toStrictEqual([200, '.']);
  });

  it('names the version of the API with every answer, as clients need before they read files', async () => {
    const server = await startServer();
    const answers = [await server.request('GET', '/v1/vaults'), await server.request('GET', '/v1/vaults', undefined, 'wrong')];
    expect(answers.map(({ headers }) => headers.get('1password-connect-version'))).toStrictEqual(['1.7.1', '1.7.1']);
  });

  it('says that a token is needed until one was seen', async () => {
    const server = await startServer();
    const sync = async () =>
      (await server.read(serverHealthSchema, '/health')).dependencies.find(({ service }) => service === 'sync')?.status;
    await server.request('GET', '/v1/vaults', undefined, 'wrong');
    expect(await sync()).toBe('TOKEN_NEEDED');
    await server.request('GET', '/v1/vaults');
    expect(await sync()).toBe('ACTIVE');
  });

  it('counts requests in metrics by route and status', async () => {
    const server = await startServer();
    await server.request('GET', server.path('Demo'));
    const text = await (await server.request('GET', '/metrics', undefined, '')).text();
    expect(text).toContain('dev_connect_requests_total{route="GET /v1/vaults/{vault}",status="200"} 1');
    expect(text).toContain('dev_connect_items 3');
  });
});

describe('the request log', () => {
  it('counts by route and keeps every request', async () => {
    const server = await startServer();
    await server.request('GET', server.path('Demo', 'database'));
    await server.request('GET', server.path('Demo', 'api-key'));
    await server.request('GET', '/v1/vaults?filter=x', undefined, 'wrong');
    expect(server.requests.counts()).toStrictEqual({ 'GET /v1/vaults/{vault}/items/{item}': 2, 'GET /v1/vaults': 1 });
    expect(server.requests.count('GET /v1/vaults')).toBe(1);
    expect(server.requests.all.at(-1)).toMatchObject({ method: 'GET', path: '/v1/vaults?filter=x', status: 401, userAgent: 'node' });
    server.requests.reset();
    expect([server.requests.total, server.requests.all, server.requests.counts()]).toStrictEqual([0, [], {}]);
  });

  it('says how many bytes an answer took', async () => {
    const server = await startServer();
    const body = await (await server.request('GET', '/v1/vaults')).text();
    const sent = await eventually('the answer to end', () => server.requests.all[0]?.sent);
    expect(sent).toBeGreaterThan(body.length);
    expect(sent).toBeLessThan(body.length + 1_000);
  });

  it('says which request it was by its header, and when it was over', async () => {
    const server = await startServer();
    await (await fetch(`${server.url}/v1/vaults`, { headers: { 'x-request-id': 'one' } })).text();
    const [request] = await eventually('the answer to end', () => (server.requests.all[0]?.endedAt ? server.requests.all : undefined));
    expect(request?.requestId).toBe('one');
    expect(request?.endedAt).toBeGreaterThanOrEqual(request?.at ?? Infinity);
  });

  it('counts a request once whose client gave up before its answer', () => {
    const log = createRequestLog();
    const begin = () => log.begin({ method: 'GET', path: '/', route: 'GET /', at: 0, userAgent: '' });
    const givenUp = begin();
    givenUp.end(0, 1);
    givenUp.answer(200);
    begin();
    begin();
    expect([log.peak, log.all[0]?.status]).toStrictEqual([2, undefined]);
  });
});
