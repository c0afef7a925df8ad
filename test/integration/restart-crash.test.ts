import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { collectionPath, deployments, secrets } from '../../src/kube/resource.ts';
import { createNamespace, type TestNamespace, untilRolledOut } from '../support/cluster.ts';
import { requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type KillableOperator, spawnOperator } from '../support/killed-operator.ts';
import { hasNewPods, recordRollouts, type RolloutHistory, type TemplateSeen, type ValueChange } from '../support/rollout-history.ts';
import { installCrd } from '../support/scenario.ts';
import { unaskedRolls } from '../support/unasked-rolls.ts';
import { createWitness, type Witness } from '../support/witness.ts';

const optedIn = { [annotations.autoRestart]: 'true' };

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
  let witness: Witness;
  let operator: KillableOperator;
  let spawn: () => KillableOperator;

  beforeAll(async () => {
    const { kubeconfig: admin, accounts, features } = sharedControlPlane();
    const { kubeconfig } = accounts.namespaced;
    if (!features.pods) return;
    await installCrd();
    const fields = labels.map((label) => ({ label, value: 'first' }));
    connect = await startConnectServer({ seed: { vaults: [{ name: 'Prod', items: items.map((title) => ({ title, fields })) }] } });
    namespace = await createNamespace(admin);
    history = await recordRollouts(namespace);
    for (const item of items) await namespace.createItem(item, `vaults/Prod/items/${item}`);
    for (const name of names) await createConsumer(name, consumers[name] ?? [], optedIn);
    await createConsumer('indifferent', [{ secret: 'one' }]);
    const options = { kubeconfig, connect: connect.url, token: connect.issueToken({ vaults: ['*'] }), namespaces: [namespace.name] };
    spawn = () => spawnOperator(options);
    operator = spawn();
    witness = await createWitness(namespace, connect);
    for (const name of [...names, 'indifferent']) await untilRolledOut(namespace, name);
    for (const name of names) await untilAdopted(name);
  });

  afterAll(async () => {
    await operator?.kill();
    history?.close();
    await connect?.close();
    await namespace?.kube.close();
  });

  it('loses no restart, doubles none, and restarts nobody else', { timeout: 900_000 }, async (context) => {
    requireFeature(context, 'pods');
    const seed = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);
    process.stdout.write(`KILL_SEED=${seed} draws the same rotations and pauses once more\n`);
    const draw = drawFrom(seed);
    let struck = 0;
    for (let round = 1; round <= rounds; round += 1) {
      const before = await position();
      const [values, kills] = await Promise.all([rotate(round, drawFrom(draw(0, 1e9))), killAgainAndAgain(drawFrom(draw(0, 1e9)))]);
      await operator.reconciles;
      await eventually(
        `the end of round ${round} of seed ${seed}, with everybody rolled whose values changed`,
        async () => ((await isQuiet(values)) && names.every((name) => isRolled(name, before)) ? true : undefined),
        60_000,
      );
      // All may have been well before the last process had looked at anything: what it does wrong comes before this.
      await witness.roll(history);
      const wrong = names.flatMap((name) => {
        const rolls = rollsOf(name).filter(({ at }) => at > before);
        const changes = changesFor(name).filter(({ at }) => at > before);
        return unaskedRolls(rolls, changes).length > 0 ? [{ seed, round, name, changes: changes.length, rolls: rolls.length }] : [];
      });
      expect(wrong).toEqual([]);
      if (kills.some((kill) => names.some((name) => isOwedAt(kill, name)))) struck += 1;
    }
    expect(rollsOf('indifferent')).toEqual([]);
    process.stdout.write(`in ${struck} of ${rounds} rounds a kill fell between a change and a roll for it\n`);
    expect(struck).toBeGreaterThan(0);
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

  /** Resolves with the places of the kills in the order of writes. */
  async function killAgainAndAgain(draw: Draw): Promise<readonly bigint[]> {
    const kills: bigint[] = [];
    for (let left = draw(1, 3); left > 0; left -= 1) {
      // A process that has just begun to reconcile is at what was rotated while there was none; others are killed on their way there.
      if (draw(0, 1) === 1) await operator.reconciles;
      // Not a wait for something: the moment is what is drawn.
      await pause(draw(100, 1_000));
      await operator.kill();
      kills.push(await position());
      operator = spawn();
    }
    return kills;
  }

  /** Up to where the API server has come in the order of its writes. */
  async function position(): Promise<bigint> {
    const { metadata } = await namespace.kube.request<{ readonly metadata: { readonly resourceVersion: string } }>({
      method: 'GET',
      path: collectionPath(secrets, namespace.name),
      query: { limit: '1' },
    });
    return BigInt(metadata.resourceVersion);
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
  function changesFor(name: string): readonly ValueChange[] {
    return consumers[name]?.flatMap(({ secret, keys }) => history.valueChanges(secret, keys)) ?? [];
  }

  function rollsOf(name: string): readonly TemplateSeen[] {
    return history.templates(name).slice(1);
  }

  /** The watches of the test tell of pods, Secrets and templates in any order. */
  function isRolled(name: string, since: bigint): boolean {
    return changesFor(name).every(({ at }) => at <= since) || rollsOf(name).some(({ at }) => at > since);
  }

  /** A value that a Deployment consumes had been changed at that place, and it had not been rolled since. */
  function isOwedAt(place: bigint, name: string): boolean {
    const rolls = rollsOf(name).filter(({ at }) => at <= place);
    return changesFor(name).some((change) => change.at <= place && rolls.every(({ at }) => at < change.at));
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
