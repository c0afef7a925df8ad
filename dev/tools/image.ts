/** `make image` builds the image of the operator with the Dockerfile, by the first of docker, podman and buildah that is there. */
import { spawnSync } from 'node:child_process';
import { version } from '../../src/version.ts';
import { ROOT, runCommand } from './command.ts';

/** Programs that build Dockerfiles, and take the same arguments as far as we use them. */
export const builders = ['docker', 'podman', 'buildah'] as const;
export type Builder = (typeof builders)[number];

export interface ImageOptions {
  /** Default: the first that is installed. */
  readonly builder?: Builder;
  /** Name and tag. */
  readonly image: string;
  /** Values for ARG in the Dockerfile: images to build in and on. */
  readonly buildArguments?: Readonly<Record<string, string>>;
  /** More arguments of the builder. */
  readonly more?: readonly string[];
  /** More of its environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

const timeoutMs = 30 * 60_000;

/** Builds the image; the builder's output goes to ours. @throws Error when nothing can build it, or the builder failed */
export async function buildImage({
  builder = installedBuilder(),
  image,
  buildArguments = {},
  more = [],
  environment,
}: ImageOptions): Promise<void> {
  if (builder === undefined) throw new Error(`nothing here builds images: install one of ${builders.join(', ')}`);
  const all = { VERSION: version, REVISION: git('rev-parse', 'HEAD'), CREATED: git('log', '-1', '--format=%cI'), ...buildArguments };
  const given = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : ['--build-arg', `${name}=${value}`]));
  const result = await runCommand({
    file: builder,
    args: ['build', '--tag', image, ...given, ...more, '.'],
    timeoutMs,
    ...(environment && { env: environment }),
  });
  if (result.kind !== 'exited' || result.code !== 0) throw new Error(`${builder} could not build the image; its message is above`);
}

function installedBuilder(): Builder | undefined {
  return builders.find((name) => spawnSync(name, ['version'], { stdio: 'ignore' }).status === 0);
}

/** What git says, without its line break; nothing where this is no repository. */
function git(...args: readonly string[]): string {
  return spawnSync('git', [...args], { cwd: ROOT, encoding: 'utf8' }).stdout?.trim() ?? '';
}

async function main(): Promise<void> {
  const { BUILDER, BUILD_IMAGE, BASE_IMAGE, SOURCE } = process.env;
  const image = process.env['IMAGE'] || `keyturn:${version}`;
  if (BUILDER !== undefined && BUILDER !== '' && !builders.includes(BUILDER as Builder)) {
    throw new Error(`BUILDER has to be one of ${builders.join(', ')}`);
  }
  const buildArguments = Object.fromEntries(
    Object.entries({ BUILD_IMAGE, BASE_IMAGE, SOURCE }).flatMap(([name, value]) => (value ? [[name, value]] : [])),
  );
  await buildImage({ image, buildArguments, ...(BUILDER && { builder: BUILDER as Builder }) });
  console.log(`built ${image}`);
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    console.error((error as Error).message);
    process.exitCode = 1;
  });
}
