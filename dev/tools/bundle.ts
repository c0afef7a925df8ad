/** `npm run build` bundles the operator into one file, `dist/keyturn.js`, that needs nothing but Node; `dist/licenses.txt` goes with it. */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { version } from '../../src/version.ts';
import { ROOT } from './command.ts';
import { licenseText } from './licenses.ts';
import { startFlags } from './start-flags.ts';

/** CommonJS packages ask for Node's own modules by `require`, which a module does not have. */
export const requireForCommonJs = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";

/** Only the version is wanted of our package.json: its lists of packages and scripts stay at home. */
const versionOnly: Plugin = {
  name: 'version-only',
  setup: (bundling) =>
    bundling.onLoad({ filter: /[\\/]package\.json$/ }, ({ path }) =>
      path === resolve(ROOT, 'package.json') ? { contents: JSON.stringify({ version }), loader: 'json' } : undefined,
    ),
};

/**
 * @kubernetes/client-node does not declare that its files do nothing but export, so all its models and clients would come along;
 * we use its KubeConfig.
 */
const kubeConfigOnly: Plugin = {
  name: 'kube-config-only',
  setup: (bundling) =>
    bundling.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, importer, resolveDir }) =>
      /[\\/]@kubernetes[\\/]client-node[\\/]dist[\\/]/.test(importer) ? { path: resolve(resolveDir, path), sideEffects: false } : undefined,
    ),
};

/** Messages of zod in fifty languages: ours are written by us, and none is shown. */
const englishOnly: Plugin = {
  name: 'english-only',
  setup: (bundling) => bundling.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({ contents: 'export {};' })),
};

/** Bundles src/main.ts, and puts the licences of what came along beside it. @returns bytes of the bundle @throws Error with the bundler's complaints */
export async function bundle(outfile: string): Promise<number> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/main.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // Identifiers stay, for stack traces that can be read. `keepNames` would do no more than that, and name every closure anew whenever it is
    // made: a twentieth of all processor time.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'eof',
    metafile: true,
    banner: { js: requireForCommonJs },
    plugins: [versionOnly, kubeConfigOnly, englishOnly],
    logLevel: 'warning',
  });
  const used = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.keys(inputs).filter((file) => (inputs[file]?.bytesInOutput ?? 0) > 0),
  );
  await writeFile(join(dirname(outfile), 'licenses.txt'), await licenseText(used));
  return Object.values(metafile.outputs).reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Runs a copy of the bundle where it has no packages beside it, without a configuration: it must come so far as to say that.
 *
 * @returns milliseconds until its end @throws Error with what it said instead
 */
async function tryAlone(outfile: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-bundle-'));
  try {
    const copy = join(folder, basename(outfile));
    await copyFile(outfile, copy);
    const began = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [...startFlags, copy], {
      cwd: folder,
      env: {},
      encoding: 'utf8',
      timeout: 30_000,
    });
    if (status !== 2 || !stderr.includes('OP_CONNECT_HOST')) throw new Error(`the bundle does not run alone:\n${stderr}`);
    return performance.now() - began;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

async function main(): Promise<void> {
  const began = performance.now();
  const folder = resolve(ROOT, 'dist');
  const outfile = resolve(folder, 'keyturn.js');
  await rm(folder, { recursive: true, force: true });
  const bytes = await bundle(outfile);
  const built = performance.now() - began;
  const started = await tryAlone(outfile);
  const size = `${(bytes / 1024 / 1024).toFixed(2)} MiB`;
  console.log(`${relative(ROOT, outfile)}: ${size}, built in ${seconds(built)}, starts in ${seconds(started)}`);
}

if (import.meta.main) await main();
