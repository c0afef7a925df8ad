import { format, inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SecretValue } from '../../../src/domain/secret-value.ts';

const canary = 'canary-7c1e';
const value = SecretValue.fromText(canary);
const forms = [canary, value.exposeBase64()];

describe('a value cannot be printed', () => {
  it.each<[string, () => string]>([
    ['JSON', () => JSON.stringify({ value, list: [value] })],
    ['a template', () => `x${value as unknown as string}`],
    ['adding it to text', () => 'x' + (value as unknown as string)],
    ['the inspector', () => inspect({ value, map: new Map([['k', value]]) }, { depth: null })],
    ['the inspector without our form', () => inspect(value, { customInspect: false, showHidden: true, getters: true })],
    ['the formats of the console', () => format('%s %o %O %j %d', value, value, value, value, value)],
    ['an error', () => inspect(new Error(String(value), { cause: value }))],
    ['an assertion', () => messageOf(() => expect(value).toBe(SecretValue.fromText('other')))],
    ['the names of its properties', () => JSON.stringify([Reflect.ownKeys(value), Object.entries(value)])],
    ['a clone', () => inspect(structuredClone(value))],
  ])('by %s', (_, print) => {
    for (const form of forms) expect(print()).not.toContain(form);
  });

  it('and says that it is one', () => {
    expect([JSON.stringify(value), String(value), inspect(value)]).toEqual(['"[secret]"', '[secret]', '[secret]']);
  });
});

describe('a value', () => {
  it.each([
    ['', 0],
    ['a', 1],
    ['ab', 2],
    ['abc', 3],
    ['パス', 6],
    ['💥', 4],
    ['line\n\0', 6],
  ])('of %j is %i bytes in base64, and back', (text, size) => {
    const made = SecretValue.fromText(text);
    expect(Buffer.from(made.exposeBase64(), 'base64').toString()).toBe(text);
    expect([made.byteLength, made.isEmpty]).toEqual([size, size === 0]);
    expect(made.equals(SecretValue.fromBase64(Buffer.from(text).toString('base64')))).toBe(true);
  });

  it('differs from another', () => {
    expect(value.equals(SecretValue.fromText('other'))).toBe(false);
  });

  it('takes the bytes of a view, not of the whole buffer', () => {
    expect(SecretValue.fromBytes(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)).exposeBase64()).toBe('AgM=');
  });

  it("is never in Node's shared buffer pool, which outlives its users", () => {
    // An operator in this process, for another test, may have switched it off.
    const { poolSize } = Buffer;
    Buffer.poolSize = 8 * 1024;
    onTestFinished(() => void (Buffer.poolSize = poolSize));
    const pool = Buffer.from(Buffer.from('-').buffer);
    const text = 'pooled-canary-55d0';
    const made = SecretValue.fromText(text);
    expect(SecretValue.fromBase64(made.exposeBase64()).byteLength).toBe(text.length);
    expect(pool.includes(text) || pool.includes(made.exposeBase64())).toBe(false);
    Buffer.from(text);
    expect(pool.includes(text)).toBe(true);
  });
});

function messageOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    return inspect(error);
  }
  throw new Error('it did not throw');
}
