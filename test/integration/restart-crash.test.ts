import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { collectionPath, deployments, statefulSets } from '../../src/kube/resource.ts';
import { createNamespace, type ReadItem, type TestNamespace, untilReadiness, untilRolledOut } from '../support/cluster.ts';
import { requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type KillableOperator, spawnOperator } from '../support/killed-operator.ts';
import { startOperator } from '../support/operator.ts';
import { hasNewPods, recordRollouts, type RolloutHistory, untilNewPods } from '../support/rollout-history.ts';
import { installCrd } from '../support/scenario.ts';
import { type GatedWrite, openWriteGate, type Passage, type WriteGate } from '../support/write-gate.ts';

const optedIn = { [annotations.autoRestart]: 'true' };

/** A StatefulSet of one replica that reads `secret` through environment variables. */
async function createStatefulSet({ kube, name: namespace }: TestNamespace, name: string, secret: string): Promise<void> {
  await kube.request({
    method: 'POST',
    path: collectionPath(statefulSets, namespace),
    body: {
      metadata: { name },
      spec: {
        serviceName: name,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'main', image: 'example.test/app:1', envFrom: [{ secretRef: { name: secret } }] }] },
        },
      },
    },
  });
}

function witnessOf(title: string): string {
  return `${title}-witness`;
}

/** Lets `passed` writes through, and then one as `passage` says; resolves when the operator cannot do any more. */
async function untilStopped(gate: WriteGate, passed: number, passage: Passage): Promise<void> {
  gate.decide(() => {
    const before = gate.writes.length - 1;
    return before < passed ? 'passed' : before === passed ? passage : 'lost';
  });
  await eventually('the operator to be stopped at a write', () => {
    const last = gate.writes[passed];
    const arrived = gate.writes.slice(0, passed).every(({ status }) => status !== undefined);
    return arrived && last !== undefined && (passage === 'lost' || last.status !== undefined) ? true : undefined;
  });
}

async function stateOf(namespace: TestNamespace): Promise<object> {
  const [secret, item] = await Promise.all([namespace.secret('db'), untilReadiness(namespace, 'db', 'True')]);
  const revisions: unknown = JSON.parse(secret?.metadata.annotations?.[annotations.revisions] ?? '{}');
  return {
    value: secret?.values['password'],
    version: item.status?.item?.version,
    mirrored: JSON.stringify(item.status?.secret?.revisions) === JSON.stringify(revisions),
    ready: item.status?.conditions?.[0]?.status,
  };
}

function nameOf({ method, path, body }: GatedWrite): string {
  if (path.endsWith('/status')) return 'status';
  if (method === 'PUT' && path.includes('/secrets/')) return 'Secret';
  if (body['spec'] !== undefined) return 'roll';
  return `adoption of ${path.slice(path.lastIndexOf('/') + 1)}`;
}

describe('an operator that is killed during a rotation', () => {
  /** What a rotation writes, in this order: `fresh` has no entry yet, since it came while no operator ran. */
  const order = ['adoption of fresh', 'Secret', 'status', 'roll', 'roll', 'roll'];
  const cases = order.flatMap((write, passed) =>
    (['lost', 'unanswered'] as const).map((passage) => ({ write, passed, passage, title: `c${passed}-${passage}` })),
  );
  const consumers = ['known', 'fresh', 'stateful'];

  interface Case {
    readonly namespace: TestNamespace;
    readonly gate: WriteGate;
    readonly history: RolloutHistory;
  }

  let connect: ConnectServer;
  let token: string;
  const prepared = new Map<string, Case>();

  beforeAll(async () => {
    const { kubeconfig, features } = sharedControlPlane();
    if (!features.pods) return;
    await installCrd();
    const fields = [{ label: 'password', value: 'first' }];
    const titles = cases.flatMap(({ title }) => [title, witnessOf(title)]);
    connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] } });
    token = connect.issueToken({ vaults: ['*'] });
    const places = await Promise.all(cases.map(async ({ title }) => ({ title, namespace: await createNamespace(kubeconfig) })));
    const namespaces = places.map(({ namespace }) => namespace.name);
    const operator = await startOperator({ kubeconfig, connect: connect.url, token, namespaces });
    await Promise.all(places.map((place) => prepare(place.title, place.namespace)));
    await operator.stop();
    for (const { title, namespace } of places) {
      await namespace.createDeployment('fresh', 'db', optedIn);
      connect.store.setField('Prod', title, 'password', 'second');
    }
    await Promise.all(places.map(({ namespace }) => untilRolledOut(namespace, 'fresh')));
  });

  afterAll(async () => {
    for (const { namespace, gate, history } of prepared.values()) {
      history.close();
      await gate.close();
      await namespace.kube.close();
    }
    await connect?.close();
  });

  /** A Secret, and consumers that have said that they know its values. */
  async function prepare(title: string, namespace: TestNamespace): Promise<void> {
    await namespace.createItem('db', `vaults/Prod/items/${title}`, { annotations: optedIn });
    await namespace.createItem('witness', `vaults/Prod/items/${witnessOf(title)}`, { annotations: optedIn });
    await namespace.createDeployment('known', 'db');
    await namespace.createDeployment('witness', 'witness');
    await createStatefulSet(namespace, 'stateful', 'db');
    await Promise.all(['db', 'witness'].map((name) => untilReadiness(namespace, name, 'True')));
    await eventually(`the entries in ${title}`, async () => {
      const path = collectionPath(statefulSets, namespace.name);
      const { items } = await namespace.kube.request<{ items: ReadItem[] }>({ method: 'GET', path });
      const adopted = [...items, await namespace.deployment('known'), await namespace.deployment('witness')];
      return adopted.every(({ metadata }) => metadata.annotations?.[annotations.knownRevisions] !== undefined) ? true : undefined;
    });
    await Promise.all(['known', 'witness'].map((name) => untilRolledOut(namespace, name)));
    const history = await recordRollouts(namespace);
    prepared.set(title, { namespace, gate: await openWriteGate(sharedControlPlane()), history });
  }

  beforeEach((context) => requireFeature(context, 'pods'));

  it.each(cases)(
    'when $passed writes have passed and the next one, the $write, is $passage, rolls everybody once',
    async ({ title, passed, passage }) => {
      const { namespace, gate, history } = placeOf(title);
      const options = { connect: connect.url, token, namespaces: [namespace.name] };
      const killed = spawnOperator({ ...options, kubeconfig: gate.kubeconfig });
      await untilStopped(gate, passed, passage);
      await killed.kill();
      // A write that lost against another one is made again.
      const made = gate.writes.slice(0, passed + 1).filter(({ status }) => status !== 409);
      expect(made.map(nameOf)).toEqual(order.slice(0, made.length));

      const successor = spawnOperator({ ...options, kubeconfig: sharedControlPlane().kubeconfig });
      try {
        await Promise.all(consumers.map((name) => untilNewPods(history, name, 'db', 1)));
        await untilTakenUp(title, history);
        expect({ rolls: consumers.map((name) => history.templates(name).length - 1), ...(await stateOf(namespace)) }).toEqual({
          rolls: [1, 1, 1],
          value: 'second',
          version: 2,
          mirrored: true,
          ready: 'True',
        });
      } finally {
        await successor.kill();
      }
    },
  );

  function placeOf(title: string): Case {
    const place = prepared.get(title);
    if (place === undefined) throw new Error(`nothing was prepared for ${title}`);
    return place;
  }

  /** What happens to the witness comes after whatever there was to do before. */
  async function untilTakenUp(title: string, history: RolloutHistory): Promise<void> {
    const before = history.changes('witness').length;
    connect.store.setField('Prod', witnessOf(title), 'password', `at ${performance.now()}`);
    await untilNewPods(history, 'witness', 'witness', before + 1);
  }
});

/** Which keys of which Secrets a Deployment consumes; without keys, all of them. */
interface Consumption {
  readonly secret: string;
  readonly keys?: readonly string[];
}

describe('an operator that is killed at random moments', () => {
  const rounds = 20;
  const items = ['one', 'two', 'three'];
  const labels = ['password', 'user'];
  const consumers: Readonly<Record<string, readonly Consumption[]>> = {
    whole: [{ secret: 'one' }],
    password: [{ secret: 'one', keys: ['password'] }],
    user: [{ secret: 'one', keys: ['user'] }],
    pair: [{ secret: 'one' }, { secret: 'two' }],
    mixed: [{ secret: 'two', keys: ['user'] }, { secret: 'three' }],
    last: [{ secret: 'three', keys: ['password'] }],
  };
  const names = Object.keys(consumers);

  let connect: ConnectServer;
  let namespace: TestNamespace;
  let history: RolloutHistory;
  let operator: KillableOperator;
  let spawn: () => KillableOperator;

  beforeAll(async () => {
    const { kubeconfig, features } = sharedControlPlane();
    if (!features.pods) return;
    await installCrd();
    const fields = labels.map((label) => ({ label, value: 'first' }));
    connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items: items.map((title) => ({ title, fields })) }] } });
    namespace = await createNamespace(kubeconfig);
    history = await recordRollouts(namespace);
    for (const item of items) await namespace.createItem(item, `vaults/Prod/items/${item}`);
    for (const name of names) await createConsumer(name, consumers[name] ?? [], optedIn);
    await createConsumer('indifferent', [{ secret: 'one' }]);
    const options = { kubeconfig, connect: connect.url, token: connect.issueToken({ vaults: ['*'] }), namespaces: [namespace.name] };
    spawn = () => spawnOperator(options);
    operator = spawn();
    for (const name of [...names, 'indifferent']) await untilRolledOut(namespace, name);
    for (const name of names) await untilAdopted(name);
  });

  afterAll(async () => {
    await operator?.kill();
    history?.close();
    await connect?.close();
    await namespace?.kube.close();
  });

  it('loses no restart, doubles none, and restarts nobody else', { timeout: 300_000 }, async (context) => {
    requireFeature(context, 'pods');
    const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);
    process.stdout.write(`KILL_SEED=${seed} draws the same rotations and pauses once more\n`);
    const draw = drawFrom(seed);
    for (let round = 1; round <= rounds; round += 1) {
      const before = new Map(names.map((name) => [name, { changes: changesFor(name).length, rolls: rollsOf(name) }]));
      const [values] = await Promise.all([rotate(round, drawFrom(draw(0, 1e9))), killAgainAndAgain(drawFrom(draw(0, 1e9)))]);
      await eventually(
        `the end of round ${round} of seed ${seed}, with everybody rolled whose values changed`,
        async () => ((await isQuiet(values)) && names.every((name) => isRolled(name, before.get(name))) ? true : undefined),
        30_000,
      );
      const wrong = names.flatMap((name) => {
        const { changes = 0, rolls = 0 } = before.get(name) ?? {};
        const [changed, rolled] = [changesFor(name).length - changes, rollsOf(name) - rolls];
        return rolled > changed ? [{ seed, round, name, changed, rolled }] : [];
      });
      expect(wrong).toEqual([]);
    }
    expect(rollsOf('indifferent')).toBe(0);
  });

  /** Changes values at random moments; resolves with those that the Secrets have to have in the end, by `secret/key`. */
  async function rotate(round: number, draw: Draw): Promise<ReadonlyMap<string, string>> {
    const values = new Map<string, string>();
    for (let left = draw(1, 4); left > 0; left -= 1) {
      const [item = '', label = ''] = [items[draw(0, 2)], labels[draw(0, 1)]];
      const value = `${round}-${left}`;
      connect.store.setField('Prod', item, label, value);
      values.set(`${item}/${label}`, value);
      await pause(draw(0, 400));
    }
    return values;
  }

  async function killAgainAndAgain(draw: Draw): Promise<void> {
    for (let left = draw(1, 3); left > 0; left -= 1) {
      // Not a wait for something: the moment is what is drawn.
      await pause(draw(100, 1_000));
      await operator.kill();
      operator = spawn();
    }
  }

  /** The Secrets have these values, and all pods are younger than what they consume. */
  async function isQuiet(values: ReadonlyMap<string, string>): Promise<true | undefined> {
    for (const [place, value] of values) {
      const [secret = '', key = ''] = place.split('/');
      if ((await namespace.secret(secret))?.values[key] !== value) return undefined;
    }
    const current = names.every((name) => consumers[name]?.every(({ secret, keys }) => hasNewPods(history, name, secret, keys)));
    const recorded = await Promise.all(items.map(isRecorded));
    return current && recorded.every(Boolean) ? true : undefined;
  }

  async function isRecorded(name: string): Promise<boolean> {
    const [secret, item] = await Promise.all([namespace.secret(name), namespace.item(name)]);
    return secret?.metadata.annotations?.[annotations.itemVersion] === String(item?.status?.item?.version);
  }

  /** The writes that changed what a Deployment consumes. */
  function changesFor(name: string): readonly bigint[] {
    return [...new Set(consumers[name]?.flatMap(({ secret, keys }) => history.changes(secret, keys)))];
  }

  /** The watches of the test tell of pods, Secrets and templates in any order. */
  function isRolled(name: string, { changes, rolls } = { changes: 0, rolls: 0 }): boolean {
    return changesFor(name).length === changes || rollsOf(name) > rolls;
  }

  function rollsOf(name: string): number {
    return history.templates(name).length - 1;
  }

  /** A Deployment of two replicas. */
  async function createConsumer(name: string, consumed: readonly Consumption[], notes: object = {}): Promise<void> {
    const container = {
      name: 'main',
      image: 'example.test/app:1',
      envFrom: consumed.flatMap(({ secret, keys }) => (keys === undefined ? [{ secretRef: { name: secret } }] : [])),
      env: consumed.flatMap(({ secret, keys = [] }) =>
        keys.map((key) => ({ name: `${secret}_${key}`, valueFrom: { secretKeyRef: { name: secret, key } } })),
      ),
    };
    await namespace.kube.request({
      method: 'POST',
      path: collectionPath(deployments, namespace.name),
      body: {
        metadata: { name, annotations: notes },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: name } },
          template: { metadata: { labels: { app: name } }, spec: { containers: [container] } },
        },
      },
    });
  }

  async function untilAdopted(name: string): Promise<void> {
    const wanted = (consumers[name] ?? []).map(({ secret }) => secret).toSorted();
    await eventually(`${name} to have entries`, async () => {
      const { metadata } = await namespace.deployment(name);
      const known = JSON.parse(metadata.annotations?.[annotations.knownRevisions] ?? '{}') as object;
      return JSON.stringify(Object.keys(known).toSorted()) === JSON.stringify(wanted) ? true : undefined;
    });
  }
});

/** A whole number from `least` to `most`, both included. */
type Draw = (least: number, most: number) => number;

/** The same numbers for the same seed (a linear congruential generator, of which the upper bits are used). */
function drawFrom(seed: number): Draw {
  let state = BigInt(seed);
  return (least, most) => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & 0xffff_ffff_ffff_ffffn;
    return least + (Number(state >> 33n) % (most - least + 1));
  };
}
