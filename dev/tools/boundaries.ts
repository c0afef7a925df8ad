import { readFile, readdir } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { posix, resolve, sep } from 'node:path';
import { lineAt, maskSource, type MaskedSource } from './source-text.ts';

/** One breach of the architecture. */
export interface Violation {
  readonly rule: 'layout' | 'direction' | 'outside' | 'package' | 'cycle' | 'computed' | 'ambient';
  /** Path from the repository's root, with `/`. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** What each part of src/ may import besides itself (design: imports point one way). */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  main: ['operator', 'plan', 'doctor', 'crd', 'check-credentials', 'config', 'kube', 'observability', 'runtime', 'version', 'api'],
  operator: ['version', 'config', 'controllers', 'domain', 'connect', 'kube', 'runtime', 'observability', 'api'],
  plan: ['version', 'config', 'controllers', 'domain', 'connect', 'kube', 'runtime', 'observability', 'api'],
  doctor: ['version', 'config', 'domain', 'connect', 'kube', 'runtime', 'api'],
  crd: ['version', 'kube', 'runtime', 'api'],
  'check-credentials': ['config', 'domain'],
  config: ['domain', 'runtime', 'api'],
  controllers: ['domain', 'connect', 'kube', 'runtime', 'observability', 'api'],
  connect: ['domain', 'runtime', 'api'],
  kube: ['domain', 'runtime', 'api'],
  observability: ['runtime', 'api'],
  runtime: ['api'],
  domain: ['api'],
  version: [],
  api: [],
};

/** The one file outside of src/ that a part may read. */
const ALLOWED_OUTSIDE: Readonly<Record<string, string>> = { 'src/version.ts': 'package.json' };

/** The parts that decide and describe: pure, so that they need nothing but a schema library. */
const PURE_PARTS = new Set(['domain', 'api']);
const PURE_PACKAGES = new Set(['zod']);

/** The only files that may ask the machine for the time or for chance; all others are passed them. */
const AMBIENT_FILES = new Set(['src/runtime/clock.ts', 'src/runtime/event-loop-lag.ts', 'src/runtime/random.ts']);
const AMBIENT: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\bDate\.now\b/g, 'Date.now'],
  [/\bnew\s+Date\b(?!\s*\(\s*[^)\s])/g, 'new Date()'],
  [/(?:(?<![.\w$])|\bglobal(?:This)?\.)setTimeout\s*\(/g, 'setTimeout'],
  [/(?:(?<![.\w$])|\bglobal(?:This)?\.)setInterval\s*\(/g, 'setInterval'],
  [/\bMath\.random\b/g, 'Math.random'],
  [/\bperformance\.now\b/g, 'performance.now'],
  [/\bprocess\.hrtime\b/g, 'process.hrtime'],
];

interface Import {
  readonly specifier: string;
  readonly line: number;
}

/**
 * Checks source files against the architecture.
 *
 * @param files contents by path from the repository's root, such as `src/domain/keys.ts`
 */
export function checkBoundaries(files: ReadonlyMap<string, string>): readonly Violation[] {
  const violations: Violation[] = [];
  const graph = new Map<string, readonly string[]>();
  for (const [file, text] of files) {
    const source = maskSource(text);
    const imports = findImports(source);
    violations.push(
      ...checkLayout(file),
      ...imports.flatMap((found) => checkImport(file, found)),
      ...checkComputedImports(file, source),
      ...checkAmbient(file, source, imports),
    );
    graph.set(
      file,
      imports.filter(isRelative).map(({ specifier }) => target(file, specifier)),
    );
  }
  return [...violations, ...findCycles(graph)];
}

/** The module specifiers of a file: import, export from, import for its effect, import(), import types. */
function findImports(source: MaskedSource): readonly Import[] {
  const patterns = [/\bfrom\s*"§(\d+)"/g, /\bimport\s*"§(\d+)"/g, /(?<![.\w$])import\s*\(\s*"§(\d+)"/g];
  return patterns.flatMap((pattern) =>
    [...source.code.matchAll(pattern)].map((match) => ({
      specifier: source.strings[Number(match[1])] ?? '',
      line: lineAt(source.code, match.index),
    })),
  );
}

function isRelative({ specifier }: Import): boolean {
  return specifier.startsWith('.');
}

function target(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier);
}

/** `src/domain/keys.ts` → `domain`, `src/main.ts` → `main`; undefined outside src/. */
function partOf(file: string): string | undefined {
  return /^src\/([^/]+?)(?:\.ts$|\/)/.exec(file)?.[1];
}

function checkLayout(file: string): readonly Violation[] {
  const part = partOf(file);
  if (part !== undefined && part in ALLOWED) return [];
  return [{ rule: 'layout', file, line: 1, message: 'belongs to no part that the architecture names' }];
}

function checkImport(file: string, found: Import): readonly Violation[] {
  const { line } = found;
  const from = partOf(file) ?? '';
  if (!isRelative(found)) return checkPackage(file, from, found);
  const path = target(file, found.specifier);
  if (ALLOWED_OUTSIDE[file] === path) return [];
  const to = partOf(path);
  if (to === undefined) return [{ rule: 'outside', file, line, message: `imports ${found.specifier}, which is outside src/` }];
  if (to === from || !(from in ALLOWED) || ALLOWED[from]?.includes(to) === true) return [];
  return [{ rule: 'direction', file, line, message: `${from} must not import ${to} (${found.specifier})` }];
}

function checkPackage(file: string, from: string, { specifier, line }: Import): readonly Violation[] {
  if (!PURE_PARTS.has(from) || PURE_PACKAGES.has(specifier.split('/')[0] ?? '')) return [];
  if (isBuiltin(specifier)) {
    return from === 'domain' ? [{ rule: 'package', file, line, message: `domain is pure and must not import ${specifier}` }] : [];
  }
  return [{ rule: 'package', file, line, message: `${from} may import no package but ${[...PURE_PACKAGES].join(', ')}, not ${specifier}` }];
}

function checkComputedImports(file: string, source: MaskedSource): readonly Violation[] {
  return [...source.code.matchAll(/(?<![.\w$])import\s*\((?!\s*"§\d+"\s*[,)])/g)].map((match) => ({
    rule: 'computed',
    file,
    line: lineAt(source.code, match.index),
    message: 'imports a computed name, which no check can follow',
  }));
}

function checkAmbient(file: string, source: MaskedSource, imports: readonly Import[]): readonly Violation[] {
  if (AMBIENT_FILES.has(file)) return [];
  const calls = AMBIENT.flatMap(([pattern, name]) =>
    [...source.code.matchAll(pattern)].map((match) => ({ name, line: lineAt(source.code, match.index) })),
  );
  const timers = imports
    .filter(({ specifier }) => /^(?:node:)?(?:timers(?:\/promises)?|perf_hooks)$/.test(specifier))
    .map(({ specifier, line }) => ({ name: specifier, line }));
  return [...calls, ...timers].map(({ name, line }) => ({
    rule: 'ambient',
    file,
    line,
    message: `uses ${name}; time and chance are passed in (src/runtime/clock.ts)`,
  }));
}

/** One violation for each group of files that import each other, by Tarjan's strongly connected components. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): readonly Violation[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: Violation[] = [];

  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.size - 1);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) visit(next);
      else if (!stack.includes(next)) continue;
      low.set(file, Math.min(low.get(file) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1 || graph.get(file)?.includes(file) === true) {
      cycles.push({ rule: 'cycle', file, line: 1, message: `files import each other: ${group.toSorted().join(', ')}` });
    }
  };

  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return cycles;
}

/** Reads all TypeScript files under src/. */
export async function readSources(root: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(resolve(root, 'src'), { recursive: true })).filter((name) => name.endsWith('.ts')).toSorted();
  const paths = names.map((name) => `src/${name.replaceAll(sep, '/')}`);
  return new Map(
    await Promise.all(paths.map(async (path): Promise<[string, string]> => [path, await readFile(resolve(root, path), 'utf8')])),
  );
}

async function main(): Promise<void> {
  const files = await readSources(resolve(import.meta.dirname, '../..'));
  const violations = checkBoundaries(files);
  for (const { file, line, rule, message } of violations) console.log(`${file}:${line}: ${rule}: ${message}`);
  if (files.size === 0) console.log('src/ holds no TypeScript');
  if (violations.length > 0 || files.size === 0) process.exitCode = 1;
}

if (import.meta.main) await main();
