import { describe, expect, it, vi } from 'vitest';
import type { FaultOrder } from '../../../dev/connect-server/faults.ts';
import { itemSchema, vaultListSchema } from '../../../src/connect/schema.ts';
import { eventually } from '../../support/eventually.ts';
import { startServer } from './harness.ts';

const order = (url: string, body: unknown) => fetch(`${url}/dev/faults`, { method: 'POST', body: JSON.stringify(body) });
const getVaults = 'GET /v1/vaults';

describe('which requests a fault strikes', () => {
  it('strikes as many times as ordered, and counts', async () => {
    const server = await startServer();
    const fault = server.faults.order({ kind: 'status', status: 503, route: getVaults, times: 2 });
    const statuses = [];
    for (let count = 0; count < 3; count += 1) statuses.push((await server.request('GET', '/v1/vaults')).status);
    expect(statuses).toStrictEqual([503, 503, 200]);
    expect(fault.hits).toBe(2);
  });

  it('strikes until it is cleared', async () => {
    const server = await startServer();
    const fault = server.faults.order({ kind: 'status', status: 500 });
    expect((await server.request('GET', '/v1/vaults')).status).toBe(500);
    fault.clear();
    expect((await server.request('GET', '/v1/vaults')).status).toBe(200);
  });

  it('strikes one route, or one prefix of a path, and leaves the rest alone', async () => {
    const server = await startServer();
    server.faults.order({
      kind: 'status',
      status: 500,
      route: 'GET /v1/vaults/{vault}/items/{item}',
      path: server.path('Demo', 'database'),
    });
    const statuses = ['/v1/vaults', server.path('Demo', 'api-key'), server.path('Demo', 'database')].map((path) =>
      server.request('GET', path),
    );
    expect((await Promise.all(statuses)).map(({ status }) => status)).toStrictEqual([200, 200, 500]);
  });

  it('strikes every second request, as one replica of two', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'status', status: 500, every: 2 });
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await server.request('GET', '/v1/vaults')).status);
    expect(statuses).toStrictEqual([200, 500, 200, 500]);
  });

  it('strikes in the order of ordering', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'status', status: 500, times: 1 });
    server.faults.order({ kind: 'status', status: 401, times: 1 });
    const statuses = [];
    for (let count = 0; count < 3; count += 1) statuses.push((await server.request('GET', '/v1/vaults')).status);
    expect(statuses).toStrictEqual([500, 401, 200]);
  });

  it('refuses an order that is none', async () => {
    const server = await startServer();
    expect(() => server.faults.order({ kind: 'nonsense' } as unknown as FaultOrder)).toThrow('kind');
  });
});

describe('what a fault does', () => {
  it('answers 429 with Retry-After', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'status', status: 429, retryAfter: 7 });
    const response = await server.request('GET', '/v1/vaults');
    expect([response.status, response.headers.get('retry-after')]).toStrictEqual([429, '7']);
    expect(await response.json()).toMatchObject({ status: 429 });
  });

  it('answers with a body and content type of choice', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'status', status: 502, body: '<html>', contentType: 'text/html' });
    const response = await server.request('GET', '/v1/vaults');
    expect([response.headers.get('content-type'), await response.text()]).toStrictEqual(['text/html', '<html>']);
  });

  it('delays the answer, and another fault beside it', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'latency', ms: 20 });
    server.faults.order({ kind: 'latency', ms: 20 });
    server.faults.order({ kind: 'status', status: 500 });
    const started = performance.now();
    const response = await server.request('GET', '/v1/vaults');
    expect(response.status).toBe(500);
    expect(performance.now() - started).toBeGreaterThan(35);
  });

  it('measures how many requests were open at one time', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'latency', ms: 50 });
    await Promise.all(Array.from({ length: 20 }, () => server.request('GET', '/v1/vaults')));
    expect(server.requests.peak).toBe(20);
  });

  it('hangs until the client gives up', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'hang' });
    const abort = new AbortController();
    const asked = fetch(`${server.url}/v1/vaults`, { signal: abort.signal });
    await vi.waitFor(() => expect(server.requests.total).toBe(1));
    abort.abort(new Error('given up'));
    await expect(asked).rejects.toThrow('given up');
    expect(server.requests.all[0]).not.toHaveProperty('status');
  });

  it('goes on hanging when it is cleared, and strikes no further request', async () => {
    const server = await startServer();
    const hang = server.faults.order({ kind: 'hang' });
    const asked = server.request('GET', '/v1/vaults').then(
      () => 'answered',
      () => 'broken off',
    );
    await vi.waitFor(() => expect(server.requests.total).toBe(1));
    hang.clear();
    expect((await server.request('GET', '/v1/vaults')).status).toBe(200);
    await server.close();
    expect(await asked).toBe('broken off');
  });

  it('hangs after half of the body', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'hang', at: 'body' });
    const response = await server.request('GET', '/v1/vaults');
    const reading = response.text();
    reading.catch(() => {});
    await vi.waitFor(() => expect(server.requests.all[0]).toHaveProperty('status', 200));
    expect(server.requests.all[0]).not.toHaveProperty('sent');
    await server.close();
    await expect(reading).rejects.toThrow('terminated');
  });

  it.each<FaultOrder>([{ kind: 'hang' }, { kind: 'hang', at: 'body' }, { kind: 'latency', ms: 3_600_000 }])(
    '%j ends when the server closes',
    async (fault) => {
      const server = await startServer();
      server.faults.order(fault);
      const [outcome] = await Promise.all([
        server
          .request('GET', '/v1/vaults')
          .then((response) => response.text())
          .then(
            () => 'answered',
            () => 'broken off',
          ),
        vi.waitFor(() => expect(server.requests.total).toBe(1)).then(() => server.close()),
      ]);
      expect(outcome).toBe('broken off');
    },
  );

  it('resets the connection instead of an answer', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'reset' });
    await expect(server.request('GET', '/v1/vaults')).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
  });

  it.each<FaultOrder>([{ kind: 'reset', at: 'body' }, { kind: 'truncated' }])(
    '$kind breaks the answer off in the middle of the body',
    async (fault) => {
      const server = await startServer();
      server.faults.order(fault);
      const response = await server.request('GET', '/v1/vaults');
      expect(response.status).toBe(200);
      await expect(response.text()).rejects.toThrow('terminated');
    },
  );

  it('answers with half a body as if that were all', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'malformed' });
    const response = await server.request('GET', '/v1/vaults');
    const text = await response.text();
    expect(response.headers.get('content-length')).toBe(String(Buffer.byteLength(text)));
    expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
  });

  it.each([undefined, true, false])('goes on with blanks up to a size of choice, contentLength being %s', async (contentLength) => {
    const server = await startServer();
    const bytes = 300_000;
    server.faults.order({ kind: 'huge', bytes, ...(contentLength !== undefined && { contentLength }) });
    const response = await server.request('GET', '/v1/vaults');
    expect(response.headers.get('content-length')).toBe(contentLength === false ? null : String(bytes));
    const body = await response.text();
    expect(body).toHaveLength(bytes);
    expect(vaultListSchema.parse(JSON.parse(body))).toHaveLength(2);
  });

  it('leaves an answer that is larger already as it is', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'huge', bytes: 1 });
    expect(await server.read(vaultListSchema, '/v1/vaults')).toHaveLength(2);
  });

  it('makes a huge answer as the client takes it, and stops with the client', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'huge', bytes: 8 * 1024 ** 4 });
    const before = process.memoryUsage().arrayBuffers;
    const response = await server.request('GET', '/v1/vaults');
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    const sent = await eventually('the answer to end', () => server.requests.all[0]?.sent);
    expect(sent).toBeLessThan(32 * 1024 ** 2);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 ** 2);
  });

  it('answers with a wrong content type', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'content-type', contentType: 'text/html' });
    const response = await server.request('GET', '/v1/vaults');
    expect(response.headers.get('content-type')).toBe('text/html');
    expect(vaultListSchema.parse(await response.json())).toHaveLength(2);
  });

  it('redirects', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'redirect', location: 'http://127.0.0.1:1/' });
    const response = await server.request('GET', '/v1/vaults');
    expect([response.status, response.headers.get('location')]).toStrictEqual([302, 'http://127.0.0.1:1/']);
  });

  it('reads like a replica that stands still at the time of the order', async () => {
    const server = await startServer();
    const path = server.path('Demo', 'database');
    const fault = server.faults.order({ kind: 'stale' });
    server.store.setField('Demo', 'database', 'password', 'second');
    server.store.createItem('Demo', { title: 'new' });
    const stale = await server.read(itemSchema, path);
    expect([stale.version, stale.fields[1]?.value]).toStrictEqual([1, 'first']);
    expect((await server.read(vaultListSchema, '/v1/vaults'))[0]).toMatchObject({ contentVersion: 3, items: 2 });
    fault.clear();
    expect((await server.read(itemSchema, path)).version).toBe(2);
  });
});

describe('a stale replica', () => {
  it('carries out edits on what is there now', async () => {
    const server = await startServer();
    server.faults.order({ kind: 'stale' });
    server.store.createItem('Demo', { title: 'new' });
    const path = server.path('Demo', 'new');
    expect((await server.request('GET', path)).status).toBe(404);
    expect((await server.request('DELETE', path)).status).toBe(204);
  });
});

describe('/dev/faults', () => {
  it('orders, lists, and clears faults by hand', async () => {
    const server = await startServer();
    const ordered = await order(server.url, { kind: 'status', status: 503, times: 3 });
    const { id } = (await ordered.json()) as { id: string };
    await server.request('GET', '/v1/vaults');
    expect(await (await fetch(`${server.url}/dev/faults`)).json()).toStrictEqual([{ id, hits: 1, kind: 'status', status: 503, times: 3 }]);
    expect((await fetch(`${server.url}/dev/faults/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await server.request('GET', '/v1/vaults')).status).toBe(200);
  });

  it('clears all at once, and strikes no request of its own', async () => {
    const server = await startServer();
    await order(server.url, { kind: 'hang' });
    expect((await fetch(`${server.url}/dev/faults`, { method: 'DELETE' })).status).toBe(204);
    expect(server.faults.list()).toStrictEqual([]);
    expect(server.requests.total).toBe(0);
  });

  it.each([
    { kind: 'nonsense' },
    { kind: 'latency' },
    { kind: 'hang', every: 0 },
    { kind: 'huge' },
    { kind: 'huge', bytes: 0 },
    { kind: 'hang', extra: true },
    { kind: 'redirect', location: 'a\r\nb' },
    7,
  ])('answers 400 to the order %j', async (body) => {
    const server = await startServer();
    expect((await order(server.url, body)).status).toBe(400);
  });
});
