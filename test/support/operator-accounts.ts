import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import { connectApi } from '../../dev/control-plane/api.ts';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import type { User } from '../../dev/control-plane/user.ts';
import { leaseName } from '../../src/api/names.ts';
import { eventually } from './eventually.ts';

/** The ServiceAccounts that the operators of tests run as. They may do what `deploy/` grants, and nothing else. */
export interface OperatorAccounts {
  /** Of `deploy/overlays/cluster-wide`, for operators that watch all namespaces. */
  readonly clusterWide: User;
  /** Has the Role of `deploy/watched-namespace` in each namespace that `createNamespace` makes, for operators that watch those. */
  readonly namespaced: User;
}

/** As RBAC knows them. */
export const operatorNames = {
  clusterWide: 'system:serviceaccount:keyturn:keyturn',
  namespaced: 'system:serviceaccount:keyturn:keyturn-namespaced',
} as const;

const overlay = fileURLToPath(new URL('../../deploy/overlays/cluster-wide', import.meta.url));
const kinds = new Set(['Namespace', 'ServiceAccount', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding']);

/** Makes both accounts, of which the first has its rights when this resolves. */
export async function installOperatorAccounts(controlPlane: ControlPlane): Promise<OperatorAccounts> {
  const rendered = await run(controlPlane, ['kustomize', overlay]);
  const objects = parseAllDocuments(rendered).map((document) => document.toJS() as { readonly kind: string });
  const rights = objects.filter(({ kind }) => kinds.has(kind));
  await run(controlPlane, ['apply', '--server-side', '-f', '-'], rights.map((object) => stringify(object)).join('---\n'));
  const accounts = {
    clusterWide: await controlPlane.user('keyturn/keyturn'),
    namespaced: await controlPlane.user('keyturn/keyturn-namespaced'),
  };
  await untilHeeded(controlPlane, accounts.clusterWide);
  return accounts;
}

/** The API server reads roles from a cache. */
async function untilHeeded({ url, ca }: ControlPlane, { token }: User): Promise<void> {
  const api = connectApi(url, ca, token);
  const asked = [
    { group: '', resource: 'secrets', verb: 'list' },
    { group: 'coordination.k8s.io', resource: 'leases', verb: 'get', namespace: 'keyturn', name: leaseName },
  ];
  try {
    for (const resourceAttributes of asked) {
      await eventually(`the rights of the operator to ${resourceAttributes.resource}`, async () => {
        const { body } = await api.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes },
        });
        return (body as { readonly status?: { readonly allowed?: boolean } }).status?.allowed === true ? true : undefined;
      });
    }
  } finally {
    await api.close();
  }
}

async function run(controlPlane: ControlPlane, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, input);
  if (code !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
  return stdout;
}
