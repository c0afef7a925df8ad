import { describe, expect, it } from 'vitest';
import { secretKey } from '../../../src/domain/secret-key.ts';

describe('the key of a Secret for a label', () => {
  it.each([
    ['password', 'password'],
    ['DB_PASSWORD.v1-x', 'DB_PASSWORD.v1-x'],
    ['.hidden', '.hidden'],
    ['-_.', '-_.'],
    ['one time password', 'one-time-password'],
    ['a  &  b', 'a-b'],
    ['  spaces around  ', 'spaces-around'],
    ['(port)', 'port'],
    ['user/name', 'user-name'],
    ['Größe', 'Gr-e'],
    ['パスワード', ''],
    ['', ''],
    ['   ', ''],
    ['line\nbreak', 'line-break'],
    ['password\n', 'password'],
    ['.', ''],
    ['..', ''],
    ['..data', 'data'],
    ['é..data', 'data'],
    ['...', ''],
    ['a..b', 'a..b'],
    ['💥key💥', 'key'],
    ['__proto__', '__proto__'],
  ])('of %j is %j', (label, key) => {
    expect(secretKey(label)).toBe(key);
  });

  it('is cut at 253 characters', () => {
    expect(secretKey('k'.repeat(253))).toHaveLength(253);
    expect(secretKey('k'.repeat(254))).toBe('k'.repeat(253));
    expect(secretKey(` ${'é k'.repeat(200)}`)).toHaveLength(253);
  });
});
