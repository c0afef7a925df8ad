import { readFile, readdir } from 'node:fs/promises';
import { posix, resolve, sep } from 'node:path';
import { ROOT } from './command.ts';
import { lineAt } from './source-text.ts';

/** Something that a page points to and that is not there. */
export interface DeadLink {
  /** Path from the repository's root, with `/`. */
  readonly page: string;
  readonly line: number;
  readonly message: string;
}

/** Places whose pages are other people's, or made by a build. */
const SKIPPED = new Set(['node_modules', '.cache', '.git', 'dist']);
/** A path in code is held to exist when it begins with one of these; in the sources `src/` may be left out. */
const PLACES = new Set(['src', 'dev', 'test', 'deploy', 'docs', 'examples', 'crds']);
const OUTSIDE = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i;

/**
 * Checks that what pages point to is there: every relative link a file or folder, every anchor a heading of its page, and every path of a source that
 * stands in code a file. Links in code are none.
 *
 * @param pages Markdown by path from the repository's root
 * @param files all files, pages and others, by such paths
 */
export function checkLinks(pages: ReadonlyMap<string, string>, files: ReadonlySet<string>): readonly DeadLink[] {
  const places = new Set([...files].flatMap(withFolders));
  return [...pages].flatMap(([page, text]) => [...deadLinks(page, text, pages, places), ...missingFiles(page, text, places)]);
}

/** `docs/a/b.md` → itself, `docs/a`, `docs`. */
function withFolders(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

function deadLinks(page: string, text: string, pages: ReadonlyMap<string, string>, places: ReadonlySet<string>): readonly DeadLink[] {
  const prose = withoutCode(text);
  const links = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g), ...prose.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$/gm)];
  return links.flatMap((match) => {
    const link = match[1] ?? '';
    if (OUTSIDE.test(link)) return [];
    const problem = problemOf(page, link, pages, places);
    return problem === undefined ? [] : [{ page, line: lineAt(prose, match.index), message: `${link}: ${problem}` }];
  });
}

/** Undefined when the link leads somewhere. */
function problemOf(page: string, link: string, pages: ReadonlyMap<string, string>, places: ReadonlySet<string>): string | undefined {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : posix.normalize(posix.join(posix.dirname(page), decodeURIComponent(path))).replace(/\/$/, '');
  if (!places.has(target)) return `there is no ${target}`;
  if (anchor === undefined) return undefined;
  const text = pages.get(target);
  if (text === undefined) return `${target} is no page with headings`;
  return anchorsOf(text).has(anchor) ? undefined : `${target} has no heading #${anchor}`;
}

/** What stands in inline code and looks like a file of the repository. */
function missingFiles(page: string, text: string, places: ReadonlySet<string>): readonly DeadLink[] {
  const prose = withoutFences(text);
  return [...prose.matchAll(/`([^`\n]+)`/g)].flatMap((match) => {
    const path = (match[1] ?? '').replace(/\/$/, '');
    if (!/^[\w.-]+(?:\/[\w.-]+)+$/.test(path)) return [];
    const isPlace = PLACES.has(path.slice(0, path.indexOf('/')));
    if (!isPlace && !path.endsWith('.ts')) return [];
    if (places.has(path) || places.has(`src/${path}`)) return [];
    return [{ page, line: lineAt(prose, match.index), message: `${path}: there is no such file` }];
  });
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(page: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutFences(page).matchAll(/^#{1,6}[ \t]+(.+?)[ \t]*#*$/gm)) {
    const slug = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Blocks between fences are blanked, line breaks kept. */
function withoutFences(page: string): string {
  return page.replaceAll(/^ {0,3}(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^ {0,3}\1[`~]*[ \t]*$|$(?![\s\S]))/gm, blanked);
}

function withoutCode(page: string): string {
  return withoutFences(page).replaceAll(/(`+)(?!`)[^\n]*?[^`\n]\1(?!`)/g, blanked);
}

function blanked(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}

/** All files of the repository, by path from its root. */
export async function listFiles(root: string): Promise<readonly string[]> {
  const entries = await readdir(root, { withFileTypes: true });
  const nested = await Promise.all(
    entries
      .filter((entry) => !SKIPPED.has(entry.name))
      .map(async (entry) => {
        if (!entry.isDirectory()) return [entry.name];
        const names = await readdir(resolve(root, entry.name), { recursive: true, withFileTypes: true });
        return names
          .filter((inner) => inner.isFile())
          .map((inner) =>
            resolve(inner.parentPath, inner.name)
              .slice(root.length + 1)
              .replaceAll(sep, '/'),
          );
      }),
  );
  return nested.flat();
}

async function main(): Promise<void> {
  const files = await listFiles(ROOT);
  const names = files.filter((file) => file.endsWith('.md')).toSorted();
  const pages = new Map(await Promise.all(names.map(async (name) => [name, await readFile(resolve(ROOT, name), 'utf8')] as const)));
  const dead = checkLinks(pages, new Set(files));
  for (const { page, line, message } of dead) console.log(`${page}:${line}: ${message}`);
  if (dead.length > 0 || pages.size === 0) process.exitCode = 1;
}

if (import.meta.main) await main();
