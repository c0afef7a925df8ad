import { describe, expect, it } from 'vitest';
import { createPace } from '../../../src/runtime/pace.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

describe('a pace', () => {
  it('gives the first a turn at once, and the others one after another', () => {
    const pace = createPace(createFakeClock(), 50);
    expect(['a', 'b', 'c'].map((key) => pace.waitFor(key))).toEqual([0, 50, 100]);
  });

  it('keeps the turn of a key that asks again', () => {
    const clock = createFakeClock();
    const pace = createPace(clock, 50);
    for (const key of ['a', 'b', 'c']) pace.waitFor(key);
    clock.advance(20);
    expect([pace.waitFor('c'), pace.waitFor('b')]).toEqual([80, 30]);
    clock.advance(30);
    expect(pace.waitFor('b')).toBe(0);
  });

  it('keeps turns apart that were missed together', () => {
    const clock = createFakeClock();
    const pace = createPace(clock, 50);
    const keys = ['a', 'b', 'c', 'd'];
    for (const key of keys) pace.waitFor(key);
    clock.advance(1_000);
    expect(keys.slice(1).map((key) => pace.waitFor(key))).toEqual([0, 50, 100]);
  });

  it('begins anew, but not sooner than the interval after the last turn', () => {
    const clock = createFakeClock();
    const pace = createPace(clock, 50);
    for (const key of ['a', 'b', 'c']) pace.waitFor(key);
    pace.reset();
    expect(pace.waitFor('d')).toBe(50);
  });
});
