import { describe, expect, it } from 'vitest';
import { createConsumers } from '../../../src/controllers/consumers.ts';
import type { ManagedSecret, Namespace } from '../../../src/kube/objects.ts';
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
});

function setUp(fallback = false) {
  const stores = {
    workloads: createStore<Workload>(workloadKey),
    secrets: createStore<ManagedSecret>(),
    namespaces: createStore<Namespace>(),
  };
  const consumers = createConsumers({ ...stores, autoRestart: fallback });
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
