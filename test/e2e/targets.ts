import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { isAlive } from '../../dev/control-plane/alive.ts';
import { buildControlPlane } from '../../dev/control-plane/build.ts';
import type { KubectlResult } from '../../dev/control-plane/kubectl.ts';
import { run } from '../../dev/node/run.ts';
import { type Component, type OneNode, startNode } from '../../dev/node/start.ts';
import { nodeSupport } from '../../dev/node/support.ts';
import { ROOT } from '../../dev/tools/command.ts';
import { buildImage } from '../../dev/tools/image.ts';
import { version } from '../../src/version.ts';
import { type BuildStore, npmSecret, openBuildStore, removeWithMounts } from './build-store.ts';
import { makeLocalBases } from './local-bases.ts';

/** What the tests run on: our own node, a cluster of the user's, or one that kind makes. */
export type TargetKind = 'node' | 'kubeconfig' | 'kind';

/** A cluster with real pods, that can pull the image. */
export interface Target {
  readonly kind: TargetKind;
  readonly kubeconfig: string;
  /** Of the operator; `repository:tag`. */
  readonly image: string;
  /** Uncompressed bytes of the image without the binary of Node, where it was built here. */
  readonly imageBytes: number | undefined;
  kubectl(args: readonly string[], stdin?: string): Promise<KubectlResult>;
  /** Kills a process of the node and starts it again; undefined where the node is not ours. */
  readonly restart: ((component: Component) => Promise<void>) | undefined;
  stop(): Promise<void>;
}

/** Where the tests can run, or why nowhere. */
export type Choice = { readonly kind: TargetKind } | { readonly problem: string } | { readonly skipped: string };

/** As a chart that is not told otherwise would name it. */
const defaultImage = `docker.io/library/keyturn:${version}`;
const kindCluster = 'keyturn-e2e';
const cache = resolve(ROOT, '.cache');

/** Chooses: a kubeconfig that was given, our own node where this machine can be one, else kind. */
export async function chooseTarget(environment: NodeJS.ProcessEnv, log: (line: string) => void): Promise<Choice> {
  if ((environment['KUBECONFIG'] ?? '') !== '') {
    const problem = problemOf(environment);
    return problem === undefined ? { kind: 'kubeconfig' } : { problem };
  }
  const support = await nodeSupport(log);
  const packages = support.ok ? await installBuildah() : undefined;
  if (support.ok && packages === undefined) return { kind: 'node' };
  if (support.ok) log(`Dockerfile not built: there is no buildah: ${packages}`);
  if (['kind', 'docker'].every((program) => spawnSync(program, ['version'], { stdio: 'ignore' }).status === 0)) return { kind: 'kind' };
  const reason = support.ok ? `buildah: ${packages}` : support.reason;
  return { skipped: `${reason}; there is no kind with docker either, and no KUBECONFIG was given` };
}

/** What a cluster of the user's needs to be told. */
function problemOf({ IMAGE = '', YES = '' }: NodeJS.ProcessEnv): string | undefined {
  if (!/^[^@]+:[^/:@]+$/.test(IMAGE))
    return 'with KUBECONFIG, IMAGE has to name an image of the operator, with a tag, that the cluster can pull; make image IMAGE=name:tag builds one to push';
  if (YES !== '1')
    return 'with KUBECONFIG, an operator that watches all namespaces of that cluster is installed for the tests; YES=1 allows that';
  return undefined;
}

/** @returns why it is not there */
async function installBuildah(): Promise<string | undefined> {
  const output = await run('sh', [resolve(ROOT, 'dev/tools/install-debian.sh'), 'buildah'], { deadlineMs: 10 * 60_000 });
  return spawnSync('buildah', ['--version'], { stdio: 'ignore' }).status === 0
    ? undefined
    : (/^SKIPPED: (.*)$/m.exec(output)?.[1] ?? 'it is not installed');
}

/** Starts the cluster, builds the image, and makes it known there. @throws Error; nothing is left then */
export async function startTarget(kind: TargetKind, log: (line: string) => void): Promise<Target> {
  await mkdir(cache, { recursive: true });
  await removeLeftFolders();
  const folder = await mkdtemp(join(cache, `e2e-${process.pid}-`));
  try {
    if (kind === 'node') return await startOwnNode(folder, log);
    return kind === 'kind' ? await startKind(folder, log) : await useKubeconfig(folder, log);
  } catch (error) {
    await removeWithMounts(folder);
    throw error;
  }
}

/** Folders of runs that were killed; images may still be mounted in them. */
async function removeLeftFolders(): Promise<void> {
  const left = (await readdir(cache)).filter((name) => name.startsWith('e2e-') && !isAlive(Number.parseInt(name.slice(4), 10)));
  for (const name of left) await removeWithMounts(join(cache, name));
}

async function startOwnNode(folder: string, log: (line: string) => void): Promise<Target> {
  const node = await startNode({ log });
  try {
    const { archive, bytes } = await buildHere(folder, log).catch((error: unknown) => {
      log('Dockerfile not built');
      throw error;
    });
    await node.importImages(archive);
    return ownNode(node, folder, bytes);
  } catch (error) {
    await node.stop();
    throw error;
  }
}

function ownNode(node: OneNode, folder: string, imageBytes: number): Target {
  return {
    kind: 'node',
    kubeconfig: node.kubeconfig,
    image: defaultImage,
    imageBytes,
    kubectl: (args, stdin) => node.kubectl(args, stdin),
    restart: (component) => node.restart(component),
    async stop() {
      await node.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Builds the Dockerfile with buildah, on images made of this machine. */
async function buildHere(folder: string, log: (line: string) => void): Promise<{ readonly archive: string; readonly bytes: number }> {
  const store = await openBuildStore(join(folder, 'images'));
  try {
    const buildArguments = { ...(await makeLocalBases(store, join(folder, 'bases'))) };
    log('building the image from the Dockerfile');
    const more = ['--isolation', 'chroot', '--network', 'host', ...npmSecret()];
    await buildImage({ builder: 'buildah', image: defaultImage, buildArguments, more, environment: store.environment });
    const archive = join(folder, 'keyturn.tar');
    await store.buildah('push', '--quiet', defaultImage, `docker-archive:${archive}:${defaultImage}`);
    return { archive, bytes: await bytesWithoutNode(store) };
  } finally {
    await store.remove();
  }
}

async function bytesWithoutNode(store: BuildStore): Promise<number> {
  const container = (await store.buildah('from', defaultImage)).trim();
  const root = (await store.buildah('mount', container)).trim();
  const sizes = await run('find', [root, '-type', 'f', '-not', '-path', `${root}/usr/bin/node`, '-printf', '%s\n']);
  await store.buildah('rm', container);
  return sizes
    .trim()
    .split('\n')
    .reduce((sum, size) => sum + Number(size), 0);
}

async function startKind(folder: string, log: (line: string) => void): Promise<Target> {
  const kubeconfig = join(folder, 'kubeconfig');
  await buildImage({ builder: 'docker', image: defaultImage });
  log('starting a cluster with kind');
  const deadlineMs = 10 * 60_000;
  // One of a run that was killed; that there is none is no error.
  await run('kind', ['delete', 'cluster', '--name', kindCluster], { deadlineMs });
  await run('kind', ['create', 'cluster', '--name', kindCluster, '--kubeconfig', kubeconfig, '--wait', '5m'], { deadlineMs });
  const stop = async (): Promise<void> => {
    await run('kind', ['delete', 'cluster', '--name', kindCluster], { deadlineMs });
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await run('kind', ['load', 'docker-image', defaultImage, '--name', kindCluster], { deadlineMs });
    return { ...(await reach(kubeconfig, log)), kind: 'kind', image: defaultImage, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const clusterWide = ['clusterrole/keyturn', 'clusterrolebinding/keyturn', 'crd/onepassworditems.onepassword.com'];

/** A cluster of the user's, in which there is no Keyturn and no operator before it. @throws Error when there is */
async function useKubeconfig(folder: string, log: (line: string) => void): Promise<Target> {
  const { KUBECONFIG: kubeconfigs = '', IMAGE: image = '' } = process.env;
  const kubeconfig = kubeconfigs
    .split(delimiter)
    .map((file) => resolve(file))
    .join(delimiter);
  const reached = await reach(kubeconfig, log);
  const { code, stdout, stderr } = await reached.kubectl(['get', '--ignore-not-found', '--output=name', ...clusterWide]);
  if (code !== 0) throw new Error(`the cluster cannot be read: ${stderr}`);
  if (stdout !== '')
    throw new Error(
      `the cluster has ${stdout.trim().split('\n').join(', ')} already: use one without Keyturn, and without the Go operator`,
    );
  return {
    ...reached,
    kind: 'kubeconfig',
    image,
    async stop() {
      // None of them was there before.
      await reached.kubectl(['delete', 'clusterrole,clusterrolebinding', '--selector=app.kubernetes.io/name=keyturn']);
      await reached.kubectl(['delete', '--ignore-not-found', '--timeout=60s', ...clusterWide]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A cluster that is not ours, by the kubectl of our control plane and with the environment of the user, which plugins for credentials need. */
async function reach(
  kubeconfig: string,
  log: (line: string) => void,
): Promise<Pick<Target, 'kubeconfig' | 'imageBytes' | 'kubectl' | 'restart'>> {
  const file = await buildControlPlane({ log });
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  return {
    kubeconfig,
    imageBytes: undefined,
    kubectl: (args, stdin = '') =>
      new Promise((done) => {
        const child = execFile(
          file,
          ['kubectl', ...args],
          { env, timeout: 5 * 60_000, maxBuffer: 64 * 1024 * 1024 },
          (error, stdout, stderr) => done({ stdout, stderr, code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1 }),
        );
        // kubectl may end without reading its input; its exit code then tells why.
        child.stdin?.on('error', () => {}).end(stdin);
      }),
    restart: undefined,
  };
}
