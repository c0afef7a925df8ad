import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { isAlive } from '../control-plane/alive.ts';
import { waitFor } from '../control-plane/wait.ts';
import { ROOT } from './command.ts';
import { startProgress, type ProgressSink } from './progress.ts';

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

/** A program that go.mod and go.sum of its module pin. */
export interface GoProgram {
  /** Begins the name of the built file. */
  readonly name: string;
  /** Folder of the module, absolute. */
  readonly module: string;
  /** Its package: `./node`, or a path of another module. */
  readonly main: string;
  /** As a sentence names it. */
  readonly title: string;
  /** What it is for, and how long the first build takes. */
  readonly notice: string;
  readonly flags: readonly string[];
  /** Another go.mod in the module's folder, such as `go-1.35.mod`, beside which stands its go.sum. */
  readonly modfile?: string;
  /** Contents of go.mod, go.sum (or those that count instead) and the module's own Go files that the program is built of, by file name. */
  readonly sources: Readonly<Record<string, string>>;
  /** What to do where Go cannot be installed. */
  readonly alternative?: string;
}

const CACHE = resolve(ROOT, '.cache/bin');
const LOCK_DEADLINE_MS = 40 * 60_000;

const run = promisify(execFile);

/**
 * Builds a program into `.cache/bin` unless the same one was built before, and returns its path.
 *
 * @throws Error when Go is missing or too old, naming the cure, or with the compiler's complaint
 */
export async function buildGoProgram(program: GoProgram, options: BuildOptions): Promise<string> {
  const { name, flags, sources } = program;
  const hash = buildHash({ goVersion: await goVersion(program), flags, sources });
  const target = join(CACHE, `${name}-${hash}`);
  if (await exists(target)) return target;
  await mkdir(CACHE, { recursive: true });
  return withLock(`${target}.lock`, program, options.log, async () => {
    if (!(await exists(target))) await build(program, target, options);
    return target;
  });
}

/** The name of a build: any change of an input changes it. */
export function buildHash(inputs: BuildInputs): string {
  const hash = createHash('sha256').update(JSON.stringify([inputs.goVersion, inputs.flags]));
  for (const name of Object.keys(inputs.sources).toSorted()) hash.update(JSON.stringify([name, inputs.sources[name]]));
  return hash.digest('hex').slice(0, 16);
}

async function goVersion({ module, sources, alternative }: GoProgram): Promise<string> {
  const needed = /^go (\S+)/m.exec(sources['go.mod'] ?? '')?.[1] ?? '';
  try {
    const { stdout } = await run('go', ['version'], { cwd: module });
    return stdout.trim();
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const problem = missing ? 'Go is not installed' : `Go is too old or broken (${((error as { stderr?: string }).stderr ?? '').trim()})`;
    const cure = `install Go ${needed} or newer from https://go.dev/dl`;
    throw new Error(`${problem}: ${[cure, ...(alternative === undefined ? [] : [alternative])].join(', ')}`, { cause: error });
  }
}

async function build(program: GoProgram, target: string, options: BuildOptions): Promise<void> {
  const began = performance.now();
  options.log(`building the ${program.title} ${program.notice}`);
  await downloadModules(program, options);
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await compile(program, temporary, options);
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
  await removeOlder(program, target);
  options.log(`${program.title} built in ${Math.round((performance.now() - began) / 1000)} s`);
}

async function downloadModules({ module, modfile, sources }: GoProgram, options: BuildOptions): Promise<void> {
  const total = sources['go.mod']?.match(/^\t\S+ v\S+/gm)?.length ?? 0;
  let done = 0;
  await runGo(module, ['mod', 'download', '-x', ...modfileFlags(modfile)], 'Go modules', options, {
    count: (line) => {
      if (/^# get .*\.zip: 200 /.test(line)) done++;
      return [done, total];
    },
    isNoise: (line) => line.startsWith('#') || line.startsWith('mkdir') || line.startsWith('cp '),
  });
}

async function compile(program: GoProgram, output: string, options: BuildOptions): Promise<void> {
  const { module, main, modfile, flags } = program;
  const total = await countStale(program);
  let done = 0;
  await runGo(module, ['build', '-v', ...modfileFlags(modfile), ...flags, '-o', output, main], 'compiling', options, {
    count: () => [++done, total],
    isNoise: (line) => /^[\w.~/-]+$/.test(line),
  });
}

/** How many packages the compiler will have to work on, as Go's build cache stands. */
async function countStale({ module, main, modfile, flags }: GoProgram): Promise<number> {
  const staleness = ['-f', '{{if .Stale}}{{.StaleReason}}{{end}}', main];
  const { stdout } = await run('go', ['list', '-deps', ...modfileFlags(modfile), ...flags, ...staleness], {
    cwd: module,
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

async function runGo(module: string, args: readonly string[], label: string, options: BuildOptions, reader: OutputReader): Promise<void> {
  const progress = startProgress(label, options.progress ?? { kind: 'lines', log: options.log });
  const complaints: string[] = [];
  try {
    const child = spawn('go', args, { cwd: module, env: goEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
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

function modfileFlags(modfile: string | undefined): readonly string[] {
  return modfile === undefined ? [] : [`-modfile=${modfile}`];
}

function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, CGO_ENABLED: '0' };
}

async function removeOlder(program: GoProgram, target: string): Promise<void> {
  const built = new RegExp(`^${program.name}-[0-9a-f]{16}$`);
  const old = (await readdir(CACHE)).filter((name) => built.test(name) && join(CACHE, name) !== target);
  await Promise.all(old.map((name) => rm(join(CACHE, name), { force: true })));
}

/**
 * Runs `work` while holding a lock file that names our process; waits for another holder that lives. Two that find the
 * same dead holder at once may both go on: they build the same file twice, each under a name of its own, and rename.
 */
async function withLock<T>(lock: string, { title }: GoProgram, log: (line: string) => void, work: () => Promise<T>): Promise<T> {
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
