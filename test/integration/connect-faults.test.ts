import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { collectionPath, events, secrets, type WireMeta } from '../../src/kube/resource.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { createCertificateAuthority } from '../support/certificates.ts';
import { readiness, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { type Doorway, openDoorway } from '../support/doorway.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

/** Twelve letters, so that whatever begins with them does so in base64 as well. */
const canary = 'canary-5e1b0';
const vaults = ['Prod', 'Other'] as const;
const perVault = 15;
/** Items that get a resource in the course of a trial. */
const spares = Array.from({ length: 30 }, (_, index) => itemOf(`spare-${index + 1}`));
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';
/** One poll and ten seconds: how soon after the end of a fault every Secret is equal to its item, in milliseconds. */
const recovery = 11_000;

type VaultName = (typeof vaults)[number];

/** A resource, and what its item held, the newest last. */
interface Claimed {
  readonly name: string;
  readonly vault: VaultName;
  readonly values: string[];
}

let scenario: Scenario;
let proxy: ApiServerProxy;
let door: Doorway;
let metrics: string;
let observed: ObservedSecrets;
const claimed = new Map<string, Claimed>();
const lines: string[] = [];
const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });

beforeAll(async () => {
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
  const [port = 0] = await freePorts(1);
  metrics = `127.0.0.1:${port}`;
  scenario = await startScenario({
    seed: { vaults: [{ name: 'Prod', items: spares }, { name: 'Other' }] },
    kubeconfig: proxy.kubeconfig,
    flags: [`--metrics-bind-address=${metrics}`],
    log,
  });
  door = await openDoorway(scenario.connect.url);
  await scenario.restartOperator({ connect: door.url });
  observed = await observeSecrets(scenario.namespace);
  const names = vaults.flatMap((vault) =>
    Array.from({ length: perVault }, (_, index) => [vault, `${vault.toLowerCase()}-${index}`] as const),
  );
  for (const [vault, name] of names) scenario.connect.store.createItem(vault, itemOf(name));
  await Promise.all(names.map(([vault, name]) => claim(vault, name)));
  await eventually('all to be level', async () => ((await behindNow()).length === 0 ? true : undefined));
  // Nobody waits for an event; each resource has one.
  const announced = (): number => proxy.requests.writes().filter(({ path }) => path.endsWith('/events')).length;
  await eventually('the last event', () => (announced() >= names.length ? true : undefined));
});

afterAll(async () => {
  await scenario?.end();
  await observed?.stop();
  await door?.shut();
  await proxy?.close();
});

/** A fault, and what it may cost. */
interface Trial {
  readonly fault: string;
  /** Begins it; what it gives ends it. */
  readonly strike: () => Promise<End> | End;
  /** In seconds. */
  readonly lasts: number;
  /** What two resources say meanwhile, one that is made and one whose Secret is deleted: `True`, or a reason. */
  readonly says: Saying;
  /** Requests to Connect while it lasts, at most. */
  readonly requests: number;
  /** How many of the five resources that are touched notice it. */
  readonly noticed: number;
}
type End = () => Promise<void> | void;
type Saying = readonly [created: string, deleted: string];

/** What came of a trial. */
interface Report {
  readonly said: Saying;
  /** Resources whose Secret was not equal to their item, or who did not say so, when all should have been over. */
  readonly behind: readonly string[];
  readonly harm: readonly string[];
  readonly leaks: readonly string[];
  /** Requests to Connect while the fault stood. */
  readonly requests: number;
  /** Writes to the API server, from the beginning of the fault until all was level again. */
  readonly writes: readonly string[];
}

const both = (said: string): Saying => [said, said];
/** The poll and two resources may ask before the first answer is there; then there is one probe every five seconds. */
const shutAtOnce = (lasts: number): number => 3 + Math.floor(lasts / 5);
/** Five failures in a row, with two more under way when the fifth comes; then there is one probe every five seconds, and a fault that is late to end meets one more. */
const shutAfterFive = (lasts: number): number => 5 + 2 + Math.ceil(lasts / 5);
/**
 * One poll a second; a listing of each vault after the first changes, and of one after the last; two items in one version, one in two, one for
 * the Secret that is deleted and one for the resource that is made.
 */
const asEver = (lasts: number): number => lasts + 1 + 3 + 6;
/** As ever, and each of five resources is tried again after 0.05, 0.1, 0.2, 0.4 and 0.8 seconds at the least. */
const untilTheyTire = (lasts: number): number => asEver(lasts) + 5 * 5;

const trials: readonly Trial[] = [
  { fault: 'nobody listens', strike: shutTheDoor, lasts: 6, says: both('ConnectUnavailable'), requests: shutAtOnce(6), noticed: 2 },
  {
    fault: 'connections are reset',
    strike: ordered({ kind: 'reset' }),
    lasts: 4,
    says: both('ConnectUnavailable'),
    // A request whose connection breaks before the answer is made twice.
    requests: 2 * shutAtOnce(4),
    noticed: 2,
  },
  {
    fault: 'connections are reset in the middle of an answer',
    strike: ordered({ kind: 'reset', at: 'body' }),
    lasts: 4,
    says: both('ConnectUnavailable'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'connections end in the middle of an answer',
    strike: ordered({ kind: 'truncated' }),
    lasts: 4,
    says: both('ConnectUnavailable'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'nothing is answered',
    strike: ordered({ kind: 'hang' }),
    lasts: 11,
    says: both('ConnectUnavailable'),
    // The poll and two resources, each once, and again when they have waited for eight seconds.
    requests: 3 * 2,
    noticed: 2,
  },
  {
    fault: 'answers stop in the middle',
    strike: ordered({ kind: 'hang', at: 'body' }),
    lasts: 11,
    says: both('ConnectUnavailable'),
    requests: 3 * 2,
    noticed: 2,
  },
  {
    fault: 'items are not answered',
    strike: ordered({ kind: 'hang', route: itemRoute }),
    lasts: 11,
    says: both('ConnectUnavailable'),
    // As ever but for the items: each of five, and again when it has waited for eight seconds.
    requests: asEver(11) - 6 + 5 * 2,
    noticed: 5,
  },
  {
    fault: 'answers take two seconds',
    strike: ordered({ kind: 'latency', ms: 2_000 }),
    lasts: 11,
    says: both('True'),
    requests: asEver(11),
    noticed: 0,
  },
  {
    fault: 'the token is refused with 401',
    strike: ordered({ kind: 'status', status: 401 }),
    lasts: 6,
    says: both('ConnectUnauthorized'),
    requests: shutAtOnce(6),
    noticed: 2,
  },
  {
    fault: 'one vault is refused with 403',
    strike: () => ordered({ kind: 'status', status: 403, path: `/v1/vaults/${scenario.connect.store.vault('Other').id}` })(),
    lasts: 4,
    says: ['True', 'ConnectForbidden'],
    requests: asEver(4),
    noticed: 2,
  },
  {
    fault: '429 with Retry-After is answered',
    strike: ordered({ kind: 'status', status: 429, retryAfter: 7 }),
    lasts: 6,
    says: both('ConnectUnavailable'),
    // The poll and two resources; nobody asks again within the seven seconds.
    requests: 3,
    noticed: 2,
  },
  {
    fault: '500 is answered',
    strike: ordered({ kind: 'status', status: 500, body: { status: 500, message: `failed to initiate ${canary}` } }),
    lasts: 4,
    says: both('ConnectUnavailable'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'answers are not JSON',
    strike: ordered({ kind: 'status', status: 200, body: `[{"${canary}": ]` }),
    lasts: 4,
    says: both('ConnectProtocolError'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'half of an answer comes as if it were all',
    strike: ordered({ kind: 'malformed' }),
    lasts: 4,
    says: both('ConnectProtocolError'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'answers have another content type',
    strike: ordered({ kind: 'content-type', contentType: 'text/html' }),
    lasts: 4,
    says: both('True'),
    requests: asEver(4),
    noticed: 0,
  },
  {
    fault: 'answers are redirects',
    strike: redirect,
    lasts: 4,
    says: both('ConnectProtocolError'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'every second answer is that of a replica behind',
    strike: ordered({ kind: 'stale', every: 2 }),
    lasts: 8,
    says: both('True'),
    // Each poll may find both vaults moved, and each of five resources is tried up to six times with pauses of 0.05 s to 8 s.
    requests: (8 + 1) * (1 + 2) + 5 * 6,
    noticed: 2,
  },
  {
    fault: 'answers have 100 MB',
    strike: ordered({ kind: 'huge', bytes: 100_000_000 }),
    lasts: 4,
    says: both('ConnectProtocolError'),
    requests: shutAfterFive(4),
    noticed: 2,
  },
  {
    fault: 'items have 100 MB, of which nobody told',
    strike: ordered({ kind: 'huge', bytes: 100_000_000, contentLength: false, route: itemRoute }),
    lasts: 4,
    says: both('ConnectProtocolError'),
    requests: untilTheyTire(4),
    noticed: 5,
  },
];

describe.each(trials)('while $fault', (trial) => {
  survives(trial);
});

it('items whose answers cannot be read keep nobody else from following', async () => {
  const { namespace, connect } = scenario;
  const bad = Array.from({ length: 8 }, (_, index) => `spare-${spares.length - index}`);
  for (const name of bad) {
    const { id, vault } = connect.store.item('Prod', name);
    connect.faults.order({ kind: 'malformed', path: `/v1/vaults/${vault.id}/items/${id}` });
    await namespace.createItem(name, `vaults/Prod/items/${name}`);
  }
  await Promise.all(bad.map((name) => untilReadiness(namespace, name, 'ConnectProtocolError')));
  for (const name of claimed.keys()) rotate(name);
  const wronged = new Set<string>();
  await eventually('all others to be level', async () => {
    for (const item of await namespace.items()) {
      if (claimed.has(item.metadata.name) && readiness(item) !== 'True') wronged.add(item.metadata.name);
    }
    return (await behindNow()).length === 0 ? true : undefined;
  });
  connect.faults.clear();
  // Whoever comes next finds nothing under way.
  await Promise.all(bad.map((name) => untilReadiness(namespace, name, 'True')));
  expect([...wronged]).toEqual([]);
});

describe('over TLS', () => {
  const trusted = createCertificateAuthority();
  const unknown = createCertificateAuthority('Nobody knows this one');
  let tlsDoor: Doorway;

  beforeAll(async () => {
    const file = join(sharedControlPlane().directory, `${scenario.namespace.name}-ca.pem`);
    await writeFile(file, trusted.cert);
    tlsDoor = await openDoorway(scenario.connect.url, trusted.issue('127.0.0.1'));
    await scenario.restartOperator({ connect: tlsDoor.url, environment: { SSL_CERT_FILE: file } });
  });
  afterAll(() => tlsDoor?.shut());

  describe('while the certificate is of an unknown authority', () => {
    survives({
      fault: 'a certificate of an unknown authority',
      strike: () => {
        tlsDoor.show(unknown.issue('127.0.0.1'));
        return () => tlsDoor.show(trusted.issue('127.0.0.1'));
      },
      lasts: 6,
      says: both('ConnectUnavailable'),
      requests: shutAtOnce(6),
      noticed: 2,
    });
  });
});

function survives(trial: Trial): void {
  let report: Report;
  beforeAll(async () => {
    report = await run(trial);
  });

  it('whoever is touched by it says so', () => expect(report.said).toEqual(trial.says));
  it('no Secret is deleted, emptied, or set back', () => expect(report.harm).toEqual([]));
  it('every Secret is equal to its item within a poll and ten seconds afterwards', () => expect(report.behind).toEqual([]));
  it('Connect is asked little', () => expect(report.requests).toBeLessThanOrEqual(trial.requests));
  it('Secrets are written as often as they change', () => {
    const written = report.writes.filter((write) => write.endsWith(' secrets')).toSorted();
    const twice = ['PUT secrets', 'PUT secrets', 'PUT secrets', 'PUT secrets'];
    // Of two changes of one item the first may go unseen.
    expect([
      ['POST secrets', 'POST secrets', ...twice],
      ['POST secrets', 'POST secrets', ...twice.slice(1)],
    ]).toContainEqual(written);
  });
  it('the API server is written to little', () => {
    // Six writes of Secrets, with a status for each, and the event of the new one. Who notices the fault says so (status, event) and takes it
    // back (event); another wording or another reason on the way is one more status and event.
    expect(report.writes.length).toBeLessThanOrEqual(6 + 6 + 1 + trial.noticed * 5);
  });
  it('no value leaves a Secret', () => expect(report.leaks).toEqual([]));
}

let round = 0;

/** Lets a fault strike, changes this and that meanwhile, and waits until all is level again. */
async function run({ strike, lasts }: Trial): Promise<Report> {
  const { namespace, connect } = scenario;
  round += 1;
  const pick = (vault: VaultName, step: number): string => `${vault.toLowerCase()}-${(round * 3 + step) % perVault}`;
  const [rotated, rotatedToo, twice, deleted] = [pick('Prod', 0), pick('Other', 0), pick('Prod', 1), pick('Other', 2)];
  const created = `spare-${round}`;
  const before = await requestsMade();
  connect.requests.reset();
  proxy.requests.reset();
  observed.harm.length = 0;
  lines.length = 0;

  const end = await strike();
  const start = performance.now();
  const untilSecond = (second: number): Promise<true> =>
    eventually(`second ${second}`, () => (performance.now() - start >= second * 1_000 ? true : undefined));
  for (const name of [rotated, rotatedToo, twice]) rotate(name);
  await namespace.delete('secrets', deleted);
  await claim('Prod', created);
  await untilSecond(lasts / 2);
  rotate(twice);
  await untilSecond(lasts);
  const said = await Promise.all([created, deleted].map(async (name) => readiness(await namespace.item(name)) ?? 'nothing'));
  const requests = Math.max(connect.requests.total, (await requestsMade()) - before);
  await end();

  const behind = await untilLevel(recovery);
  return {
    said: [said[0] ?? '', said[1] ?? ''],
    behind,
    harm: observed.harm.filter((what) => what !== `${deleted} deleted`),
    leaks: await findLeaks(),
    requests,
    writes: proxy.requests.writes().map(({ method, path }) => `${method} ${kindIn(path)}`),
  };
}

/** The plural of the kind that a path is about. */
function kindIn(path: string): string {
  return /\/namespaces\/[^/]+\/([^/]+)/.exec(path)?.[1] ?? path;
}

async function shutTheDoor(): Promise<End> {
  await door.shut();
  return () => door.open();
}

function ordered(...orders: readonly FaultOrder[]): () => End {
  return () => {
    const faults = orders.map((order) => scenario.connect.faults.order(order));
    return () => {
      for (const fault of faults) {
        if (fault.hits === 0) throw new Error('the fault has struck nobody');
        fault.clear();
      }
    };
  };
}

/** To a server that must not be asked. */
async function redirect(): Promise<End> {
  const elsewhere: ConnectServer = await startConnectServer({ seed: { vaults: [] } });
  const end = ordered({ kind: 'redirect', location: `${elsewhere.url}/v1/vaults` })();
  return async () => {
    await end();
    if (elsewhere.requests.total > 0) observed.harm.push('the redirect was followed');
    await elsewhere.close();
  };
}

function itemOf(title: string) {
  return { title, fields: [{ label: 'password', value: `${canary} ${title} 0` }] };
}

/** Makes a resource for an item: by title in one vault, by ids in the other. */
async function claim(vault: VaultName, name: string): Promise<void> {
  const { namespace, connect } = scenario;
  const item = connect.store.item(vault, name);
  claimed.set(name, { name, vault, values: [`${canary} ${name} 0`] });
  await namespace.createItem(name, vault === 'Prod' ? `vaults/${vault}/items/${name}` : `vaults/${item.vault.id}/items/${item.id}`);
}

function rotate(name: string): void {
  const { vault, values } = claimed.get(name) as Claimed;
  const value = `${canary} ${name} ${values.length}`;
  values.push(value);
  scenario.connect.store.setField(vault, name, 'password', value);
}

/** Waits until every Secret is equal to its item, and every resource says so; gives those that are not at the deadline. */
async function untilLevel(deadline: number): Promise<readonly string[]> {
  const level = async (): Promise<true | undefined> => ((await behindNow()).length === 0 ? true : undefined);
  const isLevel = await eventually('every Secret to be equal to its item', level, deadline).catch(() => false);
  return isLevel ? [] : await behindNow();
}

/** Resources whose Secret is not equal to their item, or who do not say so. */
async function behindNow(): Promise<readonly string[]> {
  const statuses = new Map((await scenario.namespace.items()).map((item) => [item.metadata.name, item]));
  const isLevel = ({ name, vault, values }: Claimed): boolean => {
    const item = statuses.get(name);
    const { version } = scenario.connect.store.item(vault, name);
    return readiness(item) === 'True' && item?.status?.item?.version === version && observed.values.get(name) === values.at(-1);
  };
  return [...claimed.values()].filter((one) => !isLevel(one)).map(({ name }) => name);
}

/** How many requests to Connect the operator says it made. */
async function requestsMade(): Promise<number> {
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  const counts = text.matchAll(/^keyturn_connect_requests_total\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Where a value stands that belongs into a Secret alone. */
async function findLeaks(): Promise<readonly string[]> {
  const { kube, name: namespace } = scenario.namespace;
  const asMetadata = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
  const places = {
    events: await kube.request({ method: 'GET', path: collectionPath(events, namespace) }),
    resources: await scenario.namespace.items(),
    'metadata of Secrets': await kube.request({ method: 'GET', path: collectionPath(secrets, namespace), accept: asMetadata }),
    log: lines,
  };
  const forms = [canary, Buffer.from(canary).toString('base64')];
  const leaks = Object.entries(places).filter(([, place]) => forms.some((form) => JSON.stringify(place).includes(form)));
  return leaks.map(([place]) => place);
}

/** The Secrets of a namespace as a watch tells them, and what should not have happened to one. */
interface ObservedSecrets {
  readonly values: ReadonlyMap<string, string>;
  readonly harm: string[];
  stop(): Promise<void>;
}

async function observeSecrets({ kube, name: namespace }: TestNamespace): Promise<ObservedSecrets> {
  const values = new Map<string, string>();
  const harm: string[] = [];
  const end = new AbortController();
  const path = collectionPath(secrets, namespace);
  const { metadata } = await kube.request<{ metadata: { resourceVersion: string } }>({ method: 'GET', path });

  function see(type: string, name: string, value: string | undefined): void {
    const known = claimed.get(name)?.values ?? [];
    const before = values.get(name);
    if (type === 'DELETED') {
      harm.push(`${name} deleted`);
      return;
    }
    if (value === undefined || !known.includes(value)) harm.push(`${name} has no value of its item`);
    else if (before !== undefined && known.indexOf(value) < known.indexOf(before)) harm.push(`${name} set back`);
    values.set(name, value ?? '');
  }

  async function follow(): Promise<void> {
    const query = { watch: 'true', resourceVersion: metadata.resourceVersion };
    for await (const line of kube.watch({ method: 'GET', path, query, signal: end.signal })) {
      const { type, object } = JSON.parse(line) as {
        readonly type: string;
        readonly object: { readonly metadata: WireMeta; readonly data?: Readonly<Record<string, string>> };
      };
      const value = object.data?.['password'];
      see(type, object.metadata.name, value === undefined ? undefined : Buffer.from(value, 'base64').toString());
    }
  }

  const ended = follow().catch(() => {
    if (!end.signal.aborted) harm.push('no longer observed');
  });
  return {
    values,
    harm,
    async stop() {
      end.abort();
      await ended;
    },
  };
}
