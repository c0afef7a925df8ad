import { describe, expect, it } from 'vitest';
import { createRepeats } from '../../../src/controllers/repeats.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const minute = 60_000;
const hour = 60 * minute;

function setUp() {
  const clock = createFakeClock();
  const repeats = createRepeats(clock);
  /** Rolls the workload `x` so often for a change, as soon as that is allowed; gives the pauses after each. */
  const rollOften = (times: number, change = 'db 1'): number[] =>
    Array.from({ length: times }, () => {
      clock.advance(repeats.pause('x', change));
      repeats.add('x', change);
      return repeats.pause('x', change);
    });
  return {
    clock,
    rollOften,
    pause: (key: string, change: string) => repeats.pause(key, change),
    forget: (key: string) => repeats.forget(key),
  };
}

describe('a workload that has to be rolled for one change again and again', () => {
  it('may be at first, once more at once, and then after pauses from a minute on that double up to an hour', () => {
    const { rollOften, pause } = setUp();
    expect(pause('x', 'db 1')).toBe(0);
    expect(rollOften(10)).toEqual([0, ...[1, 2, 4, 8, 16, 32, 60, 60, 60].map((minutes) => minutes * minute)]);
  });

  it('may be as soon as the pause is over, and has not to wait for what passed of it', () => {
    const { rollOften, pause, clock } = setUp();
    rollOften(2);
    clock.advance(minute - 1);
    const before = pause('x', 'db 1');
    clock.advance(1);
    const after = pause('x', 'db 1');
    clock.advance(5 * hour);
    expect([before, after, pause('x', 'db 1')]).toEqual([1, 0, 0]);
  });

  it('begins anew with another change', () => {
    const { rollOften, pause } = setUp();
    rollOften(4);
    expect(pause('x', 'db 2')).toBe(0);
    expect(rollOften(2, 'db 2')).toEqual([0, minute]);
  });

  it('holds up no other workload', () => {
    const { rollOften, pause } = setUp();
    rollOften(4);
    expect(pause('y', 'db 1')).toBe(0);
  });

  it('begins anew when it was forgotten', () => {
    const { rollOften, forget, pause } = setUp();
    rollOften(4);
    forget('x');
    expect(pause('x', 'db 1')).toBe(0);
    expect(rollOften(1)).toEqual([0]);
  });
});
