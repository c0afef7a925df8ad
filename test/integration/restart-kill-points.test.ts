import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import type { SecretRecord } from '../../src/api/onepassword-item.ts';
import { parseRevisions, revisionOf } from '../../src/domain/revisions.ts';
import { type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { spawnOperator } from '../support/killed-operator.ts';
import { type OwnScenario, startOwnScenario } from '../support/own-scenario.ts';
import { rolloutCrd, rolloutCrdName, type RolloutController, startRolloutController } from '../support/rollout-crd.ts';
import { recordRollouts, type RolloutHistory, untilNewPods } from '../support/rollout-history.ts';
import { createWitness, type Witness } from '../support/witness.ts';
import {
  changesOf,
  containerOf,
  createWorkload,
  type ReadWorkload,
  readWorkload,
  recordsOf,
  untilAdopted,
  untilSeen,
  type WorkloadName,
} from '../support/workloads.ts';
import { type GatedWrite, openWriteGate, type Passage, type WriteGate } from '../support/write-gate.ts';

const optedIn = { [annotations.autoRestart]: 'true' };
const known: WorkloadName = { kind: 'Deployment', name: 'known' };
const stateful: WorkloadName = { kind: 'StatefulSet', name: 'stateful' };
/** Has no entry when the killed operator starts: it came while there was none. */
const fresh: WorkloadName = { kind: 'Deployment', name: 'fresh' };
const skipped: WorkloadName = { kind: 'Deployment', name: 'skipped' };
const rollout: WorkloadName = { kind: 'Rollout', name: 'rollout' };

/** Longer than any write takes: what is recorded of the Secret then comes before the rolls. */
const debounce = '2s';

/** What a rotation comes to for consumers of some kind. */
interface Path {
  readonly path: string;
  /** Its writes, in this order. */
  readonly order: readonly string[];
  readonly consumers: readonly WorkloadName[];
  /** The Deployment `known` asks for the Secret, by annotations; there is no resource. */
  readonly annotated?: boolean;
  /** The Secret is deleted before the item changes. */
  readonly away?: boolean;
}

const paths: readonly Path[] = [
  {
    path: 'a resource',
    order: ['adoption of fresh', 'Secret', 'status', 'roll', 'roll', 'roll'],
    consumers: [known, stateful, fresh],
  },
  {
    path: 'a resource whose Secret was deleted',
    order: ['adoption of fresh', 'new Secret', 'status', 'roll', 'roll'],
    consumers: [known, fresh],
    away: true,
  },
  { path: 'an annotated Deployment', order: ['Secret', 'record', 'roll'], consumers: [known], annotated: true },
  { path: 'a resource whose consumer is skipped', order: ['Secret', 'status', 'adoption of skipped'], consumers: [skipped] },
  { path: 'a resource with an Argo Rollout', order: ['Secret', 'status', 'roll'], consumers: [rollout] },
];

interface Case extends Path {
  /** Which write of `order` does not pass, and its name. */
  readonly passed: number;
  readonly write: string;
  readonly passage: Passage;
  /** Of its item. */
  readonly title: string;
}

const cases: readonly Case[] = paths.flatMap((path, i) =>
  path.order.flatMap((write, passed) =>
    (['lost', 'unanswered'] as const).map((passage) => ({ ...path, write, passed, passage, title: `${i}-${passed}-${passage}` })),
  ),
);

/** Where a case takes place. */
interface Place {
  readonly namespace: TestNamespace;
  readonly gate: WriteGate;
  readonly history: RolloutHistory;
  readonly witness: Witness;
}

/** What everything is like in the end. */
interface State {
  readonly value: string | undefined;
  /** Of the item, as it is recorded. */
  readonly version: number | undefined;
  /** The record has the revisions of the Secret. */
  readonly mirrored: boolean;
  /** How often each consumer was rolled. */
  readonly rolls: readonly number[];
  /** Each consumer states the revision of the Secret. */
  readonly current: boolean;
}

function nameOf({ method, path, body }: GatedWrite): string {
  if (path.endsWith('/status')) return 'status';
  if (path.includes('/secrets')) return method === 'POST' ? 'new Secret' : 'Secret';
  if (body['spec'] !== undefined) return 'roll';
  const { annotations: notes = {} } = body['metadata'] as { readonly annotations?: object };
  return annotations.secret in notes ? 'record' : `adoption of ${path.slice(path.lastIndexOf('/') + 1)}`;
}

/** Lets `passed` writes through, and then one as `passage` says; resolves when the operator cannot do any more. */
async function untilStopped(gate: WriteGate, passed: number, passage: Passage): Promise<void> {
  gate.decide(() => {
    const before = gate.writes.length - 1;
    return before < passed ? 'passed' : before === passed ? passage : 'lost';
  });
  await eventually(
    'the operator to be stopped at a write',
    () => {
      const last = gate.writes[passed];
      const arrived = gate.writes.slice(0, passed).every(({ status }) => status !== undefined);
      return arrived && last !== undefined && (passage === 'lost' || last.status !== undefined) ? true : undefined;
    },
    60_000,
  );
}

/** What is recorded of the Secret: in the status of the resource, or on the Deployment. */
async function recordOf(namespace: TestNamespace, annotated = false): Promise<Partial<SecretRecord>> {
  if (!annotated) {
    const { item, secret } = (await namespace.item('db'))?.status ?? {};
    return { ...(item && { item }), ...(secret && { secret }) };
  }
  const { metadata } = await namespace.deployment(known.name);
  return JSON.parse(metadata.annotations?.[annotations.secret] ?? '{}') as Partial<SecretRecord>;
}

async function stateOf(namespace: TestNamespace, { consumers, annotated }: Path): Promise<State> {
  const [secret, record] = await Promise.all([namespace.secret('db'), recordOf(namespace, annotated)]);
  const revisions = parseRevisions(secret?.metadata.annotations?.[annotations.revisions]);
  const workloads = await Promise.all(consumers.map((consumer) => readWorkload(namespace, consumer)));
  return {
    value: secret?.values['password'],
    version: record.item?.version,
    mirrored: isDeepStrictEqual(record.secret?.revisions, revisions),
    rolls: await Promise.all(consumers.map((consumer) => changesOf(namespace, consumer))),
    current: workloads.every((workload) => stated(workload) === Math.max(...Object.values(revisions))),
  };
}

/** Which revision of the Secret a workload states. */
function stated(workload: ReadWorkload): number {
  const { adopted, rolled } = recordsOf(workload);
  return Math.max(revisionOf(adopted, 'db') ?? 0, revisionOf(rolled, 'db') ?? 0);
}

/** Waits until a workload is rolled, or what comes instead of that. */
async function untilRolled(namespace: TestNamespace, history: RolloutHistory, workload: WorkloadName): Promise<void> {
  if (workload !== skipped && workload !== rollout) return void (await untilNewPods(history, workload.name, 'db', 1));
  await eventually(`${workload.name} to state a revision`, async () => stated(await readWorkload(namespace, workload)) > 0 || undefined);
}

describe('an operator that is killed during a rotation', () => {
  let scenario: OwnScenario;
  let token: string;
  const places = new Map<string, Place>();
  const controllers: RolloutController[] = [];

  beforeAll(async () => {
    if (!sharedControlPlane().features.pods) return;
    scenario = await startOwnScenario({ vaults: [{ name: 'Prod', items: [] }] });
    await scenario.installCrd(rolloutCrdName, rolloutCrd);
    token = scenario.connect.issueToken({ vaults: ['*'] });
    const namespaces = await Promise.all(cases.map(() => scenario.createNamespace()));
    const operator = await scenario.startOperator(namespaces);
    const prepared = await Promise.all(cases.map(async (one, i) => [one, await prepare(one, namespaces[i] as TestNamespace)] as const));
    await operator.stop();
    await Promise.all(prepared.map(([one, place]) => rotate(one, place)));
  }, 300_000);

  afterAll(async () => {
    for (const { gate, history } of places.values()) {
      history.close();
      await gate.close();
    }
    await Promise.all(controllers.map((controller) => controller.stop()));
    await scenario?.end();
  });

  beforeEach((context) => requireFeature(context, 'pods'));

  /** A Secret, and consumers that have said that they know its values. */
  async function prepare({ title, consumers, annotated }: Case, namespace: TestNamespace): Promise<Place> {
    const itemPath = `vaults/Prod/items/${title}`;
    scenario.connect.store.createItem('Prod', { title, fields: [{ label: 'password', value: 'first' }] });
    if (annotated !== true) {
      await namespace.createItem('db', itemPath, { annotations: optedIn });
      await untilReadiness(namespace, 'db', 'True');
    }
    const controller = consumers.includes(rollout) ? startRolloutController(namespace) : undefined;
    const claim = { ...optedIn, [annotations.itemPath]: itemPath, [annotations.itemName]: 'db' };
    const skip = { [annotations.restart]: 'skip' };
    const early = consumers.filter((consumer) => consumer !== fresh);
    for (const consumer of early) {
      const notes = annotated === true ? claim : consumer === skipped ? skip : {};
      await createWorkload(namespace, consumer, { containers: [containerOf('db', 'password')] }, { annotations: notes });
    }
    const witness = await createWitness(namespace, scenario.connect);
    for (const consumer of early) {
      await untilAdopted(namespace, consumer, 'db', 60_000);
      await untilSeen(namespace, consumer);
    }
    // It looks again and again: only while it is needed.
    await controller?.stop();
    const history = await recordRollouts(namespace);
    const place = { namespace, gate: await openWriteGate(scenario.controlPlane), history, witness };
    places.set(title, place);
    return place;
  }

  /** What the operator finds when it is there again. */
  async function rotate({ title, consumers, away }: Case, { namespace }: Place): Promise<void> {
    if (consumers.includes(fresh)) {
      await createWorkload(namespace, fresh, { containers: [containerOf('db', 'password')] }, { annotations: optedIn });
      await untilSeen(namespace, fresh);
    }
    if (away === true) await namespace.delete('secrets', 'db');
    scenario.connect.store.setField('Prod', title, 'password', 'second');
  }

  it.concurrent.each(cases)(
    'for $path, when $passed writes have passed and the next one, the $write, is $passage, loses nothing and does nothing twice',
    { timeout: 180_000 },
    async ({ title, passed, passage, ...path }) => {
      const { namespace, gate, history, witness } = placeOf(title);
      const options = { connect: scenario.connect.url, token, namespaces: [namespace.name] };
      // Who restarts a Rollout once more does so when its controller has seen the restart.
      if (path.consumers.includes(rollout)) controllers.push(startRolloutController(namespace));
      const killed = spawnOperator({ ...options, kubeconfig: gate.kubeconfig, debounce });
      try {
        await untilStopped(gate, passed, passage);
      } finally {
        await killed.kill();
      }
      // A write that lost against another one is made again.
      const made = gate.writes.slice(0, passed + 1).filter(({ status }) => status !== 409);
      expect(made.map(nameOf)).toEqual(path.order.slice(0, made.length));

      const expected: State = {
        value: 'second',
        version: 2,
        mirrored: true,
        rolls: path.consumers.map((consumer) => (consumer === skipped ? 0 : 1)),
        current: true,
      };
      const successor = spawnOperator({ ...options, kubeconfig: scenario.controlPlane.accounts.namespaced.kubeconfig });
      try {
        await successor.reconciles;
        await Promise.all(path.consumers.map((consumer) => untilRolled(namespace, history, consumer)));
        await witness.roll(history);
        expect(await stateOf(namespace, path)).toEqual(expected);
      } finally {
        await successor.kill();
      }
    },
  );

  function placeOf(title: string): Place {
    const place = places.get(title);
    if (place === undefined) throw new Error(`nothing was prepared for ${title}`);
    return place;
  }
});
