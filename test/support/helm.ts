import { execFile, type ExecFileException } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { TestContext } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { newRunDirectory } from './control-plane.ts';
import type { Rule } from './roles.ts';

export interface HelmResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a variable in a pod is set to. */
export interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: object;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly args?: readonly string[];
  readonly env?: readonly Variable[];
  readonly securityContext?: object;
}

/** The template of a pod, as far as tests look at it. */
export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes?: readonly { readonly name: string; readonly [source: string]: unknown }[];
    readonly [field: string]: unknown;
  };
}

/** An object of the chart, as far as any kind is looked at. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly Rule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly spec?: { readonly template?: PodTemplate; readonly [field: string]: unknown };
}

/** The chart of this repository. */
export const chart = resolve(import.meta.dirname, '../../helm/keyturn');
const bin = resolve(import.meta.dirname, '../../.cache/bin');
const DEADLINE_MS = 100_000;

/** The program: `HELM`, or what `dev/tools/build-go-tool.ts helm` has built. */
const program = process.env['HELM'] ?? (await built());

async function built(): Promise<string | undefined> {
  const names = await readdir(bin).catch(() => []);
  const name = names.find((one) => /^helm-[0-9a-f]{16}$/.test(one));
  return name === undefined ? undefined : join(bin, name);
}

/** Skips a test, with the reason, where there is no Helm. */
export function requireHelm(context: TestContext): void {
  context.skip(program === undefined, 'there is no Helm: run node dev/tools/build-go-tool.ts helm, or name one with HELM');
}

let folder: Promise<string> | undefined;

/** Runs Helm, which sees no settings of this machine. */
export async function helm(args: readonly string[], input = ''): Promise<HelmResult> {
  if (program === undefined) throw new Error('a test that runs Helm has to ask requireHelm first');
  // What it remembers of an API server must not outlive that: another may listen there next.
  const home = await (folder ??= newRunDirectory());
  const env = {
    HOME: home,
    HELM_CACHE_HOME: join(home, 'cache'),
    HELM_CONFIG_HOME: join(home, 'config'),
    HELM_DATA_HOME: join(home, 'data'),
  };
  return new Promise((done, fail) => {
    const options = { env, timeout: DEADLINE_MS, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(program, args, options, (error: ExecFileException | null, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') fail(new Error('Helm did not run to its end', { cause: error }));
      else done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
    // It may end before it has read everything; its exit code then tells why.
    child.stdin?.on('error', () => {}).end(input);
  });
}

/** What the chart makes of values, as release `keyturn` in a namespace. */
export function template(values: object, namespace = 'keyturn', ...args: readonly string[]): Promise<HelmResult> {
  return helm(['template', 'keyturn', chart, '--namespace', namespace, '--values', '-', ...args], stringify(values));
}

/** The same as objects, hooks among them. @throws Error with what Helm says when it refuses */
export async function render(values: object, namespace = 'keyturn'): Promise<readonly Manifest[]> {
  const { code, stdout, stderr } = await template(values, namespace);
  if (code !== 0) throw new Error(stderr);
  return manifestsOf(stdout);
}

/** @throws Error for YAML that is none, as with a key that is there twice */
export function manifestsOf(text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const manifest = document.toJS() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

/** The only object of a kind, or of a kind and name. */
export function only(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter((one) => one.kind === kind && (name === undefined || one.metadata.name === name));
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${found.length} objects are ${kind} ${name ?? ''}`);
  return first;
}

/** The template of the pods of a Deployment or Job. */
export function podOf(manifest: Manifest): PodTemplate {
  const pod = manifest.spec?.template;
  if (pod === undefined) throw new Error(`${manifest.kind} ${manifest.metadata.name} has no pods`);
  return pod;
}

/** The first container of it. */
export function containerOf(manifest: Manifest): Container {
  const [first] = podOf(manifest).spec.containers;
  if (first === undefined) throw new Error(`${manifest.kind} ${manifest.metadata.name} has no container`);
  return first;
}
