import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../src/api/onepassword-item.ts';
import { type Readiness, withReady } from '../../../src/domain/conditions.ts';

const then = '2026-01-01T00:00:00Z';
const now = Date.parse('2026-02-03T04:05:06.789Z');
const synced: Readiness = { ready: true, reason: 'Synced', message: 'version 1' };
const missing: Readiness = { ready: false, reason: 'ItemNotFound', message: 'gone' };
const ready: Condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Synced',
  message: 'version 1',
  lastTransitionTime: then,
  observedGeneration: 1,
};

describe('the condition Ready', () => {
  it('begins with the time of now, in whole seconds', () => {
    expect(withReady([], missing, 2, now)).toEqual([
      {
        type: 'Ready',
        status: 'False',
        reason: 'ItemNotFound',
        message: 'gone',
        lastTransitionTime: '2026-02-03T04:05:06Z',
        observedGeneration: 2,
      },
    ]);
  });

  it('stays the very same array when nothing changed', () => {
    const conditions = [ready];
    expect(withReady(conditions, synced, 1, now)).toBe(conditions);
  });

  it.each<[string, Readiness, number, string]>([
    ['keeps its time when only the message changes', { ...synced, message: 'version 2' }, 1, then],
    ['keeps its time when only the generation changes', synced, 2, then],
    ['moves its time when the status changes', missing, 1, '2026-02-03T04:05:06Z'],
  ])('%s', (_, readiness, generation, time) => {
    const [condition] = withReady([ready], readiness, generation, now);
    expect(condition).toMatchObject({ message: readiness.message, observedGeneration: generation, lastTransitionTime: time });
  });

  it('keeps its time when only the reason changes', () => {
    const failed = withReady([], missing, 1, Date.parse(then));
    expect(withReady(failed, { ...missing, reason: 'VaultNotFound' }, 1, now)[0]).toMatchObject({
      reason: 'VaultNotFound',
      lastTransitionTime: then,
    });
  });

  it('completes a condition that the old operator wrote without reason or time', () => {
    const [condition] = withReady([{ type: 'Ready', status: 'True', lastTransitionTime: null }], synced, 1, now);
    expect(condition).toEqual({ ...ready, lastTransitionTime: '2026-02-03T04:05:06Z' });
  });

  it('leaves the conditions of others alone', () => {
    const other: Condition = { type: 'Other', status: 'Unknown' };
    expect(withReady([ready, other], missing, 1, now)).toContainEqual(other);
  });
});
