import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { leasePermission, watchPermissions } from '../../src/doctor/permissions.ts';
import { version } from '../../src/version.ts';
import { newNamespaceName } from '../support/cluster.ts';
import { kubectl } from '../support/control-plane.ts';
import { granted, needed } from '../support/granted.ts';
import type { Rule } from '../support/roles.ts';

interface Pod {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly { readonly image: string; readonly args: readonly string[]; readonly securityContext: object }[];
    readonly topologySpreadConstraints?: readonly { readonly topologyKey: string }[];
  };
}

/** An object of an overlay, as far as any kind is read. */
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly Rule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly object[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly replicas?: number; readonly selector?: object; readonly template?: Pod };
}

const overlays = ['cluster-wide', 'namespaced', 'ha'] as const;
const watched = ['team-a', 'team-b'];
const account = { kind: 'ServiceAccount', name: 'keyturn', namespace: 'keyturn' };
const rendered = new Map<string, readonly Manifest[]>();

async function run(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args, input);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout;
}

async function render(folder: string): Promise<readonly Manifest[]> {
  const text = await run(['kustomize', fileURLToPath(new URL(`../../deploy/${folder}`, import.meta.url))]);
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** An overlay that refers to `../deploy`. */
async function renderOwn(kustomization: string): Promise<string> {
  const folder = await mkdtemp(fileURLToPath(new URL('../../.cache/overlay-', import.meta.url)));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'kustomization.yaml'), kustomization.replaceAll('../deploy', '../../deploy'));
  return run(['kustomize', folder]);
}

/** Of those who say nothing about it, without a tag. */
async function baseImage(): Promise<string> {
  const { images } = parse(await readFile(new URL('../../deploy/base/kustomization.yaml', import.meta.url), 'utf8')) as {
    readonly images: readonly [{ readonly name: string; readonly newName?: string }];
  };
  return images[0].newName ?? images[0].name;
}

/** The objects of one kind. */
function of(overlay: string, kind: string): readonly Manifest[] {
  return (rendered.get(overlay) ?? []).filter((manifest) => manifest.kind === kind);
}

function podOf(overlay: string): Pod {
  const pod = of(overlay, 'Deployment')[0]?.spec?.template;
  if (pod === undefined) throw new Error(`the overlay ${overlay} has no Deployment`);
  return pod;
}

function names(manifests: readonly Manifest[]): readonly string[] {
  return manifests.map(({ metadata: { name, namespace } }) => `${namespace}/${name}`).toSorted();
}

async function submit(manifests: readonly object[]): Promise<string> {
  const text = manifests.map((manifest) => stringify(manifest)).join('---\n');
  return run(['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', '-'], text);
}

beforeAll(async () => {
  for (const overlay of overlays) rendered.set(overlay, await render(`overlays/${overlay}`));
  for (const name of watched) await submitNamespace(name);
});

async function submitNamespace(name: string): Promise<void> {
  const metadata = { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } };
  await run(['apply', '--server-side', '-f', '-'], stringify({ apiVersion: 'v1', kind: 'Namespace', metadata }));
}

it.for(['cluster-wide', 'ha'])('the overlay %s can be put into another namespace, with its rights', async (overlay) => {
  const text = await renderOwn(`namespace: elsewhere\nresources: [../deploy/overlays/${overlay}]\n`);
  const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  expect([...new Set(manifests.flatMap(({ metadata }) => metadata.namespace ?? []))]).toEqual(['elsewhere']);
  expect(manifests.flatMap(({ subjects = [] }) => subjects)).toEqual([1, 2].map(() => ({ ...account, namespace: 'elsewhere' })));
});

describe.for(overlays)('the overlay %s', (overlay) => {
  it('is accepted by the API server, all of it', async () => {
    const manifests = rendered.get(overlay) ?? [];
    const answer = await submit(manifests);
    expect(answer.trim().split('\n')).toHaveLength(manifests.length);
  });

  it('makes pods that Pod Security accepts as restricted', async () => {
    const { metadata, spec } = podOf(overlay);
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'keyturn', namespace: 'keyturn' }, spec };
    expect(await submit([pod])).toContain('pod/keyturn serverside-applied');
    const [container] = spec.containers;
    const loose = { ...pod, spec: { ...spec, containers: [{ ...container, securityContext: {} }] } };
    const refused = await kubectl(['apply', '--server-side', '--dry-run=server', '-f', '-'], stringify(loose));
    expect(refused.stderr).toContain('violates PodSecurity "restricted:latest"');
  });

  it('leaves the definition of the resource alone, so that nobody deletes it with the operator', () => {
    expect(of(overlay, 'CustomResourceDefinition')).toEqual([]);
  });

  it('runs this version', async () => {
    expect(podOf(overlay).spec.containers.map(({ image }) => image)).toEqual([`${await baseImage()}:${version}`]);
  });

  it('binds each of its roles to the operator, and to nobody else', () => {
    const roles = ['Role', 'ClusterRole'].flatMap((kind) => of(overlay, kind));
    const bindings = ['RoleBinding', 'ClusterRoleBinding'].flatMap((kind) => of(overlay, kind));
    expect(names(bindings)).toEqual(names(roles));
    for (const { metadata, roleRef, subjects } of bindings) {
      expect(roleRef).toMatchObject({ kind: metadata.namespace === undefined ? 'ClusterRole' : 'Role', name: metadata.name });
      expect(subjects).toEqual([account]);
    }
  });

  it('has settings that the operator knows', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const token = join(folder, 'token');
    await writeFile(token, 'x');
    const [{ data = {} } = {}] = of(overlay, 'ConfigMap');
    const config = readConfig({ ...data, OP_CONNECT_TOKEN_FILE: token }, podOf(overlay).spec.containers[0]?.args ?? []);
    expect(config).toMatchObject({ leaderElection: { enabled: true }, watchNamespaces: overlay === 'namespaced' ? watched : [] });
  });
});

describe('the permissions of the overlay', () => {
  const lease = needed('keyturn', [leasePermission]);

  it.each(['cluster-wide', 'ha'])('%s are those that the operator needs in all namespaces', (overlay) => {
    expect(granted(of(overlay, 'ClusterRole'))).toEqual(needed(undefined, watchPermissions(false, true)).toSorted());
    expect(granted(of(overlay, 'Role'))).toEqual(lease.toSorted());
  });

  it('namespaced are those that it needs in the namespaces that it watches, and none of the cluster', () => {
    expect(of('namespaced', 'ClusterRole')).toEqual([]);
    const everywhere = watched.flatMap((namespace) => needed(namespace, watchPermissions(true, true)));
    expect(granted(of('namespaced', 'Role'))).toEqual([...lease, ...everywhere].toSorted());
  });
});

describe('the overlay ha', () => {
  it('has two replicas, of which one may be disrupted, on nodes and in zones of their own', () => {
    expect(of('ha', 'Deployment')[0]?.spec?.replicas).toBe(2);
    expect(of('ha', 'PodDisruptionBudget')[0]?.spec).toMatchObject({
      maxUnavailable: 1,
      selector: { matchLabels: podOf('ha').metadata.labels },
    });
    const spread = podOf('ha').spec.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey);
    expect(spread).toEqual(['kubernetes.io/hostname', 'topology.kubernetes.io/zone']);
  });

  it('can be had for namespaces by name too', async () => {
    const text = await renderOwn(stringify({ resources: ['../deploy/overlays/namespaced'], components: ['../deploy/components/ha'] }));
    expect(text).toContain('replicas: 2');
    expect(text).toContain('WATCH_NAMESPACE: team-a,team-b');
  });
});

it('is made one of your own as the README shows', async () => {
  const readme = await readFile(new URL('../../deploy/README.md', import.meta.url), 'utf8');
  const [, example = ''] = /```yaml\n(apiVersion: kustomize[\s\S]*?)```/.exec(readme) ?? [];
  const text = await renderOwn(example.replace('<your registry>', 'registry.example'));
  expect(text).toContain(`image: registry.example/keyturn:${version}`);
  expect(text).toContain('OP_CONNECT_HOST: http://onepassword-connect.onepassword.svc:8080');
});

it('leaves ConfigMaps of before that the commands of the README find, and delete', async () => {
  const readme = await readFile(new URL('../../deploy/README.md', import.meta.url), 'utf8');
  const namespace = newNamespaceName();
  await submitNamespace(namespace);
  const [made] = of('cluster-wide', 'ConfigMap');
  const [deployment] = of('cluster-wide', 'Deployment');
  const now = made?.metadata.name ?? '';
  const objects = [made, { ...made, metadata: { ...made?.metadata, name: 'keyturn-before' } }, deployment].map((object) => ({
    ...object,
    metadata: { ...object?.metadata, namespace },
  }));
  await run(['apply', '--server-side', '-f', '-'], objects.map((object) => stringify(object)).join('---\n'));

  const [, path = ''] = /get deployment keyturn -o jsonpath='(.*)'/.exec(readme) ?? [];
  expect(await run(['-n', namespace, 'get', 'deployment', 'keyturn', '-o', `jsonpath=${path}`])).toBe(now);
  const [, options = ''] = /^kubectl -n keyturn delete configmap (.*)$/m.exec(readme) ?? [];
  await run(['-n', namespace, 'delete', 'configmap', ...options.replace('<that name>', now).split(' ')]);
  const left = await run(['-n', namespace, 'get', 'configmap', '-o', 'name']);
  expect(
    left
      .trim()
      .split('\n')
      .filter((name) => name.includes('keyturn')),
  ).toEqual([`configmap/${now}`]);
});

it('can be taken away without the namespace and the token in it', async () => {
  const text = (rendered.get('cluster-wide') ?? []).map((manifest) => stringify(manifest)).join('---\n');
  const selected = await run(
    ['delete', '-f', '-', '--selector', 'app.kubernetes.io/name=keyturn', '--dry-run=server', '--ignore-not-found', '-o', 'name'],
    text,
  );
  expect(selected).toContain('clusterrole.rbac.authorization.k8s.io/keyturn');
  expect(selected).not.toContain('namespace/');
});
