import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../dev/tools/command.ts';
import type { Component } from '../../dev/node/start.ts';
import { eventually } from '../support/eventually.ts';
import { oldChart } from './old-chart.ts';
import { startTarget, type Target, type TargetKind } from './targets.ts';
import { enterWorld, itemObject, type Meta, namespaceObject, type Pod, untilReason, type World } from './world.ts';

const chart = resolve(ROOT, 'helm/keyturn');
const release = 'keyturn';
const home = 'keyturn-e2e';
const shop = 'keyturn-e2e-shop';
const podDeadline = 120_000;
/** The kubelet brings a Secret to a pod within two minutes or less, and what is in sync says nothing of an outage for one. */
const tokenDeadline = 240_000;
const log = (line: string): void => void process.stderr.write(`${line}\n`);

let target: Target;
let world: World;

beforeAll(async () => {
  target = await startTarget((process.env['E2E_TARGET'] ?? 'node') as TargetKind, log);
  world = await enterWorld(target, log);
  await world.apply(namespaceObject(home), namespaceObject(shop));
}, 20 * 60_000);

afterAll(async () => {
  try {
    await world?.stop();
  } finally {
    await target?.stop();
  }
}, 3 * 60_000);

/** As manifests name it: repository and tag. */
function splitImage(): readonly string[] {
  return target.image.replace('docker.io/library/', '').split(/:(?=[^/]+$)/);
}

/** What is not the chart's default: the image of this cluster, and where Connect is. */
function settings(...more: readonly string[]): readonly string[] {
  const [repository = '', tag = ''] = splitImage();
  const values = [
    `operator.image.repository=${repository}`,
    `operator.image.tag=${tag}`,
    `operator.connectUrl=${world.connectUrl}`,
    ...more,
  ];
  return values.flatMap((value) => ['--set', value]);
}

async function makeToken(namespace: string, token: string): Promise<void> {
  const metadata = { name: 'onepassword-token', namespace };
  await world.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { token } });
}

const helmInstall = (namespace: string, ...more: readonly string[]): Promise<string> =>
  world.helm('upgrade', '--install', release, chart, `--namespace=${namespace}`, '--wait', '--timeout=3m', ...settings(...more));

const untilSeen = (app: string, value: string): Promise<unknown> =>
  eventually(
    `every pod of ${app} to see the new value`,
    async () => {
      const seen = await world.seen(shop, app);
      return seen.length === 2 && seen.every(({ env, file }) => env === value && file === value) ? true : undefined;
    },
    podDeadline,
  );

/** Which pods they are, and how often their containers were started again. */
const uids = async (app: string): Promise<readonly string[]> =>
  (await world.pods(shop, app))
    .map(({ metadata, status }) => `${metadata.uid} ${status.containerStatuses?.map(({ restartCount }) => restartCount).join()}`)
    .toSorted();
const replicaSets = async (app: string): Promise<number> => (await world.list(shop, 'replicasets', `app=${app}`)).length;
async function operatorPods(namespace = home): Promise<readonly Pod[]> {
  const pods = await world.list<Pod>(namespace, 'pods', 'app.kubernetes.io/name=keyturn,app.kubernetes.io/component=operator');
  return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

async function leader(): Promise<string> {
  const { spec } = await world.get<{ spec: { holderIdentity: string } }>(home, 'lease', 'c26807fd.onepassword.com');
  return spec.holderIdentity.split('_')[0] ?? '';
}

let probes = 0;

/** Whoever is ready may yet have to lead: a resource that is made now, and in sync, shows that the operator has been at work on all. */
async function untilAtWork(): Promise<void> {
  probes += 1;
  await world.apply(itemObject(shop, `probe-${probes}`, 'other'));
  await untilReason(world, shop, `probe-${probes}`, 'Synced');
}

/** The counts of consumers are written some time after the last rollout. */
const untilSettled = (): Promise<unknown> =>
  eventually('the consumers to be current', async () => {
    const { status } = await world.get<{ status: { consumers?: { current: number; waiting: number } } }>(
      shop,
      'onepassworditem',
      'database',
    );
    return status.consumers?.current === 1 && status.consumers.waiting === 0 ? true : undefined;
  });

/** What has to outlive an installation, the resource and its Secret: which objects they are, and that nobody wrote them. */
async function keepsakes(): Promise<readonly string[]> {
  const objects = await Promise.all(['secret', 'onepassworditem'].map((type) => world.get<{ metadata: Meta }>(shop, type, 'database')));
  return objects.map(({ metadata: { uid, resourceVersion } }) => `${uid} ${resourceVersion}`);
}

async function inOperator(...command: readonly string[]): Promise<string> {
  return world.kubectl('exec', `--namespace=${home}`, `deployment/${release}`, '--', ...command);
}

describe('the image', () => {
  it('adds less than 10 MB to Node', (context) => {
    context.skip(target.imageBytes === undefined, 'the image was not built here');
    log(`image without the binary of Node: ${((target.imageBytes ?? 0) / 1e6).toFixed(1)} MB`);
    expect(target.imageBytes).toBeLessThan(10e6);
  });
});

describe('an installation by Helm with nothing but the host and the token', () => {
  it('becomes ready in a namespace that enforces the strictest Pod Security Standard, with the CRD', async () => {
    await makeToken(home, world.connectToken);
    await helmInstall(home);
    await world.kubectl('wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=10s');
    expect(await world.list(home, 'jobs')).toEqual([]);
  });

  it('makes a Secret of a resource', async () => {
    await world.apply(itemObject(shop, 'database', 'database'));
    expect(await untilReason(world, shop, 'database', 'Synced')).toMatchObject({ status: 'True' });
  });

  it('has pods read the value through env and through a volume', async () => {
    await world.startApp(shop, 'web', 'database', { 'operator.1password.io/auto-restart': 'true' });
    await world.startApp(shop, 'calm', 'database');
    const first = { env: 'first', file: 'first' };
    expect(await world.seen(shop, 'web')).toEqual([first, first]);
    expect(await world.seen(shop, 'calm')).toEqual([first, first]);
  });

  it('brings a rotated value to pods that opted in, once, and leaves the others running', async () => {
    const calm = await uids('calm');
    const before = await replicaSets('web');
    await world.rotate('database', 'password', 'second');
    await untilSeen('web', 'second');
    expect(await replicaSets('web')).toBe(before + 1);
    expect(await uids('calm')).toEqual(calm);
    expect((await world.seen(shop, 'calm')).map(({ env }) => env)).toEqual(['first', 'first']);
  });

  it('has a doctor in the pod, by both names of the program, and no shell', async () => {
    expect(await inOperator('/keyturn', 'doctor')).toMatch(/\b0 failed/);
    expect(await inOperator('/manager', '--version')).toMatch(/^keyturn \d/);
    await expect(inOperator('sh', '-c', 'true')).rejects.toThrow(/not found/);
  });

  it('serves metrics through its Service', async () => {
    const [service] = await world.list<{ metadata: Meta; spec: { clusterIP: string; ports: readonly { port: number }[] } }>(
      home,
      'services',
      'app.kubernetes.io/name=keyturn',
    );
    const url = `http://${service?.spec.clusterIP}:${service?.spec.ports[0]?.port}/metrics`;
    const program = `fetch('${url}').then((answer) => answer.text()).then(console.log)`;
    const scraped = await world.kubectl('exec', `--namespace=${shop}`, 'deployment/calm', '--', '/usr/bin/node', '--eval', program);
    expect(scraped).toMatch(/^keyturn_resources\{.*reason="Synced".*\} 1$/m);
  });
});

describe('two replicas', () => {
  it('lose the leader in the middle of a rotation, and roll once', async () => {
    // Time enough between the Secret and the rollout to lose the leader in.
    await helmInstall(home, 'operator.replicas=2', 'operator.restartDebounce=15s');
    await world.kubectl('rollout', 'status', `deployment/${release}`, `--namespace=${home}`, '--timeout=120s');
    await untilAtWork();
    expect(await operatorPods()).toHaveLength(2);
    const before = await replicaSets('web');
    const first = await leader();
    await world.rotate('database', 'password', 'third');
    await eventually('the Secret to have the new value', async () => {
      const { data } = await world.get<{ data: Readonly<Record<string, string>> }>(shop, 'secret', 'database');
      return Buffer.from(data['password'] ?? '', 'base64').toString() === 'third' ? true : undefined;
    });
    await world.kubectl('delete', 'pod', first, `--namespace=${home}`, '--force', '--grace-period=0');
    expect(await replicaSets('web')).toBe(before);
    await untilSeen('web', 'third');
    expect(await leader()).not.toBe(first);
    expect(await replicaSets('web')).toBe(before + 1);
  });
});

describe('a node whose components are restarted', () => {
  it.for(['kubelet', 'containerd', 'proxy', 'etcd', 'apiserver', 'controller-manager', 'scheduler'] satisfies Component[])(
    'keeps every pod when it was the %s',
    async (component, context) => {
      context.skip(target.restart === undefined, 'the node is not ours to restart its components');
      const before = [await uids('web'), await uids('calm')];
      await target.restart?.(component);
      expect([await uids('web'), await uids('calm')]).toEqual(before);
    },
  );

  it('still brings a rotated value to the pods, once', async () => {
    const before = await replicaSets('web');
    await world.rotate('database', 'password', 'fourth');
    await untilSeen('web', 'fourth');
    expect(await replicaSets('web')).toBe(before + 1);
  });
});

describe('a release', () => {
  it('is upgraded and rolled back, and neither touches a Secret, a resource or a pod', async () => {
    await untilSettled();
    const [kept, web] = [await keepsakes(), await uids('web')];
    await helmInstall(home, 'operator.logLevel=debug', 'operator.replicas=1');
    await untilAtWork();
    expect(await keepsakes()).toEqual(kept);
    await world.helm('rollback', release, `--namespace=${home}`, '--wait', '--timeout=3m');
    expect(await operatorPods()).toHaveLength(2);
    await untilAtWork();
    expect(await keepsakes()).toEqual(kept);
    expect(await uids('web')).toEqual(web);
  });

  it('is uninstalled and installed again, and Secrets, resources and pods stay as they are', async () => {
    const [kept, web] = [await keepsakes(), await uids('web')];
    await world.helm('uninstall', release, `--namespace=${home}`, '--wait', '--timeout=3m');
    expect(await keepsakes()).toEqual(kept);
    await helmInstall(home);
    await untilAtWork();
    expect(await keepsakes()).toEqual(kept);
    expect(await uids('web')).toEqual(web);
    const before = await replicaSets('web');
    await world.rotate('database', 'password', 'fifth');
    await untilSeen('web', 'fifth');
    expect(await replicaSets('web')).toBe(before + 1);
  });
});

describe('an installation that cannot work', () => {
  const wrong = 'keyturn-e2e-wrong';
  const namespaced = [`operator.watchNamespace={${wrong}}`, 'crds.install=false', 'operator.maxRestarts=1'];

  beforeAll(async () => {
    await world.helm('uninstall', release, `--namespace=${home}`, '--wait', '--timeout=3m');
    await world.apply(namespaceObject(wrong), itemObject(wrong, 'cache', 'cache'));
  });

  afterAll(() => world.helm('uninstall', release, `--namespace=${wrong}`, '--ignore-not-found', '--wait', '--timeout=3m'));

  const install = (...more: readonly string[]): Promise<string> =>
    world.helm('upgrade', '--install', release, chart, `--namespace=${wrong}`, ...settings(...namespaced, ...more));

  it('says so in the message of its pod, for want of the Secret with the token, and works once that is made', async () => {
    await install();
    const message = await eventually(
      'the pod to say what is wrong',
      async () => {
        const states = (await operatorPods(wrong)).flatMap(({ status }) => status.containerStatuses ?? []);
        return states
          .map(({ state, lastState }) => state.terminated?.message ?? lastState.terminated?.message)
          .find((text) => text !== undefined);
      },
      podDeadline,
    );
    expect(message).toMatch(/OP_CONNECT_TOKEN_FILE names a file that does not exist.*the Secret/s);
    await makeToken(wrong, world.connectToken);
    expect(await untilReason(world, wrong, 'cache', 'Synced')).toMatchObject({ status: 'True' });
  });

  it('says so in the condition of the resource, for a token that Connect refuses', async () => {
    await makeToken(wrong, 'no-token-of-this-server');
    const { message } = await untilReason(world, wrong, 'cache', 'ConnectUnauthorized', tokenDeadline);
    expect(message).toMatch(/token/);
  });

  it('says so in the condition of a new resource, for a host where no Connect server is', async () => {
    await makeToken(wrong, world.connectToken);
    await install('operator.connectUrl=http://127.0.0.1:9');
    // Those before it could still reach Connect.
    await world.kubectl('rollout', 'status', `deployment/${release}`, `--namespace=${wrong}`, '--timeout=120s');
    await world.apply(itemObject(wrong, 'late', 'cache'));
    const { message } = await untilReason(world, wrong, 'late', 'ConnectUnavailable');
    expect(message).toMatch(/OP_CONNECT_HOST/);
  });
});

describe('an installation by kustomize', () => {
  const plain = 'keyturn-e2e-plain';
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(resolve(ROOT, '.cache/kustomize-'));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('makes Secrets', async () => {
    const [newName = '', newTag = ''] = splitImage();
    const kustomization = {
      namespace: plain,
      resources: [relative(folder, resolve(ROOT, 'deploy/overlays/cluster-wide'))],
      images: [{ name: 'keyturn', newName, newTag }],
      configMapGenerator: [{ name: 'keyturn', behavior: 'merge', literals: [`OP_CONNECT_HOST=${world.connectUrl}`] }],
    };
    await writeFile(resolve(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    await world.apply(namespaceObject(plain), itemObject(plain, 'other', 'other'));
    await makeToken(plain, world.connectToken);
    await world.kubectl('apply', '--server-side', '--kustomize', folder);
    await world.kubectl('rollout', 'status', 'deployment/keyturn', `--namespace=${plain}`, '--timeout=120s');
    expect(await untilReason(world, plain, 'other', 'Synced')).toMatchObject({ status: 'True' });
    await world.kubectl('delete', '--kustomize', folder, '--ignore-not-found', '--timeout=100s');
  });
});

describe("a Deployment in the shape of the Go operator's chart", () => {
  const old = 'keyturn-e2e-old';

  it('runs our image, and makes Secrets', async () => {
    await world.apply(namespaceObject(old), itemObject(old, 'other', 'other'));
    await makeToken(old, world.connectToken);
    await world.apply(...oldChart({ namespace: old, image: target.image, connectUrl: world.connectUrl }));
    await world.kubectl('rollout', 'status', 'deployment/onepassword-connect-operator', `--namespace=${old}`, '--timeout=120s');
    expect(await untilReason(world, old, 'other', 'Synced')).toMatchObject({ status: 'True' });
  });
});
