import { isDeepStrictEqual } from 'node:util';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKubeClient, type KubeClient, KubeError } from '../../src/kube/client.ts';
import { type ManagedSecret, reduceSecret } from '../../src/kube/objects.ts';
import { runReflector } from '../../src/kube/reflector.ts';
import type { WireObject } from '../../src/kube/resource.ts';
import { createStore } from '../../src/kube/store.ts';
import { createStoreIndex } from '../../src/kube/store-index.ts';
import { canary } from '../support/canary.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { fuzz, isReplay, refuseCanaries } from '../support/fuzz.ts';
import { damaged, inPieces, oddText, oddValue, wireBytes } from '../support/odd-json.ts';

const value = canary('VALUE');
const anything = fc.oneof({ weight: 3, arbitrary: oddValue }, { weight: 1, arbitrary: fc.constantFrom(value, { data: { a: value } }) });
const version = fc.oneof(fc.integer({ min: 1, max: 60 }).map(String), fc.constantFrom('', 'x', '9'.repeat(20)));
/** Where kubectl keeps what it has applied, values and all. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
const notes = fc.dictionary(oddText, oddText, { maxKeys: 2 });
const object = fc.record({
  metadata: fc.record({
    namespace: fc.constant('shop'),
    name: fc.constantFrom('a', 'b', '__proto__', 'constructor'),
    uid: fc.constantFrom('u1', 'u2'),
    resourceVersion: version,
    labels: fc.dictionary(oddText, oddText, { maxKeys: 2 }),
    annotations: fc.oneof(
      notes,
      notes.map((others) => ({ ...others, [lastApplied]: value })),
    ),
    ownerReferences: fc.array(fc.record({ apiVersion: oddText, kind: oddText, name: oddText, uid: oddText }), { maxLength: 1 }),
    managedFields: fc.array(
      fc.record({
        manager: fc.constantFrom('keyturn', 'kubectl'),
        time: fc.constantFrom('2026-01-01T00:00:00Z', ''),
        fieldsV1: fc.constantFrom({ 'f:data': { 'f:a': {} } }, {}),
      }),
      { maxLength: 2 },
    ),
    finalizers: fc.array(oddText, { maxLength: 1 }),
  }),
  data: fc.constant({ a: value }),
});
const items = fc.array(object, { maxLength: 3 });
const goodList = fc.record({ metadata: fc.constant({ resourceVersion: '30' }), items });
const oddList = fc.record({ metadata: fc.record({ resourceVersion: version, continue: fc.constantFrom('', undefined) }), items });
/** A list as it should be in most cases: after another one the odd watch is never begun. */
const answerToList = fc.oneof(
  { weight: 2, arbitrary: goodList.map((good) => ({ status: 200, list: Buffer.from(JSON.stringify(good)) })) },
  {
    weight: 1,
    arbitrary: fc.record({
      status: fc.oneof(
        { weight: 6, arbitrary: fc.constant(200) },
        { weight: 1, arbitrary: fc.constantFrom(201, 204, 302, 400, 401, 403, 404, 410, 429, 500, 503) },
      ),
      list: wireBytes(damaged(oddList, anything)),
    }),
  },
);
const event = fc.oneof(
  fc.record({ type: fc.constantFrom('ADDED', 'MODIFIED', 'DELETED'), object }),
  fc.record({ type: fc.constant('BOOKMARK'), object: fc.record({ metadata: fc.record({ resourceVersion: version }) }) }),
  fc.record({ type: fc.constant('ERROR'), object: fc.record({ code: fc.constantFrom(410, 500, 403, 429), message: fc.constant(value) }) }),
  fc.record({ type: oddText, object }),
);
const line = wireBytes(damaged(event, anything));
const newline = Buffer.from('\n');

const drawn = fc.record({
  first: answerToList,
  lines: fc.array(line, { maxLength: 5 }).map((lines) => Buffer.concat(lines.flatMap((one) => [one, newline]))),
  ends: fc.array(fc.nat(2_000), { maxLength: 5 }),
  breaks: fc.boolean(),
  optional: fc.boolean(),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

let server: Server;
let url: string;
let answer: (response: ServerResponse, isWatch: boolean) => void;
/** How often the odd watch was begun. */
let watched = 0;
/** How many objects were reduced. */
let reduced = 0;

beforeAll(async () => {
  server = createServer((request, response) => answer(response, request.url?.includes('watch=true') ?? false));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** More than it fails for any list and watch that is got over: one that is not would be tried again for ever. */
const mostFailures = 50;
const latest = '9'.repeat(30);
const good: WireObject = { metadata: { namespace: 'shop', name: 'good', uid: 'u', resourceVersion: latest } };

/** First what was drawn, one odd list and one odd watch; then a server as it should be, whose history has expired. */
function script(one: Drawn): typeof answer {
  let lists = 0;
  let watches = 0;
  return (response, isWatch) => {
    if (isWatch) watches += 1;
    else lists += 1;
    if (isWatch && watches === 1) {
      watched += 1;
      response.writeHead(200);
      for (const piece of inPieces(one.lines, one.ends)) response.write(piece);
      if (one.breaks) response.socket?.end();
      else response.end();
    } else if (isWatch && watches === 2) {
      response.end(`${JSON.stringify({ type: 'ERROR', object: { code: 410 } })}\n`);
    } else if (isWatch) {
      // One that is taken up goes on until it is given up.
      response.writeHead(200);
      response.flushHeaders();
    } else if (lists === 1) {
      const { status, list } = one.first;
      response.writeHead(status).end(status === 204 ? undefined : list);
    } else response.end(JSON.stringify({ metadata: { resourceVersion: latest }, items: [good] }));
  };
}

/** What is kept of a Secret is kept of its metadata, and that without what was applied. What cannot be reduced is the reflector's to refuse. */
function reduceChecked(one: WireObject): ManagedSecret {
  const kept = reduceSecret(one);
  reduced += 1;
  if (!isDeepStrictEqual(kept, reduceSecret({ metadata: one.metadata }))) throw new Error('more is kept of a Secret than its metadata');
  if (Object.hasOwn(kept.annotations, lastApplied)) throw new Error('what was applied to a Secret is kept');
  return kept;
}

async function follow(client: KubeClient, clock: ReturnType<typeof createFakeClock>, optional: boolean): Promise<void> {
  const store = createStore<ManagedSecret>();
  const byOwner = createStoreIndex(store, ({ ownerReferences }) => ownerReferences.map(({ uid }) => uid));
  /** The object of a server that is well again has come. */
  const recovered = Promise.withResolvers<void>();
  store.onChange((key) => (key === 'shop/good' ? recovered.resolve() : undefined));
  const stop = new AbortController();
  const failures: KubeError[] = [];
  const ended = runReflector(
    {
      client,
      clock,
      random: () => 0.5,
      path: '/api/v1/secrets',
      reduce: reduceChecked,
      store,
      covers: () => true,
      optional,
      onSynced: () => {},
      onFailure: (error, _, delay) => {
        failures.push(error);
        if (failures.length > mostFailures) recovered.reject(new Error(`it does not get over ${error.status} ${error.reason}`));
        // The pause begins when this returns.
        setImmediate(() => clock.advance(delay));
      },
    },
    stop.signal,
  );
  try {
    await Promise.race([ended.then(() => Promise.reject(new Error('it ended by itself'))), recovered.promise]);
  } finally {
    stop.abort();
    await ended;
  }
  expect(byOwner('u')).toEqual([]);
  expect(failures.every((error) => error instanceof KubeError)).toBe(true);
  refuseCanaries({ 'the messages of failures': failures.map(({ message }) => message).join('\n') });
}

it('lists and watches of any content are got over, and leave nothing of a value', { timeout: 3_600_000 }, async () => {
  const clock = createFakeClock();
  const client = createKubeClient({
    clock,
    userAgent: 'fuzz',
    load: () => ({ server: url, namespace: 'shop', authenticate: async () => ({ tls: { rejectUnauthorized: true }, headers: {} }) }),
  });
  let cases = 0;
  try {
    await fuzz('watches and lists', drawn, async (one) => {
      cases += 1;
      answer = script(one);
      await follow(client, clock, one.optional);
    });
    if (isReplay) return;
    expect(watched).toBeGreaterThan(cases / 2);
    expect(reduced).toBeGreaterThan(cases);
  } finally {
    await client.close();
  }
});
