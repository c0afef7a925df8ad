import { describe, expect, it } from 'vitest';
import {
  type ManagedSecret,
  managedSecret,
  ownerReference,
  reduceNamespace,
  reduceOnePasswordItem,
  reduceSecret,
} from '../../../src/kube/objects.ts';
import { reduceWorkload } from '../../../src/kube/workload.ts';
import type { ManagedFields } from '../../../src/kube/resource.ts';

const meta = { namespace: 'ns', name: 'db', uid: 'u', resourceVersion: '1' };
const time = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`;

/** The entry of a manager that wrote these keys of `data`, or of what `field` says, at a second. */
function wrote(manager: string, second: number, keys: readonly string[], field = 'f:data'): ManagedFields {
  return { manager, time: time(second), fieldsV1: { [field]: { '.': {}, ...Object.fromEntries(keys.map((key) => [`f:${key}`, {}])) } } };
}

/** The entry of a manager that wrote metadata alone. */
function touched(manager: string, second: number): ManagedFields {
  return { manager, time: time(second), fieldsV1: { 'f:metadata': { 'f:labels': { 'f:mine': {} } } } };
}

function reduce(managedFields?: readonly ManagedFields[]): ManagedSecret {
  return reduceSecret({ metadata: { ...meta, ...(managedFields && { managedFields }) } });
}

const writers = (...fields: readonly ManagedFields[]): string | undefined => reduce(fields).dataWriters;

const ours = wrote('keyturn', 5, ['a', 'b']);

describe('who wrote the values of a Secret', () => {
  it('is the same, whoever writes metadata', () => {
    expect(writers(ours, touched('kubectl-label', 9))).toBe(writers(ours));
  });

  it('is the same, in whatever order the managers stand', () => {
    const manager = wrote('manager', 1, ['c']);
    expect(writers(manager, ours)).toBe(writers(ours, manager));
  });

  it('is the same after a write of ours into the metadata alone', () => {
    const manager = wrote('manager', 1, ['a', 'b']);
    expect(writers(manager, touched('keyturn', 9))).toBe(writers(manager, touched('keyturn', 5)));
  });

  it.each<[string, readonly ManagedFields[]]>([
    ['we wrote a value again', [wrote('keyturn', 6, ['a', 'b'])]],
    ['a key was taken away', [wrote('keyturn', 5, ['a'])]],
    ['an earlier writer of other values is there', [ours, wrote('manager', 1, ['c'])]],
  ])('is another when %s', (_, fields) => {
    expect(writers(...fields)).toBeDefined();
    expect(writers(...fields)).not.toBe(writers(ours));
  });

  it.each([
    ['with the same time', wrote('manager', 2, ['c'])],
    ['with another number of keys', wrote('manager', 1, ['c', 'd'])],
    ['of another name', wrote('other', 1, ['c'])],
  ])('is another when an earlier writer is another one: %s', (_, fields) => {
    expect(writers(ours, fields)).not.toBe(writers(ours, wrote('manager', 1, ['c'])));
  });

  it.each<[string, readonly ManagedFields[]]>([
    ['there are no field managers', []],
    ['none of them has a value', [touched('keyturn', 5), { manager: 'keyturn', time: time(5), fieldsV1: { 'f:data': { '.': {} } } }]],
    ['somebody wrote a value after us', [ours, wrote('kubectl-edit', 6, ['c'])]],
    ['somebody wrote a value in the second of our last write', [ours, wrote('kubectl-edit', 5, ['c'])]],
    ['somebody wrote a value and we wrote nothing', [wrote('manager', 1, ['a'])]],
    ['somebody wrote a value at no known time', [ours, { manager: 'manager', fieldsV1: { 'f:data': { 'f:c': {} } } }]],
    ['somebody without a name wrote a value after us', [ours, { time: time(6), fieldsV1: { 'f:data': { 'f:c': {} } } }]],
    ['somebody applied a value as text after us', [ours, wrote('gitops', 6, ['a'], 'f:stringData')]],
  ])('is not known when %s', (_, fields) => {
    expect(writers(...fields)).toBeUndefined();
  });

  it('is not known when the object has no field managers at all', () => {
    expect(reduce().dataWriters).toBeUndefined();
  });

  it('is known of an entry of ours without fields beside one with values', () => {
    expect(writers(ours, { manager: 'keyturn', time: time(3) })).toBe(writers(ours));
  });

  it('names no key', () => {
    expect(writers(wrote('keyturn', 5, ['private-name']))).not.toContain('private-name');
  });
});

describe('a Secret is written by us alone', () => {
  it.each<[string, readonly ManagedFields[], boolean]>([
    ['when we wrote all values', [ours], true],
    ['when others wrote metadata', [ours, touched('kubectl-label', 9)], true],
    ['not when somebody else wrote a value, however long ago', [ours, wrote('manager', 1, ['c'])], false],
    ['not when somebody else applied a value as text', [ours, wrote('gitops', 1, ['a'], 'f:stringData')], false],
    ['not when nothing tells', [], false],
  ])('%s', (_, fields, expected) => {
    expect(reduce(fields).writtenByUs).toBe(expected);
  });
});

describe('what is kept of a Secret', () => {
  const applied = { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"a":"c2VjcmV0"}}', mine: 'y' };
  const wire = { metadata: { ...meta, annotations: applied, managedFields: [ours] }, data: { a: 'c2VjcmV0' } };

  it('is no value: neither its data nor what kubectl last applied', () => {
    expect(JSON.stringify(reduceSecret(wire))).not.toContain('c2VjcmV0');
    expect(reduceSecret(wire).annotations).toEqual({ mine: 'y' });
  });

  it('is as little of one that was read in full', () => {
    const full = { ...reduceSecret(wire), data: new Map(), type: 'Opaque', immutable: false, wireMeta: wire.metadata };
    expect(managedSecret(full)).toEqual(reduceSecret(wire));
  });
});

/** As the API server gives it: with much that nobody here needs. */
const crowded = {
  ...meta,
  creationTimestamp: time(0),
  labels: { team: 'shop' },
  annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":"secret"}', mine: 'x' },
  managedFields: [ours],
};

describe('what is kept of a resource', () => {
  it('is its identity, what it asks for, its labels and annotations, and its status', () => {
    const wire = {
      metadata: crowded,
      type: 'Opaque',
      spec: { itemPath: 'vaults/v/items/i' },
      status: { observedGeneration: 1 },
      more: 'x',
    };
    expect(reduceOnePasswordItem(wire)).toEqual({
      ...meta,
      generation: 0,
      deleting: false,
      legacyFinalizers: undefined,
      labels: { team: 'shop' },
      annotations: { mine: 'x' },
      type: 'Opaque',
      itemPath: 'vaults/v/items/i',
      status: { observedGeneration: 1 },
    });
  });
});

describe('what is kept of a Deployment', () => {
  it('is its identity, our annotations, its Secrets and how far it is rolled out', () => {
    const known = { 'keyturn.dev/known-revisions': '{"db":5}' };
    const containers = [{ name: 'main', image: 'app', env: [{ name: 'LOG', value: 'x' }], envFrom: [{ secretRef: { name: 'db' } }] }];
    const wire = {
      metadata: { ...crowded, generation: 2, annotations: { ...crowded.annotations, ...known } },
      spec: {
        replicas: 2,
        paused: true,
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web' }, annotations: { ...known, mine: 'y' } }, spec: { containers } },
      },
      status: { observedGeneration: 1, replicas: 2 },
    };
    expect(reduceWorkload('Deployment')(wire)).toEqual({
      ...meta,
      annotations: known,
      templateAnnotations: known,
      secrets: new Map([['db', { whole: true, required: [], optional: [] }]]),
      selector: { matchLabels: { app: 'web' } },
      paused: true,
      scaledToZero: false,
      onDelete: false,
      partition: 0,
      deleting: false,
      observed: false,
      kind: 'Deployment',
      apiVersion: 'apps/v1',
      created: Date.UTC(2026, 0, 1),
      generation: 2,
      templateOf: undefined,
      rollout: { complete: false, available: false, failed: false, updatedPods: 0, availablePods: 0, oldPods: 2 },
      restartAt: undefined,
      stableHash: undefined,
      claim: undefined,
      legacyFinalizers: undefined,
    });
  });
});

describe('what is kept of a namespace', () => {
  it('is its identity and its say in restarts', () => {
    const annotations = { ...crowded.annotations, 'operator.1password.io/auto-restart': 'true' };
    expect(reduceNamespace({ metadata: { ...crowded, annotations } })).toEqual({ ...meta, autoRestart: 'true' });
  });
});

describe('the owner reference of a resource', () => {
  it("has the old operator's shape: no controller flag, and nothing blocked", () => {
    const reference = ownerReference(reduceOnePasswordItem({ metadata: meta }));
    expect(reference).toEqual({ apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'u' });
  });
});

describe('a resource whose definition let anything pass', () => {
  it('is read as far as it can be', () => {
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: null, severity: 'low' }];
    const object = {
      metadata: meta,
      type: 5,
      spec: { itemPath: {} },
      status: { conditions, item: [], secret: { name: 'db' }, consumers: 'x' },
    };
    const { type, itemPath, status } = reduceOnePasswordItem(object);
    expect([type, itemPath]).toEqual([undefined, undefined]);
    expect(status).toEqual({ conditions });
  });

  it.each([null, 'x', 5, []])('asks for nothing when its specification and status are %j', (part) => {
    const object = { metadata: meta, spec: part, status: part };
    expect(reduceOnePasswordItem(object)).toMatchObject({ itemPath: undefined });
    expect(reduceOnePasswordItem(object).status).toEqual({});
  });
});
