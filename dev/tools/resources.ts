import { customResourceDefinition } from '../../src/api/custom-resource-definition.ts';
import { plural } from '../../src/api/names.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { onePasswordItems } from '../../src/kube/objects.ts';
import { collectionPath, customResourceDefinitions } from '../../src/kube/resource.ts';
import { waitFor } from '../control-plane/wait.ts';

/** Makes the CustomResourceDefinition in a cluster that has none, and waits until it is served. @throws KubeError, or Error after half a minute */
export async function makeDefinition(kube: KubeClient): Promise<void> {
  await kube.request({ method: 'POST', path: collectionPath(customResourceDefinitions), body: customResourceDefinition() });
  await waitFor(`${plural} to be served`, () => kube.request({ method: 'GET', path: collectionPath(onePasswordItems) }), {
    deadlineMs: 30_000,
  });
}

/** Waits until so many resources of a namespace are Ready. @throws Error after five minutes */
export async function untilAllReady(kube: KubeClient, namespace: string, count: number): Promise<void> {
  type Listed = { readonly items: readonly { readonly status?: { readonly conditions?: readonly { readonly status: string }[] } }[] };
  await waitFor(
    'all resources to be Ready',
    async () => {
      const { items } = await kube.request<Listed>({ method: 'GET', path: collectionPath(onePasswordItems, namespace) });
      return items.filter(({ status }) => status?.conditions?.[0]?.status === 'True').length === count ? true : undefined;
    },
    { deadlineMs: 300_000, intervalMs: 1_000 },
  );
}
