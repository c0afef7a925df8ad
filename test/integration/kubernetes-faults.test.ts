import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { collectionPath, secrets, type WireMeta } from '../../src/kube/resource.ts';
import { type ApiServerProxy, type OrderedProxyFault, type ProxiedRequest, startApiServerProxy } from '../support/api-server-proxy.ts';
import { readiness, type TestNamespace } from '../support/cluster.ts';
import { requireFeature, sharedControlPlane, sharedUser } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { grantRole } from '../support/roles.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const count = 20;
const canary = 'canary-7d20be';
/** One poll and ten seconds: how soon after the end of a fault all is as it should be, in milliseconds. */
const recovery = 11_000;
const collection = /\/(?:onepassworditems|secrets|deployments|statefulsets|daemonsets)$/;
/** Collections that are watched: resources, Secrets and three kinds of workloads; Rollouts are unknown to this cluster. */
const watched = 5;
const writing = ['POST', 'PUT', 'PATCH', 'DELETE'];

let proxy: ApiServerProxy;
let scenario: Scenario;
let observed: ObservedSecrets;
/** The value that each Secret should have, by name. */
const wanted = new Map<string, string>();
const rotated = Array.from({ length: count }, (_, i) => `item-${i}`);
/** Their Deployments restart. */
const restarted = Array.from({ length: 5 }, (_, i) => `restarted-${i}`);
/** Their resources are made by the tests, each by one. */
const spare = Array.from({ length: 15 }, (_, i) => `spare-${i}`);
let lines: string[] = [];
const log = pino(
  { level: 'debug', formatters: { level: (label) => ({ level: label }) } },
  {
    write(line: string) {
      if (line.includes(canary)) leaks.push(line);
      lines.push(line);
    },
  },
);
const leaks: string[] = [];

const notEvents = /(?<!\/events)$/;

/** Writes that keep anything level: what is told of them in events comes on top. */
function stateWrites({ requests }: ApiServerProxy = proxy): readonly ProxiedRequest[] {
  return requests.writes().filter(({ path, countsConsumers }) => notEvents.test(path) && !countsConsumers);
}

beforeAll(async () => {
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
  const items = [...rotated, ...restarted, ...spare].map((title) => ({
    title,
    fields: [{ label: 'password', value: `${canary} ${title}` }],
  }));
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] }, kubeconfig: proxy.kubeconfig, log });
  observed = await observeSecrets(scenario.namespace);
  await Promise.all(rotated.map(create));
  await untilSettled();
});

beforeEach(async () => {
  // After a test that failed a resource may pause for half a minute.
  await untilSettled(40_000);
  proxy.requests.reset();
  observed.harm.length = 0;
  lines = [];
});
afterEach(() => proxy.faults.clear());
afterAll(async () => {
  await scenario?.end();
  await observed?.stop();
  await proxy?.close();
});

describe('a watch', () => {
  it.each([
    ['is cut', () => [proxy.faults.order({ kind: 'cut-watches' })], 0],
    ['ends in order', () => [proxy.faults.order({ kind: 'end-watches' })], 0],
    ['says that its place in the history is gone', () => [proxy.faults.order({ kind: 'watch-error' })], watched],
    [
      'is refused since its place in the history is gone',
      () => [
        proxy.faults.order({ kind: 'status', status: 410, reason: 'Expired', isWatch: true, firstPerPath: true }),
        proxy.faults.order({ kind: 'cut-watches' }),
      ],
      watched,
    ],
  ] as const)('that %s misses nothing', async (_, strike, lists) => {
    const blind = proxy.faults.order({ kind: 'status', status: 503, methods: ['GET'], path: collection });
    const faults = strike();
    rotate();
    await removeSecret('item-0');
    await create(spare.pop() ?? '');
    blind.clear();
    await untilSettled(recovery);
    await untilWatching();
    // The new watches bring what comes later, too.
    await removeSecret('item-1');
    await untilSettled();
    expect(faults.map(({ hits }) => hits)).toEqual(faults.map(() => watched));
    // Each collection is read again when its history is gone, and only then.
    expect(answered(200, ({ method, path, isWatch }) => method === 'GET' && collection.test(path) && !isWatch)).toHaveLength(lists);
    // Every rotated one, the new one, and the two that were deleted: the first is both.
    expect(tally(stateWrites())).toEqual({ 'PUT secrets': count - 1, 'POST secrets': 3, 'PATCH onepassworditems': count + 2 });
    expect(observed.harm).toEqual(['item-0 deleted', 'item-1 deleted']);
  });

  it('that stood for a while is taken up at once each time it is cut, quiet or not', async () => {
    proxy.faults.order({ kind: 'cut-watches' });
    await untilWatching();
    lines = [];
    for (let times = 0; times < 4; times += 1) {
      // Below a second it counts as a failure.
      await eventually('the watches to have stood', () => (Date.now() - Math.max(...watchesOpened()) > 1_100 ? true : undefined));
      proxy.requests.reset();
      const start = Date.now();
      proxy.faults.order({ kind: 'cut-watches' });
      await untilWatching();
      // The first pause is at most 200 ms; a streak's third would be up to 800.
      expect(Math.max(...watchesOpened()) - start).toBeLessThan(500);
    }
    expect(errors()).toEqual([]);
  });
});

describe('an API server', () => {
  it('that answers 429 is asked no sooner than it says', async () => {
    const retryAfter = 1;
    const overload = proxy.faults.order({ kind: 'status', status: 429, retryAfter });
    const start = Date.now();
    proxy.faults.order({ kind: 'cut-watches' });
    rotate();
    await eventually('each to be refused three times', () =>
      refusals(429).every((times) => times >= 3) && refusals(429).length >= count + watched ? true : undefined,
    );
    overload.clear();
    const duration = Date.now() - start;
    const refused = byPlace(answered(429));
    await untilSettled(recovery);
    const pauses = refused.flatMap(pausesOf);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(retryAfter * 1_000 - 5);
    // Three watches and twenty Secrets, each at the beginning and whenever the pause was over.
    expect(overload.hits).toBeLessThanOrEqual((watched + 1 + count) * (1 + Math.floor(duration / (retryAfter * 1_000))));
    expect(stateWrites()).toHaveLength(2 * count);
    expect(observed.harm).toEqual([]);
  });

  it.each([
    [500, 'InternalError', 2_000],
    // Long enough for every pause to have grown to the longest.
    [503, undefined, 15_000],
  ])('that answers writes with %i is asked ever more slowly, and gets them afterwards', async (status, reason, lasting) => {
    const outage = proxy.faults.order({
      kind: 'status',
      status,
      methods: writing,
      path: notEvents,
      ...(reason !== undefined && { reason }),
    });
    rotate();
    const duration = await untilStruck(outage, 3 * count, lasting);
    outage.clear();
    const refused = byPlace(answered(status));
    await untilSettled(recovery);
    expect(refused).toHaveLength(count);
    for (const attempts of refused) expect(attempts.length).toBeLessThanOrEqual(mostAttempts(duration, { base: 500, max: 8_000 }));
    expect(stateWrites()).toHaveLength(outage.hits + 2 * count);
    expect(observed.harm).toEqual([]);
  });

  it('that breaks every connection is asked ever more slowly, and read on afterwards', async () => {
    const away = proxy.faults.order({ kind: 'refuse' });
    rotate();
    const [duration] = await Promise.all([untilStruck(away, 3 * (count + watched)), removeSecret('item-2'), create(spare.pop() ?? '')]);
    away.clear();
    await untilSettled(recovery);
    // However many fail alike, one line says so.
    const told = lines
      .map(
        (line) =>
          JSON.parse(line) as { readonly level: string; readonly msg: string; readonly controller?: string; readonly error?: string },
      )
      .filter(({ level, msg }) => level === 'error' && msg.startsWith('reconcile failed'))
      .map(({ controller, error }) => `${controller}: ${error?.split(': ').at(-1)}`);
    expect([told.length > 0, told]).toEqual([true, [...new Set(told)]]);
    const most =
      count * mostAttempts(duration, { base: 500, max: 8_000 }) + (watched + 1) * mostAttempts(duration, { base: 200, max: 5_000 });
    expect(away.hits).toBeLessThanOrEqual(most);
    expect(stateWrites()).toHaveLength(2 * (count + 1));
    expect(observed.harm).toEqual(['item-2 deleted']);
  });

  it('that takes a new token is gone on with once the token file holds it', async () => {
    const { namespace } = scenario;
    const { accounts, directory } = sharedControlPlane();
    const { token, username } = await sharedUser(namespace.name);
    await grantRole(namespace, username);
    const tokenFile = join(directory, `${namespace.name}.token`);
    await writeFile(tokenFile, `${token}\n`);
    const own = await startApiServerProxy({ controlPlane: sharedControlPlane(), user: { tokenFile } });
    try {
      await scenario.restartOperator({ kubeconfig: own.kubeconfig });
      own.requests.reset();
      const revoked = own.faults.order({ kind: 'status', status: 401, reason: 'Unauthorized', token });
      own.faults.order({ kind: 'cut-watches' });
      rotate();
      const duration = await untilStruck(revoked, 3 * 2 * (count + watched));
      const { hits } = revoked;
      await writeFile(`${tokenFile}.new`, `${accounts.namespaced.token}\n`);
      await rename(`${tokenFile}.new`, tokenFile);
      await untilSettled(recovery);
      const most =
        count * mostAttempts(duration, { base: 500, max: 8_000 }) + (watched + 1) * mostAttempts(duration, { base: 200, max: 5_000 });
      // Each attempt is two requests: the second with what the file says then.
      expect(hits).toBeLessThanOrEqual(2 * most);
      expect(stateWrites(own).filter(({ status }) => status !== 401)).toHaveLength(2 * count);
      expect(observed.harm).toEqual([]);
    } finally {
      await scenario.restartOperator();
      await own.close();
    }
  });

  it('that lacks the CustomResourceDefinition at the start is waited for, and the log says what to do', async () => {
    await scenario.stopOperator();
    const missing = proxy.faults.order({ kind: 'status', status: 404, path: /\/onepassworditems$/ });
    rotate();
    const start = Date.now();
    const ready = scenario.restartOperator();
    try {
      await eventually('four attempts', () => (missing.hits >= 4 ? true : undefined));
      expect(missing.hits).toBeLessThanOrEqual(mostAttempts(Date.now() - start, { base: 200, max: 5_000 }));
      expect(stateWrites()).toEqual([]);
    } finally {
      missing.clear();
      await ready;
    }
    await untilSettled(recovery);
    expect(errors()).toEqual([
      'the CustomResourceDefinition onepassworditems.onepassword.com is not installed; run kubectl apply -f crds/, or upgrade the chart with crds.install=true',
    ]);
    expect(observed.harm).toEqual([]);
  });

  it('that lacks the CustomResourceDefinition for a while keeps every Secret', async () => {
    const missing = proxy.faults.order({ kind: 'status', status: 404, path: /\/onepassworditems$/ });
    proxy.faults.order({ kind: 'cut-watches' });
    await eventually('four attempts', () => (missing.hits >= 4 ? true : undefined));
    missing.clear();
    rotate();
    await untilSettled(recovery);
    expect(stateWrites()).toHaveLength(2 * count);
    expect(observed.harm).toEqual([]);
  });
});

describe('the first write to each object', () => {
  it('that loses against another one is planned anew, and every rotation restarts once', async (context) => {
    requireFeature(context, 'controllerManager');
    const { namespace } = scenario;
    // Not rotated before: a Deployment that is younger than a revision by minutes rolls once for that alone.
    const names = [...rotated, ...restarted];
    await Promise.all(restarted.map(create));
    await untilSettled();
    await Promise.all(restarted.map((name) => namespace.createDeployment(name, name, { [annotations.autoRestart]: 'true' })));
    await Promise.all(restarted.map(untilAdopted));
    for (const rollouts of [1, 2]) {
      proxy.requests.reset();
      const conflict = proxy.faults.order({
        kind: 'status',
        status: 409,
        reason: 'Conflict',
        methods: writing,
        path: notEvents,
        firstPerPath: true,
      });
      rotate(names);
      await untilSettled(recovery);
      await Promise.all(restarted.map((name) => untilReplicaSets(name, 1 + rollouts)));
      await untilPolled(2);
      conflict.clear();
      // Each write of a Secret, of a status and of a Deployment is refused once and made once.
      const writes = { 'PUT secrets': names.length, 'PATCH onepassworditems': names.length, 'PATCH deployments': restarted.length };
      expect(tally(answered(409))).toEqual(writes);
      expect(tally(answered(200, isWrite))).toEqual(writes);
    }
    expect(observed.harm).toEqual([]);
  });

  it.each(['AlreadyExists', 'Conflict'])('that creates it and is answered 409 %s is made again', async (reason) => {
    const names = spare.splice(0, 5);
    const conflict = proxy.faults.order({ kind: 'status', status: 409, reason, methods: ['POST'], path: /secrets$/, times: names.length });
    await Promise.all(names.map(create));
    await untilSettled(recovery);
    expect(conflict.hits).toBe(names.length);
    expect(tally(stateWrites())).toEqual({ 'POST secrets': 2 * names.length, 'PATCH onepassworditems': names.length });
    expect(observed.harm).toEqual([]);
  });
});

it('writes no value into the log, whatever fails', () => {
  expect(leaks).toEqual([]);
});

/** Gives each of the items a new value. */
function rotate(names: readonly string[] = rotated): void {
  for (const name of names) {
    const value = `${canary} ${name} ${crypto.randomUUID()}`;
    wanted.set(name, value);
    scenario.connect.store.setField('Prod', name, 'password', value);
  }
}

/** Makes a resource for an item that has been in Connect from the beginning. */
async function create(name: string): Promise<void> {
  wanted.set(name, `${canary} ${name}`);
  await scenario.namespace.createItem(name, `vaults/Prod/items/${name}`);
}

async function removeSecret(name: string): Promise<void> {
  await scenario.namespace.delete('secrets', name);
  await eventually(`Secret ${name} to be gone`, () => (observed.harm.includes(`${name} deleted`) ? true : undefined));
}

/** Waits until every Secret has its value and every resource says so: nothing is left to be written then. */
async function untilSettled(deadline?: number): Promise<void> {
  await eventually(
    'all Secrets to be equal to their items',
    async () => {
      for (const [name, value] of wanted)
        if (observed.secrets.get(name)?.value !== value) throw new Error(`${name} is not what it should be`);
      for (const item of await scenario.namespace.items()) {
        const { name } = item.metadata;
        const written = item.status?.secret?.resourceVersion;
        if (readiness(item) !== 'True' || written !== observed.secrets.get(name)?.resourceVersion)
          throw new Error(`${name} does not say so`);
      }
      return true;
    },
    deadline,
  );
}

/** Waits until a Deployment's record says what its pods know. */
async function untilAdopted(name: string): Promise<void> {
  await eventually(`Deployment ${name} to have a record`, async () => {
    const { metadata } = await scenario.namespace.deployment(name);
    return metadata.annotations?.[annotations.knownRevisions];
  });
}

async function untilReplicaSets(deployment: string, expected: number): Promise<void> {
  await eventually(`${expected} ReplicaSets of ${deployment}`, async () =>
    (await scenario.namespace.replicaSets(deployment)) === expected ? true : undefined,
  );
}

/** Waits until a fault has struck so often, and for so many milliseconds; says for how many. */
async function untilStruck(fault: OrderedProxyFault, hits: number, lasting = 2_000): Promise<number> {
  const start = Date.now();
  await eventually('the fault to strike', () => (fault.hits >= hits && Date.now() - start >= lasting ? true : undefined));
  return Date.now() - start;
}

/** Waits until the operator has looked at Connect `times` times more. */
async function untilPolled(times: number): Promise<void> {
  const { requests } = scenario.connect;
  const before = requests.count('GET /v1/vaults');
  await eventually('a poll', () => (requests.count('GET /v1/vaults') >= before + times ? true : undefined));
}

function answered(status: number, which: (request: ProxiedRequest) => boolean = () => true): readonly ProxiedRequest[] {
  return proxy.requests.all.filter((request) => request.status === status && notEvents.test(request.path) && which(request));
}

/** When each watch that stands since the last reset was asked for. */
function watchesOpened(): readonly number[] {
  return answered(200, ({ isWatch }) => isWatch).map(({ at }) => at);
}

async function untilWatching(): Promise<void> {
  await eventually('all collections to be watched', () => (watchesOpened().length >= watched ? true : undefined));
}

/** What the log says at level error. */
function errors(): readonly string[] {
  const entries = lines.map((line) => JSON.parse(line) as { readonly level: string; readonly msg: string });
  return entries.filter(({ level }) => level === 'error').map(({ msg }) => msg);
}

/** The requests of each method and path. */
function byPlace(requests: readonly ProxiedRequest[]): readonly (readonly ProxiedRequest[])[] {
  return [...Map.groupBy(requests, ({ method, path }) => `${method} ${path}`).values()];
}

function refusals(status: number): readonly number[] {
  return byPlace(answered(status)).map((requests) => requests.length);
}

/** How many requests there are of each method and kind of object. */
function tally(requests: readonly ProxiedRequest[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { method, path } of requests) {
    const place = `${method} ${/\/(onepassworditems|secrets|deployments)\b/.exec(path)?.[1] ?? path}`;
    counts[place] = (counts[place] ?? 0) + 1;
  }
  return counts;
}

function isWrite({ method, countsConsumers }: ProxiedRequest): boolean {
  return method !== 'GET' && !countsConsumers;
}

/** Milliseconds between each request and the one before it. */
function pausesOf(requests: readonly ProxiedRequest[]): readonly number[] {
  return requests.slice(1).map(({ at }, i) => at - (requests[i]?.at ?? at));
}

/** How many attempts fit into `duration` milliseconds when chance makes every pause the shortest: a tenth of its bound. */
function mostAttempts(duration: number, { base, max }: { readonly base: number; readonly max: number }): number {
  let attempts = 0;
  for (let at = 0; at <= duration; at += Math.min(max, base * 2 ** (attempts - 1)) / 10) attempts += 1;
  return attempts;
}

interface ObservedSecrets {
  /** As they are now, by name. */
  readonly secrets: ReadonlyMap<string, { readonly value: string | undefined; readonly resourceVersion: string }>;
  /** Every deletion, and every state without a value. */
  readonly harm: string[];
  stop(): Promise<void>;
}

/** Watches a namespace beside the proxy, so that no state of a Secret goes unseen. */
async function observeSecrets({ kube, name: namespace }: TestNamespace): Promise<ObservedSecrets> {
  interface Secret {
    readonly metadata: WireMeta;
    readonly data?: Readonly<Record<string, string>>;
  }
  const current = new Map<string, { readonly value: string | undefined; readonly resourceVersion: string }>();
  const harm: string[] = [];
  const end = new AbortController();
  const path = collectionPath(secrets, namespace);
  const { metadata } = await kube.request<{ metadata: { resourceVersion: string } }>({ method: 'GET', path });

  async function follow(): Promise<void> {
    const query = { watch: 'true', resourceVersion: metadata.resourceVersion };
    for await (const line of kube.watch({ method: 'GET', path, query, signal: end.signal })) {
      const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: Secret };
      const { name, resourceVersion } = object.metadata;
      const password = object.data?.['password'];
      const value = password === undefined ? undefined : Buffer.from(password, 'base64').toString();
      if (type === 'DELETED') {
        harm.push(`${name} deleted`);
        current.delete(name);
        continue;
      }
      if (!value) harm.push(`${name} emptied`);
      current.set(name, { value, resourceVersion });
    }
  }

  const ended = follow().catch(() => {
    if (!end.signal.aborted) harm.push('no longer observed');
  });
  return {
    secrets: current,
    harm,
    async stop() {
      end.abort();
      await ended;
    },
  };
}
