import { describe, expect, it } from 'vitest';
import { createEntries, restartRecord, statedRevisions } from '../../../src/controllers/entries.ts';
import type { Revisions } from '../../../src/domain/revisions.ts';
import type { WireObject } from '../../../src/kube/resource.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';

const annotation = 'keyturn.dev/known-revisions';
let resourceVersion = 0;

interface Stated {
  readonly adopted?: string;
  readonly rolled?: string;
  readonly uid?: string;
}

const notes = (text: string | undefined) => (text === undefined ? {} : { [annotation]: text });

function workload({ adopted, rolled, uid = 'u' }: Stated): Workload {
  resourceVersion += 1;
  const metadata = { namespace: 'ns', name: 'x', uid, resourceVersion: String(resourceVersion), annotations: notes(adopted) };
  const object = { metadata, spec: { template: { metadata: { annotations: notes(rolled) } } } };
  return reduceWorkload('Deployment')(object);
}

function setUp(memoryFirst = false) {
  const workloads = createStore<Workload>(workloadKey);
  const entries = createEntries(workloads, memoryFirst);
  /** What is known once the cluster has told of a workload that states this. */
  const seen = (stated: Stated) => {
    const object = workload(stated);
    workloads.put(object);
    return entries.of(object);
  };
  return {
    workloads,
    seen,
    of: (object: Workload) => entries.of(object),
    remember: (object: Workload, adopted: Revisions) => entries.remember(object, adopted),
  };
}

describe('what a workload is known to have', () => {
  it('is what it states in its metadata and its pod template', () => {
    const { seen } = setUp();
    expect(seen({ adopted: '{"db":5}', rolled: '{"db":7}' })).toEqual({ adopted: { db: 5 }, rolled: { db: 7 } });
  });

  it('is what it stated last when its annotation is taken away, and what its template states now', () => {
    const { seen } = setUp();
    seen({ adopted: '{"db":5}', rolled: '{"tls":3}' });
    seen({ adopted: '{"db":6}' });
    expect(seen({ rolled: '{"tls":9}' })).toEqual({ adopted: { db: 6 }, rolled: { tls: 9 } });
  });

  it('is what it stated last when its annotation becomes nonsense', () => {
    const { seen } = setUp();
    seen({ adopted: '{"db":5}' });
    expect(seen({ adopted: 'nonsense' }).adopted).toEqual({ db: 5 });
  });

  it('is what it states, whatever it stated before', () => {
    const { seen } = setUp();
    seen({ adopted: '{"db":5}' });
    expect(seen({ adopted: '{"tls":4}' }).adopted).toEqual({ tls: 4 });
  });

  it('is nothing for a new one of the same name, whether the old one was seen to go or not', () => {
    const { seen, workloads } = setUp();
    seen({ adopted: '{"db":5}' });
    const replaced = seen({ uid: 'v' });
    seen({ uid: 'v', adopted: '{"db":6}' });
    workloads.remove(workload({ uid: 'v' }));
    expect([replaced.adopted, seen({ uid: 'w' }).adopted]).toEqual([{}, {}]);
  });

  it('is not taken from the memory of another uid', () => {
    const { remember, of } = setUp();
    remember(workload({ uid: 'u' }), { db: 5 });
    expect(of(workload({ uid: 'v' })).adopted).toEqual({});
  });

  it('is what could not be written to it', () => {
    const { seen, remember, of } = setUp();
    const object = workload({});
    seen({});
    remember(object, { db: 5 });
    expect(of(object).adopted).toEqual({ db: 5 });
  });

  it('is nothing once it has been decided that it has none', () => {
    const { seen, remember } = setUp();
    seen({ adopted: '{"db":5}' });
    remember(workload({}), {});
    expect(seen({}).adopted).toEqual({});
  });
});

describe('an annotation that somebody puts back', () => {
  it.each([
    ['an older one', { db: 9 }],
    ['one of a Secret that is consumed no more', {}],
  ])('after we replaced it is not heeded: %s', (_, adopted) => {
    const { seen, remember } = setUp();
    const first = workload({ adopted: '{"db":5}' });
    seen({ adopted: '{"db":5}' });
    const text = Object.keys(adopted).length === 0 ? {} : { adopted: JSON.stringify(adopted) };
    seen(text);
    remember(first, adopted);
    expect([seen({ adopted: '{"db":5}' }).adopted, seen({ adopted: '{"db":5}' }).adopted]).toEqual([adopted, adopted]);
  });
});

const restart = Date.UTC(2026, 0, 1);
const rollout = (record: string, restartAt: number | undefined, restartedAt?: number): Workload => {
  const stated = { [annotation]: '{"db":5}', 'keyturn.dev/restarted-revisions': record };
  const spec = restartAt === undefined ? {} : { restartAt: new Date(restartAt).toISOString() };
  const metadata = { namespace: 'ns', name: 'x', uid: 'u', resourceVersion: '1', annotations: stated };
  const status = restartedAt === undefined ? {} : { restartedAt: new Date(restartedAt).toISOString() };
  return reduceWorkload('Rollout')({ metadata, spec, status } as WireObject);
};
const record = restartRecord({ db: 9 }, new Date(restart).toISOString());

describe('what an Argo Rollout states', () => {
  it.each<[string, string, number | undefined, number | undefined, Revisions]>([
    ['counts while its restart is to come', record, restart, undefined, { db: 9 }],
    ['counts when that was carried out, whatever is planned then', record, restart + 60_000, restart, { db: 9 }],
    ['counts when that was carried out, though it was taken back', record, restart - 60_000, restart, { db: 9 }],
    ['is nothing when it is put off', record, restart + 60_000, restart - 60_000, {}],
    ['is nothing when it is taken back before', record, restart - 1_000, restart - 1_000, {}],
    ['is nothing without one', record, undefined, undefined, {}],
    ['is nothing when it cannot be read', 'nonsense', restart, restart, {}],
  ])('of what it was restarted for %s', (_, text, restartAt, restartedAt, rolled) => {
    expect(statedRevisions(rollout(text, restartAt, restartedAt))).toEqual({ adopted: { db: 5 }, rolled });
  });
});

describe('while nothing is written to workloads, what one is known to have', () => {
  it('is what is remembered, before what it states', () => {
    const { seen, remember, of } = setUp(true);
    seen({ adopted: '{"db":5}', rolled: '{"db":6}' });
    remember(workload({}), { db: 9 });
    expect(of(workload({ adopted: '{"db":5}', rolled: '{"db":6}' }))).toEqual({ adopted: { db: 9 }, rolled: { db: 6 } });
  });

  it('is what it states, as long as nothing is remembered', () => {
    const { seen } = setUp(true);
    expect(seen({ adopted: '{"db":5}' }).adopted).toEqual({ db: 5 });
  });

  it('stays remembered when the workload changes what it states', () => {
    const { seen, remember } = setUp(true);
    seen({});
    remember(workload({}), { db: 9 });
    expect(seen({ adopted: '{"db":5}' }).adopted).toEqual({ db: 9 });
  });
});
