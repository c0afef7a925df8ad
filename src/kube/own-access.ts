import { type KubeClient, KubeError } from './client.ts';

/** Something to be done to a kind of object. */
export interface ResourceAccess {
  /** Empty for the core group. */
  readonly group: string;
  /** With a subresource as `onepassworditems/status`. */
  readonly resource: string;
  readonly verb: string;
  /** Undefined: in all namespaces. */
  readonly namespace: string | undefined;
  /** Undefined: to all of them, or to one that has no name yet. */
  readonly name?: string | undefined;
}

/** What comes of either review. */
interface WireReview {
  readonly status?: { readonly allowed?: boolean; readonly userInfo?: { readonly username?: string } };
}

/** Whether we may do something, as the API server sees it. Nothing is stored: it only answers. @throws KubeError */
export async function mayI(kube: Pick<KubeClient, 'request'>, asked: ResourceAccess, signal: AbortSignal): Promise<boolean> {
  const { group, verb, namespace, name } = asked;
  const [resource, subresource] = asked.resource.split('/');
  const { status } = await review(
    kube,
    'authorization.k8s.io',
    'SelfSubjectAccessReview',
    { resourceAttributes: { group, resource, subresource, verb, namespace, name } },
    signal,
  );
  return status?.allowed === true;
}

/** The name under which the API server knows us; undefined when it does not tell. */
export async function ownName(kube: Pick<KubeClient, 'request'>, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { status } = await review(kube, 'authentication.k8s.io', 'SelfSubjectReview', undefined, signal);
    return status?.userInfo?.username;
  } catch (error) {
    if (error instanceof KubeError) return undefined;
    throw error;
  }
}

function review(
  kube: Pick<KubeClient, 'request'>,
  group: string,
  kind: string,
  spec: object | undefined,
  signal: AbortSignal,
): Promise<WireReview> {
  const apiVersion = `${group}/v1`;
  return kube.request({
    method: 'POST',
    path: `/apis/${apiVersion}/${kind.toLowerCase()}s`,
    body: { apiVersion, kind, spec },
    signal,
  });
}
