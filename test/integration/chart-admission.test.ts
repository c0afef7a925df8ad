import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { newNamespaceName } from '../support/cluster.ts';
import { kubectl } from '../support/control-plane.ts';
import { booleans, defaultValues, everything, merged, minimal, nested, otherwise, type Values } from '../support/chart-values.ts';
import { chart, helm, type Manifest, manifestsOf, podOf, requireHelm, template } from '../support/helm.ts';
import { monitoringCrds } from '../support/monitoring-crds.ts';

/** Takes pods of the standard `restricted` alone. */
const namespace = newNamespaceName();
const watched = [`${namespace}-a`, `${namespace}-b`];
const accounts = ['default', 'keyturn', 'keyturn-crd', 'onepassword-connect', 'mine'];
const ownAccount: Values = { operator: { serviceAccount: { name: 'mine' } } };

/** Every boolean of values.yaml the other way round, on top of values where it means something. */
const flipped = booleans().map(({ path, held }) => [`${path}: ${!held}`, merged(baseFor(path), nested(path, !held))] as const);

/** One that is on by default must be seen to go, and one that is off to come, with what it belongs to. */
function baseFor(path: string): Values {
  const withUrl: Values = { ...minimal };
  if (path === 'operator.serviceAccount.create') return merged(withUrl, ownAccount);
  return path.startsWith('connect.') ? merged(withUrl, { connect: { create: true } }) : withUrl;
}

const allFlipped = booleans()
  // A chart without an operator has nothing of the rest, and being scraped twice is refused.
  .filter(({ path }) => !['operator.create', 'operator.podMonitor.enabled'].includes(path))
  .reduce<Values>((values, { path, held }) => merged(values, nested(path, !held)), merged({ ...minimal }, ownAccount));

const cases: readonly (readonly [string, Values])[] = [
  ['defaults and a host', { ...minimal }],
  ['everything optional', everything],
  ['everything optional, otherwise', merged(otherwise, { operator: { watchNamespace: watched } })],
  ['two namespaces', merged({ ...minimal }, { operator: { watchNamespace: watched } })],
  ['every boolean the other way round', allFlipped],
  ['nothing but the definition', { operator: { create: false } }],
  ...flipped,
];

beforeEach(requireHelm);

beforeAll(async () => {
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: restricted } },
    ...watched.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    // A pod is admitted when its account exists.
    ...accounts.map((name) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } })),
    ...monitoringCrds,
  ];
  await accepted(['apply', '--server-side', '--force-conflicts', '-f', '-'], objects);
  for (const { metadata } of monitoringCrds)
    await accepted(['wait', '--for=condition=Established', `crd/${metadata.name}`, '--timeout=20s']);
});

async function accepted(args: readonly string[], objects: readonly object[] = []): Promise<void> {
  const { code, stderr } = await kubectl(args, objects.map((object) => stringify(object)).join('---\n'));
  expect(stderr).toBe('');
  expect(code).toBe(0);
}

/** The pods of Deployments and Jobs: of these alone Pod Security refuses any. */
function podsOf(manifests: readonly Manifest[]): readonly object[] {
  return manifests
    .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
    .map((owner) => {
      const { metadata, spec } = podOf(owner);
      return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: `${owner.metadata.name}-pod`, namespace }, spec };
    });
}

describe('with the values of', () => {
  it.concurrent.each(cases)('%s the chart is clean, and the API server accepts it', async (_name, values) => {
    const lint = await helm(['lint', '--strict', chart, '--namespace', namespace, '--values', '-'], stringify(values));
    expect(lint).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('1 chart(s) linted, 0 chart(s) failed') });
    const { stdout, stderr, code } = await template(values, namespace);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const manifests = manifestsOf(stdout);
    const dryRun = ['apply', '--server-side', '--force-conflicts', '--validate=strict', '--dry-run=server', '-f', '-'];
    await accepted(dryRun, [...manifests, ...podsOf(manifests)]);
  });
});

describe('Pod Security', () => {
  it('would refuse what is not restricted', async () => {
    const values = merged({ ...minimal }, { operator: { securityContext: { allowPrivilegeEscalation: true } } });
    const pods = podsOf(manifestsOf((await template(values, namespace)).stdout)).map((object) => stringify(object));
    const { stderr } = await kubectl(['apply', '--server-side', '--dry-run=server', '-f', '-'], pods.join('---\n'));
    expect(stderr).toContain('violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false');
  });
});

describe('the booleans', () => {
  it.each(booleans())('all mean something: $path', async ({ path, held }) => {
    const [one, other] = await Promise.all([held, !held].map((value) => template(merged(baseFor(path), nested(path, value)), namespace)));
    expect(one?.stdout).not.toBe(other?.stdout);
  });

  it('are all of values.yaml', () => {
    const written = JSON.stringify(defaultValues).match(/:(true|false)/g) ?? [];
    // One security context has two, and four have one.
    expect(flipped).toHaveLength(written.length - 6);
  });
});
