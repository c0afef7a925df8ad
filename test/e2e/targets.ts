import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { buildControlPlane } from '../../dev/control-plane/build.ts';
import { type KubectlResult, runKubectl } from '../../dev/control-plane/kubectl.ts';
import { run } from '../../dev/node/run.ts';
import { type Component, type OneNode, startNode } from '../../dev/node/start.ts';
import { nodeSupport } from '../../dev/node/support.ts';
import { ROOT } from '../../dev/tools/command.ts';
import { buildImage } from '../../dev/tools/image.ts';
import { version } from '../../src/version.ts';
import { type BuildStore, npmSecret, openBuildStore } from './build-store.ts';
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
    if ((environment['IMAGE'] ?? '') !== '') return { kind: 'kubeconfig' };
    return {
      problem:
        'with KUBECONFIG, IMAGE has to name an image of the operator that the cluster can pull; make image IMAGE=name:tag builds one to push',
    };
  }
  const support = await nodeSupport(log);
  const packages = support.ok ? await installBuildah() : undefined;
  if (support.ok && packages === undefined) return { kind: 'node' };
  if (['kind', 'docker'].every((program) => spawnSync(program, ['version'], { stdio: 'ignore' }).status === 0)) return { kind: 'kind' };
  const reason = support.ok ? `buildah: ${packages}` : support.reason;
  return { skipped: `${reason}; there is no kind with docker either, and no KUBECONFIG was given` };
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
  const folder = await mkdtemp(join(cache, 'e2e-'));
  try {
    if (kind === 'node') return await startOwnNode(folder, log);
    return kind === 'kind' ? await startKind(folder, log) : await useKubeconfig(folder, log);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startOwnNode(folder: string, log: (line: string) => void): Promise<Target> {
  const node = await startNode({ log });
  try {
    const { archive, bytes } = await buildHere(folder, log);
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
    await buildImage({ builder: 'buildah', image: defaultImage, buildArguments, more, environment: store.environment }).catch(
      (error: unknown) => {
        log('Dockerfile not built');
        throw error;
      },
    );
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
  await run('kind', ['create', 'cluster', '--name', kindCluster, '--kubeconfig', kubeconfig, '--wait', '5m'], { deadlineMs });
  const stop = async (): Promise<void> => {
    await run('kind', ['delete', 'cluster', '--name', kindCluster], { deadlineMs });
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await run('kind', ['load', 'docker-image', defaultImage, '--name', kindCluster], { deadlineMs });
    return { ...(await reach(folder, kubeconfig, log)), kind: 'kind', image: defaultImage, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function useKubeconfig(folder: string, log: (line: string) => void): Promise<Target> {
  const { KUBECONFIG: kubeconfig = '', IMAGE: image = '' } = process.env;
  return {
    ...(await reach(folder, resolve(kubeconfig), log)),
    kind: 'kubeconfig',
    image,
    stop: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A cluster that is not ours, by the kubectl of our control plane. */
async function reach(
  folder: string,
  kubeconfig: string,
  log: (line: string) => void,
): Promise<Pick<Target, 'kubeconfig' | 'imageBytes' | 'kubectl' | 'restart'>> {
  const binaries = { kind: 'built', file: await buildControlPlane({ log }) } as const;
  return {
    kubeconfig,
    imageBytes: undefined,
    kubectl: (args, stdin) => runKubectl(binaries, folder, kubeconfig, args, stdin),
    restart: undefined,
  };
}
