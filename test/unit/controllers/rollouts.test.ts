import { describe, expect, it } from 'vitest';
import { type Cause, createRollouts, type RolloutBudget } from '../../../src/controllers/rollouts.ts';
import { reduceWorkload, type RolloutState, type Workload, workloadKey } from '../../../src/kube/workload.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const second = 1_000;
const patience = 120 * second;
const item = 'vaults/v/items/i';
const version = (number: number): Cause => ({ secret: 'db', item, version: String(number) });

const well: RolloutState = { complete: true, available: true, failed: false, updatedPods: 3, availablePods: 3, oldPods: 0 };
const rolling: RolloutState = { complete: false, available: false, failed: false, updatedPods: 0, availablePods: 2, oldPods: 3 };
const givenUp: RolloutState = { ...rolling, failed: true };

function workload(name: string, rollout = well, more: Partial<Workload> = {}): Workload {
  const { namespace = 'ns' } = more;
  const reduced = reduceWorkload('Deployment')({ metadata: { namespace, name, uid: `${namespace}/${name}`, resourceVersion: '1' } });
  return { ...reduced, rollout, ...more };
}

/** A Rollout whose pods are being restarted. */
const restarting = (availablePods: number): Workload =>
  workload('x', { ...rolling, updatedPods: 3, oldPods: 0, availablePods }, { kind: 'Rollout' });

const inNamespace = (namespace: string, name: string, rollout = well): Workload => workload(name, rollout, { namespace });

function setUp(budget: Partial<RolloutBudget> = {}) {
  const clock = createFakeClock();
  const turns: string[] = [];
  const held: string[] = [];
  const ends: string[] = [];
  const brought: Cause[] = [];
  const rollouts = createRollouts({
    clock,
    budget: { inAll: 0, perNamespace: 0, ...budget },
    onTurn: (key) => turns.push(key),
    onHeld: (of) => held.push(of),
    onEnd: ({ name }, result, causes) => {
      ends.push(`${name} ${result}`);
      brought.push(...causes);
    },
  });
  const observe = (seen: Workload): void => rollouts.observe(workloadKey(seen), seen);
  /** Rolls a workload that is asked for, as far as the budget lets it. */
  function roll(before: Workload, causes: readonly Cause[] = [version(1)]): boolean {
    const granted = rollouts.request(before);
    if (granted) rollouts.begun({ ...before, rollout: { ...before.rollout, complete: false, updatedPods: 0, oldPods: 3 } }, before, causes);
    return granted;
  }
  const fail = (name: string): void => observe(workload(name, givenUp));
  const complete = (name: string): void => observe(workload(name));
  /** Begins and fails the rollouts of so many workloads for one version. */
  function failMany(count: number, cause: Cause, prefix = 'w'): void {
    for (let index = 0; index < count; index += 1) {
      roll(workload(`${prefix}${index}`), [cause]);
      fail(`${prefix}${index}`);
    }
  }
  return {
    rollouts,
    request: (asking: Workload) => rollouts.request(asking),
    withdraw: (name: string) => rollouts.withdraw(`ns/Deployment/${name}`),
    found: (underway: Workload, causes: readonly Cause[]) => rollouts.found(underway, causes),
    isUnderway: (name: string) => rollouts.isUnderway(`ns/Deployment/${name}`),
    isHeld: (cause: Cause) => rollouts.isHeld(cause),
    places: () => rollouts.size,
    clock,
    turns,
    held,
    ends,
    brought,
    observe,
    roll,
    fail,
    complete,
    failMany,
  };
}

describe('the budget', () => {
  it('lets so many roll in all, whatever their namespaces', () => {
    const { roll, places } = setUp({ inAll: 2 });
    expect([roll(inNamespace('a', 'x')), roll(inNamespace('b', 'x')), roll(inNamespace('c', 'x')), places()]).toEqual([
      true,
      true,
      false,
      2,
    ]);
  });

  it('lets so many roll in each namespace', () => {
    const { roll } = setUp({ perNamespace: 1 });
    expect([roll(inNamespace('a', 'x')), roll(inNamespace('a', 'y')), roll(inNamespace('b', 'x'))]).toEqual([true, false, true]);
  });

  it('is told by namespace', () => {
    const { rollouts, roll } = setUp();
    for (const [namespace, name] of [
      ['a', 'x'],
      ['a', 'y'],
      ['b', 'x'],
    ] as const)
      roll(inNamespace(namespace, name));
    expect([...rollouts.places]).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
  });

  it('is none when it is 0', () => {
    const { roll, places } = setUp();
    for (let index = 0; index < 200; index += 1) roll(workload(`w${index}`));
    expect(places()).toBe(200);
  });

  it('is taken as soon as a workload may roll, before it does', () => {
    const { request } = setUp({ inAll: 1 });
    expect([request(workload('x')), request(workload('y'))]).toEqual([true, false]);
  });

  it('is asked for by one workload no more than once', () => {
    const { request, places } = setUp({ inAll: 1 });
    expect([request(workload('x')), request(workload('x')), places()]).toEqual([true, true, 1]);
  });

  it('takes nobody for a workload that could not be rolled', () => {
    const { request, withdraw, places, turns } = setUp({ inAll: 1 });
    request(workload('x'));
    request(workload('y'));
    withdraw('x');
    expect([turns, places()]).toEqual([['ns/Deployment/y'], 1]);
  });

  it('has no place for one that need not roll any more, nor a turn', () => {
    const { roll, request, withdraw, complete, turns, places } = setUp({ inAll: 1 });
    roll(workload('x'));
    request(workload('y'));
    withdraw('y');
    complete('x');
    expect([turns, places()]).toEqual([[], 0]);
  });

  it('has no place for one that was deleted while it waited', () => {
    const { roll, request, rollouts, complete, turns, places } = setUp({ inAll: 1 });
    roll(workload('x'));
    request(workload('y'));
    rollouts.observe('ns/Deployment/y', undefined);
    complete('x');
    expect([turns, places()]).toEqual([[], 0]);
  });

  it('gets back the place of one that was deleted before it rolled', () => {
    const { request, rollouts, turns } = setUp({ inAll: 1 });
    request(workload('x'));
    request(workload('y'));
    rollouts.observe('ns/Deployment/x', undefined);
    expect(turns).toEqual(['ns/Deployment/y']);
  });
});

describe('who waits', () => {
  it('has its turn in the order of asking, once for each place that is free', () => {
    const { roll, complete, turns } = setUp({ inAll: 2 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) roll(workload(name));
    complete('b');
    complete('a');
    expect(turns).toEqual(['ns/Deployment/c', 'ns/Deployment/d']);
  });

  it('keeps its turn when it asks again', () => {
    const { roll, request, complete, turns } = setUp({ inAll: 1 });
    for (const name of ['a', 'b', 'c']) roll(workload(name));
    request(workload('b'));
    complete('a');
    expect(turns).toEqual(['ns/Deployment/b']);
  });

  it('is told of its turn, and then may roll', () => {
    const { roll, request, complete, turns } = setUp({ inAll: 1 });
    roll(workload('a'));
    const first = request(workload('b'));
    complete('a');
    expect([first, turns, request(workload('b'))]).toEqual([false, ['ns/Deployment/b'], true]);
  });

  it('is not told when it is the one that asks', () => {
    const { request, turns } = setUp({ inAll: 1 });
    request(workload('a'));
    expect(turns).toEqual([]);
  });

  it('in a namespace that is full holds up nobody of another', () => {
    const { roll, observe, turns } = setUp({ inAll: 2, perNamespace: 1 });
    roll(inNamespace('a', 'x'));
    roll(inNamespace('b', 'x'));
    roll(inNamespace('a', 'y'));
    roll(inNamespace('c', 'x'));
    observe(inNamespace('b', 'x'));
    expect(turns).toEqual(['c/Deployment/x']);
  });

  it('in a namespace that was full has its turn when that has a place', () => {
    const { roll, observe, turns } = setUp({ inAll: 2, perNamespace: 1 });
    roll(inNamespace('a', 'x'));
    roll(inNamespace('a', 'y'));
    observe(inNamespace('a', 'x'));
    expect(turns).toEqual(['a/Deployment/y']);
  });
});

const full = () => {
  const setting = setUp({ inAll: 1 });
  setting.roll(workload('x'));
  setting.request(workload('y'));
  return setting;
};

describe('a place is free', () => {
  const freed = ['ns/Deployment/y'];

  it('when the rollout is complete', () => {
    const { complete, turns, ends, isUnderway } = full();
    complete('x');
    expect([turns, ends, isUnderway('x')]).toEqual([freed, ['x completed'], false]);
  });

  it('when it was given up', () => {
    const { fail, turns, ends, isUnderway } = full();
    fail('x');
    expect([turns, ends, isUnderway('x')]).toEqual([freed, ['x failed'], true]);
  });

  it('after two minutes in which nothing moved, and not before', () => {
    const { clock, turns, ends } = full();
    clock.advance(patience - 1);
    const early = [...turns];
    clock.advance(1);
    expect([early, turns, ends]).toEqual([[], freed, ['x failed']]);
  });

  it('two minutes after the last that moved', () => {
    const { clock, observe, turns } = full();
    clock.advance(patience - second);
    observe(workload('x', { ...rolling, updatedPods: 1 }));
    clock.advance(patience - 1);
    const early = [...turns];
    clock.advance(1);
    expect([early, turns]).toEqual([[], freed]);
  });

  it('all the same when it changed in something else', () => {
    const { clock, observe, turns } = full();
    observe(workload('x', rolling));
    clock.advance(patience - second);
    observe(workload('x', rolling, { resourceVersion: '9' }));
    clock.advance(second);
    expect(turns).toEqual(freed);
  });

  it('two minutes after the last pod that became available, when there had not been so many', () => {
    const { clock, observe, turns } = full();
    observe(workload('x', { ...rolling, updatedPods: 1, availablePods: 2 }));
    clock.advance(patience - second);
    observe(workload('x', { ...rolling, updatedPods: 1, availablePods: 3 }));
    clock.advance(patience - 1);
    const early = [...turns];
    clock.advance(1);
    expect([early, turns]).toEqual([[], freed]);
  });

  it('two minutes after the last that moved since its controller saw the new template: until then the status is that of the old', () => {
    const { rollouts, clock, observe, ends } = setUp();
    rollouts.request(workload('x'));
    rollouts.begun(workload('x', { ...well, complete: false }, { observed: false, generation: 2 }), workload('x'), [version(1)]);
    for (const updatedPods of [0, 1, 2]) {
      clock.advance(patience - second);
      observe(workload('x', { ...rolling, updatedPods, oldPods: 3 - updatedPods }, { generation: 2 }));
    }
    clock.advance(patience - 1);
    const early = [...ends];
    clock.advance(1);
    expect([early, ends]).toEqual([[], ['x failed']]);
  });

  it('two minutes after its template changed once more', () => {
    const { clock, observe, turns } = full();
    observe(workload('x', { ...rolling, updatedPods: 2, oldPods: 1 }));
    clock.advance(patience - second);
    observe(workload('x', { ...rolling, updatedPods: 0, oldPods: 3 }, { generation: 5 }));
    clock.advance(patience - second);
    observe(workload('x', { ...rolling, updatedPods: 1, oldPods: 2 }, { generation: 5 }));
    clock.advance(patience - 1);
    expect(turns).toEqual([]);
  });

  it('two minutes after the last old pod that went, when all the new ones have been made', () => {
    const { clock, observe, turns } = full();
    observe(workload('x', { ...rolling, updatedPods: 3, availablePods: 4, oldPods: 3 }));
    clock.advance(patience - second);
    observe(workload('x', { ...rolling, updatedPods: 3, availablePods: 3, oldPods: 2 }));
    clock.advance(patience - 1);
    const early = [...turns];
    clock.advance(1);
    expect([early, turns]).toEqual([[], freed]);
  });

  it.each<[string, readonly [RolloutState, RolloutState]]>([
    [
      'that become available and cease to be',
      [
        { ...rolling, updatedPods: 1, availablePods: 3 },
        { ...rolling, updatedPods: 1, availablePods: 2 },
      ],
    ],
    [
      'of the new template that come and go',
      [
        { ...rolling, updatedPods: 2, availablePods: 2 },
        { ...rolling, updatedPods: 1, availablePods: 2 },
      ],
    ],
  ])('all the same with pods %s', (_, [up, down]) => {
    const { clock, observe, turns } = full();
    observe(workload('x', up));
    clock.advance(patience - second);
    for (const state of [down, up, down]) observe(workload('x', state));
    clock.advance(second);
    expect(turns).toEqual(freed);
  });

  it('two minutes after any change of a Rollout: its restart shows in nothing else', () => {
    const { roll, clock, observe, ends } = setUp();
    const rollout = (availablePods: number): Workload => workload('x', { ...rolling, updatedPods: 3, availablePods }, { kind: 'Rollout' });
    roll(workload('x', well, { kind: 'Rollout' }));
    for (const availablePods of [2, 3, 2, 3]) {
      clock.advance(patience - second);
      observe(rollout(availablePods));
    }
    const early = [...ends];
    clock.advance(patience);
    expect([early, ends]).toEqual([[], ['x failed']]);
  });

  it('when the workload is deleted', () => {
    const { rollouts, turns, isUnderway, ends } = full();
    rollouts.observe('ns/Deployment/x', undefined);
    expect([turns, isUnderway('x'), ends]).toEqual([freed, false, []]);
  });

  it('when another has its name', () => {
    const { observe, turns, isUnderway } = full();
    observe(workload('x', rolling, { uid: 'another' }));
    expect([turns, isUnderway('x')]).toEqual([freed, false]);
  });

  it('once it has failed, which is told once, whatever moves then', () => {
    const { fail, observe, clock, ends } = full();
    fail('x');
    observe(workload('x', { ...givenUp, updatedPods: 1 }));
    observe(workload('x', { ...rolling, updatedPods: 2 }));
    expect([ends, clock.timers]).toEqual([['x failed'], []]);
  });

  it('only once, however it ends', () => {
    const { clock, fail, complete, places } = full();
    fail('x');
    clock.advance(patience);
    complete('x');
    expect([places(), clock.timers]).toEqual([1, []]);
  });
});

describe('a workload that was not well before', () => {
  it.each([
    ['with too few pods', { ...well, complete: false, available: false }],
    ['whose rollout was given up', { ...well, failed: true }],
  ])('takes no place: %s', (_, rollout) => {
    const { roll, request, places } = setUp({ inAll: 1 });
    request(workload('x'));
    expect([roll(workload('y', rollout)), places()]).toEqual([true, 1]);
  });

  it('is told of as failed, and does not count as such, whether it is given up or does not move', () => {
    const { roll, fail, clock, isHeld, ends } = setUp();
    for (const name of ['a', 'b', 'c']) roll(workload(name, rolling));
    fail('a');
    clock.advance(patience);
    expect([isHeld(version(1)), ends.toSorted()]).toEqual([false, ['a failed', 'b failed', 'c failed']]);
  });

  it('counts as a success', () => {
    const { roll, complete, failMany, isHeld } = setUp();
    failMany(3, version(1));
    roll(workload('x', rolling));
    complete('x');
    expect(isHeld(version(1))).toBe(false);
  });
});

describe('a workload that is paused on its way', () => {
  it('gives its place away, and has not failed', () => {
    const { roll, observe, clock, places, ends, isUnderway } = setUp({ inAll: 1 });
    roll(workload('x'));
    observe(workload('x', rolling, { paused: true }));
    clock.advance(patience);
    expect([places(), ends, isUnderway('x')]).toEqual([0, [], true]);
  });

  it('fails when it moves again, and then does not for two minutes', () => {
    const { roll, observe, clock, ends } = setUp();
    roll(workload('x'));
    observe(workload('x', rolling, { paused: true }));
    clock.advance(patience);
    observe(workload('x', { ...rolling, updatedPods: 2 }));
    clock.advance(patience);
    expect(ends).toEqual(['x failed']);
  });
});

describe('a workload that was paused on its way and is resumed', () => {
  it('has two minutes again, and fails then', () => {
    const { roll, observe, clock, ends } = setUp();
    roll(workload('x'));
    observe(workload('x', rolling, { paused: true }));
    clock.advance(patience - second);
    observe(workload('x', rolling));
    clock.advance(patience - 1);
    const early = [...ends];
    clock.advance(1);
    expect([early, ends]).toEqual([[], ['x failed']]);
  });

  it('fails two minutes after, however long it was paused', () => {
    const { roll, observe, clock, ends } = setUp();
    roll(workload('x'));
    observe(workload('x', rolling, { paused: true }));
    clock.advance(10 * patience);
    observe(workload('x', rolling));
    clock.advance(patience);
    expect(ends).toEqual(['x failed']);
  });
});

const onDelete = (rollout: RolloutState) => workload('x', rollout, { onDelete: true });

describe('a workload whose pods somebody else deletes', () => {
  it('keeps no place, is waited for without end, and is under way until all its pods are new', () => {
    const { roll, request, observe, clock, places, turns, ends, isUnderway } = setUp({ inAll: 1 });
    roll(onDelete(well));
    const after = [places(), clock.timers, request(workload('y')), turns];
    observe(onDelete({ ...rolling, updatedPods: 1 }));
    expect([after, clock.timers, ends, isUnderway('x')]).toEqual([[0, [], true, []], [], [], true]);
    observe(onDelete(well));
    expect([isUnderway('x'), ends]).toEqual([false, ['x completed']]);
  });

  it('does not fail', () => {
    const { roll, observe, ends } = setUp();
    roll(onDelete(well));
    observe(onDelete(givenUp));
    expect(ends).toEqual([]);
  });
});

describe('a second rollout of a workload under way', () => {
  it.each([
    ['with too few pods', rolling],
    ['with all pods it needs', { ...rolling, available: true }],
  ])('keeps the place: %s', (_, state) => {
    const { roll, places, request } = setUp({ inAll: 1 });
    roll(workload('x'));
    expect([roll(workload('x', state)), places(), request(workload('y'))]).toEqual([true, 1, false]);
  });

  it('gives the place back when it ends', () => {
    const { roll, complete, places, clock } = setUp({ inAll: 1 });
    roll(workload('x'));
    roll(workload('x', rolling));
    complete('x');
    expect([places(), clock.timers]).toEqual([0, []]);
  });

  it('has two minutes of its own', () => {
    const { roll, clock, places } = setUp();
    roll(workload('x'));
    clock.advance(patience - 1);
    roll(workload('x', rolling));
    clock.advance(patience - 1);
    expect([places(), clock.timers]).toEqual([1, [1]]);
  });

  it('counts as failed, though it found the workload in the middle of the first', () => {
    const { roll, failMany, fail, isHeld } = setUp();
    failMany(2, version(2));
    roll(workload('x'), [version(1)]);
    roll(workload('x', rolling), [version(2)]);
    fail('x');
    expect(isHeld(version(2))).toBe(true);
  });

  it('is not given up for what the status says of the first, while the controller has not seen the second', () => {
    const { roll, fail, observe, ends } = setUp();
    roll(workload('x'), [version(1)]);
    fail('x');
    roll(workload('x', givenUp), [version(2)]);
    observe(workload('x', givenUp, { observed: false }));
    const before = [...ends];
    fail('x');
    expect([before, ends]).toEqual([['x failed'], ['x failed', 'x failed']]);
  });

  it('after the first failed takes no place', () => {
    const { roll, fail, places, request } = setUp({ inAll: 1 });
    roll(workload('x'));
    fail('x');
    expect([roll(workload('x', givenUp)), places(), request(workload('y'))]).toEqual([true, 0, true]);
  });
});

describe('a rollout that was found under way', () => {
  it('takes a place, even where there is none', () => {
    const { found, places, request } = setUp({ inAll: 1 });
    found(workload('a', rolling), [version(1)]);
    found(workload('b', rolling), [version(1)]);
    expect([places(), request(workload('c'))]).toEqual([2, false]);
  });

  it('is found once', () => {
    const { found, places } = setUp();
    found(workload('a', rolling), [version(1)]);
    found(workload('a', rolling), [version(1)]);
    expect(places()).toBe(1);
  });

  it('gives its place back when it ends, or after two minutes in which nothing moved', () => {
    const { found, complete, places, clock } = setUp();
    for (const name of ['a', 'b']) found(workload(name, rolling), [version(1)]);
    complete('a');
    const before = places();
    clock.advance(patience);
    expect([before, places()]).toEqual([1, 0]);
  });

  it('does not count when it fails: it may not have been well before', () => {
    const { found, fail, failMany, isHeld } = setUp();
    failMany(2, version(1));
    found(workload('a', rolling), [version(1)]);
    fail('a');
    expect(isHeld(version(1))).toBe(false);
  });

  it('counts when it succeeds, and when it had succeeded before it was found', () => {
    for (const state of [rolling, well]) {
      const { found, complete, failMany, isHeld } = setUp();
      found(workload('a', state), [version(1)]);
      complete('a');
      failMany(3, version(1));
      expect(isHeld(version(1))).toBe(false);
    }
  });

  it('takes the place of a turn that was given and not used', () => {
    const { found, request, places } = setUp({ inAll: 5 });
    request(workload('a'));
    found(workload('a', rolling), [version(1)]);
    expect(places()).toBe(1);
  });
});

const rolledFor = (revision: number) => ({ templateAnnotations: { 'keyturn.dev/known-revisions': `{"db":${revision}}` } });

describe('a rollout that was begun after it gave its turn away', () => {
  it('takes a place all the same, and only one', () => {
    const { rollouts, request, withdraw, places, complete } = setUp({ inAll: 1 });
    request(workload('x'));
    withdraw('x');
    request(workload('y'));
    request(workload('x'));
    rollouts.begun(workload('x', rolling), workload('x'), [version(1)]);
    const under = places();
    complete('x');
    expect([under, places()]).toEqual([2, 1]);
  });
});

describe('a rollout that somebody takes back', () => {
  it('ends as one that was reverted, and proves nothing of the version: what is held stays held', () => {
    const { rollouts, observe, failMany, isHeld, ends, places } = setUp();
    failMany(3, version(1));
    rollouts.begun(workload('x', rolling, rolledFor(9)), workload('x'), [version(1)]);
    observe(workload('x', well, rolledFor(5)));
    expect([isHeld(version(1)), ends.filter((end) => end.startsWith('x')), places()]).toEqual([true, ['x reverted'], 0]);
  });

  it('does so when it is that of a Rollout, whose restart is gone', () => {
    const { rollouts, observe, failMany, isHeld } = setUp();
    failMany(3, version(1));
    rollouts.begun(workload('x', rolling, { kind: 'Rollout', restartAt: 5_000 }), workload('x', well, { kind: 'Rollout' }), [version(1)]);
    observe(workload('x', well, { kind: 'Rollout' }));
    expect(isHeld(version(1))).toBe(true);
  });
});

describe('the restart of a Rollout', () => {
  it('keeps its place while pods go and come back', () => {
    const { roll, observe, clock, places } = setUp();
    roll(workload('x', well, { kind: 'Rollout' }));
    for (const available of [2, 3, 2, 3, 2, 3]) {
      clock.advance(patience - 1);
      observe(restarting(available));
    }
    expect(places()).toBe(1);
  });

  it('fails when they go and come back for ever', () => {
    const { roll, observe, clock, places, ends } = setUp();
    roll(workload('x', well, { kind: 'Rollout' }));
    for (let count = 0; count < 20; count += 1) {
      clock.advance(patience / 2);
      observe(restarting(2 + (count % 2)));
    }
    expect([places(), ends]).toEqual([0, ['x failed']]);
  });
});

describe('the rollouts of a version', () => {
  it('are held after three of them failed, which is told once', () => {
    const { failMany, isHeld, held } = setUp();
    failMany(2, version(1));
    const before = isHeld(version(1));
    failMany(2, version(1), 'v');
    expect([before, isHeld(version(1)), held]).toEqual([false, true, [item]]);
  });

  it('of which there were many before are counted like any other', () => {
    const { failMany, isHeld } = setUp();
    for (let number = 1; number <= 10; number += 1) failMany(2, version(number));
    failMany(3, version(11), 'v');
    expect([isHeld(version(10)), isHeld(version(11))]).toEqual([false, true]);
  });

  it('are not held for one workload that fails again and again', () => {
    const { roll, fail, isHeld } = setUp();
    for (let count = 0; count < 4; count += 1) {
      roll(workload('x'));
      fail('x');
    }
    expect(isHeld(version(1))).toBe(false);
  });

  it('are not held when one has succeeded before', () => {
    const { roll, complete, failMany, isHeld, held } = setUp();
    roll(workload('x'));
    complete('x');
    failMany(5, version(1));
    expect([isHeld(version(1)), held]).toEqual([false, []]);
  });

  it('stay held when one is complete without a pod of it', () => {
    const { roll, observe, failMany, isHeld, ends } = setUp();
    failMany(3, version(1));
    roll(workload('x'));
    observe(workload('x', { ...well, updatedPods: 0, availablePods: 0 }));
    expect([ends.at(-1), isHeld(version(1))]).toEqual(['x completed', true]);
  });

  it('go on when one of those that failed succeeds after all, which is told', () => {
    const { complete, failMany, isHeld, held } = setUp();
    failMany(3, version(1));
    complete('w1');
    expect([isHeld(version(1)), held]).toEqual([false, [item, item]]);
  });

  it('are not held for the failures of the version before', () => {
    const { failMany, isHeld } = setUp();
    failMany(3, version(1));
    expect(isHeld(version(2))).toBe(false);
    failMany(2, version(2), 'v');
    expect(isHeld(version(2))).toBe(false);
    failMany(3, version(2), 'u');
    expect(isHeld(version(2))).toBe(true);
  });

  it.each<[string, 'complete' | 'fail']>([
    ['succeeds', 'complete'],
    ['fails', 'fail'],
  ])('stay held when a rollout of the version before %s late', (_, end) => {
    const { roll, failMany, isHeld, ...setting } = setUp();
    roll(workload('slow'), [version(1)]);
    failMany(3, version(2));
    setting[end]('slow');
    expect(isHeld(version(2))).toBe(true);
  });

  it('of another item are not held', () => {
    const { failMany, isHeld } = setUp();
    failMany(3, version(1));
    expect(isHeld({ secret: 'db', item: 'vaults/v/items/other', version: '1' })).toBe(false);
  });

  it('count for each item that one rollout brings', () => {
    const { roll, fail, isHeld } = setUp();
    const other = { secret: 'db', item: 'vaults/v/items/other', version: '7' };
    for (const name of ['a', 'b', 'c']) {
      roll(workload(name), [version(1), other]);
      fail(name);
    }
    expect([isHeld(version(1)), isHeld(other)]).toEqual([true, true]);
  });
});
