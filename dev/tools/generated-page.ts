import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { ROOT } from './command.ts';

/** A page of the documentation that is made from the sources. */
export interface GeneratedPage {
  /** Path from the repository's root. */
  readonly page: string;
  /** Markdown, formatted or not. */
  readonly content: string;
  /** What it is made from, and the script of package.json that makes it. */
  readonly source: string;
  readonly script: string;
}

/** Writes the page; with `--check` on the command line it only compares, and a difference fails the process. */
export async function writePage(given: GeneratedPage): Promise<void> {
  const file = resolve(ROOT, given.page);
  writeFileAsIs({ ...given, content: await format(given.content, { ...(await resolveConfig(file)), filepath: file }) });
}

/** The same for a file that is no Markdown. */
export function writeFileAsIs({ page, content, source, script }: GeneratedPage): void {
  const file = resolve(ROOT, page);
  if (!process.argv.includes('--check')) {
    writeFileSync(file, content);
  } else if (!existsSync(file) || readFileSync(file, 'utf8') !== content) {
    console.error(`${page} differs from ${source}: run \`npm run ${script}\` and commit the result`);
    process.exitCode = 1;
  }
}

/** A table in Markdown. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const escaped = rows.map((cells) => cells.map((cell) => cell.replaceAll('|', '\\|')));
  return [head, head.map(() => '---'), ...escaped].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
