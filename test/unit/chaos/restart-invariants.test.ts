import { describe, expect, it } from 'vitest';
import { editMark } from '../../chaos/history.ts';
import { birthSlack, countChanges, countRolls, noRestartLost, noRestartRepeated, optInDelay } from '../../chaos/restart-invariants.ts';
import { valueChanges } from '../../chaos/value-changes.ts';
import type { Use } from '../../chaos/world.ts';
import { type Story, story } from './made-up-history.ts';

const first = { password: 'one', user: 'me' };
const second = { password: 'two', user: 'me' };
const third = { password: 'three', user: 'me' };
const edited = { ...first, password: `${editMark}-1` };
const begun = (uses?: readonly Use[], optIn?: string) =>
  story()
    .item(first)
    .resource()
    .secret(first)
    .workload({ ...(uses !== undefined && { uses }), ...(optIn !== undefined && { optIn }) })
    .pod()
    .outage(optInDelay * 2);
const rotated = (...args: Parameters<typeof begun>) =>
  begun(...args)
    .item(second)
    .secret(second, { revision: 5 });
/** Its resource and Secret are gone, and somebody makes a Secret for the next resource to adopt. */
const taken = (...args: Parameters<typeof begun>) =>
  begun(...args)
    .noResource()
    .noSecret()
    .newResource('new')
    .outage(optInDelay)
    .item(second)
    .foreignSecret(edited, 'other');
const adopted = (...args: Parameters<typeof begun>) => taken(...args).secret(second, { uid: 'other', owner: 'new', revision: 9 });
const passwords: readonly Use[] = [{ secret: 'db', keys: ['password'], by: 'env' }];
const users: readonly Use[] = [{ secret: 'db', keys: ['user'], by: 'files' }];
const unasked = 'and nothing that it consumes had changed';
const repaired = `${unasked}, but db had been repaired`;
const problems = (told: Story) => noRestartRepeated(told.history()).map(({ detail }) => detail.replace(/^rolled at [^ ]+ \(.*?\),? /, ''));

describe('changes of values', () => {
  it('are what the operator writes, by key, and no first version', () => {
    expect(valueChanges(rotated().history(), 'db')).toMatchObject([{ keys: ['password'], unknown: false, revision: 5 }]);
    expect(countChanges(begun().history())).toBe(0);
  });

  it('are no edit and no repair, no deletion and no restoring', () => {
    const told = begun().secret(edited).secret(first).secret({}).secret(first).noSecret().secret(first, { uid: 'other' });
    expect(valueChanges(told.history(), 'db')).toStrictEqual([]);
  });

  it('are of unknown extent when somebody wrote in between', () => {
    const told = begun().item(second).secret(edited).secret(second, { revision: 5 });
    expect(valueChanges(told.history(), 'db')).toMatchObject([{ keys: ['password'], unknown: true }]);
    const moved = begun().item(first).noSecret().secret(first, { uid: 'other', itemVersion: '7' });
    expect(valueChanges(moved.history(), 'db')).toMatchObject([{ keys: [], unknown: true }]);
  });

  it('are of unknown extent when a Secret was deleted before the status knew of its version', () => {
    const missed = rotated().noSecret().secret(second, { uid: 'other', revision: 9 });
    expect(valueChanges(missed.history(), 'db').at(-1)).toMatchObject({ keys: [], unknown: true, revision: 9 });
    const known = rotated().resource().noSecret().secret(second, { uid: 'other', revision: 5 });
    expect(valueChanges(known.history(), 'db')).toHaveLength(1);
  });

  it('begin anew with a new resource whose Secret is a new one', () => {
    const told = begun().item(second).noResource().noSecret().resource().secret(second, { uid: 'other', owner: 'new' });
    expect(valueChanges(told.history(), 'db')).toStrictEqual([]);
    const kept = begun().item(second).noResource().resource().secret(second, { owner: 'new' });
    expect(valueChanges(kept.history(), 'db')).toHaveLength(1);
  });

  it('are, when the new Secret is one that somebody made, what differs from that', () => {
    expect(valueChanges(adopted().history(), 'db')).toMatchObject([{ keys: ['password'], unknown: false, revision: 9 }]);
    const removed = taken().noSecret().secret(second, { uid: 'third', owner: 'new' });
    expect(valueChanges(removed.history(), 'db')).toStrictEqual([]);
  });

  it('are none, when the status knew of the version that such a Secret gets', () => {
    const told = begun().noSecret().foreignSecret(edited, 'other').secret(first, { uid: 'other' });
    expect(valueChanges(told.history(), 'db')).toStrictEqual([]);
  });
});

describe('no restart is lost', () => {
  it('when all pods are younger than the change', () => {
    expect(noRestartLost(rotated().roll().noPod().pod('new').history())).toStrictEqual([]);
  });

  it('and it is when a pod is older', () => {
    expect(noRestartLost(rotated().history())).toMatchObject([
      { object: 'workload/app', detail: expect.stringContaining('pod older') as string },
    ]);
    expect(noRestartLost(rotated(passwords).history())).toHaveLength(1);
    expect(noRestartLost(rotated().pod('new').history())).toHaveLength(1);
  });

  it('and it is for each change, although one before was answered', () => {
    expect(noRestartLost(rotated().roll().noPod().pod('new').item(third).secret(third, { revision: 9 }).history())).toHaveLength(1);
  });

  it('and it is when pods did not come back', () => {
    expect(noRestartLost(rotated().roll().noPod().history())).toMatchObject([{ detail: 'has no pods' }]);
  });

  it('where another key changed', () => {
    expect(noRestartLost(rotated(users).history())).toStrictEqual([]);
  });

  it('where it had opted out, or only just in', () => {
    expect(noRestartLost(rotated(undefined, 'false').history())).toStrictEqual([]);
    const late = begun(undefined, 'false').workload().item(second).secret(second, { revision: 5 });
    expect(noRestartLost(late.history())).toStrictEqual([]);
    const early = begun(undefined, 'false').workload().outage(optInDelay).item(second).secret(second, { revision: 5 });
    expect(noRestartLost(early.history())).toHaveLength(1);
  });

  it('where the resource said no, and it counts before the workload', () => {
    const out = begun().resource('false').item(second).secret(second, { revision: 5 });
    expect(noRestartLost(out.history())).toStrictEqual([]);
    const decided = begun(undefined, 'false').resource('true').outage(optInDelay).item(second).secret(second, { revision: 5 });
    expect(noRestartLost(decided.history())).toHaveLength(1);
  });

  it('and it is when pods may have what somebody wrote into a Secret before it was adopted', () => {
    expect(noRestartLost(adopted().history())).toHaveLength(1);
    expect(noRestartLost(adopted(users).history())).toStrictEqual([]);
    expect(noRestartLost(adopted().roll().noPod().pod('new').history())).toStrictEqual([]);
  });

  it('and it is for who was born into a rotation', () => {
    const told = story().item(first).resource().secret(first).workload().pod().item(second).secret(second, { revision: 5 });
    expect(noRestartLost(told.history())).toHaveLength(1);
  });
});

describe('no restart is repeated', () => {
  it('when there is one for a change, or for several', () => {
    expect(problems(rotated().roll())).toStrictEqual([]);
    expect(problems(rotated().item(third).secret(third, { revision: 9 }).roll())).toStrictEqual([]);
    expect(countRolls(rotated().roll().history())).toBe(1);
  });

  it('and it is when there are two for one', () => {
    expect(problems(rotated().roll().roll())).toStrictEqual([unasked]);
  });

  it('and it is when another key changed', () => {
    expect(problems(rotated(users).roll())).toStrictEqual([unasked]);
  });

  it('and it is when nothing changed but what was edited and repaired, or deleted and restored', () => {
    expect(problems(begun().secret(edited).secret(first).roll())).toStrictEqual([repaired]);
    expect(problems(begun().noSecret().secret(first, { uid: 'other' }).roll())).toStrictEqual([repaired]);
    expect(problems(rotated().roll().secret({}).secret(second, { revision: 5 }).roll())).toStrictEqual([repaired]);
  });

  it('unless what pods have is unknown', () => {
    expect(problems(begun(users).item(second).secret(edited).secret(second, { revision: 5 }).roll())).toStrictEqual([]);
  });

  it('unless pods may have what somebody wrote into a Secret before it was adopted', () => {
    expect(problems(adopted().roll())).toStrictEqual([]);
    expect(problems(adopted().roll().roll())).toStrictEqual([unasked]);
    expect(problems(adopted(users).roll())).toStrictEqual([repaired]);
  });

  it('and a change long before the workload was made asks for nothing', () => {
    const late = story().item(first).resource().secret(first).item(second).secret(second, { revision: 5 });
    expect(problems(late.outage(birthSlack).workload().roll())).toStrictEqual([unasked]);
    const early = story().item(first).resource().secret(first).item(second).secret(second, { revision: 5 });
    expect(problems(early.workload().roll())).toStrictEqual([]);
  });

  it('and who has opted out is not rolled, but for a moment', () => {
    const out = begun().workload({ optIn: 'false' });
    expect(problems(out.item(second).secret(second, { revision: 5 }).roll())).toStrictEqual([]);
    const long = begun().workload({ optIn: 'false' }).outage(optInDelay).item(second).secret(second, { revision: 5 }).roll();
    expect(problems(long)).toStrictEqual(['and had opted out']);
  });
});
