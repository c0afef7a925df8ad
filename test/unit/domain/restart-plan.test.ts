import { describe, expect, it } from 'vitest';
import type { ConsumedKeys } from '../../../src/domain/consumed-keys.ts';
import { planAdoption, type KnownRevisions, planRestart, type RestartPlan } from '../../../src/domain/restart-plan.ts';
import { consumedRevision } from '../../../src/domain/revisions.ts';

const rotation = Date.UTC(2026, 0, 1);
const second = 1_000;
const nothing: KnownRevisions = { adopted: {}, rolled: {} };
const whole = { whole: true, required: [], optional: [] };
const consumed = (name: string, revision: number | undefined, restarts = true) => ({
  name,
  consumed: revision === undefined ? undefined : consumedRevision({ password: revision }, whole),
  restarts,
});
const db = (revision: number | undefined, restarts = true) => [consumed('db', revision, restarts)];

interface Case {
  readonly name: string;
  /** The Secret's revision; of the Secret `db` alone. */
  readonly revision: number;
  readonly known?: Partial<KnownRevisions>;
  /** When the pod template came to be, after the rotation; absent while it has not been read. */
  readonly birth?: number;
  readonly plan: RestartPlan;
}

const roll: RestartPlan = { action: 'roll', known: { db: rotation }, changed: [{ secret: 'db', keys: ['password'] }] };
const adopt: RestartPlan = { action: 'adopt', stated: { db: rotation } };

describe('a workload that consumes a Secret', () => {
  it.each<Case>([
    { name: 'is adopted when the Secret never changed', revision: 0, plan: { action: 'adopt', stated: { db: 0 } } },
    { name: 'is left alone once adopted', revision: 0, known: { adopted: { db: 0 } }, plan: { action: 'none' } },
    {
      name: 'is left alone when it knows the revision',
      revision: rotation,
      known: { adopted: { db: rotation } },
      plan: { action: 'none' },
    },
    {
      name: 'is left alone after its roll',
      revision: rotation,
      known: { adopted: { db: 0 }, rolled: { db: rotation } },
      plan: { action: 'none' },
    },
    {
      name: 'is left alone when it knows a later revision than a Secret that lost its record',
      revision: 5,
      known: { rolled: { db: 9 } },
      plan: { action: 'none' },
    },
    {
      name: 'has its birth read when it knows an older revision',
      revision: rotation,
      known: { adopted: { db: 0 } },
      plan: { action: 'read-birth' },
    },
    { name: 'has its birth read when it knows nothing', revision: rotation, plan: { action: 'read-birth' } },
    {
      name: 'rolls when it knows an older revision and was born long before',
      revision: rotation,
      known: { adopted: { db: 0 } },
      birth: -3_600 * second,
      plan: roll,
    },
    {
      name: 'rolls when it knows an older revision and was born just after',
      revision: rotation,
      known: { rolled: { db: 1 } },
      birth: 5 * second,
      plan: roll,
    },
    {
      name: 'is left alone when it was born well after, as by a restart by hand; what that tells is not written down: the template may go back',
      revision: rotation,
      known: { adopted: { db: 0 } },
      birth: 5 * second + 1,
      plan: { action: 'none' },
    },
    { name: 'is adopted when it was opted in long after', revision: rotation, birth: -120 * second - 1, plan: adopt },
    { name: 'rolls when it was born into the rotation', revision: rotation, birth: -120 * second, plan: roll },
    { name: 'rolls when it was born at the rotation', revision: rotation, birth: 0, plan: roll },
    { name: 'is adopted when it was born after the rotation', revision: rotation, birth: 6 * second, plan: adopt },
    {
      name: 'takes the larger entry: the adopted',
      revision: 7,
      known: { adopted: { db: 7 }, rolled: { db: 3 } },
      plan: { action: 'none' },
    },
    { name: 'takes the larger entry: the rolled', revision: 7, known: { adopted: { db: 3 }, rolled: { db: 7 } }, plan: { action: 'none' } },
  ])('$name', ({ revision, known, birth, plan }) => {
    const when = birth === undefined ? undefined : rotation + birth;
    expect(planRestart(db(revision), { ...nothing, ...known }, { birth: when })).toEqual(plan);
  });

  it('rolls once for several Secrets, names those that changed, and then knows all of them', () => {
    const secrets = [...db(rotation), consumed('tls', rotation + 1), consumed('quiet', 0)];
    expect(planRestart(secrets, { ...nothing, adopted: { db: 0, tls: 0 } }, { birth: rotation - 1 })).toEqual({
      action: 'roll',
      known: { db: rotation, tls: rotation + 1, quiet: 0 },
      changed: [
        { secret: 'db', keys: ['password'] },
        { secret: 'tls', keys: ['password'] },
      ],
    });
  });

  it.each<[string, Record<string, number>, Partial<ConsumedKeys>, RestartPlan['action']]>([
    ['rolls for a key that it names', { a: rotation }, { required: ['a'] }, 'roll'],
    ['is left alone by a key that it does not name', { a: rotation }, { required: ['b'] }, 'none'],
    ['rolls for a change of all keys', { '*': rotation }, { required: ['b'] }, 'roll'],
    ['rolls for a removed key, when it takes all there are', { a: -rotation }, { whole: true }, 'roll'],
    ['rolls for a removed key that may be missing', { a: -rotation }, { optional: ['a'] }, 'roll'],
    ['is not rolled for a removed key that it names', { a: -rotation }, { required: ['a'] }, 'blocked'],
    ['is not rolled for another key, while one that it names is gone', { a: -5, b: rotation }, { required: ['a', 'b'] }, 'blocked'],
    [
      'is not rolled for a change of all keys, while one that it names is gone',
      { '*': rotation, a: -rotation },
      { required: ['a'] },
      'blocked',
    ],
    ['rolls when a removed key came back', { a: rotation }, { required: ['a'] }, 'roll'],
  ])('%s', (_, revisions, keys, action) => {
    const secret = { name: 'db', consumed: consumedRevision(revisions, { ...whole, whole: false, ...keys }), restarts: true };
    expect(planRestart([secret], { ...nothing, adopted: { db: 6 } }, { birth: rotation - 3_600 * second }).action).toBe(action);
  });

  it('names the keys that are gone', () => {
    const secret = { name: 'db', consumed: consumedRevision({ a: -rotation }, { ...whole, required: ['a', 'b'] }), restarts: true };
    expect(planRestart([secret], { ...nothing, adopted: { db: 0 } }, { birth: 0 })).toEqual({
      action: 'blocked',
      changed: [{ secret: 'db', keys: ['a'] }],
      missing: [{ secret: 'db', keys: ['a'] }],
    });
  });

  it.each<[string, Partial<KnownRevisions>, number | undefined, Record<string, number>]>([
    ['what the birth of its template tells of another', { adopted: { db: 0 } }, rotation + 60 * second, { db: 0, tls: 0 }],
    ['what its template alone states of another', { rolled: { db: rotation } }, undefined, { tls: 0 }],
    [
      'that its template states more of another than it does',
      { adopted: { db: 7 }, rolled: { db: rotation } },
      undefined,
      { db: 7, tls: 0 },
    ],
  ])('that is adopted for one Secret does not write down %s', (_, known, birth, stated) => {
    const plan = planRestart([...db(rotation), consumed('tls', 0)], { ...nothing, ...known }, { birth });
    expect(plan).toEqual({ action: 'adopt', stated });
  });

  it('loses the entry of a Secret that it no longer consumes', () => {
    expect(planRestart([], { ...nothing, adopted: { db: 5 } }, {})).toEqual({ action: 'adopt', stated: {} });
  });

  it('keeps its entry while the Secret is away, and rolls when it comes back changed', () => {
    const known = { ...nothing, adopted: { db: 5 } };
    expect(planRestart(db(undefined), known, {})).toEqual({ action: 'none' });
    expect(planRestart(db(rotation), known, { birth: rotation - 3_600 * second })).toEqual(roll);
  });

  it('keeps it through a roll for another Secret, too, and is not rolled once more when the first comes back as it was', () => {
    const known = { ...nothing, rolled: { db: 5, tls: 5 } };
    const plan = planRestart([...db(undefined), consumed('tls', rotation)], known, { birth: 5 });
    expect(plan).toEqual({ action: 'roll', known: { db: 5, tls: rotation }, changed: [{ secret: 'tls', keys: ['password'] }] });
    expect(planRestart([...db(5), consumed('tls', rotation)], { ...nothing, rolled: { db: 5, tls: rotation } }, {})).toEqual({
      action: 'none',
    });
  });

  it('keeps up with a Secret it opted out of after a roll, so that opting in again rolls nothing', () => {
    const known = { adopted: {}, rolled: { db: 5 } };
    const plan = planRestart(db(rotation, false), known, {});
    expect(plan).toEqual(adopt);
    expect(planRestart(db(rotation, false), { ...known, adopted: { db: rotation } }, {})).toEqual({ action: 'none' });
    expect(planRestart(db(rotation), { ...known, adopted: { db: rotation } }, {})).toEqual({ action: 'none' });
  });

  it('loses the entry of a Secret whose changes no longer restart it', () => {
    expect(planRestart(db(rotation, false), { ...nothing, adopted: { db: 5 } }, {})).toEqual({ action: 'adopt', stated: {} });
  });

  it('is not rolled to lose an entry that its template has', () => {
    expect(planRestart([], { ...nothing, rolled: { db: 5 } }, {})).toEqual({ action: 'none' });
  });

  it('rolls once more when its template was put back to one without the entry', () => {
    expect(planRestart(db(rotation), { adopted: { db: 0 }, rolled: {} }, { birth: rotation - 60 * second })).toEqual(roll);
  });

  it('is planned for a Secret of any name', () => {
    expect(planRestart([consumed('constructor', 0)], nothing, {})).toEqual({ action: 'adopt', stated: { constructor: 0 } });
  });

  it('is decided without a birth when the template is known to be older than the change, and there is an entry', () => {
    expect(planRestart(db(rotation), { adopted: { db: 0 }, rolled: {} }, { unchangedSince: rotation })).toEqual(roll);
    expect(planRestart(db(rotation), { adopted: { db: 0 }, rolled: {} }, { unchangedSince: rotation + 1 })).toEqual({
      action: 'read-birth',
    });
    expect(planRestart(db(rotation), nothing, { unchangedSince: rotation - 1 })).toEqual({ action: 'read-birth' });
  });

  it.each([
    ['that was under way until after the birth', { revisedAt: rotation + 20 * second }, 'roll'],
    ['that was done before the birth', { revisedAt: rotation + 3 * second }, 'none'],
    ['of long after, which was not that of the change', { revisedAt: rotation + 3_600 * second }, 'none', 70 * second],
  ] as const)('heeds a write %s', (_, written, action, later = 15 * second) => {
    const secrets = db(rotation).map((secret) => ({ ...secret, ...written }));
    expect(planRestart(secrets, { ...nothing, adopted: { db: 0 } }, { birth: rotation + later }).action).toBe(action);
  });
});

describe('before the data of a Secret change', () => {
  const minute = 60 * second;
  it.each<[string, number, Partial<KnownRevisions>, number | undefined, RestartPlan]>([
    ['a consumer without an entry is given one', 0, { adopted: { tls: 3 } }, undefined, { action: 'adopt', stated: { tls: 3, db: 0 } }],
    [
      'a consumer is given that entry alone, whatever its template states',
      0,
      { rolled: { tls: 3 } },
      undefined,
      { action: 'adopt', stated: { db: 0 } },
    ],
    ['a consumer with an entry is left alone', rotation, { adopted: { db: 1 } }, undefined, { action: 'none' }],
    ['a consumer that was rolled is left alone', rotation, { rolled: { db: 1 } }, undefined, { action: 'none' }],
    ['a consumer has its birth read after an earlier change', rotation, {}, undefined, { action: 'read-birth' }],
    ['a consumer born long before knows the earlier change', rotation, {}, rotation - 3 * minute, adopt],
    ['a consumer born after it knows it', rotation, {}, rotation + minute, adopt],
    [
      'a consumer born into it is still to be rolled for it',
      rotation,
      {},
      rotation - minute,
      { action: 'adopt', stated: { db: rotation - 1 } },
    ],
  ])('%s', (_, revision, known, birth, expected) => {
    expect(planAdoption('db', { revision }, { ...nothing, ...known }, birth)).toEqual(expected);
  });
});
