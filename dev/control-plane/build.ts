import { readFile, readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { buildGoProgram, type BuildOptions } from '../tools/go-build.ts';
import { readAssets, type Binaries } from './binaries.ts';

/** A program of the Go module in this folder. */
interface Program {
  /** Begins the name of the built file. */
  readonly name: string;
  /** Folder of its package within the module. */
  readonly folder: string;
  /** As a sentence names it. */
  readonly title: string;
  /** How long the first build takes, and what it is for. */
  readonly notice: string;
  /** Its go.mod, when it is another one. */
  readonly modfile?: string;
}

const CONTROL_PLANE: Program = {
  name: 'control-plane',
  folder: '.',
  title: 'control plane',
  notice: 'for tests and demo: about 6 minutes on 2 cores, once',
};
const NODE: Program = {
  name: 'node',
  folder: 'node',
  title: 'kubelet and kube-proxy',
  notice: 'for a node with real pods: about 3 minutes on 2 cores after the control plane, once',
};

const MODULE = import.meta.dirname;
/** Go packages that both programs import. */
const SHARED = ['parent'];

/** Finds what to start a control plane from: `KUBEBUILDER_ASSETS`, else an earlier build, else a build now. */
export async function resolveBinaries(log: (line: string) => void): Promise<Binaries> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && assets !== '') return readAssets(assets);
  return { kind: 'built', file: await buildControlPlane({ log }) };
}

/**
 * Builds the control plane unless the same one was built before, and returns the program's path. With the variable `KUBERNETES`, such as `1.35`, it is
 * one of that minor version.
 *
 * @throws Error when Go is missing or too old, or there is no such version here, naming the cure, or with the compiler's complaint.
 */
export async function buildControlPlane(options: BuildOptions): Promise<string> {
  const minor = olderKubernetes(process.env, await readdir(MODULE));
  if (minor === undefined) return buildProgram(CONTROL_PLANE, options);
  // Under a name of its own neither build takes the other for an outdated one.
  return buildProgram({ ...CONTROL_PLANE, name: `${CONTROL_PLANE.name}-${minor}`, modfile: `go-${minor}.mod` }, options);
}

/** As `buildControlPlane`, of the newest version alone: the program with the roles `kubelet` and `proxy`. */
export function buildNode(options: BuildOptions): Promise<string> {
  return buildProgram(NODE, options);
}

/**
 * The minor version of Kubernetes that the variable `KUBERNETES` asks for; undefined for the one of go.mod.
 *
 * @param files names of files in this folder: each older version has a `go-1.x.mod`
 * @throws Error when there is no such version here
 */
export function olderKubernetes({ KUBERNETES = '' }: NodeJS.ProcessEnv, files: readonly string[]): string | undefined {
  if (KUBERNETES === '' || files.includes(`go-${KUBERNETES}.mod`)) return KUBERNETES || undefined;
  const minors = files.flatMap((name) => /^go-(\d+\.\d+)\.mod$/.exec(name)?.[1] ?? []);
  throw new Error(
    `KUBERNETES=${KUBERNETES}: dev/control-plane has no go.mod for it; set ${minors.join(' or ')}, or nothing for the newest`,
  );
}

async function buildProgram({ folder, ...program }: Program, options: BuildOptions): Promise<string> {
  const sources = await readSources(folder, program.modfile);
  const flags = buildFlags(kubernetesVersion(sources['go.mod'] ?? ''));
  const alternative = 'or set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver (setup-envtest makes one)';
  return buildGoProgram({ ...program, module: MODULE, main: `./${folder}`, flags, sources, alternative }, options);
}

/** Go's flags. Without `-X` the server reports a version that kubectl cannot parse; other flags would miss Go's own cache. */
export function buildFlags(version: string): readonly string[] {
  const [major = '', minor = ''] = version.replace(/^v/, '').split('.');
  const variables = Object.entries({ gitVersion: version, gitMajor: major, gitMinor: minor });
  const ldflags = ['-s -w', ...variables.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)].join(' ');
  return ['-mod=readonly', '-trimpath', `-ldflags=${ldflags}`];
}

/** The version of Kubernetes that a go.mod requires, such as `v1.36.3`. */
export function kubernetesVersion(goMod: string): string {
  const version = /^\s*(?:require\s+)?k8s\.io\/kubernetes\s+(v\d+\.\d+\.\d+\S*)/m.exec(goMod)?.[1];
  if (version === undefined) throw new Error('dev/control-plane/go.mod does not require k8s.io/kubernetes');
  return version;
}

async function readSources(folder: string, modfile = 'go.mod'): Promise<Readonly<Record<string, string>>> {
  const goFiles = (await Promise.all([folder, ...SHARED].map(listGoFiles))).flat();
  const [goMod, goSum, ...sources] = await Promise.all([modfile, modfile.replace(/mod$/, 'sum'), ...goFiles].map(readSource));
  return { 'go.mod': goMod?.[1] ?? '', 'go.sum': goSum?.[1] ?? '', ...Object.fromEntries(sources) };
}

async function listGoFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(join(MODULE, folder));
  return names.filter((name) => name.endsWith('.go')).map((name) => posix.join(folder, name));
}

async function readSource(name: string): Promise<[name: string, text: string]> {
  return [name, await readFile(join(MODULE, name), 'utf8')];
}
