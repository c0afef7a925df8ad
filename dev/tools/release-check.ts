/** `make release-check TAG=v1.2.3` says whether that version can be released: one number everywhere, and everything has a place to go to. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { version } from '../../src/version.ts';
import { ROOT } from './command.ts';

type Places = Readonly<Record<string, string | undefined>>;

/** What a release is made of, as far as its number goes. */
export interface Release {
  /** Of Git: `v1.2.3`. */
  readonly tag: string;
  /** Of package.json, which the program tells. */
  readonly version: string;
  /** What stands elsewhere, by the place. */
  readonly elsewhere: Places;
  /** The image that is published, with its registry and without a tag; undefined where that is not known. */
  readonly image: string | undefined;
  /** Which image those run who say nothing about it, by the place. */
  readonly images: Places;
  /** Markdown, a heading for each version. */
  readonly changelog: string;
}

/** Every problem in a sentence; none when the release is sound. */
export function releaseProblems({ tag, version: own, elsewhere, image, images, changelog }: Release): readonly string[] {
  const headings = [...changelog.matchAll(/^## \[([^\]]+)\]/gm)].map((match) => match[1]);
  return [
    ...(tag === `v${own}` ? [] : [`the tag is ${tag}, and package.json has ${own}: tag v${own}, or set the version in package.json`]),
    ...otherThan(own, elsewhere),
    ...(image === undefined ? [] : otherThan(image, images)),
    ...(headings.includes(own) ? [] : [`CHANGELOG.md has no heading "## [${own}]": give what is unreleased that heading`]),
  ];
}

function otherThan(wanted: string, places: Places): readonly string[] {
  return Object.entries(places).flatMap(([place, held]) => (held === wanted ? [] : [`${place} is ${held}: set it to ${wanted}`]));
}

/** Names of variables that have no value. */
export function unset(names: readonly string[], environment: NodeJS.ProcessEnv): readonly string[] {
  return names.filter((name) => (environment[name] ?? '') === '');
}

function read(file: string): Promise<string> {
  return readFile(resolve(ROOT, file), 'utf8');
}

async function readYaml(file: string): Promise<unknown> {
  return parse(await read(file));
}

async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const chart = (await readYaml('helm/keyturn/Chart.yaml')) as { readonly version?: string; readonly appVersion?: string };
  const base = (await readYaml('deploy/base/kustomization.yaml')) as {
    readonly images?: readonly { readonly newName?: string; readonly newTag?: string }[];
  };
  const values = (await readYaml('helm/keyturn/values.yaml')) as {
    readonly operator?: { readonly image?: { readonly repository?: string } };
  };
  const images = {
    'operator.image.repository in helm/keyturn/values.yaml': values.operator?.image?.repository,
    'newName in deploy/base/kustomization.yaml': base.images?.[0]?.newName,
  };
  const missing = unset(['REGISTRY', 'IMAGE_REPOSITORY', 'CHART_REPOSITORY'], process.env);
  const image = missing.length > 0 ? undefined : `${process.env['REGISTRY']}/${process.env['IMAGE_REPOSITORY']}`;
  const elsewhere = {
    'version in helm/keyturn/Chart.yaml': chart.version,
    'appVersion in helm/keyturn/Chart.yaml': chart.appVersion,
    'newTag in deploy/base/kustomization.yaml': base.images?.[0]?.newTag,
  };
  const changelog = await read('CHANGELOG.md');
  const problems = [
    ...releaseProblems({ tag: positionals[0] ?? '', version, elsewhere, image, images, changelog }),
    ...missing.map((name) => `the variable ${name} is not set: see docs/release-checklist.md`),
  ];
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
