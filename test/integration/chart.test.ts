import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import { type Config, readConfig } from '../../src/config.ts';
import { leasePermission, reviewPermissions, watchPermissions } from '../../src/doctor/permissions.ts';
import { version } from '../../src/version.ts';
import {
  defaultValues,
  everything,
  merged,
  minimal,
  nested,
  otherwise,
  type Values,
  type ValuesSchema,
  valuesSchema,
} from '../support/chart-values.ts';
import { granted, needed } from '../support/granted.ts';
import { chart, containerOf, helm, type Manifest, manifestsOf, only, podOf, render, requireHelm, template } from '../support/helm.ts';

beforeEach(requireHelm);

/** The image of whoever says nothing about it, without a tag. */
const { repository } = (defaultValues as { readonly operator: { readonly image: { readonly repository: string } } }).operator.image;

const withMinimal = (path: string, value: unknown): Values => merged(minimal, nested(path, value));

/** What Helm says to values that it refuses. */
async function refusal(values: object): Promise<string> {
  const { code, stderr } = await template(values);
  expect(code).not.toBe(0);
  return stderr;
}

/** The configuration that the operator of rendered objects reads, a token and its certificates apart. */
async function configOf(manifests: readonly Manifest[]): Promise<Config> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'keyturn.yaml');
  await writeFile(file, only(manifests, 'ConfigMap', 'keyturn').data?.['keyturn.yaml'] ?? '');
  const { args = [], env = [] } = containerOf(only(manifests, 'Deployment', 'keyturn'));
  const variables = env.flatMap(({ name, value }) => (value === undefined || name.endsWith('_FILE') ? [] : [[name, value] as const]));
  const environment = { ...Object.fromEntries(variables), OP_CONNECT_TOKEN: 'token' };
  return readConfig(
    environment,
    args.map((arg) => arg.replace(/^--config=.*/, `--config=${file}`)),
  );
}

/** What rolls the pods when it changes. */
async function rolledBy(path: string, value: unknown): Promise<unknown> {
  return podOf(only(await render(withMinimal(path, value)), 'Deployment')).metadata.annotations;
}

async function tokenVariables(values: object): Promise<readonly string[]> {
  const { env = [] } = containerOf(only(await render(values), 'Deployment', 'keyturn'));
  return env.map(({ name }) => name).filter((name) => name.includes('TOKEN'));
}

async function deploymentName(values: Values): Promise<string> {
  return only(await render(merged(minimal, values), 'tools'), 'Deployment').metadata.name;
}

/** Of the roles and bindings of a release that are in no namespace. */
async function clusterWideNames(release: string, namespace: string, values: Values): Promise<readonly string[]> {
  const { stdout, stderr } = await helm(['template', release, chart, '--namespace', namespace, '--values', '-'], stringify(values));
  expect(stderr).toBe('');
  const roles = manifestsOf(stdout).filter(({ kind }) => /^ClusterRole(Binding)?$/.test(kind));
  return roles.map(({ metadata }) => metadata.name).toSorted();
}

function rolesOf(manifests: readonly Manifest[]): readonly Manifest[] {
  return manifests.filter(
    ({ kind, metadata }) => /^(Cluster)?Role$/.test(kind) && metadata.labels['app.kubernetes.io/component'] === 'operator',
  );
}

describe('values', () => {
  it('have to name a Connect server', async () => {
    expect(await refusal({})).toContain('operator.connectUrl is not set: give the URL of your Connect server');
  });

  it.each([
    ['opreator', 1],
    ['operator.tokne', { name: 'a' }],
    ['operator.token.nam', 'a'],
    ['operator.probes.liveness.enabled', false],
    ['operator.config.maxRestart', 1],
    ['connect.api.serviceMonitor.labels', {}],
    ['crds.instal', false],
  ])('may not be misspelt: %s', async (path, value) => {
    const key = path.split('.').at(-1);
    expect(await refusal(withMinimal(path, value))).toContain(`additional properties '${key}' not allowed`);
  });

  it.each([
    ['operator.replicas', '2'],
    ['operator.autoRestart', 'true'],
    ['operator.watchNamespace', 'team-a'],
    ['operator.watchNamespace', ['Team A']],
    ['operator.pollingInterval', 0],
    ['operator.probes.port', 8080],
    ['operator.restartDebounce', 5],
    ['operator.podAnnotations', { number: 1 }],
    ['operator.connectUrl', 'onepassword-connect:8080'],
    ['operator.image.digest', 'latest'],
    ['operator.customEnvVars', [{ value: 'nameless' }]],
    ['operator.vaultPolicy', [{ namespaces: ['a'] }]],
    ['operator.imagePullSecrets', [{ name: 'a' }]],
    ['operator.config.maxRestarts', 'many'],
    ['connect.serviceType', 'External'],
    ['connect.version', '{{ .Chart.AppVersion }}'],
    ['connect.applicationName', 'two words'],
    ['crds', true],
  ])('have to be of their type: %s', async (path, value) => {
    expect(await refusal(withMinimal(path, value))).toContain(`- at '/${path.replaceAll('.', '/')}`);
  });

  it('may be null where nothing is what they mean', async () => {
    const nothing = { watchNamespace: null, config: null, extraArgs: null, podAnnotations: null, securityContext: null, resources: null };
    const manifests = await render({
      operator: { ...minimal.operator, ...nothing },
      connect: { create: true, dataVolume: { values: null } },
    });
    expect(podOf(only(manifests, 'Deployment', 'onepassword-connect')).spec.volumes).toContainEqual({ name: 'shared-data', emptyDir: {} });
    expect(manifests.filter(({ kind }) => kind === 'ClusterRole')).toHaveLength(2);
  });

  it('may not be null where that is no value', async () => {
    expect(await refusal(withMinimal('operator.replicas', null))).toContain("at '/operator': missing property 'replicas'");
  });

  it.each([
    ['connectUrl', 'https://me:hidden@connect:8080', 'the Secret of operator.token.name'],
    ['httpsProxy', 'http://me:hidden@proxy:3128', 'set HTTPS_PROXY from a Secret in operator.customEnvVars'],
    ['httpsProxy', 'me:hidden@proxy:3128', 'set HTTPS_PROXY from a Secret in operator.customEnvVars'],
    ['httpProxy', 'http://me:hid/den@proxy:3128', 'set HTTP_PROXY from a Secret in operator.customEnvVars'],
  ])('hold no password, where everybody could read it: %s', async (key, url, cure) => {
    const said = await refusal(withMinimal(`operator.${key}`, url));
    expect(said).toContain(`operator.${key} holds`);
    expect(said).toContain(cure);
    expect(said).not.toMatch(/hid/);
  });

  it('cannot turn on both ways to be scraped', async () => {
    const values = merged(everything, { operator: { podMonitor: { enabled: true } } });
    expect(await refusal(values)).toContain('everything would be scraped twice: choose one');
  });

  it('cannot have pods scraped that would refuse everybody', async () => {
    const values = merged(minimal, { operator: { metricsSecure: true, podMonitor: { enabled: true } } });
    expect(await refusal(values)).toContain('needs operator.podMonitor.authorization');
  });
});

/** The paths of what the schema knows of the official chart, and of settings that have another place. */
function refusedPaths({ properties = {} }: ValuesSchema, path = ''): readonly string[] {
  return Object.entries(properties).flatMap(([key, value]) =>
    value.deprecated === true ? [`${path}${key}`] : refusedPaths(value, `${path}${key}.`),
  );
}

describe('values of the official chart', () => {
  const used = { enabled: true, create: false, value: 'x' };
  const valueOf = (path: string): unknown =>
    path.endsWith('authMethod') ? 'service-account' : /hpa|ingress|httpRoute|profiler|[tT]ests|Token$|[rR]ole/.test(path) ? used : 'x';

  it.each(refusedPaths(valuesSchema))('that have no meaning here are refused with what to do instead: %s', async (path) => {
    const said = await refusal(withMinimal(path, valueOf(path)));
    expect(said).toMatch(
      new RegExp(`${path}[.a-z]* (is a value of the official chart that this one does not have|has another place): \\w+`),
    );
    expect(said).not.toContain('additional properties');
  });

  it('may stay where they are off', async () => {
    const values = merged(minimal, {
      operator: {
        authMethod: 'connect',
        token: { value: null },
        hpa: { enabled: false, minReplicas: 1 },
        roleBinding: { create: true, name: 'x' },
        clusterRole: { create: '{{ .Values.operator.create }}' },
      },
      connect: { credentials: null, ingress: { enabled: false, hosts: [] }, hpa: { enabled: false }, profiler: { enabled: false } },
      acceptanceTests: { enabled: false, fixtures: {} },
    });
    expect((await template(values)).stderr).toBe('');
  });

  it('that mean the same are carried over', async () => {
    const manifests = await render({
      operator: {
        create: true,
        autoRestart: true,
        connectUrl: 'http://connect:8080',
        pollingInterval: 600,
        watchNamespace: ['shop'],
        token: { name: 'my-token', key: 'my-key' },
        logLevel: 'error',
        enableAnnotations: true,
        allowEmptyValues: true,
        serviceAccount: { create: true, name: 'onepassword-connect-operator' },
        customEnvVars: [{ name: 'A', value: 'b' }],
      },
      connect: { create: false },
    });
    expect(await configOf(manifests)).toMatchObject({
      autoRestart: true,
      connectHost: 'http://connect:8080',
      pollingInterval: 600_000,
      watchNamespaces: ['shop'],
      logLevel: 'error',
      enableAnnotations: true,
      allowEmptyValues: true,
    });
    const { spec } = podOf(only(manifests, 'Deployment'));
    expect(spec).toMatchObject({ serviceAccountName: 'onepassword-connect-operator' });
    expect(spec.volumes).toContainEqual({
      name: 'token',
      secret: { secretName: 'my-token', optional: true, defaultMode: 0o440, items: [{ key: 'my-key', path: 'token' }] },
    });
  });
});

describe('the operator', () => {
  it('is set as the values say, whatever texts they hold', async () => {
    const manifests = await render(everything);
    const { operator } = everything as { readonly operator: Values & { readonly vaultPolicy: object } };
    expect(await configOf(manifests)).toMatchObject({
      connectHost: 'https://onepassword-connect.keyturn.svc:8443',
      connectProxy: 'http://proxy.example.test:3128/',
      pollingInterval: 1_000_000,
      clusterName: '"quoted": yes',
      autoRestart: false,
      restartMode: 'report',
      restartDebounce: 90_000,
      maxRestarts: { inAll: 999_999, perNamespace: 0 },
      leaderElection: { enabled: true, leaseDuration: 30_000, retryPeriod: 3_000 },
      audit: { path: operator['auditLogPath'] },
      vaultPolicy: operator.vaultPolicy,
      warnings: [],
    });
    const { operator: calm } = merged(everything, { operator: { extraArgs: [] } }) as { readonly operator: Values };
    expect((await configOf(await render({ ...everything, operator: calm }))).clusterName).toBe(operator['clusterName']);
  });

  it('hands texts on as they are: numbers and booleans too', async () => {
    const { operator } = everything as { readonly operator: { readonly podAnnotations: object; readonly extraArgs: readonly string[] } };
    const deployment = only(await render(everything), 'Deployment', 'keyturn');
    const { env, args } = containerOf(deployment);
    const secret = { secretKeyRef: { name: 'a', key: 'b' } };
    const text = `it's "quoted": yes, {{ .Values }} # no comment\nand a second line\n`;
    expect(env).toEqual(
      expect.arrayContaining([
        { name: 'NUMBER', value: '1000000' },
        { name: 'BOOLEAN', value: 'true' },
        { name: 'TEXT', value: text },
        { name: 'EMPTY', value: '' },
        { name: 'SECRET', valueFrom: secret },
      ]),
    );
    expect(args).toEqual(['--config=/etc/keyturn/keyturn.yaml', ...operator.extraArgs]);
    expect(podOf(deployment).metadata.annotations).toMatchObject(operator.podAnnotations);
    expect(deployment.metadata.annotations).toEqual({ note: text });
  });

  it.each([minimal, otherwise])('reads its settings without a mistake', async (values) => {
    expect(await configOf(await render(values))).toMatchObject({ warnings: [], leaderElection: { enabled: true } });
  });

  it('has no policy by default, and one that denies all when the list is empty', async () => {
    expect((await configOf(await render(minimal))).vaultPolicy).toBeUndefined();
    expect((await configOf(await render(otherwise))).vaultPolicy).toEqual([]);
  });

  it('is rolled for another setting, and not for another vault policy', async () => {
    const before = await rolledBy('operator.pollingInterval', 10);
    expect(await rolledBy('operator.vaultPolicy', [{ namespaces: ['*'], vaults: ['A'] }])).toEqual(before);
    expect(await rolledBy('operator.pollingInterval', 11)).not.toEqual(before);
    expect(await rolledBy('operator.config', { maxRestarts: 1 })).not.toEqual(before);
  });

  it('has the token in its environment on request alone', async () => {
    expect(await tokenVariables(minimal)).toEqual(['OP_CONNECT_TOKEN_FILE']);
    expect(await tokenVariables(otherwise)).toEqual(['OP_CONNECT_TOKEN']);
  });

  it.each([
    [{}, `${repository}:${version}`],
    [{ tag: 'latest' }, `${repository}:latest`],
    [{ repository: 'a.test:5000/b', tag: 'c', digest: `sha256:${'1'.repeat(64)}` }, `a.test:5000/b@sha256:${'1'.repeat(64)}`],
  ])('has the image of %j', async (image, expected) => {
    const manifests = await render(withMinimal('operator.image', image));
    expect([containerOf(only(manifests, 'Deployment')).image, containerOf(only(manifests, 'Job')).image]).toEqual([expected, expected]);
  });

  it('is found by selectors that no label of a user changes', async () => {
    const manifests = await render(everything);
    const selector = {
      'app.kubernetes.io/name': 'keyturn',
      'app.kubernetes.io/instance': 'keyturn',
      'app.kubernetes.io/component': 'operator',
    };
    const deployment = only(manifests, 'Deployment', 'keyturn');
    expect(deployment.spec?.['selector']).toEqual({ matchLabels: selector });
    expect(podOf(deployment).metadata.labels).toEqual({ ...selector, b: '1', team: '123', 'example.test/on': 'true' });
    expect(only(manifests, 'Service', 'keyturn-metrics').spec?.['selector']).toEqual(selector);
  });

  it('spreads its own pods where a constraint does not say which', async () => {
    const spread = podOf(only(await render(everything), 'Deployment', 'keyturn')).spec['topologySpreadConstraints'];
    const matchLabels = { 'app.kubernetes.io/component': 'operator' };
    expect(spread).toMatchObject([{ labelSelector: { matchLabels } }, { labelSelector: { matchLabels: { own: 'selector' } } }]);
  });

  it.each([
    ['http://connect:8080', '8080'],
    ['https://connect.example.test/path', '443'],
    ['http://connect', '80'],
    ['https://[fd00::1]:8443', '8443'],
    ['https://[fd00::1]', '443'],
  ])('may reach %s at port %s under a NetworkPolicy', async (connectUrl, port) => {
    const policy = only(await render({ operator: { connectUrl, networkPolicy: { enabled: true } } }), 'NetworkPolicy');
    const { egress = [] } = (policy.spec ?? {}) as { readonly egress?: readonly object[] };
    expect(egress.at(-1)).toEqual({ ports: [{ port: Number(port), protocol: 'TCP' }] });
  });
});

describe('permissions', () => {
  it('are what the operator needs of the whole cluster', async () => {
    const manifests = await render(minimal);
    expect(granted(rolesOf(manifests))).toEqual(
      [...needed(undefined, watchPermissions(false, true)), ...needed('keyturn', [leasePermission])].toSorted(),
    );
    expect(manifests.filter(({ kind, metadata }) => kind === 'ClusterRoleBinding' && !metadata.name.endsWith('-crd'))).toMatchObject([
      { roleRef: { kind: 'ClusterRole', name: 'keyturn:keyturn' }, subjects: [{ name: 'keyturn', namespace: 'keyturn' }] },
    ]);
  });

  it('are what it needs of each namespace when some are named, and nothing of the cluster', async () => {
    const watchNamespace = ['team-a', 'team-b', 'keyturn', 'team-a'];
    const manifests = await render(withMinimal('operator.watchNamespace', watchNamespace));
    const each = [...new Set(watchNamespace)];
    expect(granted(rolesOf(manifests))).toEqual(
      [...each.flatMap((namespace) => needed(namespace, watchPermissions(true, true))), ...needed('keyturn', [leasePermission])].toSorted(),
    );
    expect(manifests.filter(({ kind, metadata }) => kind.startsWith('Cluster') && !metadata.name.endsWith('-crd'))).toEqual([]);
    expect(manifests.filter(({ kind }) => kind === 'RoleBinding')).toHaveLength(4);
  });

  it('include the deletion of Secrets on request alone', async () => {
    const more = granted(rolesOf(await render(withMinimal('operator.rbac.deleteSecrets', true))));
    const usual = granted(rolesOf(await render(minimal)));
    expect(more.filter((line) => !usual.includes(line))).toEqual(['everywhere: delete secrets.']);
  });

  it('to ask for reviews are bound with secure metrics, and come with the cluster', async () => {
    const bindings = (await render(withMinimal('operator.metricsSecure', true))).filter(
      ({ roleRef }) => roleRef?.name === 'system:auth-delegator',
    );
    expect(bindings).toMatchObject([{ kind: 'ClusterRoleBinding', subjects: [{ name: 'keyturn' }] }]);
    expect(reviewPermissions.map(({ resource }) => resource)).toEqual(['tokenreviews', 'subjectaccessreviews']);
  });

  it('have names of their own in the cluster for each release, whatever hyphens are in those of the release and the namespace', async () => {
    const values = withMinimal('operator.metricsSecure', true);
    const [one, other] = await Promise.all([clusterWideNames('a-keyturn', 'team', values), clusterWideNames('keyturn', 'team-a', values)]);
    expect(one).toEqual(['team:a-keyturn', 'team:a-keyturn', 'team:a-keyturn-crd', 'team:a-keyturn-crd', 'team:a-keyturn-metrics']);
    expect(other).toHaveLength(one.length);
    expect(other.filter((name) => one.includes(name))).toEqual([]);
  });

  it('are never those of the account that pods have who name none', async () => {
    expect(await refusal(withMinimal('operator.serviceAccount.create', false))).toContain('operator.serviceAccount.name is not set');
  });

  it('are not made on request, and the account neither', async () => {
    const manifests = await render(
      merged(minimal, { operator: { rbac: { create: false }, serviceAccount: { create: false, name: 'mine' } } }),
    );
    expect(rolesOf(manifests)).toEqual([]);
    expect(manifests.filter(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name !== 'keyturn-crd')).toEqual([]);
    expect(podOf(only(manifests, 'Deployment')).spec['serviceAccountName']).toBe('mine');
  });
});

describe('monitoring', () => {
  it('has the alerts of deploy/monitoring, with links to runbooks', async () => {
    const { spec } = parse(await readFile(new URL('../../deploy/monitoring/prometheus-rule.yaml', import.meta.url), 'utf8')) as {
      readonly spec: { readonly groups: readonly object[] };
    };
    const linked = JSON.parse(
      JSON.stringify(spec).replaceAll('"runbook_url":"', '"runbook_url":"https://example.test/repository/'),
    ) as object;
    expect(only(await render(everything), 'PrometheusRule').spec).toEqual(linked);
  });

  it('leaves paths of runbooks as they are without a base', async () => {
    const rule = only(await render(withMinimal('operator.prometheusRule.enabled', true)), 'PrometheusRule');
    expect(JSON.stringify(rule)).toContain('"runbook_url":"docs/runbooks/KeyturnNoLeader.md"');
  });

  it('has the dashboard of deploy/monitoring, found by the label of the sidecar', async () => {
    const dashboard = await readFile(new URL('../../deploy/monitoring/grafana-dashboard.json', import.meta.url), 'utf8');
    const { data, metadata } = only(await render(everything), 'ConfigMap', 'keyturn-dashboard');
    expect(JSON.parse(data?.['keyturn.json'] ?? '')).toEqual(JSON.parse(dashboard));
    expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' });
  });

  it('scrapes by https, with a token, what is served so', async () => {
    expect(only(await render(everything), 'ServiceMonitor', 'keyturn').spec).toMatchObject({
      endpoints: [
        {
          scheme: 'https',
          tlsConfig: { insecureSkipVerify: true },
          bearerTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
        },
      ],
    });
    expect(only(await render(otherwise), 'PodMonitor').spec).toMatchObject({
      podMetricsEndpoints: [{ scheme: 'https', authorization: { credentials: { name: 'token', key: 'token' } } }],
    });
  });
});

describe('the definition', () => {
  it('is no object of the release, nor of its hooks', async () => {
    expect((await render(everything)).filter(({ kind }) => kind === 'CustomResourceDefinition')).toEqual([]);
  });

  it('is applied before an installation and an upgrade by hooks that are gone afterwards', async () => {
    const hooks = (await render(minimal)).filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined);
    expect(hooks.map(({ kind }) => kind)).toEqual(['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Job']);
    for (const { metadata } of hooks) {
      expect(metadata.annotations).toMatchObject({
        'helm.sh/hook': 'pre-install,pre-upgrade',
        'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
      });
    }
  });

  it('is left to others when that is switched off', async () => {
    const manifests = await render(withMinimal('crds.install', false));
    expect(manifests.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined)).toEqual([]);
  });
});

describe('a Connect server of the release', () => {
  it('is asked by the operator, and takes checked credentials from the environment', async () => {
    const manifests = await render({ connect: { create: true, credentialsName: 'mine', credentialsKey: 'file' } });
    expect(await configOf(manifests)).toMatchObject({ connectHost: 'http://onepassword-connect:8080' });
    const { spec } = podOf(only(manifests, 'Deployment', 'onepassword-connect'));
    expect(spec.initContainers).toMatchObject([
      { image: `${repository}:${version}`, args: ['check-credentials', '/credentials/credentials'] },
    ]);
    expect(spec.volumes).toContainEqual({
      name: 'credentials',
      secret: { secretName: 'mine', optional: true, items: [{ key: 'file', path: 'credentials' }] },
    });
    const session = { name: 'OP_SESSION', valueFrom: { secretKeyRef: { name: 'mine', key: 'file' } } };
    expect(spec.containers.map(({ image, env }) => [image, env?.find(({ name }) => name === 'OP_SESSION')])).toEqual([
      ['1password/connect-api:1.8.2', session],
      ['1password/connect-sync:1.8.2', session],
    ]);
  });

  it('may write to its root, which Pod Security allows, and nothing else that it does not need', async () => {
    const { spec } = podOf(only(await render({ connect: { create: true } }), 'Deployment', 'onepassword-connect'));
    const own = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    expect(spec.containers.map(({ securityContext }) => securityContext)).toEqual([own, own]);
    expect(spec.initContainers?.map(({ securityContext }) => securityContext)).toEqual([{ ...own, readOnlyRootFilesystem: true }]);
  });

  it('is asked by https when it serves that', async () => {
    const manifests = await render({ connect: { create: true, host: 'connect.example.test', tls: { enabled: true } } });
    expect(await configOf(manifests)).toMatchObject({ connectHost: 'https://connect.example.test:8443' });
    expect(only(manifests, 'Service', 'onepassword-connect').spec).toMatchObject({ ports: [{ port: 8443, targetPort: 'api' }] });
  });
});

describe('names', () => {
  it('are told apart by the release', async () => {
    expect(await deploymentName({})).toBe('keyturn');
    expect(await deploymentName({ nameOverride: 'secrets' })).toBe('keyturn-secrets');
    expect(await deploymentName({ fullnameOverride: 'mine' })).toBe('mine');
  });
});
