import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, posix, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { startProgress, type ProgressSink } from '../tools/progress.ts';
import { isAlive } from './alive.ts';
import { readAssets, type Binaries } from './binaries.ts';
import { waitFor } from './wait.ts';

/** All that decides what the build produces. */
export interface BuildInputs {
  readonly goVersion: string;
  readonly flags: readonly string[];
  /** Contents of go.mod, go.sum and the Go sources, by file name. */
  readonly sources: Readonly<Record<string, string>>;
}

/** Where to say what goes on. */
export interface BuildOptions {
  readonly log: (line: string) => void;
  /** Default: a line through `log` every ten seconds. */
  readonly progress?: ProgressSink;
}

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
const CACHE = resolve(MODULE, '../../.cache/bin');
/** Go packages that both programs import. */
const SHARED = ['parent'];
const LOCK_DEADLINE_MS = 40 * 60_000;
const ALTERNATIVE = 'or set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver (setup-envtest makes one)';

const run = promisify(execFile);

/** Finds what to start a control plane from: `KUBEBUILDER_ASSETS`, else an earlier build, else a build now. */
export async function resolveBinaries(log: (line: string) => void): Promise<Binaries> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && assets !== '') return readAssets(assets);
  return { kind: 'built', file: await buildControlPlane({ log }) };
}

/**
 * Builds the control plane unless the same one was built before, and returns the program's path.
 *
 * @throws Error when Go is missing or too old, naming the cure, or with the compiler's complaint.
 */
export function buildControlPlane(options: BuildOptions): Promise<string> {
  return buildProgram(CONTROL_PLANE, options);
}

/** As `buildControlPlane`: the program with the roles `kubelet` and `proxy`. */
export function buildNode(options: BuildOptions): Promise<string> {
  return buildProgram(NODE, options);
}

async function buildProgram(program: Program, options: BuildOptions): Promise<string> {
  const sources = await readSources(program);
  const flags = buildFlags(kubernetesVersion(sources['go.mod'] ?? ''));
  const hash = buildHash({ goVersion: await goVersion(sources['go.mod'] ?? ''), flags, sources });
  const target = join(CACHE, `${program.name}-${hash}`);
  if (await exists(target)) return target;
  await mkdir(CACHE, { recursive: true });
  return withLock(`${target}.lock`, program, options.log, async () => {
    if (!(await exists(target))) await build(program, target, flags, options);
    return target;
  });
}

/** Go's flags. Without `-X` the server reports a version that kubectl cannot parse; other flags would miss Go's own cache. */
export function buildFlags(version: string): readonly string[] {
  const [major = '', minor = ''] = version.replace(/^v/, '').split('.');
  const variables = Object.entries({ gitVersion: version, gitMajor: major, gitMinor: minor });
  const ldflags = ['-s -w', ...variables.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)].join(' ');
  return ['-mod=readonly', '-trimpath', `-ldflags=${ldflags}`];
}

/** The name of a build: any change of an input changes it. */
export function buildHash(inputs: BuildInputs): string {
  const hash = createHash('sha256').update(JSON.stringify([inputs.goVersion, inputs.flags]));
  for (const name of Object.keys(inputs.sources).toSorted()) hash.update(JSON.stringify([name, inputs.sources[name]]));
  return hash.digest('hex').slice(0, 16);
}

/** The version of Kubernetes that a go.mod requires, such as `v1.36.3`. */
export function kubernetesVersion(goMod: string): string {
  const version = /^\s*(?:require\s+)?k8s\.io\/kubernetes\s+(v\d+\.\d+\.\d+\S*)/m.exec(goMod)?.[1];
  if (version === undefined) throw new Error('dev/control-plane/go.mod does not require k8s.io/kubernetes');
  return version;
}

async function readSources(program: Program): Promise<Readonly<Record<string, string>>> {
  const goFiles = (await Promise.all([program.folder, ...SHARED].map(listGoFiles))).flat();
  return Object.fromEntries(await Promise.all(['go.mod', 'go.sum', ...goFiles].map(readSource)));
}

async function listGoFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(join(MODULE, folder));
  return names.filter((name) => name.endsWith('.go')).map((name) => posix.join(folder, name));
}

async function readSource(name: string): Promise<[name: string, text: string]> {
  return [name, await readFile(join(MODULE, name), 'utf8')];
}

async function goVersion(goMod: string): Promise<string> {
  const needed = /^go (\S+)/m.exec(goMod)?.[1] ?? '';
  try {
    const { stdout } = await run('go', ['version'], { cwd: MODULE });
    return stdout.trim();
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const problem = missing ? 'Go is not installed' : `Go is too old or broken (${((error as { stderr?: string }).stderr ?? '').trim()})`;
    throw new Error(`${problem}: install Go ${needed} or newer from https://go.dev/dl, ${ALTERNATIVE}`, { cause: error });
  }
}

async function build(program: Program, target: string, flags: readonly string[], options: BuildOptions): Promise<void> {
  const began = performance.now();
  options.log(`building the ${program.title} ${program.notice}`);
  await downloadModules(options);
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await compile(program, temporary, flags, options);
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
  await removeOlder(program, target);
  options.log(`${program.title} built in ${Math.round((performance.now() - began) / 1000)} s`);
}

async function downloadModules(options: BuildOptions): Promise<void> {
  const goMod = await readFile(join(MODULE, 'go.mod'), 'utf8');
  const total = goMod.match(/^\t\S+ v\S+/gm)?.length ?? 0;
  let done = 0;
  await runGo(['mod', 'download', '-x'], 'Go modules', options, {
    count: (line) => {
      if (/^# get .*\.zip: 200 /.test(line)) done++;
      return [done, total];
    },
    isNoise: (line) => line.startsWith('#') || line.startsWith('mkdir') || line.startsWith('cp '),
  });
}

async function compile(program: Program, output: string, flags: readonly string[], options: BuildOptions): Promise<void> {
  const main = `./${program.folder}`;
  const total = await countStale(main, flags);
  let done = 0;
  await runGo(['build', '-v', ...flags, '-o', output, main], 'compiling', options, {
    count: () => [++done, total],
    isNoise: (line) => /^[\w.~/-]+$/.test(line),
  });
}

/** How many packages the compiler will have to work on, as Go's build cache stands. */
async function countStale(main: string, flags: readonly string[]): Promise<number> {
  const { stdout } = await run('go', ['list', '-deps', ...flags, '-f', '{{if .Stale}}{{.StaleReason}}{{end}}', main], {
    cwd: MODULE,
    env: goEnvironment(),
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout.split('\n').filter((reason) => reason !== '' && !reason.includes('available in build cache')).length;
}

/** How to read what a Go command prints on stderr. */
interface OutputReader {
  /** Called for each line; returns done and total. */
  readonly count: (line: string) => readonly [number, number];
  /** Lines that tell of progress, not of errors. */
  readonly isNoise: (line: string) => boolean;
}

async function runGo(args: readonly string[], label: string, options: BuildOptions, reader: OutputReader): Promise<void> {
  const progress = startProgress(label, options.progress ?? { kind: 'lines', log: options.log });
  const complaints: string[] = [];
  try {
    const child = spawn('go', args, { cwd: MODULE, env: goEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (!reader.isNoise(line)) complaints.push(line);
      progress.update(...reader.count(line));
    });
    const code = await new Promise<number | null>((done, fail) => {
      child.once('error', fail);
      child.once('close', done);
    });
    if (code !== 0) throw new Error(`go ${args[0] ?? ''} failed:\n${complaints.slice(-30).join('\n')}`);
  } finally {
    progress.end();
  }
}

function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, CGO_ENABLED: '0' };
}

async function removeOlder(program: Program, target: string): Promise<void> {
  const built = new RegExp(`^${program.name}-[0-9a-f]{16}$`);
  const old = (await readdir(CACHE)).filter((name) => built.test(name) && join(CACHE, name) !== target);
  await Promise.all(old.map((name) => rm(join(CACHE, name), { force: true })));
}

/**
 * Runs `work` while holding a lock file that names our process; waits for another holder that lives. Two that find the
 * same dead holder at once may both go on: they build the same file twice, each under a name of its own, and rename.
 */
async function withLock<T>(lock: string, { title }: Program, log: (line: string) => void, work: () => Promise<T>): Promise<T> {
  let told = false;
  const take = async (): Promise<true | undefined> => {
    const taken = await writeFile(lock, String(process.pid), { flag: 'wx' }).then(
      () => true as const,
      () => undefined,
    );
    if (taken === undefined && !isAlive(Number(await readFile(lock, 'utf8')))) await rm(lock, { force: true });
    if (taken === undefined && !told) log(`waiting for another build of the ${title}`);
    told = true;
    return taken;
  };
  await waitFor(`another build of the ${title} to end`, take, { deadlineMs: LOCK_DEADLINE_MS, intervalMs: 500 });
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
