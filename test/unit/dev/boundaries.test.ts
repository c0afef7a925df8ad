import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkBoundaries, readSources, type Violation } from '../../../dev/tools/boundaries.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

function check(files: Readonly<Record<string, string>>): readonly Violation[] {
  return checkBoundaries(new Map(Object.entries(files)));
}

function rules(files: Readonly<Record<string, string>>): readonly string[] {
  return check(files).map(({ rule, file, line }) => `${rule} ${file}:${line}`);
}

test('the repository keeps to its boundaries', async () => {
  const sources = await readSources(ROOT);
  expect(sources.size).toBeGreaterThan(0);
  expect(checkBoundaries(sources)).toEqual([]);
});

describe('direction', () => {
  test('allows what the design draws', () => {
    const allowed = {
      'src/main.ts': "import { a } from './operator.ts';\nimport { b } from './config.ts';",
      'src/operator.ts': "import { a } from './controllers/item.ts';\nimport { b } from './kube/client.ts';",
      'src/controllers/item.ts': "import { a } from '../domain/keys.ts';\nimport { b } from './report.ts';",
      'src/domain/keys.ts': "import { z } from 'zod';\nimport type { A } from '../api/item.ts';",
    };
    expect(check(allowed)).toEqual([]);
  });

  test.each([
    ['src/domain/a.ts', '../kube/b.ts'],
    ['src/api/a.ts', '../domain/b.ts'],
    ['src/runtime/a.ts', '../observability/b.ts'],
    ['src/connect/a.ts', '../kube/b.ts'],
    ['src/kube/a.ts', '../controllers/b.ts'],
    ['src/observability/a.ts', '../domain/b.ts'],
    ['src/config.ts', './connect/b.ts'],
    ['src/main.ts', './controllers/b.ts'],
    ['src/operator.ts', './main.ts'],
  ])('refuses %s importing %s', (file, specifier) => {
    expect(rules({ [file]: `\nimport { b } from '${specifier}';` })).toEqual([`direction ${file}:2`]);
  });

  test.each([
    ['a type', "import type { B } from '../kube/b.ts';"],
    ['several lines', "import {\n  b,\n  c,\n} from\n  '../kube/b.ts';"],
    ['a re-export', "export * from '../kube/b.ts';"],
    ['an import for its effect', "import '../kube/b.ts';"],
    ['a dynamic import', "const b = await import('../kube/b.ts');"],
    ['an import type', "let b: import('../kube/b.ts').B;"],
    ['an import inside a template', "const b = `${await import('../kube/b.ts')}`;"],
  ])('sees %s', (_, source) => {
    expect(check({ 'src/domain/a.ts': source }).map(({ rule }) => rule)).toEqual(['direction']);
  });

  test('does not see imports in comments and strings', () => {
    const source = "// import '../kube/b.ts'\n/* import '../kube/b.ts' */\nconst a = \"import x from '../kube/b.ts'\";";
    expect(check({ 'src/domain/a.ts': source })).toEqual([]);
  });
});

test('src imports nothing outside of src', () => {
  expect(rules({ 'src/kube/a.ts': "import '../../dev/control-plane/start.ts';\nimport '../../test/support/clock.ts';" })).toEqual([
    'outside src/kube/a.ts:1',
    'outside src/kube/a.ts:2',
  ]);
});

test('only the version is read from package.json', () => {
  const source = "import manifest from '../package.json' with { type: 'json' };";
  expect(rules({ 'src/version.ts': source, 'src/main.ts': source })).toEqual(['outside src/main.ts:1']);
});

test('a file that belongs to no part is refused', () => {
  expect(rules({ 'src/utils/a.ts': '', 'src/other.ts': '' })).toEqual(['layout src/utils/a.ts:1', 'layout src/other.ts:1']);
});

test('the pure parts import no package but zod, and domain no built-in', () => {
  const source = "import 'zod';\nimport 'zod/v4';\nimport 'undici';\nimport 'node:fs';\nimport 'path';";
  expect(rules({ 'src/domain/a.ts': source })).toEqual([
    'package src/domain/a.ts:3',
    'package src/domain/a.ts:4',
    'package src/domain/a.ts:5',
  ]);
  expect(rules({ 'src/api/a.ts': source })).toEqual(['package src/api/a.ts:3']);
  expect(rules({ 'src/kube/a.ts': source })).toEqual([]);
});

test('a computed import is refused', () => {
  expect(rules({ 'src/kube/a.ts': 'await import(name);\nawait import(`./${name}.ts`);' })).toEqual([
    'computed src/kube/a.ts:1',
    'computed src/kube/a.ts:2',
  ]);
});

describe('cycles', () => {
  test('are reported once for all their files', () => {
    const files = {
      'src/kube/a.ts': "import './b.ts';",
      'src/kube/b.ts': "import './c.ts';",
      'src/kube/c.ts': "import './a.ts';",
      'src/kube/d.ts': "import './a.ts';",
    };
    expect(check(files)).toEqual([
      { rule: 'cycle', file: 'src/kube/a.ts', line: 1, message: 'files import each other: src/kube/a.ts, src/kube/b.ts, src/kube/c.ts' },
    ]);
  });

  test('do not include files that meet again', () => {
    const files = { 'src/kube/a.ts': "import './b.ts';\nimport './c.ts';", 'src/kube/b.ts': "import './c.ts';", 'src/kube/c.ts': '' };
    expect(check(files)).toEqual([]);
  });

  test('include a file that imports itself', () => {
    expect(rules({ 'src/kube/a.ts': "import './a.ts';" })).toEqual(['cycle src/kube/a.ts:1']);
  });
});

describe('time and chance', () => {
  test.each([
    'Date.now()',
    'const now = Date.now;',
    'new Date()',
    'new Date',
    'setTimeout(f, 1)',
    'globalThis.setTimeout(f, 1)',
    'setInterval(f, 1)',
    'Math.random()',
    'performance.now()',
    'process.hrtime.bigint()',
    "import { setTimeout as sleep } from 'node:timers/promises';",
  ])('are not for the taking: %s', (source) => {
    expect(rules({ 'src/kube/a.ts': source })).toEqual(['ambient src/kube/a.ts:1']);
  });

  test.each(['new Date(0)', 'new Date(text)', 'clock.setTimeout(f, 1)', "'Date.now()'", '// Math.random()', 'Date.parse(text)'])(
    'are passed in: %s',
    (source) => {
      expect(check({ 'src/kube/a.ts': source })).toEqual([]);
    },
  );

  test('come from two files', () => {
    expect(check({ 'src/runtime/clock.ts': 'Date.now()', 'src/runtime/random.ts': 'Math.random()' })).toEqual([]);
  });
});
