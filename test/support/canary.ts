import { onePasswordItems } from '../../src/kube/objects.ts';
import {
  collectionPath,
  controllerRevisions,
  daemonSets,
  deployments,
  replicaSets,
  type ResourceType,
  secrets,
  statefulSets,
} from '../../src/kube/resource.ts';
import type { TestNamespace } from './cluster.ts';

/** Stands in every canary and nowhere else. Letters of base32, so that it can be the secret of a one-time password. */
const mark = 'KTQCANARYX7ZWV2MJ5';

/** A value that `findCanaries` and the scan of a heap find again, whatever it is wrapped in. `name` tells it from others. */
export function canary(name: string): string {
  return `${mark}${name}`;
}

/**
 * What a canary looks like: as it is, as UTF-16, and inside base64, where what stands before it shifts it by none, one or two bytes. A
 * canary is there when one of these is.
 */
export const canaryForms: readonly Uint8Array[] = [
  Buffer.from(mark),
  Buffer.from(mark, 'utf16le'),
  ...[0, 1, 2].map((shift) => Buffer.from(insideBase64(mark, shift))),
];

/** The characters of base64 that `text` alone decides when `shift` bytes stand before it. */
function insideBase64(text: string, shift: number): string {
  const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]);
  return bytes.toString('base64').slice(Math.ceil((shift * 4) / 3), Math.floor((bytes.length * 4) / 3));
}

/** A place where values must not be, and how many canaries stand in it. */
export interface CanaryFinding {
  /** The name of a text, or `KIND/NAME` of an object. Never holds a value, as long as names hold none. */
  readonly place: string;
  readonly count: number;
}

interface AnyObject {
  readonly metadata: { readonly name: string };
}

/** Everything that the operator writes, or makes others write; of Secrets the metadata alone. */
const readKinds: readonly ResourceType[] = [
  onePasswordItems,
  deployments,
  replicaSets,
  statefulSets,
  daemonSets,
  controllerRevisions,
  { root: '/api/v1', plural: 'events' },
  { root: '/api/v1', plural: 'pods' },
  { root: '/api/v1', plural: 'configmaps' },
  { root: '/apis/coordination.k8s.io/v1', plural: 'leases' },
];

/**
 * Where canaries are that must not be: in `texts` (output of the process, a scrape of its metrics), in any object of the namespace that is
 * not a Secret, with its spec and status, and in the metadata of any Secret. Works on any scenario whose items hold values of `canary()`.
 */
export async function findCanaries(
  namespace: TestNamespace,
  texts: Readonly<Record<string, string>> = {},
): Promise<readonly CanaryFinding[]> {
  const list = async ({ root, plural }: ResourceType): Promise<readonly AnyObject[]> =>
    (
      await namespace.kube.request<{ items: readonly AnyObject[] }>({
        method: 'GET',
        path: collectionPath({ root, plural }, namespace.name),
      })
    ).items;
  const objects = await Promise.all(
    readKinds.map(async (type) => (await list(type)).map((object) => [`${type.plural}/${object.metadata.name}`, JSON.stringify(object)])),
  );
  const metadata = (await list(secrets)).map((secret) => [`secrets/${secret.metadata.name}`, JSON.stringify(secret.metadata)]);
  return [...Object.entries(texts), ...objects.flat(), ...metadata]
    .map(([place = '', text = '']) => ({ place, count: countCanaries(text) }))
    .filter(({ count }) => count > 0);
}

/** How many canaries stand in a text. */
export function countCanaries(text: string): number {
  return canaryForms.reduce((sum, form) => sum + text.split(Buffer.from(form).toString('latin1')).length - 1, 0);
}
