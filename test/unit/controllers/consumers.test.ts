import { describe, expect, it } from 'vitest';
import { createConsumers } from '../../../src/controllers/consumers.ts';
import { createOwners } from '../../../src/controllers/owners.ts';
import { type ManagedSecret, type Namespace, type OnePasswordItem, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';

const autoRestart = 'operator.1password.io/auto-restart';
let resourceVersion = 0;
const meta = (name: string, namespace = 'ns') => ({ namespace, name, uid: name, resourceVersion: String((resourceVersion += 1)) });

const workload = (
  name: string,
  secrets: readonly string[],
  annotations: Readonly<Record<string, string>> = {},
  namespace = 'ns',
): Workload => ({
  ...reduceWorkload('Deployment')({ metadata: meta(name, namespace) }),
  annotations,
  secrets: new Map(secrets.map((name_) => [name_, { whole: true, required: [], optional: [] }])),
});

const secret = (name: string, annotations: Readonly<Record<string, string>> = {}): ManagedSecret => ({
  ...meta(name),
  labels: {},
  annotations,
  ownerReferences: [],
  dataWriters: undefined,
  writtenByUs: false,
  writtenAt: undefined,
});

/** The resource `name`, with what it says of restarts, and with the revisions of its Secret on record. */
const resource = (name: string, says: string | undefined, revisions: object = {}): OnePasswordItem => ({
  ...reduceOnePasswordItem({ metadata: { ...meta(name), ...(says !== undefined && { annotations: { [autoRestart]: says } }) } }),
  status: { secret: { name, resourceVersion: '1', revisions: { ...revisions } } },
});

function setUp(fallback = false) {
  const stores = {
    items: createStore<OnePasswordItem>(),
    workloads: createStore<Workload>(workloadKey),
    secrets: createStore<ManagedSecret>(),
    namespaces: createStore<Namespace>(),
  };
  const consumers = createConsumers({ ...stores, owners: createOwners(stores), autoRestart: fallback });
  return { ...stores, consumers, namesOf: (key: string) => consumers.of(key).map(({ name }) => name) };
}

describe('the consumers of a Secret', () => {
  it('are the workloads of its namespace that name it, as they come, change and go', () => {
    const { workloads, namesOf } = setUp();
    workloads.put(workload('a', ['db', 'tls']));
    workloads.put(workload('b', ['db']));
    workloads.put(workload('c', ['db'], {}, 'other'));
    expect([namesOf('ns/db'), namesOf('ns/tls'), namesOf('other/db'), namesOf('ns/none')]).toEqual([['a', 'b'], ['a'], ['c'], []]);
    workloads.put(workload('a', ['tls']));
    workloads.remove(workload('b', []));
    expect([namesOf('ns/db'), namesOf('ns/tls')]).toEqual([[], ['a']]);
  });
});

describe('the Secrets that restart a workload', () => {
  it('are those it consumes, with the last revision of ours, and whether the pair is opted in', () => {
    const { secrets, consumers } = setUp();
    secrets.put(secret('db', { [autoRestart]: 'true', 'keyturn.dev/revisions': '{"a":5,"b":9}' }));
    secrets.put(secret('tls', { [autoRestart]: 'false' }));
    secrets.put(secret('quiet', { [autoRestart]: 'true', 'keyturn.dev/revisions': 'nonsense' }));
    const found = consumers.secretsOf(workload('a', ['db', 'tls', 'quiet', 'foreign']));
    expect(found.map(({ name, consumed, restarts }) => ({ name, revision: consumed?.revision, restarts }))).toEqual([
      { name: 'db', revision: 9, restarts: true },
      { name: 'tls', revision: 0, restarts: false },
      { name: 'quiet', revision: 0, restarts: true },
      { name: 'foreign', revision: undefined, restarts: true },
    ]);
  });

  it.each<[string, Record<string, string>, Record<string, string>, string | undefined, boolean, boolean]>([
    ['by the Secret first', { [autoRestart]: 'true' }, { [autoRestart]: 'false' }, 'false', false, true],
    ['then by the workload', {}, { [autoRestart]: 'true' }, 'false', false, true],
    ['then by the namespace', {}, {}, 'true', false, true],
    ['then by the operator', {}, {}, undefined, true, true],
    ['and by nobody: no', {}, {}, undefined, false, false],
  ])('are decided %s', (_, ofSecret, ofWorkload, ofNamespace, ofOperator, expected) => {
    const { namespaces, consumers } = setUp(ofOperator);
    namespaces.put({ ...meta('ns', ''), autoRestart: ofNamespace });
    namespaces.put({ ...meta('other', ''), autoRestart: String(!expected) });
    expect(consumers.optIn(secret('db', ofSecret), workload('a', ['db'], ofWorkload)).restarts).toBe(expected);
  });
});

describe('what a resource says', () => {
  it.each([
    ['yes', 'true', { [autoRestart]: 'false' }, true],
    ['no', 'false', { [autoRestart]: 'true' }, false],
    ['nothing any more', undefined, { [autoRestart]: 'true' }, false],
  ])('of restarts counts before its Secret has it: %s', (_, says, ofSecret, expected) => {
    const { items, secrets, consumers } = setUp();
    items.put(resource('db', says));
    secrets.put(secret('db', ofSecret));
    expect(consumers.secretsOf(workload('a', ['db'])).map(({ restarts }) => restarts)).toEqual([expected]);
  });

  it('of restarts counts for no Secret that another one owns', () => {
    const { items, workloads, consumers } = setUp();
    items.put(resource('db', 'true'));
    const claim = { itemPath: 'p', secretName: 'db', autoRestart: 'false', sync: undefined, record: {} };
    workloads.put({ ...workload('owner', []), claim });
    const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'owner', uid: 'owner' }];
    expect(consumers.optIn({ ...secret('db'), ownerReferences }, workload('a', ['db'])).restarts).toBe(false);
  });

  it('of revisions counts where the Secret lost its own', () => {
    const { items, secrets, consumers } = setUp();
    items.put(resource('db', 'true', { password: 7, user: 5 }));
    secrets.put(secret('db', { 'keyturn.dev/revisions': '{"password":' }));
    const before = consumers.secretsOf(workload('a', ['db'])).map(({ consumed }) => consumed?.revision);
    secrets.put(secret('db', { 'keyturn.dev/revisions': '{"password":9}' }));
    expect([before, consumers.secretsOf(workload('a', ['db'])).map(({ consumed }) => consumed?.revision)]).toEqual([[7], [9]]);
  });
});

/** An Argo Rollout that runs the template of a Deployment. */
const rollout = (name: string, templateOf: string, namespace = 'ns'): Workload => ({
  ...reduceWorkload('Rollout')({ metadata: meta(name, namespace) }),
  templateOf,
});

const names = (workloads: readonly Workload[]): readonly string[] => workloads.map(({ kind, name }) => `${kind} ${name}`);

const scaledToZero = (name: string): Workload => ({ ...workload(name, ['db']), scaledToZero: true });

describe('a Rollout that runs the template of a Deployment', () => {
  it('consumes what that consumes, in its place', () => {
    const { workloads, consumers } = setUp();
    const deployment = scaledToZero('shop');
    workloads.put(deployment);
    workloads.put(rollout('canary', 'shop'));
    expect(names(consumers.of('ns/db'))).toEqual(['Rollout canary']);
    expect([...consumers.keysOf(rollout('canary', 'shop')).keys(), ...consumers.keysOf(deployment).keys()]).toEqual(['db']);
  });

  it('is known for the Deployment: it runs its pods', () => {
    const { workloads, consumers } = setUp();
    workloads.put(scaledToZero('shop'));
    workloads.put(rollout('a', 'shop'));
    workloads.put(rollout('b', 'shop'));
    workloads.put(rollout('c', 'shop', 'other'));
    expect(names(consumers.runners(scaledToZero('shop')))).toEqual(['Rollout a', 'Rollout b']);
  });

  it('leaves a Deployment its pods while it has replicas', () => {
    const { workloads, consumers } = setUp();
    const deployment = workload('shop', ['db']);
    workloads.put(deployment);
    workloads.put(rollout('canary', 'shop'));
    expect(names(consumers.of('ns/db'))).toEqual(['Deployment shop', 'Rollout canary']);
    expect([...consumers.keysOf(deployment).keys()]).toEqual(['db']);
  });

  it('leaves a Deployment that nobody runs to itself', () => {
    const { consumers } = setUp();
    expect(names(consumers.runners(workload('shop', ['db'])))).toEqual(['Deployment shop']);
  });

  it('gives the pods back to the Deployment when it goes', () => {
    const { workloads, consumers } = setUp();
    workloads.put(workload('shop', ['db']));
    const canary = rollout('canary', 'shop');
    workloads.put(canary);
    workloads.remove(canary);
    expect(names(consumers.of('ns/db'))).toEqual(['Deployment shop']);
  });

  it('consumes nothing while there is no such Deployment', () => {
    const { workloads, consumers } = setUp();
    workloads.put(rollout('canary', 'shop'));
    expect([consumers.of('ns/db'), [...consumers.keysOf(rollout('canary', 'shop')).keys()]]).toEqual([[], []]);
  });

  it('has a template as long as there is the Deployment, in its namespace', () => {
    const { workloads, consumers } = setUp();
    const canary = rollout('canary', 'shop');
    workloads.put(workload('shop', [], {}, 'other'));
    const before = consumers.hasTemplate(canary);
    workloads.put(workload('shop', []));
    expect([before, consumers.hasTemplate(canary), consumers.hasTemplate(workload('a', []))]).toEqual([false, true, true]);
  });

  it('is one consumer of a Secret, however many Deployments of other names consume it', () => {
    const { workloads, consumers } = setUp();
    workloads.put(scaledToZero('shop'));
    workloads.put(workload('api', ['db']));
    workloads.put(rollout('canary', 'shop'));
    expect(names(consumers.of('ns/db')).toSorted()).toEqual(['Deployment api', 'Rollout canary']);
  });
});

const notes = (text: string | undefined) => (text === undefined ? {} : { [autoRestart]: text });

const misread = (ofSecret?: string, ofWorkload?: string, ofNamespace?: string): readonly string[] => {
  const { secrets, namespaces, consumers } = setUp(true);
  secrets.put(secret('db', notes(ofSecret)));
  secrets.put(secret('tls', notes(ofSecret)));
  namespaces.put({ ...meta('ns', ''), autoRestart: ofNamespace });
  return consumers.misread(workload('a', ['db', 'tls', 'foreign'], notes(ofWorkload)));
};

const about = (place: string): string => `the annotation ${autoRestart} of ${place} is neither true nor false: it means false`;

describe('an annotation that says neither yes nor no', () => {
  it.each<[string, Parameters<typeof misread>, readonly string[]]>([
    ['of the Secrets', ['perhaps'], [about('who asks for Secret db'), about('who asks for Secret tls')]],
    ['of the workload, once', [undefined, 'perhaps'], [about('this workload')]],
    ['of the namespace, once', [undefined, undefined, 'perhaps'], [about('namespace ns')]],
    ['of the workload, though the Secret has decided: no', ['true', 'perhaps'], []],
    ['of nobody: no', ['true', 'false', 'true'], []],
    ['that is not there: no', [], []],
  ])('is told of: that %s', (_, given, expected) => {
    expect(misread(...given)).toEqual(expected);
  });
});
