import { describe, expect, it } from 'vitest';
import { DeadlineError, orAbort, until } from '../../../dev/demo/until.ts';

const { signal } = new AbortController();

describe('waiting', () => {
  it('looks until there is something, past errors', async () => {
    const looks = [() => Promise.reject(new Error('not yet')), async () => ({ seen: 'nothing' }), async () => ({ found: 7 })];
    expect(await until('seven', { deadlineMs: 5_000, signal }, () => looks.shift()?.() ?? Promise.reject(new Error('too often')))).toBe(7);
  });

  it('ends at the deadline with what was seen last', async () => {
    const waiting = until('seven', { deadlineMs: 0, signal }, async () => ({ seen: 'six' }));
    await expect(waiting).rejects.toThrow(new DeadlineError('waited 0 s for seven; seen last: six'));
  });

  it('ends with the reason of an abort', async () => {
    const stop = new AbortController();
    const waiting = until('seven', { deadlineMs: 5_000, signal: stop.signal }, async () => {
      stop.abort(new Error('the operator ended'));
      return { seen: 'six' };
    });
    await expect(waiting).rejects.toThrow('the operator ended');
  });

  it('leaves work that goes on when it is aborted', async () => {
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<number>();
    const waiting = orAbort(promise, stop.signal);
    stop.abort(new Error('interrupted'));
    await expect(waiting).rejects.toThrow('interrupted');
    resolve(7);
    expect(await orAbort(promise, signal)).toBe(7);
  });
});
