import { describe, expect, it } from 'vitest';
import { createTemplateAges } from '../../../src/controllers/template-age.ts';
import { createStore, type Store } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const start = Date.UTC(2026, 0, 1);
let resourceVersion = 0;

interface Seen {
  readonly generation?: number;
  readonly uid?: string;
  readonly templateOf?: string;
}

function workload({ generation = 1, uid = 'u', templateOf }: Seen): Workload {
  resourceVersion += 1;
  const reduced = reduceWorkload('Rollout')({
    metadata: { namespace: 'ns', name: 'x', uid, generation, resourceVersion: String(resourceVersion) },
  });
  return { ...reduced, templateOf };
}

function setUp() {
  const clock = createFakeClock(start);
  const workloads = createStore<Workload>(workloadKey);
  const reads: string[] = [];
  const readBirth = (read: Workload): Promise<number | undefined> => {
    reads.push(`${read.name} ${read.generation}`);
    return Promise.resolve(read.observed ? start - read.generation : undefined);
  };
  const { unchangedSince, birth } = createTemplateAges({ workloads, serverTime: () => clock.now(), readBirth });
  /** Since when a template has been the same that the cluster tells of now. */
  const see = (seen: Seen): number | undefined => {
    const object = workload(seen);
    workloads.put(object);
    return unchangedSince(object);
  };
  return { clock, workloads, unchangedSince, birth, reads, see };
}

describe('a pod template has been the same', () => {
  it('since it was first seen, whatever changes beside it', () => {
    const { clock, see } = setUp();
    see({});
    clock.advance(5_000);
    expect(see({})).toBe(start);
  });

  it('since its generation was first seen', () => {
    const { clock, see } = setUp();
    see({ generation: 1 });
    clock.advance(5_000);
    expect(see({ generation: 2 })).toBe(start + 5_000);
  });

  it('since another workload had its name', () => {
    const { clock, see } = setUp();
    see({ uid: 'u' });
    clock.advance(5_000);
    expect(see({ uid: 'v' })).toBe(start + 5_000);
  });

  it('since it came back', () => {
    const { clock, see, workloads } = setUp();
    see({});
    workloads.remove(workload({}));
    clock.advance(5_000);
    expect(see({})).toBe(start + 5_000);
  });
});

describe('nobody knows since when a pod template has been the same', () => {
  it.each<[string, Seen]>([
    ['of another generation than was seen', { generation: 2 }],
    ['of another workload than was seen', { uid: 'v' }],
    ['that is that of another object', { templateOf: 'shop' }],
  ])('%s', (_, seen) => {
    const { see, unchangedSince } = setUp();
    see({});
    expect(unchangedSince(workload(seen))).toBeUndefined();
  });

  it('of a workload that is gone', () => {
    const { see, workloads, unchangedSince } = setUp();
    see({});
    workloads.remove(workload({}));
    expect(unchangedSince(workload({}))).toBeUndefined();
  });
});

describe('the birth of a pod template', () => {
  const signal = new AbortController().signal;
  const put = (workloads: Store<Workload>, seen: Seen & { readonly observed?: boolean }): Workload => {
    const object = { ...workload(seen), observed: seen.observed ?? true };
    workloads.put(object);
    return object;
  };

  it('is read once while the template stays', async () => {
    const { workloads, birth, reads } = setUp();
    expect(await birth(put(workloads, {}), signal)).toBe(start - 1);
    expect(await birth(put(workloads, {}), signal)).toBe(start - 1);
    expect(reads).toEqual(['x 1']);
  });

  it.each<[string, Seen]>([
    ['another generation', { generation: 2 }],
    ['another workload of the name', { uid: 'v' }],
  ])('is read again for %s', async (_, seen) => {
    const { workloads, birth, reads } = setUp();
    await birth(put(workloads, {}), signal);
    await birth(put(workloads, seen), signal);
    expect(reads).toHaveLength(2);
  });

  it('is read again as long as there is none', async () => {
    const { workloads, birth, reads } = setUp();
    expect(await birth(put(workloads, { observed: false }), signal)).toBeUndefined();
    expect(await birth(put(workloads, {}), signal)).toBe(start - 1);
    expect(reads).toHaveLength(2);
  });
});
