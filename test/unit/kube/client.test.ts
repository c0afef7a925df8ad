import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createKubeClient, isConflict, isFenced, isUncertain, KubeError, type KubeClient } from '../../../src/kube/client.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type FakeApiServer, startApiServer } from './api-server.ts';
import { failureOf as failureOfType } from '../../support/failure-of.ts';

const path = '/api/v1/namespaces/ns/secrets';
const get = { method: 'GET', path } as const;
const canary = 'canary-91be';

interface Setup {
  readonly api: FakeApiServer;
  readonly client: KubeClient;
  readonly clock: FakeClock;
  /** `METHOD status` of each request. */
  readonly seen: readonly string[];
  /** The hosts that were asked. */
  readonly hosts: ReadonlySet<string>;
}

async function setUp(tokens?: readonly string[]): Promise<Setup> {
  const api = await startApiServer();
  const clock = createFakeClock();
  const seen: string[] = [];
  const hosts = new Set<string>();
  const client = createKubeClient({
    ...clientOptions(api, clock, tokens),
    onRequest: (method, status, host) => {
      seen.push(`${method} ${status}`);
      hosts.add(host);
    },
  });
  onTestFinished(() => client.close());
  return { api, client, clock, seen, hosts };
}

const failureOf = (promise: Promise<unknown>): Promise<KubeError> => failureOfType(promise, KubeError);

async function linesOf(watch: AsyncIterable<string>): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const line of watch) lines.push(line);
  return lines;
}

describe('a request', () => {
  it('has its query without what is undefined, who asks, and the token', async () => {
    const { api, client, seen } = await setUp();
    const answer = client.request({ ...get, query: { limit: '5', continue: undefined } });
    const { query, headers, answer: reply } = await api.next();
    reply(200, { kind: 'List' });
    expect(await answer).toEqual({ kind: 'List' });
    expect(query.toString()).toBe('limit=5');
    expect(headers).toMatchObject({ authorization: 'Bearer token', 'user-agent': 'test', accept: 'application/json' });
    expect(seen).toEqual(['GET 200']);
  });

  it('is told of with the host that was asked, and its port', async () => {
    const { api, client, hosts } = await setUp();
    const answer = client.request(get);
    (await api.next()).answer(200, {});
    await answer;
    expect([...hosts]).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
  });

  it.each([
    [{ method: 'POST', path, body: { a: 1 } }, 'application/json'],
    [{ method: 'PATCH', path, body: { a: 1 } }, 'application/merge-patch+json'],
    [{ method: 'PATCH', path, body: { a: 1 }, contentType: 'application/json-patch+json' }, 'application/json-patch+json'],
  ] as const)('with a body says what it is: %j', async (request, type) => {
    const { api, client } = await setUp();
    const answer = client.request(request);
    const exchange = await api.next();
    exchange.answer(200, {});
    await answer;
    expect([exchange.headers['content-type'], exchange.body]).toEqual([type, '{"a":1}']);
  });
});

describe('the credentials', () => {
  it('are read again after a 401, and the request is tried once more', async () => {
    const { api, client, seen } = await setUp(['old', 'new']);
    const answer = client.request(get);
    const first = await api.next();
    first.answer(401, {});
    const second = await api.next();
    second.answer(200, { ok: true });
    expect(await answer).toEqual({ ok: true });
    expect([first, second].map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new']);
    expect(seen).toEqual(['GET 401', 'GET 200']);
  });

  it('are read once for many requests that are refused together', async () => {
    const { api, client } = await setUp(['old', 'new', 'newer']);
    const answers = [1, 2, 3].map(() => client.request(get));
    for (const refused of [await api.next(), await api.next(), await api.next()]) refused.answer(401, {});
    const tokens: unknown[] = [];
    for (let count = 0; count < 3; count += 1) {
      const exchange = await api.next();
      tokens.push(exchange.headers.authorization);
      exchange.answer(200, {});
    }
    await Promise.all(answers);
    expect(tokens).toEqual(['Bearer new', 'Bearer new', 'Bearer new']);
  });

  it('that are refused twice fail the request', async () => {
    const { api, client } = await setUp();
    const failure = failureOf(client.request(get));
    (await api.next()).answer(401, {});
    (await api.next()).answer(401, { reason: 'Unauthorized' });
    expect(await failure).toMatchObject({ status: 401, reason: 'Unauthorized' });
    expect(api.count).toBe(2);
  });

  it('of a watch are read again after a 401 too', async () => {
    const { api, client } = await setUp(['old', 'new']);
    const line = client.watch(get)[Symbol.asyncIterator]().next();
    (await api.next()).answer(401, {});
    const { headers, write } = await api.next();
    write('a line\n');
    expect([headers.authorization, (await line).value]).toEqual(['Bearer new', 'a line']);
  });
});

describe('a failure', () => {
  it.each<[string, number, string, string]>([
    ['a Status', 404, JSON.stringify({ reason: 'NotFound', message: canary, details: { name: canary } }), 'NotFound'],
    ['a Status without a reason', 500, JSON.stringify({ message: canary }), 'Refused'],
    ['a reason that is none', 422, JSON.stringify({ reason: `${canary} quoted` }), 'Refused'],
    ['text', 502, `<html>${canary}</html>`, 'Refused'],
    ['nothing', 503, '', 'Refused'],
    ['text with status 200', 200, canary, 'MalformedAnswer'],
    ['half an answer with status 200', 200, `{"data":{"a":"${canary}`, 'MalformedAnswer'],
  ])('says what was asked, the status and a reason, and never quotes the answer: %s', async (_, status, body, reason) => {
    const { api, client } = await setUp();
    const failure = failureOf(client.request(get));
    (await api.next()).answer(status, body);
    expect((await failure).message).toBe(`GET ${path}: ${status} ${reason}`);
    expect(inspect(await failure, { depth: null })).not.toContain('canary');
  });

  it.each<[string, string | undefined, number | undefined]>([
    ['is passed on', '7', 7_000],
    ['is bounded', '99999999', 60_000],
    ['of nothing is none', '0', undefined],
    ['backwards is none', '-5', undefined],
    ['that is a date is taken, bounded', 'Wed, 21 Oct 2099 07:28:00 GMT', 60_000],
    ['that is over is none', 'Wed, 21 Oct 2015 07:28:00 GMT', undefined],
    ['that is neither is none', 'soon', undefined],
    ['may be absent', undefined, undefined],
  ])('with Retry-After: the wait %s', async (_, header, expected) => {
    const { api, client } = await setUp();
    const failure = failureOf(client.request(get));
    (await api.next()).answer(429, 'Too many requests, please try again later.', header === undefined ? {} : { 'retry-after': header });
    expect(await failure).toMatchObject({ status: 429, retryAfter: expected });
  });

  it('names the kind of transport error when nobody listens', async () => {
    const { api, client, seen } = await setUp();
    await api.close();
    expect(await failureOf(client.request(get))).toMatchObject({ status: 0, reason: 'ECONNREFUSED', message: `GET ${path}: ECONNREFUSED` });
    expect(seen).toEqual(['GET 0']);
  });

  it('names the kind of transport error when the connection breaks', async () => {
    const { api, client } = await setUp();
    const failures = [failureOf(client.request(get)), failureOf(client.watch(get)[Symbol.asyncIterator]().next())];
    for (const exchange of [await api.next(), await api.next()]) exchange.reset();
    for (const failure of await Promise.all(failures))
      expect(failure).toMatchObject({ status: 0, reason: expect.stringMatching(/^(ECONNRESET|UND_ERR_SOCKET)$/) as string });
  });

  it('is one of ours when the credentials cannot be read', async () => {
    const api = await startApiServer();
    const clock = createFakeClock();
    const { load, ...options } = clientOptions(api, clock);
    const client = createKubeClient({
      ...options,
      load: () => ({ ...load(), authenticate: () => Promise.reject(new Error(`unreadable: ${canary}`)) }),
    });
    onTestFinished(() => client.close());
    const failure = await failureOf(client.request(get));
    expect(failure.message).toBe(`GET ${path}: RequestFailed`);
  });

  it('is a request that has no answer within a minute', async () => {
    const { api, client, clock } = await setUp();
    const ended = vi.fn<() => void>();
    const failure = failureOf(client.request(get));
    void failure.then(ended);
    await api.next();
    clock.advance(59_999);
    await new Promise(setImmediate);
    expect(ended).not.toHaveBeenCalled();
    clock.advance(1);
    expect((await failure).status).toBe(0);
  });

  it('ends a request that is aborted', async () => {
    const { api, client } = await setUp();
    const stop = new AbortController();
    const failure = failureOf(client.request({ ...get, signal: stop.signal }));
    await api.next();
    stop.abort();
    expect((await failure).status).toBe(0);
  });
});

describe('the time of the API server', () => {
  it('is ours, until it says otherwise', async () => {
    const { client, clock } = await setUp();
    expect(client.serverTime()).toBe(clock.now());
  });

  it.each([
    [
      'is what its last answer said, in the middle of the second, and goes on by our clock',
      'Tue, 03 Feb 2026 04:05:06 GMT',
      Date.UTC(2026, 1, 3, 4, 5, 6, 500),
    ],
    ['is ours when its answer says nothing of use', 'yesterday', undefined],
  ])('%s', async (_, date, expected) => {
    const { api, client, clock } = await setUp();
    const answer = client.request(get);
    (await api.next()).answer(200, {}, { date });
    await answer;
    clock.advance(250);
    expect(client.serverTime()).toBe((expected ?? clock.now() - 250) + 250);
  });

  it('goes on as before when our clock is set', async () => {
    const { client, clock } = await setUp();
    const before = client.serverTime();
    clock.set(before - 3_600_000);
    clock.advance(250);
    expect(client.serverTime()).toBe(before + 250);
  });
});

describe('a watch', () => {
  it('gives lines however they are cut, and drops the one that was not finished', async () => {
    const { api, client } = await setUp();
    const lines = linesOf(client.watch(get));
    const { write, end } = await api.next();
    const bytes = Buffer.from('{"a":"パス"}\n{"b":1}\n{"c');
    for (const [from, to] of [
      [0, 7],
      [7, 8],
      [8, 12],
      [12, 99],
    ])
      write(bytes.subarray(from, to));
    end();
    expect(await lines).toEqual(['{"a":"パス"}', '{"b":1}']);
  });

  it('that is refused fails like a request', async () => {
    const { api, client } = await setUp();
    const failure = failureOf(linesOf(client.watch(get)));
    (await api.next()).answer(410, { reason: 'Expired', message: canary });
    expect(await failure).toMatchObject({ status: 410, message: `GET ${path}: 410 Expired` });
  });
});

/** A client that writes only as long as it may. */
async function fenced(
  mayWrite: () => boolean,
): Promise<{ readonly api: FakeApiServer; readonly client: KubeClient; readonly clock: FakeClock }> {
  const api = await startApiServer();
  const clock = createFakeClock();
  const client = createKubeClient({ ...clientOptions(api, clock), mayWrite });
  onTestFinished(() => client.close());
  return { api, client, clock };
}

describe('a write', () => {
  const put = { method: 'PUT', path, body: { a: 1 } } as const;

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'] as const)('is not begun by who may not write: %s', async (method) => {
    const { api, client } = await fenced(() => false);
    const failure = await failureOf(client.request({ method, path, body: {} }));
    expect([isFenced(failure), isUncertain(failure), isConflict(failure), failure.reason]).toEqual([true, false, false, 'NotLeader']);
    const read = client.request(get);
    (await api.next()).answer(200, { kind: 'List' });
    expect([await read, api.count]).toEqual([{ kind: 'List' }, 1]);
  });

  it('that waited for a connection is not begun when its turn comes too late', async () => {
    let may = true;
    const { api, client } = await fenced(() => may);
    const begun = Array.from({ length: 48 }, () => client.request(put));
    const exchanges = await Promise.all(begun.map(() => api.next()));
    const waiting = failureOf(client.request(put));
    await new Promise(setImmediate);
    may = false;
    for (const { answer } of exchanges) answer(200, {});
    expect(isFenced(await waiting)).toBe(true);
    expect(await Promise.all(begun)).toHaveLength(48);
    expect(api.count).toBe(48);
  });

  it('is not sent once more after a 401 by who may not write any longer', async () => {
    let may = true;
    const { api, client } = await fenced(() => may);
    const failure = failureOf(client.request(put));
    const { answer } = await api.next();
    may = false;
    answer(401, {});
    expect(isFenced(await failure)).toBe(true);
    expect(api.count).toBe(1);
  });

  it('under way when its signal is aborted goes on, for a while', async () => {
    const { api, client, clock } = await setUp();
    const stop = new AbortController();
    const [finished, hanging] = [
      client.request({ ...put, signal: stop.signal }),
      failureOf(client.request({ ...put, signal: stop.signal })),
    ];
    const { answer } = await api.next();
    await api.next();
    stop.abort();
    answer(200, { done: true });
    expect(await finished).toEqual({ done: true });
    expect(await failureOf(client.request({ ...put, signal: stop.signal }))).toMatchObject({ status: 0 });
    expect(api.count).toBe(2);
    clock.advance(6_000);
    expect((await hanging).status).toBe(0);
    expect(clock.timers).toEqual([]);
  });

  it('ends when the time it was given is over', async () => {
    const { api, client, clock } = await setUp();
    const failure = failureOf(client.request({ ...put, timeout: 100 }));
    await api.next();
    clock.advance(100);
    expect(await failure).toMatchObject({ status: 0, reason: 'DEADLINE_EXCEEDED' });
  });
});
