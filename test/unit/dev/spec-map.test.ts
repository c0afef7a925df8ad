import { describe, expect, test } from 'vitest';
import { checkSpecMap, testTitles } from '../../../dev/tools/spec-map.ts';

const file = 'test/unit/keys.test.ts';
const source = `
  import { cases } from './cases.ts';
  describe('a key', () => {
    it('is kept', () => {});
    it.each(['a label', 'it\\'s'])('is made (of %s)', () => {});
  });
  describe('a long key', () => {
    it.each(cases)('$name', () => {});
  });
`;
const cases = "export const cases = [{ name: 'is cut (at 253)' }];";
const sources = new Map([
  [file, source],
  ['test/unit/cases.ts', cases],
]);

function check(...lines: readonly string[]): readonly string[] {
  return checkSpecMap(lines.join('\n'), sources).map(({ line, message }) => `${line}: ${message}`);
}

const reference = (title: string, where = file): string => `  - \`${where}\`: \`${title}\``;

describe('a map', () => {
  test('without a gap is one whose promises each have a test', () => {
    expect(check('# Map', '', 'Some words.', '', '- Keys are kept,', '  as they are.', reference('a key > is kept'))).toEqual([]);
  });

  test('takes several tests for a promise', () => {
    expect(check('- Keys are kept.', reference('a key > is kept'), reference('a key > is lost'))).toEqual([
      `3: "Keys are kept.": ${file} has no test "a key > is lost"`,
    ]);
  });

  test('names the promise that has no test, with its line', () => {
    expect(check('# Map', '- One.', '- Two.', reference('a key > is kept'))).toEqual(['2: "One.": no test']);
  });

  test('names the promise whose test is missing, and the test that is proposed', () => {
    expect(check('- One.', '  - MISSING', '- Two.', `  - MISSING ${reference('x').slice(4)}`)).toEqual([
      '2: "One.": MISSING',
      `4: "Two.": MISSING \`${file}\`: \`x\``,
    ]);
  });

  test.each(['a key', 'is kept', 'a key > is', 'a key > is kept too', 'a key is kept'])('refuses "%s", which is no full title', (title) => {
    expect(check('- One.', reference(title))).toEqual([`2: "One.": ${file} has no test "${title}"`]);
  });

  test.each(['test/unit/none.test.ts', 'test/unit/cases.ts', 'unit/keys.test.ts'])('refuses %s, which is no file of tests', (where) => {
    expect(check('- One.', reference('a key > is kept', where))).toEqual([`2: "One.": there is no test file ${where}`]);
  });

  test.each(['a key > is kept', `${file}: a key > is kept`, `\`${file}\``])('refuses "%s", which is no reference', (text) => {
    expect(check('- One.', `  - ${text}`)).toEqual([`2: "One.": not a file and a title: ${text}`]);
  });

  test('without a promise is refused', () => {
    expect(check('# Map')).toEqual(['1: the map holds no promise']);
  });
});

describe('a title that is made of a table', () => {
  test.each(['a key > is made (of %s)', 'a long key > $name'])('is found as it is written: %s', (title) => {
    expect(check('- One.', reference(title))).toEqual([]);
  });

  test.each(['a key > is made (of a label)', "a key > is made (of it's)", 'a long key > is cut (at 253)'])(
    'is found by a row: %s',
    (title) => {
      expect(check('- One.', reference(title))).toEqual([]);
    },
  );

  test('is not found by a row that the table does not have', () => {
    expect(check('- One.', reference('a key > is made (of another)'))).toHaveLength(1);
  });
});

describe('the titles of tests', () => {
  test('have the titles around them in front', () => {
    expect(testTitles("describe('a', () => { describe(\"b\", () => { it('c', f); }); test('d', f); }); it(`e`, f);")).toEqual([
      'a > b > c',
      'a > d',
      'e',
    ]);
  });

  test.each([
    ["it.each([['x', (1)]])('a %s', f)"],
    ["it.each<[string, () => void]>([g('x')])('a %s', f)"],
    ["it.each(\n  tables['x'],\n)(\n  'a %s',\n  f)"],
    ["it.for(rows)('a %s', f)"],
    ["it.skipIf(g('x'))('a %s', f)"],
    ["test.concurrent('a %s', f)"],
    ["it('a %s', { timeout: 1 }, f)"],
  ])('are found in %s', (code) => {
    expect(testTitles(code)).toEqual(['a %s']);
  });

  test('have the title of a table of groups in front', () => {
    expect(testTitles("describe.each(['x'])('a %s', () => { it('b', f); });")).toEqual(['a %s > b']);
  });

  test.each([
    ["// it('a', f)"],
    ["const text = `it('a', f)`;"],
    ["it.skip('a', f)"],
    ["it.todo('a')"],
    ["it.fails('a', f)"],
    ["describe.skip('a', () => { it('b', f); })"],
    ["run.test('a')"],
    ["submit('a')"],
    ['it(title, f)'],
    ['it(`a ${b}`, f)'],
    ["describe('a', f)"],
  ])('are none in %s', (code) => {
    expect(testTitles(code)).toEqual([]);
  });
});
