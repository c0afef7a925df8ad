import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ApiServerProxy, type ApiServerProxyOptions, startApiServerProxy } from '../../support/api-server-proxy.ts';
import { eventually } from '../../support/eventually.ts';
import { type FakeApiServer, startApiServer } from '../kube/api-server.ts';

const secrets = '/api/v1/namespaces/shop/secrets';

async function setUp(user?: ApiServerProxyOptions['user']): Promise<{ api: FakeApiServer; proxy: ApiServerProxy }> {
  const api = await startApiServer();
  const directory = await mkdtemp(join(tmpdir(), 'api-server-proxy-'));
  const account = { username: '', kubeconfig: '', token: 'operator' };
  const controlPlane = { url: api.url, ca: '', accounts: { clusterWide: account, namespaced: account }, directory };
  const proxy = await startApiServerProxy({ controlPlane, ...(user && { user }) });
  onTestFinished(async () => {
    await proxy.close();
    await rm(directory, { recursive: true });
  });
  return { api, proxy };
}

/** A watch through the proxy, read by the chunk. */
async function watch({ api, proxy }: { api: FakeApiServer; proxy: ApiServerProxy }) {
  const answer = fetch(`${proxy.url}${secrets}?watch=true`);
  const exchange = await api.next();
  exchange.write('');
  const reader = (await answer).body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) throw new Error('the watch has no body');
  return { exchange, reader };
}

describe('what no fault strikes', () => {
  it('passes as it is, both ways', async () => {
    const { api, proxy } = await setUp();
    const headers = { authorization: 'Bearer mine', 'content-type': 'application/json', accept: 'application/json' };
    const answer = fetch(`${proxy.url}${secrets}?fieldManager=me`, { method: 'POST', headers, body: '{"a":1}' });
    const exchange = await api.next();
    exchange.answer(201, { b: 2 }, { 'x-own': 'kept' });
    expect([exchange.method, exchange.path, exchange.query.toString(), exchange.body]).toEqual([
      'POST',
      secrets,
      'fieldManager=me',
      '{"a":1}',
    ]);
    expect(exchange.headers).toMatchObject(headers);
    const { status, headers: back } = await answer;
    expect([status, back.get('x-own'), await (await answer).text()]).toEqual([201, 'kept', '{"b":2}']);
  });

  it('stands in the log; writes are all but reads and leases', async () => {
    const { api, proxy } = await setUp();
    for (const [method, path] of [
      ['GET', `${secrets}?watch=true`],
      ['PUT', `${secrets}/a`],
      ['PUT', '/apis/coordination.k8s.io/v1/namespaces/shop/leases/a'],
    ] as const) {
      const answer = fetch(proxy.url + path, { method });
      (await api.next()).answer(200, {});
      await (await answer).text();
    }
    expect(proxy.requests.all.map(({ path, query, isWatch, status }) => [path.split('/').at(-2), query, isWatch, status])).toEqual([
      ['shop', 'watch=true', true, 200],
      ['secrets', '', false, 200],
      ['leases', '', false, 200],
    ]);
    expect(proxy.requests.writes().map(({ path }) => path)).toEqual([`${secrets}/a`]);
    proxy.requests.reset();
    expect(proxy.requests.all).toEqual([]);
  });

  it('flows by the line when it is a watch', async () => {
    const { exchange, reader } = await watch(await setUp());
    exchange.write('{"a":1}\n{"b"');
    expect((await reader.read()).value).toBe('{"a":1}\n');
    exchange.write(':2}\n');
    expect((await reader.read()).value).toBe('{"b":2}\n');
    exchange.end();
    expect((await reader.read()).done).toBe(true);
  });
});

describe('the kubeconfig', () => {
  it.each([
    [undefined, { token: 'operator' }],
    [{ token: 'other' }, { token: 'other' }],
    [{ tokenFile: '/a/token' }, { tokenFile: '/a/token' }],
  ])('points at the proxy, for %j', async (given, user) => {
    const { proxy } = await setUp(given);
    const { clusters, users } = JSON.parse(await readFile(proxy.kubeconfig, 'utf8')) as {
      clusters: [{ cluster: { server: string } }];
      users: [{ user: unknown }];
    };
    expect([clusters[0].cluster.server, users[0].user]).toEqual([proxy.url, user]);
  });
});

describe('a status', () => {
  it('comes as a refusal of the API server, with the pause it asks for', async () => {
    const { api, proxy } = await setUp();
    const fault = proxy.faults.order({ kind: 'status', status: 429, reason: 'TooManyRequests', retryAfter: 3 });
    const answer = await fetch(proxy.url + secrets);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '3']);
    expect(await answer.json()).toMatchObject({ kind: 'Status', code: 429, reason: 'TooManyRequests' });
    expect([fault.hits, api.count, proxy.requests.all[0]?.status]).toEqual([1, 0, 429]);
  });

  it.each<[string, Parameters<ApiServerProxy['faults']['order']>[0], readonly number[]]>([
    ['a method', { kind: 'status', status: 500, methods: ['PUT'] }, [200, 200, 500, 500, 200]],
    ['a path', { kind: 'status', status: 500, path: /\/a$/ }, [200, 200, 500, 500, 200]],
    ['watches', { kind: 'status', status: 500, isWatch: true }, [200, 500, 200, 200, 200]],
    ['all but watches', { kind: 'status', status: 500, isWatch: false }, [500, 200, 500, 500, 500]],
    ['a token', { kind: 'status', status: 500, token: 'old' }, [200, 200, 200, 200, 500]],
    ['a number', { kind: 'status', status: 500, times: 2 }, [500, 500, 200, 200, 200]],
    ['the first of each method and path', { kind: 'status', status: 500, firstPerPath: true }, [500, 200, 500, 200, 500]],
  ])('strikes what it is ordered for: %s', async (_, order, expected) => {
    const { api, proxy } = await setUp();
    proxy.faults.order(order);
    const statuses: number[] = [];
    for (const [method, path, token] of [
      ['GET', secrets, 'new'],
      ['GET', `${secrets}?watch=true`, 'new'],
      ['PUT', `${secrets}/a`, 'new'],
      ['PUT', `${secrets}/a`, 'new'],
      ['DELETE', `${secrets}/b`, 'old'],
    ] as const) {
      const before = api.count;
      const answer = fetch(proxy.url + path, { method, headers: { authorization: `Bearer ${token}` } });
      const passed = await Promise.race([
        answer.then(() => false),
        eventually('it to pass', () => (api.count > before ? true : undefined)),
      ]);
      if (passed) (await api.next()).answer(200, {});
      statuses.push((await answer).status);
    }
    expect(statuses).toEqual(expected);
  });

  it('is over when it is cleared, alone or with all others', async () => {
    const { api, proxy } = await setUp();
    const first = proxy.faults.order({ kind: 'status', status: 500 });
    proxy.faults.order({ kind: 'status', status: 501 });
    const statuses = [(await fetch(proxy.url)).status];
    first.clear();
    statuses.push((await fetch(proxy.url)).status);
    proxy.faults.clear();
    const answer = fetch(proxy.url);
    (await api.next()).answer(200, {});
    statuses.push((await answer).status);
    expect(statuses).toEqual([500, 501, 200]);
  });
});

describe('open watches', () => {
  it('break when they are cut', async () => {
    const set = await setUp();
    const { reader } = await watch(set);
    expect(set.proxy.faults.order({ kind: 'cut-watches' }).hits).toBe(1);
    await expect(reader.read()).rejects.toThrow('terminated');
  });

  it('end in order when they are ended', async () => {
    const set = await setUp();
    const { reader } = await watch(set);
    expect(set.proxy.faults.order({ kind: 'end-watches' }).hits).toBe(1);
    expect((await reader.read()).done).toBe(true);
  });

  it('say 410 between two lines, and end', async () => {
    const set = await setUp();
    const { exchange, reader } = await watch(set);
    exchange.write('{"a":1}\n{"half');
    await reader.read();
    set.proxy.faults.order({ kind: 'watch-error' });
    expect(JSON.parse((await reader.read()).value ?? '')).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
    expect((await reader.read()).done).toBe(true);
  });

  it('are struck once, and none that comes later', async () => {
    const set = await setUp();
    await watch(set);
    set.proxy.faults.order({ kind: 'cut-watches' });
    expect(set.proxy.faults.order({ kind: 'cut-watches' }).hits).toBe(0);
    const { exchange, reader } = await watch(set);
    exchange.write('{"a":1}\n');
    expect((await reader.read()).value).toBe('{"a":1}\n');
  });

  it('end at the API server when the client goes', async () => {
    const set = await setUp();
    const { reader } = await watch(set);
    await reader.cancel();
    await eventually('nothing to be open', () => (set.proxy.faults.order({ kind: 'cut-watches' }).hits === 0 ? true : undefined));
  });
});

describe('refused connections', () => {
  it('break, open and new, until the fault is cleared', async () => {
    const set = await setUp();
    const { reader } = await watch(set);
    const fault = set.proxy.faults.order({ kind: 'refuse' });
    await expect(reader.read()).rejects.toThrow('terminated');
    await expect(fetch(set.proxy.url)).rejects.toThrow('fetch failed');
    expect([fault.hits > 0, set.api.count]).toEqual([true, 1]);
    fault.clear();
    const answer = fetch(set.proxy.url);
    (await set.api.next()).answer(200, {});
    expect((await answer).status).toBe(200);
  });
});
