import { describe, expect, it, type TestContext } from 'vitest';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { annotations } from '../../src/api/names.ts';
import { recordedRevisions, revisionOf } from '../../src/domain/revisions.ts';
import { allowPods, type App, type AppWatch, createApp, forbidPods, untilAdopted, watchApps } from '../support/apps.ts';
import { createNamespace, type ReadEvent, type TestNamespace, untilEvent, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

/** Ends what a test began, the last first. Most of the time they wait, so they run side by side. */
type AtEnd = Pick<TestContext, 'onTestFinished'>;

/** An operator with items of these titles, each with a Secret of the same name that is in sync. */
async function start({ onTestFinished }: AtEnd, titles: readonly string[], flags: readonly string[] = []): Promise<Scenario> {
  const items = titles.map((title) => ({ title, fields: [{ label: 'password', value: 'first' }] }));
  const scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] }, flags });
  onTestFinished(() => scenario.end());
  for (const title of titles) await createSecret(scenario.namespace, title);
  return scenario;
}

async function createSecret(namespace: TestNamespace, title: string): Promise<void> {
  await namespace.createItem(title, `vaults/Prod/items/${title}`);
  await untilReadiness(namespace, title, 'True');
}

/** Creates Deployments, waits until a change would roll them, and follows them from then on. */
async function follow({ onTestFinished }: AtEnd, namespace: TestNamespace, apps: Readonly<Record<string, App>>): Promise<AppWatch> {
  for (const [name, app] of Object.entries(apps)) await createApp(namespace, name, app);
  await untilAdopted(namespace, Object.keys(apps));
  const watch = await watchApps(namespace);
  onTestFinished(() => watch.end());
  return watch;
}

/** Deployments that are alike. */
function alike(names: readonly string[], app: App): Readonly<Record<string, App>> {
  return Object.fromEntries(names.map((name) => [name, app]));
}

/** Changes the value of an item and waits until the Secret has it. Gives its revision. */
async function rotate({ connect, namespace }: Scenario, title: string): Promise<number> {
  const { version } = connect.store.setField('Prod', title, 'password', `value ${performance.now()}`);
  return await eventually(`version ${version} of ${title}`, async () => {
    const secret = await namespace.secret(title);
    if (secret?.metadata.annotations?.[annotations.itemVersion] !== String(version)) return undefined;
    return revisionOf(recordedRevisions({ annotations: secret.metadata.annotations }), 'password');
  });
}

function untilRolled(watch: AppWatch, names: readonly string[], deadline?: number): Promise<true> {
  const all = (): boolean => names.every((name) => watch.rolled().includes(name));
  return eventually(`rollouts of ${names.join(', ')}`, () => all() || undefined, deadline);
}

/** Waits until all rollouts that the operator began are complete. */
function untilComplete(watch: AppWatch, deadline = 40_000): Promise<true> {
  return eventually('the end of all rollouts', () => watch.rolling.size === 0 || undefined, deadline);
}

/** Waits until a Deployment has so many events of a reason. */
function untilEvents(namespace: TestNamespace, name: string, reason: string, count: number): Promise<readonly ReadEvent[]> {
  return eventually(`${count} events ${reason} on ${name}`, async () => {
    const found = (await namespace.events('Deployment', name)).filter((event) => event.reason === reason);
    return found.length >= count ? found : undefined;
  });
}

describe.concurrent('the debounce', () => {
  it('makes one rollout of rotations that come shortly after one another', async (test) => {
    const scenario = await start(test, ['db'], ['--restart-debounce=3s']);
    const watch = await follow(test, scenario.namespace, { web: { secret: 'db' } });
    await rotate(scenario, 'db');
    await rotate(scenario, 'db');
    const last = await rotate(scenario, 'db');
    await untilRolled(watch, ['web']);
    expect(watch.rolls.map(({ revisions }) => revisions)).toEqual([{ db: last }]);
  });

  it('delays a rollout by no more than five debounces, however often the value changes', async (test) => {
    const debounce = 1_500;
    const scenario = await start(test, ['db'], [`--restart-debounce=${debounce}ms`]);
    const watch = await follow(test, scenario.namespace, { web: { secret: 'db' } });
    await rotate(scenario, 'db');
    const since = performance.now();
    const changing = setInterval(() => scenario.connect.store.setField('Prod', 'db', 'password', `value ${performance.now()}`), 500);
    test.onTestFinished(async () => clearInterval(changing));
    await untilRolled(watch, ['web']);
    expect(performance.now() - since).toBeLessThan(5 * debounce + 2_000);
  });
});

describe.concurrent('the budget', { timeout: 120_000 }, () => {
  it('holds in each namespace and in all, and those that wait show in events and in the metrics', async (test) => {
    const [port = 0] = await freePorts(1);
    const flags = ['--max-restarts=3', '--max-restarts-per-namespace=2', `--metrics-bind-address=127.0.0.1:${port}`];
    const waiting = async (): Promise<number> => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return Number(/^keyturn_restarts_waiting\{reason="budget"\} (\d+)$/m.exec(text)?.[1]);
    };
    const scenario = await start(test, ['db'], flags);
    const { namespace: here } = scenario;
    const there = await createNamespace(sharedControlPlane().kubeconfig);
    test.onTestFinished(() => there.kube.close());
    await scenario.restartOperator({ namespaces: [here.name, there.name] });
    await createSecret(there, 'db');
    const [names, app] = [['a', 'b', 'c', 'd'], { secret: 'db' }];
    const watches = [await follow(test, here, alike(names, app)), await follow(test, there, alike(names, app))];
    await Promise.all([forbidPods(here), forbidPods(there)]);

    await rotate(scenario, 'db');
    const rolled = await eventually('three rollouts, and five that wait', async () => {
      const now = watches.map((watch) => watch.rolled());
      return now.flat().length === 3 && (await waiting()) === 5 ? now : undefined;
    });
    for (const [i, namespace] of [here, there].entries()) {
      for (const name of names.filter((each) => !rolled[i]?.includes(each))) {
        const { message } = await untilEvent(namespace, 'Deployment', name, 'RestartQueued');
        expect(message).toBe('waits until other rollouts have ended: Secret db changed in password');
      }
    }

    await Promise.all([allowPods(here), allowPods(there)]);
    await eventually('nobody to wait', async () => (await waiting()) === 0 || undefined, 40_000);
    await Promise.all(watches.map((watch) => untilComplete(watch)));
    expect(watches.map((watch) => watch.rolled().toSorted())).toEqual([names, names]);
    expect(Math.max(...watches.map(({ mostRolling }) => mostRolling))).toBe(2);
  });

  it('is given to those who came first', async (test) => {
    const order = ['c', 'a', 'd', 'b'];
    const scenario = await start(test, order, ['--max-restarts=1']);
    const { namespace } = scenario;
    const watch = await follow(test, namespace, Object.fromEntries(order.map((name) => [name, { secret: name }])));
    await forbidPods(namespace);
    for (const [place, name] of order.entries()) {
      await rotate(scenario, name);
      if (place === 0) await untilRolled(watch, [name]);
      else await untilEvent(namespace, 'Deployment', name, 'RestartQueued');
    }
    await allowPods(namespace);
    await untilRolled(watch, order, 40_000);
    expect(watch.rolled()).toEqual(order);
  });

  it('counts the rollouts that an operator before this one began', async (test) => {
    const names = ['a', 'b', 'c', 'd'];
    const scenario = await start(test, ['db'], ['--max-restarts=2']);
    const { namespace } = scenario;
    const watch = await follow(test, namespace, alike(names, { secret: 'db' }));
    await forbidPods(namespace);
    await rotate(scenario, 'db');
    await eventually('two rollouts', () => watch.rolls.length === 2 || undefined);
    const left = names.filter((name) => !watch.rolled().includes(name));
    for (const name of left) await untilEvents(namespace, name, 'RestartQueued', 1);
    await scenario.restartOperator();
    // Each operator says it once.
    for (const name of left) await untilEvents(namespace, name, 'RestartQueued', 2);
    expect(watch.rolls.length).toBe(2);
    await allowPods(namespace);
    await untilRolled(watch, names, 40_000);
    expect(watch.mostRolling).toBe(2);
  });
});

describe.concurrent('a workload that is to be rolled', () => {
  it('waits while it is paused, and rolls when it is resumed', async (test) => {
    const scenario = await start(test, ['db']);
    const { namespace } = scenario;
    const watch = await follow(test, namespace, alike(['paused', 'other'], { secret: 'db' }));
    await namespace.patchDeployment('paused', { spec: { paused: true } });
    await rotate(scenario, 'db');
    const { message } = await untilEvent(namespace, 'Deployment', 'paused', 'RestartQueued');
    expect(message).toBe('waits until it is resumed: Secret db changed in password');
    await untilRolled(watch, ['other']);
    expect(watch.rolled()).toEqual(['other']);
    await namespace.patchDeployment('paused', { spec: { paused: false } });
    await untilRolled(watch, ['paused']);
  });

  it('waits until its least interval has passed, and says until when', async (test) => {
    const seconds = 6;
    const scenario = await start(test, ['db']);
    const { namespace } = scenario;
    const notes = { [annotations.minRestartInterval]: `${seconds}s` };
    const watch = await follow(test, namespace, { web: { secret: 'db', annotations: notes } });
    await rotate(scenario, 'db');
    await untilRolled(watch, ['web']);
    const second = await rotate(scenario, 'db');
    const { message } = await untilEvent(namespace, 'Deployment', 'web', 'RestartQueued');
    await eventually('the second rollout', () => watch.rolls.length === 2 || undefined);
    const [first = 0, next = 0] = watch.rolls.map(({ at }) => at);
    const due = `${new Date(first + seconds * 1000).toISOString().slice(0, 19)}Z`;
    expect(message).toBe(`waits until ${due}, for keyturn.dev/min-restart-interval: Secret db changed in password`);
    expect(next - first).toBeGreaterThanOrEqual(seconds * 1000);
    expect(watch.rolls[1]?.revisions).toEqual({ db: second });
  });

  it('and is to be skipped keeps its pods, and does so when it is skipped no more', async (test) => {
    const scenario = await start(test, ['db', 'cache']);
    const { namespace } = scenario;
    const watch = await follow(test, namespace, {
      web: { secret: 'db', annotations: { [annotations.restart]: 'skip' } },
      other: { secret: 'cache' },
    });
    const revision = await rotate(scenario, 'db');
    const { message } = await untilEvent(namespace, 'Deployment', 'web', 'RestartSkipped');
    expect(message).toBe('not restarted, as its annotation says: Secret db changed in password');
    const { metadata } = await namespace.deployment('web');
    expect(metadata.annotations?.[annotations.knownRevisions]).toBe(JSON.stringify({ db: revision }));

    await namespace.patchDeployment('web', { metadata: { annotations: { [annotations.restart]: null } } });
    await rotate(scenario, 'cache');
    await untilRolled(watch, ['other']);
    expect(watch.rolled()).toEqual(['other']);
    await rotate(scenario, 'db');
    await untilRolled(watch, ['web']);
    expect(watch.rolled()).toEqual(['other', 'web']);
  });
});

describe.concurrent('after three failed rollouts of a version', { timeout: 120_000 }, () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const app: App = { secret: 'db', progressDeadlineSeconds: 1 };

  /** One rollout after another, so that none begins in the place of the first that failed. Gives those that are held. */
  async function untilHeld(test: AtEnd): Promise<{
    readonly scenario: Scenario;
    readonly watch: AppWatch;
    readonly version: string;
    readonly held: readonly string[];
  }> {
    const scenario = await start(test, ['db', 'cache'], ['--max-restarts-per-namespace=1']);
    const { namespace, connect } = scenario;
    const watch = await follow(test, namespace, { ...alike(names, app), other: { secret: 'cache' } });
    await forbidPods(namespace);
    await rotate(scenario, 'db');
    await eventually('three rollouts', () => watch.rolls.length >= 3 || undefined);
    const held = names.filter((name) => !watch.rolled().includes(name));
    for (const name of held) await untilEvent(namespace, 'Deployment', name, 'RolloutsHeld');
    return { scenario, watch, version: String(connect.store.item('Prod', 'db').version), held };
  }

  it('the others are held, and events say how to go on; the resource lets them go by naming the version', async (test) => {
    const { scenario, watch, version, held } = await untilHeld(test);
    const { namespace } = scenario;
    expect(held.length).toBe(2);
    const events = [await untilEvent(namespace, 'OnePasswordItem', 'db', 'RolloutsHeld')];
    for (const name of held) events.push(await untilEvent(namespace, 'Deployment', name, 'RolloutsHeld'));
    for (const { type, message } of events) expect(`${type} ${message}`).toContain(`Warning rollouts for version ${version} of the item`);
    for (const { message } of events) expect(message).toContain(`keyturn.dev/resume="${version}"`);

    await namespace.patchItem('db', { metadata: { annotations: { [annotations.resume]: version } } });
    await untilRolled(watch, held);
    expect(watch.rolled().toSorted()).toEqual(names);
  });

  it('they stay so when the resource names another version', async (test) => {
    const { scenario, watch, held } = await untilHeld(test);
    const { namespace } = scenario;
    await namespace.patchItem('db', { metadata: { annotations: { [annotations.resume]: '1' } } });
    await rotate(scenario, 'cache');
    await untilRolled(watch, ['other']);
    expect(watch.rolled().filter((name) => held.includes(name))).toEqual([]);
  });

  it('they go on when one of those that failed comes to a good end', async (test) => {
    const { scenario, watch, held } = await untilHeld(test);
    await allowPods(scenario.namespace);
    await untilRolled(watch, held, 40_000);
    expect(watch.rolled().toSorted()).toEqual(names);
  });

  it('the next version goes on', async (test) => {
    const { scenario, watch, held } = await untilHeld(test);
    const next = await rotate(scenario, 'db');
    const rolled = (): readonly string[] => watch.rolls.filter(({ revisions }) => revisions['db'] === next).map(({ app: name }) => name);
    await eventually('a rollout of one that was held', () => held.some((name) => rolled().includes(name)) || undefined);
  });

  it('workloads that were not well before do not count', async (test) => {
    const scenario = await start(test, ['db'], ['--max-restarts-per-namespace=1']);
    const { namespace } = scenario;
    const unwell = ['x', 'y', 'z'];
    for (const name of unwell) await createApp(namespace, name, { ...app, nodeSelector: { nowhere: 'true' } });
    const well = names.slice(0, 3);
    const watch = await follow(test, namespace, alike(well, app));
    await forbidPods(namespace);
    await rotate(scenario, 'db');
    await untilRolled(watch, [...unwell, ...well]);
    expect(watch.rolled().toSorted()).toEqual([...well, ...unwell]);
  });
});
