import { describe, expect, it } from 'vitest';
import { editMark } from '../../chaos/history.ts';
import { merge, subtract } from '../../chaos/intervals.ts';
import {
  absenceAllowed,
  longestLack,
  secretsComeBack,
  secretsEqualItems,
  secretsStay,
  servedTime,
  warmUp,
} from '../../chaos/secret-invariants.ts';
import type { Violation } from '../../chaos/violation.ts';
import { story } from './made-up-history.ts';

const first = { password: 'one', user: 'me' };
const second = { password: 'two', user: 'me' };
const edited = { ...first, password: `${editMark}-1` };
const begun = () => story().item(first).resource().secret(first);
const details = (violations: readonly Violation[]) => violations.map(({ detail }) => detail);

describe('a Secret equals its item', () => {
  it('when it has what the item has now', () => {
    expect(secretsEqualItems(begun().item(second).secret(second).history())).toStrictEqual([]);
  });

  it('and not when it has what the item had before', () => {
    expect(details(secretsEqualItems(begun().item(second).history()))).toStrictEqual([
      'password#1 user#1 instead of password#2 user#1 (differs in password)',
    ]);
  });

  it('and not when it is gone, or lacks a key', () => {
    expect(details(secretsEqualItems(begun().noSecret().history()))).toStrictEqual(['there is none']);
    expect(secretsEqualItems(begun().secret({ user: 'me' }).history())).toHaveLength(1);
  });

  it('unless nobody wants it', () => {
    expect(secretsEqualItems(begun().noResource().noSecret().history())).toStrictEqual([]);
  });

  it('is told without values', () => {
    const [violation] = secretsEqualItems(begun().item(second).secret(edited).history());
    const lines = violation?.history?.() ?? [];
    expect(JSON.stringify([violation, lines])).not.toMatch(/one|two|EDITED-BY-HAND/);
    expect(lines.length).toBeGreaterThan(4);
  });
});

describe('a Secret stays whole', () => {
  it('while it is rotated, and while the client edits, empties and deletes it', () => {
    const told = begun().item(second).secret(second).client('edit-secret').secret(edited).secret(second);
    told.client('empty-secret').secret({}).secret(second).client('delete-secret').noSecret().secret(second, { uid: 'other' });
    told
      .client('create-secret')
      .secret({ password: `${editMark}-2` }, { uid: 'by hand' })
      .secret(second, { uid: 'by hand' });
    expect(secretsStay(told.noResource().noSecret().history())).toStrictEqual([]);
  });

  it('and not when it goes by itself', () => {
    expect(details(secretsStay(begun().noSecret().history()))).toStrictEqual([expect.stringMatching(/^gone at .*not by the client$/)]);
  });

  it('and it goes with its resource, as often as it was made for that', () => {
    expect(secretsStay(begun().noResource().noSecret().secret(first).noSecret().history())).toStrictEqual([]);
    expect(secretsStay(begun().noSecret().noResource().history())).toHaveLength(1);
    const anew = begun().noResource().noSecret().resource(undefined, 'new').secret(first, { uid: 'other', owner: 'new' }).noSecret();
    expect(secretsStay(anew.history())).toHaveLength(1);
  });

  it('and not when it is emptied by itself', () => {
    expect(details(secretsStay(begun().secret({}).history()))).toStrictEqual([expect.stringMatching(/^empty at .*not by the client$/)]);
  });

  it('and not when it goes twice for one request of the client', () => {
    const told = begun().client('delete-secret').noSecret().secret(first).noSecret();
    expect(secretsStay(told.history())).toHaveLength(1);
    expect(secretsStay(begun().client('delete-secret', 2).noSecret().secret(first).noSecret().history())).toStrictEqual([]);
  });

  it('and not when it goes long after the client deleted it, or before', () => {
    expect(secretsStay(begun().client('delete-secret').outage(60_000).noSecret().history())).toHaveLength(1);
    expect(secretsStay(begun().noSecret().outage(10).client('delete-secret').history())).toHaveLength(1);
  });

  it('and not when it has what its item never had', () => {
    expect(details(secretsStay(begun().secret({ password: 'of another item' }).history()))).toStrictEqual([
      expect.stringMatching(/^with what its item never held/),
    ]);
    expect(secretsStay(begun().secret({ password: 'one' }).history())).toHaveLength(1);
  });

  it('and an edit of the client explains no loss', () => {
    expect(secretsStay(begun().client('edit-secret').noSecret().history())).toHaveLength(1);
    expect(secretsStay(begun().client('edit-secret').secret({}).history())).toHaveLength(1);
  });
});

describe('a Secret comes back', () => {
  const long = warmUp + absenceAllowed + 1_500;

  it('soon when all answers', () => {
    const told = begun()
      .client('delete-secret')
      .noSecret()
      .calm(warmUp + 1_000)
      .secret(first);
    expect(secretsComeBack(told.history(), told.now)).toStrictEqual([]);
  });

  it('late when something does not answer', () => {
    const told = begun().client('delete-secret').noSecret().outage(600_000).secret(first);
    expect(secretsComeBack(told.history(), told.now)).toStrictEqual([]);
  });

  it('and not late when all answers', () => {
    const told = begun().client('delete-secret').noSecret().calm(long).secret(first);
    expect(details(secretsComeBack(told.history(), told.now))).toStrictEqual([expect.stringContaining(`${absenceAllowed + 1_500} ms`)]);
  });

  it('and not late when it was emptied, or never came', () => {
    const emptied = begun().client('empty-secret').secret({}).calm(long);
    expect(secretsComeBack(emptied.history(), emptied.now)).toHaveLength(1);
    const wanted = story().item(first).resource().calm(long);
    expect(secretsComeBack(wanted.history(), wanted.now)).toHaveLength(1);
  });

  it('where somebody wants it', () => {
    const told = begun().noResource().noSecret().calm(long);
    expect(secretsComeBack(told.history(), told.now)).toStrictEqual([]);
  });

  it('and the longest time is told', () => {
    // Each step takes a second, which nobody served.
    const told = begun()
      .client('delete-secret')
      .noSecret()
      .calm(warmUp + 1_500)
      .secret(first)
      .noSecret()
      .calm(warmUp + 700);
    expect(longestLack(told.history(), told.now)).toBe(1_500);
    const whole = begun().calm(long);
    expect(longestLack(whole.history(), whole.now)).toBe(0);
  });

  it('by the time that was served beyond the warm-up of each part', () => {
    const served = [
      { from: 0, to: warmUp + 100 },
      { from: 50_000, to: 50_000 + warmUp + 10 },
      { from: 90_000, to: 90_000 + warmUp - 1 },
    ];
    expect(servedTime(served, { from: 0, to: 100_000 })).toBe(110);
    expect(servedTime(served, { from: warmUp + 60, to: 100_000 })).toBe(50);
    expect(servedTime([{ from: 0, to: 100_000 }], { from: 40_000, to: 44_000 })).toBe(4_000);
  });

  it('also where the resource is written meanwhile', () => {
    const told = begun()
      .client('delete-secret')
      .noSecret()
      .calm(warmUp + 2_000);
    const history = told
      .resource('true')
      .calm(warmUp + 2_000)
      .resource('false')
      .history();
    expect(details(secretsComeBack(history, told.now))).toStrictEqual([expect.stringContaining('4000 ms')]);
  });
});

describe('intervals', () => {
  it('are merged, and taken from each other', () => {
    const some = merge([
      { from: 5, to: 7 },
      { from: 1, to: 2 },
      { from: 2, to: 3 },
      { from: 5, to: 6 },
    ]);
    expect(some).toStrictEqual([
      { from: 1, to: 3 },
      { from: 5, to: 7 },
    ]);
    expect(subtract({ from: 2, to: 6 }, some)).toStrictEqual([{ from: 3, to: 5 }]);
    expect(subtract({ from: 0, to: 8 }, some)).toStrictEqual([
      { from: 0, to: 1 },
      { from: 3, to: 5 },
      { from: 7, to: 8 },
    ]);
    expect(subtract({ from: 1, to: 2 }, some)).toStrictEqual([]);
  });
});
