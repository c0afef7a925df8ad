import { waitFor } from '../../dev/control-plane/wait.ts';
import { collectionPath, secrets } from '../../src/kube/resource.ts';
import type { Watched } from './watches.ts';
import { nameOf, valueAt, type World } from './world.ts';

const deadline = 300_000;

/** Items have been rotated so often in this process, so that no value comes twice; and what they have since, by size and by name. */
let rotations = 0;
const latest = new Map<string, string>();

/** Values for the first items of one size that they have not had before, by the names of their resources. */
export function nextValues(size: number, count: number): ReadonlyMap<string, string> {
  rotations += 1;
  const next = new Map(Array.from({ length: count }, (_, index) => [nameOf(index), valueAt(index, rotations)]));
  for (const [name, value] of next) latest.set(`${size}/${name}`, value);
  return next;
}

/** Waits until all Secrets of a namespace have what the items have: they may have been rotated while its operator was away. */
export async function untilCurrent({ kube }: World, namespace: string, size: number): Promise<void> {
  await waitFor(
    'all Secrets to have the values of now',
    async () => {
      const { items } = await kube.request<{ items: readonly Watched[] }>({ method: 'GET', path: collectionPath(secrets, namespace) });
      const isCurrent = (secret: Watched): boolean =>
        (latest.get(`${size}/${secret.metadata.name}`) ?? passwordOf(secret)) === passwordOf(secret);
      return items.filter(isCurrent).length >= size ? true : undefined;
    },
    { deadlineMs: deadline, intervalMs: 500 },
  );
}

/** The value of a Secret that rotations change. */
export function passwordOf({ data }: Watched): string {
  return Buffer.from(data?.['password'] ?? '', 'base64').toString();
}
