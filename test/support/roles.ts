import { leasePermission, watchPermissions } from '../../src/doctor/permissions.ts';
import { collectionPath, type ResourceType } from '../../src/kube/resource.ts';
import type { TestNamespace } from './cluster.ts';
import { eventually } from './eventually.ts';
import { operatorNames } from './operator-accounts.ts';

/** A rule of a Role. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** All that the operator needs in a namespace that it is told to watch, its lease included; it needs nothing of the cluster. */
export const operatorRules: readonly Rule[] = [...watchPermissions(true, true), leasePermission].map(({ group, resource, verbs }) => ({
  apiGroups: [group],
  resources: [resource],
  verbs,
}));

const roles: ResourceType = { root: '/apis/rbac.authorization.k8s.io/v1', plural: 'roles' };
const roleBindings: ResourceType = { ...roles, plural: 'rolebindings' };
const accessReviews: ResourceType = { root: '/apis/authorization.k8s.io/v1', plural: 'subjectaccessreviews' };
const name = 'operator';

/** Gives the operator of tests its Role in a namespace; resolves once the API server heeds it. */
export async function grantOperatorRole(namespace: TestNamespace): Promise<void> {
  await bind(namespace, 'keyturn', operatorNames.namespaced, operatorRules);
  await untilHeeded(namespace, operatorNames.namespaced, (allowed) => allowed);
}

/** Gives a user a Role in a namespace instead of the one it has; resolves once the API server heeds it. */
export async function grantRole(namespace: TestNamespace, username: string, rules: readonly Rule[] = operatorRules): Promise<void> {
  await revokeRole(namespace, username);
  await bind(namespace, name, username, rules);
  await untilHeeded(namespace, username, (allowed, asked) => allowed === rules.includes(asked));
}

/** Takes away what `grantRole` gave; resolves once the API server heeds it. Watches that are open stay so. */
export async function revokeRole(namespace: TestNamespace, username: string): Promise<void> {
  const query = { fieldSelector: `metadata.name=${name}` };
  for (const type of [roleBindings, roles]) {
    await namespace.kube.request({ method: 'DELETE', path: collectionPath(type, namespace.name), query });
  }
  await untilHeeded(namespace, username, (allowed) => !allowed);
}

/** Waits until what the API server allows of each of `operatorRules` is as it should be: it reads Roles from a cache. */
async function untilHeeded(
  { kube, name: namespace }: TestNamespace,
  user: string,
  isRight: (allowed: boolean, asked: Rule) => boolean,
): Promise<void> {
  const path = collectionPath(accessReviews);
  for (const asked of operatorRules) {
    const [group, [resource = '', subresource] = [], verb] = [asked.apiGroups[0], asked.resources[0]?.split('/'), asked.verbs[0]];
    const body = { spec: { user, resourceAttributes: { namespace, group, resource, subresource, verb } } };
    await eventually(`the rights of ${user} to ${resource}`, async () => {
      const { status } = await kube.request<{ status: { allowed: boolean } }>({ method: 'POST', path, body });
      return isRight(status.allowed, asked) ? true : undefined;
    });
  }
}

async function bind({ kube, name: namespace }: TestNamespace, role: string, username: string, rules: readonly Rule[]): Promise<void> {
  const metadata = { name: role };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role };
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: username }];
  await kube.request({ method: 'POST', path: collectionPath(roles, namespace), body: { metadata, rules } });
  await kube.request({ method: 'POST', path: collectionPath(roleBindings, namespace), body: { metadata, roleRef, subjects } });
}
