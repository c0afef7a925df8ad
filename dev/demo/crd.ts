import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { group, plural, version } from '../../src/api/names.ts';
import { type KubeClient, KubeError } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, customResourceDefinitions, type WireMeta } from '../../src/kube/resource.ts';
import { ROOT } from '../tools/command.ts';
import type { Session } from './session.ts';
import { until } from './until.ts';

interface WireCrd {
  readonly metadata: WireMeta;
  readonly spec: { readonly versions: readonly { readonly name: string; readonly served: boolean }[] };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const path = `${collectionPath(customResourceDefinitions)}/${plural}.${group}`;
const deadlineMs = 30_000;

/** Whether the cluster has the CRD. @throws KubeError */
export async function hasCrd(kube: KubeClient): Promise<boolean> {
  return (await readCrd(kube)) !== undefined;
}

/**
 * Sees to it that the API server serves OnePasswordItems. A CRD that is there already is used as it is; one made here is deleted
 * in the end, unless `keep` is set or somebody has made resources of it.
 */
export async function installCrd(session: Session, kube: KubeClient, { keep }: { readonly keep: boolean }): Promise<void> {
  await session.steps.run('Install the CRD', async (stage) => {
    const existing = await readCrd(kube);
    const made = existing === undefined ? await createCrd(kube) : undefined;
    if (made !== undefined && !keep) session.cleanup.defer(`CRD ${plural}.${group}`, () => deleteCrd(session, kube, made.metadata.uid));
    await until(`${plural}.${group} to be served`, { deadlineMs, signal: session.signal }, async () => {
      const crd = await readCrd(kube);
      if (crd?.spec.versions.some(({ name, served }) => name === version && served) !== true) {
        return { seen: `a CRD without ${version}` };
      }
      if (crd.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') !== true) {
        return { seen: 'a CRD that is not established' };
      }
      await kube.request({ method: 'GET', path: collectionPath(onePasswordItems), query: { limit: '1' } });
      return { found: true };
    });
    stage.show(made === undefined ? `${plural}.${group} is there already and stays as it is` : `${plural}.${group}, made of crds/`);
  });
}

async function readCrd(kube: KubeClient): Promise<WireCrd | undefined> {
  try {
    return await kube.request<WireCrd>({ method: 'GET', path });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** Undefined when somebody was faster: then it is theirs. */
async function createCrd(kube: KubeClient): Promise<WireCrd | undefined> {
  const body: unknown = parse(await readFile(resolve(ROOT, 'crds', `${group}_${plural}.yaml`), 'utf8'));
  try {
    return await kube.request<WireCrd>({ method: 'POST', path: collectionPath(customResourceDefinitions), body });
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'AlreadyExists') return undefined;
    throw error;
  }
}

async function deleteCrd({ screen }: Session, kube: KubeClient, uid: string): Promise<void> {
  const list = await kube.request<{ items: readonly { metadata: WireMeta }[] }>({ method: 'GET', path: collectionPath(onePasswordItems) });
  const [left] = list.items;
  if (left !== undefined) {
    screen.print(`The CRD stays: OnePasswordItem ${left.metadata.namespace}/${left.metadata.name} needs it.`);
    return;
  }
  // The uid keeps us from deleting one that somebody made in the place of ours.
  await kube.request({ method: 'DELETE', path, body: { preconditions: { uid } } });
  await until(`CRD ${plural}.${group} to be gone`, { deadlineMs, signal: new AbortController().signal }, async () => {
    const found = await readCrd(kube);
    return found === undefined || found.metadata.uid !== uid ? { found: true } : { seen: 'it is being deleted' };
  });
}
