import { restricted, restrictedContainer } from './world.ts';

export interface OldChartOptions {
  readonly namespace: string;
  readonly image: string;
  readonly connectUrl: string;
}

/** What the Go operator's chart renders, in its essentials: the command, the flags, the environment, the rights. */
export function oldChart({ namespace, image, connectUrl }: OldChartOptions): readonly object[] {
  const metadata = { name: 'onepassword-connect-operator', namespace };
  const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['pods', 'services', 'events', 'configmaps', 'secrets', 'namespaces'], verbs },
        { apiGroups: ['apps'], resources: ['deployments', 'daemonsets', 'replicasets', 'statefulsets'], verbs },
        { apiGroups: ['onepassword.com'], resources: ['*'], verbs },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: { name: 'onepassword-connect' } },
        template: {
          metadata: { labels: { name: 'onepassword-connect', 'app.kubernetes.io/component': 'operator' } },
          spec: {
            serviceAccountName: metadata.name,
            securityContext: restricted,
            containers: [
              {
                name: 'onepassword-connect',
                image,
                imagePullPolicy: 'IfNotPresent',
                securityContext: { ...restrictedContainer, runAsUser: 65_532, runAsGroup: 65_532 },
                command: ['/manager'],
                args: ['--zap-log-level=info', '--enable-annotations'],
                env: [
                  { name: 'WATCH_NAMESPACE', value: namespace },
                  { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
                  { name: 'OPERATOR_NAME', value: metadata.name },
                  { name: 'POLLING_INTERVAL', value: '600' },
                  { name: 'AUTO_RESTART', value: 'false' },
                  { name: 'OP_CONNECT_HOST', value: connectUrl },
                  { name: 'OP_CONNECT_TOKEN', valueFrom: { secretKeyRef: { name: 'onepassword-token', key: 'token' } } },
                ],
              },
            ],
          },
        },
      },
    },
  ];
}
