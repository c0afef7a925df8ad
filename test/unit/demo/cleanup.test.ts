import { describe, expect, it } from 'vitest';
import { createCleanup } from '../../../dev/demo/cleanup.ts';

describe('cleaning up', () => {
  it('undoes in the opposite order, whatever becomes of a part, and says what went wrong', async () => {
    const cleanup = createCleanup();
    const undone: string[] = [];
    cleanup.defer('first', async () => void undone.push('first'));
    cleanup.defer('second', () => Promise.reject(new Error('second will not go')));
    cleanup.defer('third', async () => void undone.push('third'));
    const parts: string[] = [];
    expect(await cleanup.run((part) => parts.push(part))).toEqual(['second will not go']);
    expect(parts).toEqual(['third', 'second', 'first']);
    expect(undone).toEqual(['third', 'first']);
  });

  it('knows what is left while it goes on', async () => {
    const cleanup = createCleanup();
    const left: (readonly string[])[] = [];
    for (const part of ['first', 'second']) cleanup.defer(part, async () => void left.push(cleanup.pending()));
    await cleanup.run(() => {});
    expect(left).toEqual([['second', 'first'], ['first']]);
    expect(cleanup.pending()).toEqual([]);
  });
});
