import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ROOT } from './command.ts';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/**
 * The licences of the packages that are part of a bundle, as one text.
 *
 * @param inputs the bundled files, from the repository's root
 * @throws Error for a package that comes without one: nobody may hand it on
 */
export async function licenseText(inputs: readonly string[]): Promise<string> {
  const folders = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []));
  const entries = await Promise.all([...folders].toSorted().map((folder) => licenseOf(resolve(ROOT, folder))));
  return `The operator is bundled with these packages.\n\n${entries.join('\n\n')}\n`;
}

async function licenseOf(folder: string): Promise<string> {
  const { name, version, license = 'license below' } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).toSorted();
  if (files.length === 0) throw new Error(`${name} ${version} comes without a licence: look for it, and decide whether it may be bundled`);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return [`== ${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join('\n\n');
}
