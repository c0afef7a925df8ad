import { describe, expect, it } from 'vitest';
import { annotations } from '../../../src/api/names.ts';
import type { TemplateSeen, ValueChange } from '../../support/rollout-history.ts';
import { unaskedRolls } from '../../support/unasked-rolls.ts';

function change(at: bigint, revision: number, secret = 'db'): ValueChange {
  return { secret, at, revision };
}

function roll(at: bigint, known: object): TemplateSeen {
  return { at, annotations: { [annotations.knownRevisions]: JSON.stringify(known) } };
}

describe('a roll', () => {
  it.each([
    ['after a change', [change(1n, 10)], [roll(2n, { db: 10 })]],
    ['for several changes', [change(1n, 10), change(2n, 20)], [roll(3n, { db: 20 })]],
    ['for each of two changes', [change(1n, 10), change(3n, 20)], [roll(2n, { db: 10 }), roll(4n, { db: 20 })]],
    [
      'for a change that came when the roll before had set out',
      [change(1n, 10), change(2n, 20)],
      [roll(3n, { db: 10 }), roll(4n, { db: 20 })],
    ],
    ['for changes of two Secrets', [change(1n, 10), change(2n, 20, 'api')], [roll(3n, { db: 10 }), roll(4n, { db: 10, api: 20 })]],
  ])('is asked for %s', (_, changes, rolls) => {
    expect(unaskedRolls(rolls, changes)).toEqual([]);
  });

  it.each([
    ['nothing changed', [], [roll(1n, { db: 10 })], [1n]],
    ['it came before the change', [change(2n, 10)], [roll(1n, { db: 10 })], [1n]],
    ['it repeats another', [change(1n, 10)], [roll(2n, { db: 10 }), roll(3n, { db: 10 })], [3n]],
    ['the one before had merged two changes', [change(1n, 10), change(2n, 20)], [roll(3n, { db: 20 }), roll(4n, { db: 20 })], [4n]],
    ['it knows of nothing', [change(1n, 10)], [roll(2n, {})], [2n]],
    ['it knows of another Secret alone', [change(1n, 10)], [roll(2n, { api: 10 })], [2n]],
  ])('is not asked for when %s', (_, changes, rolls, unasked) => {
    expect(unaskedRolls(rolls, changes).map(({ at }) => at)).toEqual(unasked);
  });
});
