import { describe, expect, test } from 'vitest';
import { lineAt, maskSource } from '../../../dev/tools/source-text.ts';

describe('maskSource', () => {
  test('blanks comments and keeps their line breaks', () => {
    expect(maskSource('a; // it\'s "x"\n/* b\n */ c').code).toBe('a;  \n \n c');
  });

  test('takes strings of each kind out', () => {
    const masked = maskSource('f(\'a\', "b\\"c", `d\ne`)');
    expect(masked.code).toBe('f("§0", "§1", "§2"\n)');
    expect(masked.strings).toEqual(['a', 'b\\"c', 'd\ne']);
  });

  test('keeps the code of substitutions, nested ones too', () => {
    expect(maskSource('`a${f({ b: `c${d}` })}e` + g').code).toBe('(f({ b: (d) })) + g');
  });

  test('tells a regular expression from a division', () => {
    expect(maskSource('a = /["\'/*]/.test(b); c = d / e; // f').code).toBe('a = /§/.test(b); c = d / e;  ');
    expect(maskSource("return /'/; x(1) / y; '/'").code).toBe('return /§/; x(1) / y; "§0"');
  });

  test('is at its end with a string or template left open', () => {
    expect(maskSource("a = 'b\nc").code).toContain('c');
    expect(maskSource('a = `b${c').code).toContain('c');
  });
});

test('lineAt counts from 1', () => {
  expect([0, 1, 2].map((offset) => lineAt('a\nb', offset))).toEqual([1, 1, 2]);
});
