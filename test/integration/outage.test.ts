import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { type ReadItem, readiness, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { type Doorway, openDoorway } from '../support/doorway.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

/** In milliseconds. */
const outageGrace = 3_000;
const vaults = ['Prod', 'Other'] as const;
const inProd = Array.from({ length: 40 }, (_, index) => `prod-${index}`);
const inOther = Array.from({ length: 20 }, (_, index) => `other-${index}`);
const all = [...inProd, ...inOther];
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';

let scenario: Scenario;
let proxy: ApiServerProxy;
let door: Doorway;

const itemsOf = (titles: readonly string[]) => titles.map((title) => ({ title, fields: [{ label: 'password', value: `of ${title}` }] }));

beforeAll(async () => {
  proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
  scenario = await startScenario({
    seed: {
      vaults: [
        { name: 'Prod', items: itemsOf(inProd) },
        { name: 'Other', items: itemsOf(inOther) },
      ],
    },
    kubeconfig: proxy.kubeconfig,
    times: { outageGrace },
  });
  door = await openDoorway(scenario.connect.url);
  await restart();
  await Promise.all(all.map((name) => scenario.namespace.createItem(name, `vaults/${vaultOf(name)}/items/${name}`)));
  await untilAllSay('True', all);
});

afterAll(async () => {
  await scenario?.end();
  await door?.shut();
  await proxy?.close();
});

describe.each<[string, () => Promise<End> | End, string]>([
  ['Connect is out of reach', shutTheDoor, 'ConnectUnavailable'],
  ['Connect refuses the token', () => order({ kind: 'status', status: 401 }), 'ConnectUnauthorized'],
])('while %s', (_, strike, reason) => {
  let before: Versions;
  let after: Versions;
  let outage: Phase;
  let recovery: Phase;
  let end: End;

  beforeAll(async () => {
    before = await secretVersions();
    outage = await phase(async () => {
      end = await strike();
      await untilAllSay(reason, all);
    });
    after = await secretVersions();
    const { version } = scenario.connect.store.setField('Prod', 'prod-0', 'password', `changed while ${reason}`);
    recovery = await phase(async () => {
      await end();
      await untilAllSay('True', all);
      await eventually(
        'the new version',
        async () => (await scenario.namespace.item('prod-0'))?.status?.item?.version === version || undefined,
      );
    });
  });

  it('what is in sync says nothing of it at first', () => {
    expect(Math.min(...outage.statusWrites) - outage.start).toBeGreaterThanOrEqual(outageGrace);
  });
  it('then everybody says so, once', () => expect(outage.statusWrites).toHaveLength(all.length));
  it('what is said comes no faster than 20 times a second', () => expect(fastestSecond(outage.statusWrites)).toBeLessThanOrEqual(pace));
  it('everybody takes it back, once', () => {
    // Whose item changed meanwhile may say so first, and then that it has the new version.
    expect(recovery.statusWrites.length).toBeLessThanOrEqual(all.length + 1);
  });
  it('what is taken back comes no faster than 20 times a second', () =>
    expect(fastestSecond(recovery.statusWrites)).toBeLessThanOrEqual(pace));
  it('only the item that changed is fetched when it is over', () => expect(recovery.itemRequests).toBe(1));
  it('the Secrets stay as they were', () => expect(after).toEqual(before));
});

it('an outage that changes its face is not said anew each time', async () => {
  // Looks at Connect are five seconds apart: each gives the other answer.
  const ends = [order({ kind: 'status', status: 502, retryAfter: 1, every: 2 }), order({ kind: 'status', status: 503, retryAfter: 1 })];
  const { statusWrites } = await phase(async () => {
    await untilAllSay('ConnectUnavailable', all);
    await eventually('three more looks', () => (scenario.connect.requests.total >= 5 ? true : undefined), 30_000);
  });
  expect(statusWrites).toHaveLength(all.length);
  for (const end of ends) await end();
  await untilAllSay('True', all);
});

describe('during an outage', () => {
  let said: Readonly<Record<string, string | undefined>>;
  let recovery: Phase;
  const touched = ['made', 'moved', 'other-1'];
  const others = all.filter((name) => name !== 'other-1');

  beforeAll(async () => {
    const { namespace } = scenario;
    await namespace.createItem('moved', 'vaults/Prod/items/prod-1');
    await untilReadiness(namespace, 'moved', 'True');
    const end = await shutTheDoor();
    await Promise.all([
      namespace.createItem('made', 'vaults/Prod/items/prod-2'),
      namespace.patchItem('moved', { spec: { itemPath: 'vaults/Prod/items/prod-3' } }),
      namespace.delete('secrets', 'other-1'),
    ]);
    await untilAllSay('ConnectUnavailable', touched, outageGrace);
    said = Object.fromEntries((await namespace.items()).map((item) => [item.metadata.name, readiness(item)]));
    recovery = await phase(async () => {
      await end();
      await untilAllSay('True', [...all, ...touched]);
    });
  });

  it('whoever is new, changed, or has lost its Secret says so at once, and nobody else does', () => {
    const quiet = others.filter((name) => said[name] === 'True');
    expect(quiet).toEqual(others);
  });
  it('only for these an item is fetched when it is over', () => expect(recovery.itemRequests).toBe(touched.length));
  it('they are brought level when it is over', async () => {
    const values = await Promise.all(touched.map(async (name) => (await scenario.namespace.secret(name))?.values['password']));
    expect(values).toEqual(['of prod-2', 'of prod-3', 'of other-1']);
  });
});

describe('an outage of one vault', () => {
  let outage: Phase;
  let said: Readonly<Record<string, string | undefined>>;
  let recovery: Phase;

  beforeAll(async () => {
    const { connect, namespace } = scenario;
    const end = order({ kind: 'status', status: 403, path: `/v1/vaults/${connect.store.vault('Other').id}` });
    outage = await phase(async () => {
      // Nothing asks for a vault in which nothing changes.
      connect.store.createItem('Other', { title: 'news' });
      await untilAllSay('ConnectForbidden', inOther);
    });
    said = Object.fromEntries((await namespace.items()).map((item) => [item.metadata.name, readiness(item)]));
    recovery = await phase(async () => {
      await end();
      await untilAllSay('True', inOther);
    });
  });

  it('is said of its own resources, once each', () => expect(outage.statusWrites).toHaveLength(inOther.length));
  it('is not said at first', () => expect(Math.min(...outage.statusWrites) - outage.start).toBeGreaterThanOrEqual(outageGrace));
  it('is nothing to those of another vault', () => expect(inProd.filter((name) => said[name] === 'True')).toEqual(inProd));
  it('is taken back without fetching an item', () => expect(recovery.itemRequests).toBe(0));
});

describe('an operator that is restarted during an outage', () => {
  let before: Versions;
  let end: End;

  beforeAll(async () => {
    before = await secretVersions();
    end = await shutTheDoor();
  });

  it('lets what is in sync say nothing at first, either', async () => {
    await restart();
    const outage = await phase(() => untilAllSay('ConnectUnavailable', all));
    expect(Math.min(...outage.statusWrites) - outage.start).toBeGreaterThanOrEqual(outageGrace - 1_000);
  });

  it('says what it finds said no faster than 20 times a second', async () => {
    const { statusWrites } = await phase(async () => {
      await restart();
      await scenario.namespace.createItem('late', 'vaults/Prod/items/prod-4');
      await untilReadiness(scenario.namespace, 'late', 'ConnectUnavailable');
      await eventually('the grace to be over', overAfter(outageGrace + 1_000));
      await untilAllSay('ConnectUnavailable', all);
    });
    expect(fastestSecond(statusWrites)).toBeLessThanOrEqual(pace);
  });

  it('brings all back when it is over', async () => {
    const { statusWrites } = await phase(async () => {
      await end();
      await untilAllSay('True', [...all, 'late']);
    });
    // Those of above, too: two that were made besides, and the late one.
    expect(statusWrites.length).toBeLessThanOrEqual(all.length + 3);
  });

  it('leaves the Secrets as they were', async () => expect(await secretVersions()).toMatchObject(before));
});

type End = () => Promise<void> | void;
type Versions = Readonly<Record<string, string | undefined>>;

/** Twenty a second, one that has news besides, and a few that a busy machine was late with. */
const pace = 25;

/** What happened while something was waited for. */
interface Phase {
  /** Milliseconds since the epoch. */
  readonly start: number;
  /** When statuses were written, in milliseconds since the epoch. */
  readonly statusWrites: readonly number[];
  readonly itemRequests: number;
}

async function phase(work: () => Promise<unknown>): Promise<Phase> {
  const { connect } = scenario;
  connect.requests.reset();
  proxy.requests.reset();
  const start = Date.now();
  await work();
  const statusWrites = proxy.requests.writes().filter(({ path }) => path.endsWith('/status'));
  return { start, statusWrites: statusWrites.map(({ at }) => at), itemRequests: connect.requests.count(itemRoute) };
}

/** The most that happened within one second. */
function fastestSecond(times: readonly number[]): number {
  return Math.max(0, ...times.map((first) => times.filter((at) => at >= first && at < first + 1_000).length));
}

function restart(): Promise<void> {
  return scenario.restartOperator({ connect: door.url });
}

async function shutTheDoor(): Promise<End> {
  await door.shut();
  return () => door.open();
}

function order(fault: Parameters<Scenario['connect']['faults']['order']>[0]): End {
  const ordered = scenario.connect.faults.order(fault);
  return () => ordered.clear();
}

function vaultOf(name: string): (typeof vaults)[number] {
  return name.startsWith('prod') ? 'Prod' : 'Other';
}

function overAfter(ms: number): () => true | undefined {
  const start = performance.now();
  return () => (performance.now() - start >= ms ? true : undefined);
}

async function untilAllSay(expected: string, names: readonly string[], deadline?: number): Promise<readonly ReadItem[]> {
  return eventually(
    `all to say ${expected}`,
    async () => {
      const items = await scenario.namespace.items();
      const saying = new Set(items.filter((item) => readiness(item) === expected).map(({ metadata }) => metadata.name));
      return names.every((name) => saying.has(name)) ? items : undefined;
    },
    deadline,
  );
}

/** `resourceVersion` of the Secret of each resource. */
async function secretVersions(): Promise<Versions> {
  const secrets = await Promise.all(all.map(async (name) => [name, (await scenario.namespace.secret(name))?.metadata.resourceVersion]));
  return Object.fromEntries(secrets) as Versions;
}
