/** `npm run benchmarks-page` writes the page and the charts of docs/benchmarks/ that its results.json yields; with --check it only compares. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ROOT } from '../../dev/tools/command.ts';
import { writeFileAsIs, writePage } from '../../dev/tools/generated-page.ts';
import { benchmarkFiles } from './page.ts';
import type { Result } from './result.ts';

const folder = 'docs/benchmarks';
const source = `${folder}/results.json`;

const results = JSON.parse(await readFile(resolve(ROOT, source), 'utf8')) as readonly Result[];
for (const [name, content] of benchmarkFiles(results)) {
  const page = { page: `${folder}/${name}`, content, source, script: 'benchmarks-page' };
  if (name.endsWith('.md')) await writePage(page);
  else writeFileAsIs(page);
}
