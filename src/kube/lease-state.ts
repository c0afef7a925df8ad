import { type KubeClient, KubeError } from './client.ts';
import { leases, objectPath, type WireMeta } from './resource.ts';

/** Who leads by a Lease, and how long it counts. */
export interface LeaseState {
  readonly holder: string;
  /** Until when nobody else takes it unless it is renewed, in milliseconds by the clocks of the cluster. */
  readonly until: number;
  /** The field manager that renewed it last: of which program it is. */
  readonly manager: string | undefined;
}

interface WireLease {
  readonly metadata: WireMeta;
  readonly spec?: { readonly holderIdentity?: string; readonly leaseDurationSeconds?: number; readonly renewTime?: string };
}

/** Reads a Lease; undefined when there is none, or nobody holds it. @throws KubeError */
export async function readLeaseState(
  kube: Pick<KubeClient, 'request'>,
  name: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<LeaseState | undefined> {
  try {
    const { metadata, spec = {} } = await kube.request<WireLease>({ method: 'GET', path: objectPath(leases, name), signal });
    const { holderIdentity: holder = '', leaseDurationSeconds = 0, renewTime = '' } = spec;
    if (holder === '') return undefined;
    const renewer = metadata.managedFields?.find(({ fieldsV1 }) => 'f:renewTime' in (fieldsV1?.['f:spec'] ?? {}));
    return { holder, until: Date.parse(renewTime) + leaseDurationSeconds * 1000, manager: renewer?.manager };
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}
