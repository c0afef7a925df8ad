import { describe, expect, it } from 'vitest';
import { createContention } from '../../../src/controllers/contention.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const second = 1_000;
const minute = 60 * second;

/** Undone so many times, with a pause between. */
function undone(times: number, pause = second) {
  const clock = createFakeClock();
  const contention = createContention(clock);
  for (let count = 0; count < times; count += 1) {
    if (count > 0) clock.advance(pause);
    contention.undone('ns/db');
  }
  return { clock, contention };
}

describe('an object whose writes are undone', () => {
  it.each([
    ['four times', 4, second, false],
    ['five times within three minutes', 5, 44 * second, true],
    ['five times over more than three minutes', 5, 45 * second, false],
    ['ten times, each a while after the other', 10, 46 * second, false],
  ])('%s', (_, times, pause, contended) => {
    expect(undone(times, pause).contention.isContended('ns/db')).toBe(contended);
  });

  it('is tried at once until it is contended', () => {
    expect(undone(4).contention.pauseBeforeAttempt('ns/db')).toBe(0);
  });

  it('says nothing of others', () => {
    const { contention } = undone(5);
    expect([contention.isContended('ns/other'), contention.pauseBeforeAttempt('ns/other')]).toEqual([false, 0]);
  });
});

describe('a contended object', () => {
  it('is tried a minute after it became so', () => {
    const { clock, contention } = undone(5);
    const pauses = [contention.pauseBeforeAttempt('ns/db')];
    clock.advance(minute - 1);
    pauses.push(contention.pauseBeforeAttempt('ns/db'));
    clock.advance(1);
    pauses.push(contention.pauseBeforeAttempt('ns/db'));
    expect(pauses).toEqual([minute, 1, 0]);
  });

  it('is tried once a minute, however often it is looked at, and however late the attempt is undone', () => {
    const { clock, contention } = undone(5);
    const attempts: number[] = [];
    for (let passed = 5 * second; passed <= 5 * minute; passed += 5 * second) {
      clock.advance(5 * second);
      if (passed - (attempts.at(-1) ?? passed) === 10 * second) contention.undone('ns/db');
      if (contention.pauseBeforeAttempt('ns/db') === 0) attempts.push(passed);
    }
    expect(attempts).toEqual([1, 2, 3, 4, 5].map((minutes) => minutes * minute));
  });

  it('is one no longer when nothing was undone for three minutes', () => {
    const { clock, contention } = undone(5);
    clock.advance(3 * minute - 1);
    const before = contention.isContended('ns/db');
    clock.advance(1);
    expect([before, contention.isContended('ns/db'), contention.pauseBeforeAttempt('ns/db')]).toEqual([true, false, 0]);
  });

  it('begins anew when it is forgotten', () => {
    const { contention } = undone(5);
    contention.forget('ns/db');
    contention.undone('ns/db');
    expect([contention.isContended('ns/db'), contention.pauseBeforeAttempt('ns/db')]).toEqual([false, 0]);
  });
});
