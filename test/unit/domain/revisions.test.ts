import { describe, expect, it } from 'vitest';
import {
  changedKeys,
  consumedRevision,
  latestOf,
  latestRevision,
  notedTimes,
  parseRevisions,
  revise,
  revisedAt,
  revisionOf,
  type Revisions,
} from '../../../src/domain/revisions.ts';
import { SecretValue } from '../../../src/domain/secret-value.ts';

const longKeys = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padStart(253, 'k'));
const data = (values: Readonly<Record<string, string>>) =>
  new Map(Object.entries(values).map(([key, text]) => [key, SecretValue.fromText(text)]));

describe('a record of revisions', () => {
  it('is read from its annotation', () => {
    expect(parseRevisions('{"password":1700000000000,"*":5}')).toEqual({ password: 1_700_000_000_000, '*': 5 });
  });

  it.each([
    undefined,
    '',
    'x',
    'null',
    '5',
    '"a"',
    '[1]',
    '{"a":"1"}',
    '{"a":1.5}',
    '{"a":1e300}',
    '{"a":9007199254740991}',
    '{"a":null}',
    '{"a":{}}',
  ])('is as good as none when it is %j', (annotation) => {
    expect(parseRevisions(annotation)).toEqual({});
  });

  it('keeps what is good of a record that is half bad', () => {
    expect(parseRevisions('{"a":1,"b":"x"}')).toEqual({ a: 1 });
  });

  it.each(['constructor', '__proto__', 'toString'])('knows nothing of %s unless it is in it', (name) => {
    expect(revisionOf(parseRevisions('{}'), name)).toBeUndefined();
    expect(revisionOf(parseRevisions(`{"${name}":7}`), name)).toBe(7);
    expect(revisionOf(parseRevisions(JSON.stringify(revise({}, [name], 9))), name)).toBe(9);
  });

  it('says when anything last changed', () => {
    expect([latestRevision({}), latestRevision({ a: 3, '*': 9, b: 4 })]).toEqual([0, 9]);
  });
});

describe('a change', () => {
  it('moves the changed keys to the time of now, and no others', () => {
    expect(revise({ a: 1, b: 2 }, ['b', 'c'], 100.9)).toEqual({ a: 1, b: 100, c: 100 });
  });

  it('moves beyond every revision before, when the clock stands or went back', () => {
    expect(revise({ a: 500 }, ['b'], 100)).toEqual({ a: 500, b: 501 });
  });

  it('marks the keys that were removed', () => {
    expect(revise({ a: 1, b: 2 }, ['a', 'b'], 100, ['b'])).toEqual({ a: 100, b: -100 });
    expect(revise({ a: 100, b: -500 }, ['b'], 100)).toEqual({ a: 100, b: 501 });
  });

  it('of nothing is none', () => {
    const before = { a: 1 };
    expect(revise(before, [], 100)).toBe(before);
  });

  it('of everything keeps those keys as gone that are, in the same change or earlier, and no others', () => {
    const before = { kept: 1, back: -2, earlier: -3 };
    expect(revise(before, 'all', 100, ['earlier', 'now'])).toEqual({ earlier: -100, now: -100, '*': 100 });
  });

  it('of everything leaves a consumer of a key that is gone without it', () => {
    const revised = revise({ a: 1 }, 'all', 100, ['a']);
    expect(consumedRevision(revised, { whole: false, required: ['a', 'b'], optional: [] }).missing).toEqual(['a']);
  });

  it('of everything is one entry when the keys that are gone would not fit', () => {
    expect(Object.keys(revise({}, 'all', 100, longKeys(240)))).toHaveLength(241);
    expect(revise({}, 'all', 100, longKeys(260))).toEqual({ '*': 100 });
  });

  it('of everything is one entry for the whole Secret', () => {
    expect(revise({ a: 1, '*': 2 }, 'all', 100)).toEqual({ '*': 100 });
  });

  it('collapses to one entry when the record would be over 64 KiB', () => {
    expect(Object.keys(revise({}, longKeys(240), 100))).toHaveLength(240);
    expect(revise({}, longKeys(260), 100)).toEqual({ '*': 100 });
  });

  it('that collapses keeps those keys as gone that are, in the same change or earlier', () => {
    const changed = [...longKeys(260), 'now'];
    expect(revise({ earlier: -3, back: -2 }, changed, 100, ['earlier', 'now'])).toEqual({ earlier: -100, now: -100, '*': 100 });
  });

  it('that collapses is one entry when the keys that are gone would not fit either', () => {
    expect(revise({}, longKeys(260), 100, longKeys(260))).toEqual({ '*': 100 });
  });
});

describe('two records of one Secret', () => {
  it('are one, with the later revision of each key', () => {
    expect(latestOf({ a: 5, b: -3 }, { a: 4, b: 6, c: 1 })).toEqual({ a: 5, b: 6, c: 1 });
  });

  it.each<[string, Revisions, Revisions, Revisions]>([
    ['is back', { a: -5, '*': 5 }, { '*': 9 }, { '*': 9 }],
    ['is gone', { '*': 5 }, { a: -9, '*': 9 }, { a: -9, '*': 9 }],
    ['has changed since', { a: 12, '*': 5 }, { '*': 9 }, { a: 12, '*': 9 }],
  ])('say of a key what the later one for all keys says: it %s', (_, one, other, both) => {
    expect([latestOf(one, other), latestOf(other, one)]).toEqual([both, both]);
  });
});

describe('the keys that differ between two states of a Secret', () => {
  it.each([
    ['none', { a: '1' }, { a: '1' }, []],
    ['changed', { a: '1', b: '2' }, { a: '1', b: '3' }, ['b']],
    ['added', {}, { a: '1' }, ['a']],
    ['added without a value', {}, { a: '' }, ['a']],
    ['removed', { a: '1', b: '' }, { a: '1' }, ['b']],
    ['all kinds', { a: '1', b: '2' }, { b: '3', c: '4' }, ['b', 'c', 'a']],
  ])('%s', (_, before, after, changed) => {
    expect(changedKeys(data(before as Record<string, string>), data(after as Record<string, string>))).toEqual(changed);
  });
});

const second = 1_000;
const start = Date.UTC(2026, 0, 1);
const later = start + 60 * second;

interface Seen {
  readonly annotations: Readonly<Record<string, string>>;
  readonly writtenAt?: number;
}

/** A Secret with these revisions, as a write of ours left it then. */
function secret(revisions: Revisions, writtenAt?: number, noted?: string): Seen {
  const annotations = {
    'keyturn.dev/revisions': JSON.stringify(revisions),
    ...(noted !== undefined && { 'keyturn.dev/revised-at': noted }),
  };
  return { annotations, ...(writtenAt !== undefined && { writtenAt }) };
}

/** The Secret after one more write of ours. */
function rewritten(before: Seen, revisions: Revisions, writtenAt: number): Seen {
  const moved = latestRevision(revisions) > latestRevision(parseRevisions(before.annotations['keyturn.dev/revisions']));
  return secret(revisions, writtenAt, notedTimes(before, revisions, moved));
}

describe('the time at which a revision was written', () => {
  it('is that of our last write, for the latest one', () => {
    expect(revisedAt(secret({ user: start, password: -later }, later + second), later)).toBe(later + second);
  });

  it('is not known of an earlier one that nobody noted, nor without our last write', () => {
    expect(revisedAt(secret({ user: start, password: later }, later + second), start)).toBeUndefined();
    expect(revisedAt(secret({ user: start }), start)).toBeUndefined();
  });

  it('stays that of its own write, whatever is written later', () => {
    const first = secret({ user: start }, start + 8 * second);
    const touched = rewritten(first, { user: start }, start + 20 * second);
    const again = rewritten(touched, { user: start }, start + 40 * second);
    expect([touched, again].map((seen) => revisedAt(seen, start))).toEqual([start + 8 * second, start + 8 * second]);
  });

  it('stays for one key while another one changes', () => {
    const revised = rewritten(secret({ user: start }, start + 8 * second), { user: start, password: later }, later + second);
    expect([start, later].map((revision) => revisedAt(revised, revision))).toEqual([start + 8 * second, later + second]);
  });

  it('is noted of no revision that is gone', () => {
    expect(notedTimes(secret({ user: start }, start + second), { user: later }, true)).toBeUndefined();
  });

  it('is the revision itself, when a Secret comes back with its record', () => {
    expect(revisedAt(rewritten({ annotations: {} }, { user: start }, later), start)).toBe(later);
    const restored = secret({ user: start }, later, notedTimes({ annotations: {} }, { user: start }, false));
    expect(revisedAt(restored, start)).toBe(start);
  });

  it('is read from any annotation without an error', () => {
    expect(revisedAt(secret({ user: start }, start + second, '{"'), start)).toBe(start + second);
  });

  it('is noted of none when the notes would be over 64 KiB', () => {
    const times = (count: number): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [start + index, start + index])));
    const many = (count: number): Revisions =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, start + index]));
    expect(notedTimes(secret(many(2_000), start, times(2_000)), many(2_000), false)).toBe(times(2_000));
    expect(notedTimes(secret(many(2_400), start, times(2_400)), many(2_400), false)).toBeUndefined();
  });
});
