import { describe, expect, it } from 'vitest';
import { KubeError, type KubeRequest } from '../../../src/kube/client.ts';
import { createLeaderElection, LeaseError, type LeaderElection } from '../../../src/kube/lease.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

type Spec = Readonly<Record<string, unknown>>;

interface Lease {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Spec;
}

/** What becomes of a request: `lost` never arrives, `unanswered` does, and neither has an answer. */
type Passage = 'passes' | 'lost' | 'unanswered' | KubeError;

/** One Lease as an API server keeps it, with requests that go wrong. */
function createLeaseServer(clock: FakeClock) {
  let version = 1;
  let stored: Lease | undefined;
  const server = {
    requests: [] as string[],
    passage: (_request: KubeRequest): Passage => 'passes',
    /** How long a request is on its way, and its answer; in milliseconds. */
    travel: (_request: KubeRequest): readonly [there: number, back: number] => [0, 0],
    get lease(): Lease | undefined {
      return stored;
    },
    /** Somebody else writes. */
    write(spec: Spec | undefined, metadata: Readonly<Record<string, unknown>> = {}): void {
      version += 1;
      stored = spec && { metadata: { ...stored?.metadata, name: 'lease', ...metadata, resourceVersion: String(version) }, spec };
    },
    async request<T>(request: KubeRequest): Promise<T> {
      const { method, path } = request;
      server.requests.push(`${method} ${path}`);
      const [there, back] = server.travel(request);
      if (there > 0) await new Promise<void>((resolve) => clock.after(there, resolve));
      const passage = server.passage(request);
      if (passage instanceof KubeError) throw passage;
      if (passage !== 'lost') apply(request);
      if (passage !== 'passes') {
        await new Promise<void>((resolve) => clock.after(request.timeout ?? 60_000, resolve));
        throw new KubeError(method, path, 0, 'DEADLINE_EXCEEDED');
      }
      await new Promise(setImmediate);
      if (back > 0) await new Promise<void>((resolve) => clock.after(back, resolve));
      return structuredClone(stored) as T;
    },
  };
  function apply({ method, path, body }: KubeRequest): void {
    const { metadata, spec } = (body ?? {}) as Partial<Lease>;
    if (method === 'POST' && stored !== undefined) throw new KubeError(method, path, 409, 'AlreadyExists');
    if (method !== 'POST' && stored === undefined) throw new KubeError(method, path, 404, 'NotFound');
    if (method === 'PUT' && metadata?.['resourceVersion'] !== stored?.metadata['resourceVersion'])
      throw new KubeError(method, path, 409, 'Conflict');
    if (method !== 'GET') server.write(spec, metadata);
  }
  return server;
}

type LeaseServer = ReturnType<typeof createLeaseServer>;

const times = { leaseDuration: 15_000, renewDeadline: 10_000, retryPeriod: 2_000 };
const collection = '/apis/coordination.k8s.io/v1/namespaces/ops/leases';

interface Candidate {
  readonly election: LeaderElection;
  /** `leads`, `follows`, who holds the lease, failures by their count. */
  readonly told: string[];
}

function candidate(server: LeaseServer, clock: FakeClock, identity: string): Candidate {
  const told: string[] = [];
  const election = createLeaderElection({
    kube: server,
    clock,
    random: () => 1,
    namespace: 'ops',
    name: 'lease',
    identity,
    ...times,
    onLeader: (leading) => told.push(leading ? 'leads' : 'follows'),
    onHolder: (holder) => told.push(`holder ${holder}`),
    onFailure: (_, failures) => told.push(`failure ${failures}`),
  });
  return { election, told };
}

/** Lets time pass in steps, and whatever it brings about happen. */
async function pass(clock: FakeClock, ms: number, step = 100): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    for (let turn = 0; turn < 8; turn += 1) await new Promise(setImmediate);
    clock.advance(Math.min(step, ms - passed));
  }
  for (let turn = 0; turn < 8; turn += 1) await new Promise(setImmediate);
}

function setUp() {
  const clock = createFakeClock();
  const server = createLeaseServer(clock);
  return { clock, server, ...candidate(server, clock, 'us') };
}

/** A process that leads and holds on to it. */
async function lead(setting = setUp()) {
  const stop = new AbortController();
  const acquired = setting.election.acquire(stop.signal);
  await pass(setting.clock, 0);
  expect(await acquired).toBe(true);
  const held = setting.election.hold(stop.signal).then(
    () => 'stopped',
    (error: unknown) => error,
  );
  return { ...setting, stop, held };
}

const signal = new AbortController().signal;
const foreign = { holderIdentity: 'them', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z', leaseTransitions: 3 };

describe('a lease that is there for the first time', () => {
  it('is made, with all that client-go writes into it', async () => {
    const { server, clock, told, election } = await lead();
    expect(server.requests).toEqual([`GET ${collection}/lease`, `POST ${collection}`]);
    expect(server.lease).toMatchObject({
      metadata: { name: 'lease', namespace: 'ops' },
      spec: {
        holderIdentity: 'us',
        leaseDurationSeconds: 15,
        acquireTime: '2026-01-01T00:00:00.000000Z',
        renewTime: '2026-01-01T00:00:00.000000Z',
        leaseTransitions: 0,
      },
    });
    expect([told, election.mayWrite(), clock.now()]).toEqual([['leads'], true, Date.UTC(2026, 0, 1)]);
  });

  it('is had by one of those who make it together', async () => {
    const { clock, server, election } = setUp();
    const other = candidate(server, clock, 'them');
    void election.acquire(signal);
    void other.election.acquire(signal);
    await pass(clock, 10_000);
    expect([election.mayWrite(), other.election.mayWrite()].filter(Boolean)).toHaveLength(1);
  });
});

describe('a lease that is held', () => {
  it('is renewed by a write alone, and keeps the time it was acquired and what others wrote into it', async () => {
    const { server, clock, election, told } = await lead();
    server.requests.length = 0;
    server.write({ ...server.lease?.spec, strategy: 'OldestEmulationVersion' }, { labels: { team: 'a' } });
    await pass(clock, 60_000);
    expect(server.lease).toMatchObject({
      metadata: { labels: { team: 'a' } },
      spec: {
        holderIdentity: 'us',
        acquireTime: '2026-01-01T00:00:00.000000Z',
        leaseTransitions: 0,
        strategy: 'OldestEmulationVersion',
      },
    });
    expect(Date.parse(String(server.lease?.spec['renewTime']))).toBeGreaterThan(clock.now() - 2_100);
    // One conflict with the other writer, then one request each time.
    expect(server.requests.filter((request) => request.startsWith('GET'))).toHaveLength(1);
    expect(server.requests.length).toBeLessThanOrEqual(33);
    expect([election.mayWrite(), told]).toEqual([true, ['leads']]);
  });

  it('is kept through failures that are shorter than the deadline', async () => {
    const { server, clock, election, told } = await lead();
    server.passage = ({ method, path }) => new KubeError(method, path, 503, 'Refused');
    await pass(clock, 7_500);
    server.passage = () => 'passes';
    await pass(clock, 30_000);
    expect(election.mayWrite()).toBe(true);
    expect(told).not.toContain('follows');
  });

  it('is kept when a renewal arrives whose answer does not', async () => {
    const { server, clock, election, told } = await lead();
    let unanswered = 1;
    server.passage = ({ method }) => (method === 'PUT' && unanswered-- > 0 ? 'unanswered' : 'passes');
    await pass(clock, 30_000);
    expect([election.mayWrite(), told]).toEqual([true, ['leads', 'failure 1']]);
  });

  it.each<[string, (request: KubeRequest) => Passage]>([
    ['refuses', ({ method, path }) => new KubeError(method, path, 500, 'Refused')],
    ['hangs', () => 'lost'],
    ['answers nothing it carries out', () => 'unanswered'],
  ])('is given up at the deadline when the API server %s', async (_, passage) => {
    const { server, clock, held, told, election } = await lead();
    server.passage = passage;
    await pass(clock, 9_900);
    expect(told).not.toContain('follows');
    await pass(clock, 100);
    expect(await held).toBeInstanceOf(LeaseError);
    expect([told.at(-1), election.mayWrite()]).toEqual(['follows', false]);
  });

  it('is lost at once when somebody else has it', async () => {
    const { server, clock, held, election } = await lead();
    server.write(foreign);
    await pass(clock, 2_000);
    expect(await held).toMatchObject({ name: 'LeaseError', message: expect.stringContaining('another process took the lease') as string });
    expect(election.mayWrite()).toBe(false);
    server.requests.length = 0;
    await election.release();
    expect(server.requests).toEqual([]);
  });

  it('is made anew when somebody deletes it', async () => {
    const { server, clock, election } = await lead();
    server.write(undefined);
    await pass(clock, 3_000);
    expect([election.mayWrite(), server.lease?.spec['holderIdentity']]).toEqual([true, 'us']);
  });
});

describe('the fence', () => {
  it('is shut before anything was acquired', () => {
    expect(setUp().election.mayWrite()).toBe(false);
  });

  it('counts from before the renewal was asked for, not from its answer', async () => {
    const { server, clock, election } = await lead();
    // The renewal at 2 s is answered at 5 s.
    server.travel = () => [3_000, 0];
    await pass(clock, 5_200);
    clock.sleep(times.leaseDuration - 3_300);
    expect(election.mayWrite()).toBe(true);
    clock.sleep(200);
    expect(election.mayWrite()).toBe(false);
  });

  it('is shut when a process wakes up after the lease has run out, before it knows anything', async () => {
    const { server, clock, election, held, told } = await lead();
    server.requests.length = 0;
    expect(election.mayWrite()).toBe(true);
    clock.sleep(times.leaseDuration);
    expect(election.mayWrite()).toBe(false);
    await pass(clock, 100);
    expect([await held, told.at(-1), server.requests]).toEqual([expect.any(LeaseError), 'follows', []]);
  });
});

describe("another's lease", () => {
  it('is taken when it has not been renewed for its whole duration, and no sooner', async () => {
    const { clock, server, election, told } = setUp();
    server.write({ ...foreign, leaseDurationSeconds: 20 });
    void election.acquire(signal);
    await pass(clock, 19_900);
    expect([election.mayWrite(), server.lease?.spec['holderIdentity']]).toEqual([false, 'them']);
    await pass(clock, 2_100);
    expect(told).toEqual(['holder them', 'leads']);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'us', leaseTransitions: 4, leaseDurationSeconds: 15 });
  });

  it.each(['1999-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z', 'yesterday'])(
    'is timed by our clock, whatever that of its holder says: %s',
    async (renewTime) => {
      const { clock, server, election } = setUp();
      server.write({ ...foreign, renewTime });
      void election.acquire(signal);
      await pass(clock, 14_900);
      expect(election.mayWrite()).toBe(false);
      await pass(clock, 2_100);
      expect(election.mayWrite()).toBe(true);
    },
  );

  it('is not touched while it is renewed, however our own wall clock is set', async () => {
    const { clock, server, election } = setUp();
    server.write(foreign);
    void election.acquire(signal);
    for (let renewal = 0; renewal < 20; renewal += 1) {
      await pass(clock, 3_000);
      clock.set(clock.now() + 3_600_000);
      server.write({ ...foreign, renewTime: `renewal ${renewal}` });
    }
    expect(election.mayWrite()).toBe(false);
    expect(server.requests.every((request) => request.startsWith('GET'))).toBe(true);
  });

  it('is not kept alive by a change that is no renewal', async () => {
    const { clock, server, election } = setUp();
    server.write(foreign);
    void election.acquire(signal);
    for (let change = 0; change < 6; change += 1) {
      await pass(clock, 3_000);
      if (!election.mayWrite()) server.write(foreign, { labels: { change } });
    }
    expect(election.mayWrite()).toBe(true);
  });

  it('that was given back is taken within one period', async () => {
    const { clock, server, election } = setUp();
    server.write(foreign);
    void election.acquire(signal);
    await pass(clock, 5_000);
    server.write({ ...foreign, holderIdentity: '', leaseDurationSeconds: 1 });
    await pass(clock, times.retryPeriod);
    expect(election.mayWrite()).toBe(true);
  });

  it('is waited for through failures, until the process ends', async () => {
    const { clock, server, election, told } = setUp();
    const stop = new AbortController();
    server.passage = ({ method, path }) => new KubeError(method, path, 403, 'Forbidden');
    const acquired = election.acquire(stop.signal);
    await pass(clock, 4_000);
    stop.abort();
    expect([await acquired, told]).toEqual([false, ['failure 1', 'failure 2', 'failure 3']]);
  });

  it('is not led by an answer that comes too late', async () => {
    const { clock, server, election } = setUp();
    server.travel = ({ method }) => [0, method === 'POST' ? 11_000 : 0];
    void election.acquire(signal);
    await pass(clock, 11_500);
    expect(election.mayWrite()).toBe(false);
    await pass(clock, 2_000);
    expect(election.mayWrite()).toBe(true);
  });
});

describe('giving the lease back', () => {
  it('frees it for others, in a second', async () => {
    const { clock, server, election, told, stop } = await lead();
    await pass(clock, 5_000);
    stop.abort();
    await election.release();
    expect([election.mayWrite(), told.at(-1)]).toEqual([false, 'follows']);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0 });
  });

  it('is tried again when a renewal arrived that was believed lost', async () => {
    const { server, election } = await lead();
    let once = true;
    server.passage = ({ method }) => {
      if (method === 'PUT' && once) {
        once = false;
        server.write({ ...server.lease?.spec, renewTime: 'late' });
      }
      return 'passes';
    };
    await election.release();
    expect(server.lease?.spec['holderIdentity']).toBe('');
  });

  it("leaves another's alone", async () => {
    const { server, election } = await lead();
    server.write(foreign);
    await election.release();
    expect(server.lease?.spec).toEqual(foreign);
  });

  it('asks nothing when it was never had', async () => {
    const { server, election } = setUp();
    await election.release();
    expect(server.requests).toEqual([]);
  });

  it('fails nobody when the API server is away', async () => {
    const { server, election, told } = await lead();
    server.passage = ({ method, path }) => new KubeError(method, path, 0, 'ECONNREFUSED');
    await election.release();
    expect(told.at(-1)).toBe('failure 1');
  });
});

it('two candidates never may write at the same time, whatever becomes of their requests', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const clock = createFakeClock();
    const server = createLeaseServer(clock);
    let state = seed;
    const chance = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    server.passage = () => {
      const drawn = chance();
      return drawn < 0.15 ? 'lost' : drawn < 0.3 ? 'unanswered' : 'passes';
    };
    const all = ['a', 'b'].map((identity) => candidate(server, clock, identity));
    for (const { election } of all) {
      void (async () => {
        for (;;) {
          await election.acquire(signal);
          await election.hold(signal).catch(() => {});
        }
      })();
    }
    let led = 0;
    for (let passed = 0; passed < 300_000; passed += 500) {
      await pass(clock, 500, 500);
      const writers = all.filter(({ election }) => election.mayWrite()).length;
      expect(writers).toBeLessThan(2);
      led += writers;
    }
    expect(led).toBeGreaterThan(0);
  }
});
