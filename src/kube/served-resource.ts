import { group, kind, version } from '../api/names.ts';
import type { ObjectSchema } from '../domain/schema-difference.ts';
import { type KubeClient, KubeError } from './client.ts';
import { onePasswordItems } from './objects.ts';

type Asking = Pick<KubeClient, 'request'>;

/** The description of an API, as far as we read it. */
interface OpenApi {
  readonly components?: { readonly schemas?: Readonly<Record<string, ObjectSchema>> };
}

/** Which versions of our group the API server serves; undefined when it does not know the group. @throws KubeError */
export async function servedVersions(kube: Asking, signal: AbortSignal): Promise<readonly string[] | undefined> {
  try {
    const { versions = [] } = await kube.request<{ versions?: readonly { version: string }[] }>({
      method: 'GET',
      path: `/apis/${group}`,
      signal,
    });
    return versions.map((served) => served.version);
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** What of OnePasswordItem is served under our version, subresources included, for instance `onepassworditems/status`. @throws KubeError */
export async function servedResources(kube: Asking, signal: AbortSignal): Promise<readonly string[]> {
  const { resources = [] } = await kube.request<{ resources?: readonly { name: string }[] }>({
    method: 'GET',
    path: onePasswordItems.root,
    signal,
  });
  return resources.map(({ name }) => name);
}

/**
 * The schema of OnePasswordItem as it is served, which everybody may read, unlike its CustomResourceDefinition. Undefined where even that is closed,
 * and in the first moments of a new definition.
 */
export async function servedSchema(kube: Asking, signal: AbortSignal): Promise<ObjectSchema | undefined> {
  try {
    const { components } = await kube.request<OpenApi>({ method: 'GET', path: `/openapi/v3${onePasswordItems.root}`, signal });
    return components?.schemas?.[`${group.split('.').toReversed().join('.')}.${version}.${kind}`];
  } catch (error) {
    if (error instanceof KubeError) return undefined;
    throw error;
  }
}
