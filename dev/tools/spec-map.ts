import { readFile, readdir } from 'node:fs/promises';
import { posix, resolve, sep } from 'node:path';
import { ROOT } from './command.ts';
import { maskSource, type MaskedSource } from './source-text.ts';

/** Which tests keep which promise of the specification. */
export const SPEC_MAP = 'test/spec-map.md';

/** Something that keeps a promise from being shown by a test. */
export interface Gap {
  /** Of the map. */
  readonly line: number;
  readonly message: string;
}

/** A promise, and what the lines below it say of its tests. */
interface Row {
  readonly promise: string;
  readonly line: number;
  readonly references: { readonly text: string; readonly line: number }[];
}

/** A call of `describe`, `it` or `test` with a title that is written out. */
interface TitledCall {
  readonly title: string;
  readonly isTest: boolean;
  /** Offsets into the masked code: from the name of the function to the end of its arguments. */
  readonly start: number;
  readonly end: number;
}

/**
 * Checks that every promise of the map has a test. In the map a promise is a line `- text`, which may go on in indented lines; below
 * it stand its tests, one a line: ``  - `test/unit/a.test.ts`: `describe > title` ``. Where the title of a test is made of a table,
 * it may be given as it is written, `refuses %s`, or with strings that the file or one that it imports holds, `refuses a title`.
 *
 * @param sources the TypeScript files under test/ by path from the repository's root
 */
export function checkSpecMap(map: string, sources: ReadonlyMap<string, string>): readonly Gap[] {
  const rows = readRows(map);
  if (rows.length === 0) return [{ line: 1, message: 'the map holds no promise' }];
  return rows.flatMap(({ promise, line, references }) => {
    if (references.length === 0) return [{ line, message: `"${promise}": no test` }];
    return references.flatMap(({ text, line: place }) => {
      const problem = problemOf(text, sources);
      return problem === undefined ? [] : [{ line: place, message: `"${promise}": ${problem}` }];
    });
  });
}

function readRows(map: string): readonly Row[] {
  const rows: Row[] = [];
  for (const [index, text] of map.split('\n').entries()) {
    const line = index + 1;
    const promise = /^[-*] +(.*)$/.exec(text)?.[1];
    const reference = /^\s+[-*] +(.*)$/.exec(text)?.[1];
    if (promise !== undefined) rows.push({ promise, line, references: [] });
    else if (reference !== undefined) rows.at(-1)?.references.push({ text: reference, line });
  }
  return rows;
}

/** Undefined when the reference leads to a test. */
function problemOf(reference: string, sources: ReadonlyMap<string, string>): string | undefined {
  if (/^MISSING\b/.test(reference)) return reference;
  const [, file, title] = /^`([^`]+)`: `(.+)`$/.exec(reference) ?? [];
  if (file === undefined || title === undefined) return `not a file and a title: ${reference}`;
  const source = sources.get(file);
  if (source === undefined || !file.endsWith('.test.ts')) return `there is no test file ${file}`;
  const titles = testTitles(source);
  if (titles.includes(title)) return undefined;
  const strings = new Set(wordsOf(file, sources));
  return titles.some((written) => fills(title, written, strings)) ? undefined : `${file} has no test "${title}"`;
}

/** The strings of a file and of the test files that it imports: what the rows of its tables can be called. */
function wordsOf(file: string, sources: ReadonlyMap<string, string>): readonly string[] {
  const { strings } = maskSource(sources.get(file) ?? '');
  const imported = strings.filter((text) => text.startsWith('.')).map((text) => posix.join(posix.dirname(file), text));
  const others = imported.flatMap((path) => maskSource(sources.get(path) ?? '').strings);
  return [...strings, ...others].map(unescaped);
}

/** True when `title` is `written` with a string in the place of each placeholder, such as `%s` or `$name`. */
function fills(title: string, written: string, strings: ReadonlySet<string>): boolean {
  const parts = written.split(/%[sdifjoO]|\$[a-zA-Z_][\w.]*/);
  const pattern = new RegExp(`^${parts.map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')).join('(.+)')}$`);
  const [, ...given] = pattern.exec(title) ?? [];
  return given.length > 0 && given.every((text) => strings.has(text));
}

/**
 * The full titles of the tests in a source file, the titles around them in front: `a list > is read in pages`. Those that are
 * skipped or still to be written are none, nor are those whose title is not written out.
 */
export function testTitles(source: string): readonly string[] {
  const calls = findCalls(maskSource(source));
  return calls
    .filter(({ isTest }) => isTest)
    .map((test) =>
      calls
        .filter(({ start, end }) => start <= test.start && test.end <= end)
        .map(({ title }) => title)
        .join(' > '),
    );
}

function findCalls(source: MaskedSource): readonly TitledCall[] {
  const { code, strings } = source;
  const skipped: TitledCall[] = [];
  const calls = [...code.matchAll(/(?<![.\w$])(describe|it|test)((?:\.\w+)*)(?=\s*[<(])/g)].flatMap((match) => {
    const modifiers = (match[2] ?? '').split('.');
    const makesTable = modifiers.some((name) => ['each', 'for', 'runIf', 'skipIf'].includes(name));
    const first = skipTypeArguments(code, match.index + match[0].length);
    const open = makesTable ? code.indexOf('(', endOfParentheses(code, first)) : first;
    const string = /^\(\s*"§(\d+)"/.exec(code.slice(open))?.[1];
    if (string === undefined) return [];
    const call = {
      title: unescaped(strings[Number(string)] ?? ''),
      isTest: match[1] !== 'describe',
      start: match.index,
      end: endOfParentheses(code, open),
    };
    if (modifiers.some((name) => ['skip', 'todo', 'fails'].includes(name))) {
      skipped.push(call);
      return [];
    }
    return [call];
  });
  return calls.filter(({ start, end }) => !skipped.some((call) => call.start <= start && end <= call.end));
}

/** From behind a function's name to the parenthesis of its arguments. */
function skipTypeArguments(code: string, from: number): number {
  let depth = 0;
  for (let at = from; at < code.length; at += 1) {
    const character = code[at];
    if (character === '<') depth += 1;
    // The head of an arrow ends no type arguments.
    if (character === '>' && code[at - 1] !== '=') depth -= 1;
    if (character === '(' && depth === 0) return at;
  }
  return code.length;
}

/** The offset behind the parenthesis that closes the one at `open`. */
function endOfParentheses(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    if (code[at] === '(') depth += 1;
    if (code[at] === ')') depth -= 1;
    if (depth === 0) return at + 1;
  }
  return code.length;
}

/** A string as it reads, of one as it is written. */
function unescaped(written: string): string {
  return written.replaceAll(/\\(['"`\\$])/g, '$1');
}

async function readTests(root: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(resolve(root, 'test'), { recursive: true })).filter((name) => name.endsWith('.ts')).toSorted();
  const paths = names.map((name) => `test/${name.replaceAll(sep, '/')}`);
  return new Map(
    await Promise.all(paths.map(async (path): Promise<[string, string]> => [path, await readFile(resolve(root, path), 'utf8')])),
  );
}

async function main(): Promise<void> {
  const gaps = checkSpecMap(await readFile(resolve(ROOT, SPEC_MAP), 'utf8'), await readTests(ROOT));
  for (const { line, message } of gaps) console.log(`${SPEC_MAP}:${line}: ${message}`);
  if (gaps.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
