import { describe, expect, it } from 'vitest';
import { createWorkQueue, type WorkQueue } from '../../../src/runtime/work-queue.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

/** Without jitter: a backoff is exactly 1 s, 2 s, 4 s, 8 s, 8 s… */
function createQueue(): { readonly queue: WorkQueue; readonly clock: FakeClock } {
  const clock = createFakeClock();
  return { clock, queue: createWorkQueue({ clock, random: () => 1, backoff: { base: 1_000, max: 8_000 } }) };
}

/** Every key that is due now, each worked on and done. */
async function drain(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.depth > 0) {
    const key = await queue.take();
    if (key === undefined) break;
    keys.push(key);
    queue.done(key);
  }
  return keys;
}

/** A queue, and what it tells its observer. */
function createObserved() {
  const clock = createFakeClock();
  const told: string[] = [];
  const queue = createWorkQueue({
    clock,
    random: () => 1,
    backoff: { base: 1_000, max: 8_000 },
    observer: {
      added: () => told.push('added'),
      putOff: () => told.push('put off'),
      taken: (waited) => told.push(`taken after ${waited}`),
      done: (took) => told.push(`done in ${took}`),
    },
  });
  return { clock, queue, told };
}

describe('an observer', () => {
  it('is told of keys that become due, each once until it is taken', async () => {
    const { queue, told } = createObserved();
    for (const key of ['a', 'b', 'a']) queue.add(key);
    await queue.take();
    queue.add('a');
    queue.add('a');
    expect(told).toEqual(['added', 'added', 'taken after 0', 'added']);
  });

  it('is told how long keys waited, and how long the work took', async () => {
    const { queue, clock, told } = createObserved();
    queue.add('a');
    clock.advance(300);
    await queue.take();
    clock.advance(50);
    queue.done('a');
    expect(told).toEqual(['added', 'taken after 300', 'done in 50']);
  });

  it('counts the wait of a key that came while it was worked on from then', async () => {
    const { queue, clock, told } = createObserved();
    queue.add('a');
    await queue.take();
    clock.advance(20);
    queue.add('a');
    clock.advance(30);
    const next = queue.take();
    queue.done('a');
    expect([await next, told]).toEqual(['a', ['added', 'taken after 0', 'added', 'done in 50', 'taken after 30']]);
  });

  it('is told of every time that a key is put off, and when it is due', () => {
    const { queue, clock, told } = createObserved();
    queue.addFailed('a');
    queue.addAfter('a', 5_000);
    clock.advance(1_000);
    expect(told).toEqual(['put off', 'put off', 'added']);
  });
});

describe('the work under way', () => {
  it('is how many keys, how long the first of them has been, and all together', async () => {
    const { queue, clock } = createObserved();
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await queue.take();
    clock.advance(100);
    await queue.take();
    clock.advance(10);
    queue.add('a');
    expect([queue.work, queue.depth, queue.due]).toEqual([{ keys: 2, longest: 110, total: 120 }, 1, 2]);
    queue.done('a');
    queue.done('b');
    expect([queue.work, queue.due]).toEqual([{ keys: 0, longest: 0, total: 0 }, 2]);
  });
});

describe('a key', () => {
  it('added several times is given once, in the order of coming', async () => {
    const { queue } = createQueue();
    for (const key of ['b', 'a', 'b', 'a', 'b']) queue.add(key);
    expect(queue.depth).toBe(2);
    expect(await drain(queue)).toEqual(['b', 'a']);
  });

  it('goes to a worker that waits, at once', async () => {
    const { queue } = createQueue();
    const taken = queue.take();
    queue.add('a');
    expect(await taken).toBe('a');
    expect(queue.idle).toBe(false);
    queue.done('a');
    expect(queue.idle).toBe(true);
  });

  it('added while it is worked on comes again afterwards, once, and to no second worker', async () => {
    const { queue } = createQueue();
    queue.add('a');
    await queue.take();
    const second = queue.take();
    queue.add('a');
    queue.add('a');
    expect(queue.depth).toBe(0);
    queue.done('a');
    expect(await second).toBe('a');
    queue.done('a');
    expect(queue.idle).toBe(true);
  });
});

describe('a key for later', () => {
  it('comes when it is due, and does not count before', () => {
    const { queue, clock } = createQueue();
    queue.addAfter('a', 100);
    clock.advance(99);
    expect([queue.depth, queue.idle]).toEqual([0, true]);
    clock.advance(1);
    expect(queue.depth).toBe(1);
  });

  it.each([
    ['the first', [100, 200]],
    ['the second', [200, 100]],
  ])('comes at the earliest of its times, once: %s', async (_, [first = 0, second = 0]) => {
    const { queue, clock } = createQueue();
    queue.addAfter('a', first);
    queue.addAfter('a', second);
    clock.advance(100);
    expect(await drain(queue)).toEqual(['a']);
    clock.advance(1_000);
    expect(queue.depth).toBe(0);
  });

  it('comes at once when it is added, and then no more', async () => {
    const { queue, clock } = createQueue();
    queue.addAfter('a', 100);
    queue.add('a');
    queue.addAfter('a', 50);
    expect(await drain(queue)).toEqual(['a']);
    expect(clock.timers).toEqual([]);
  });

  it('that falls due while it is worked on comes afterwards', async () => {
    const { queue, clock } = createQueue();
    queue.add('a');
    await queue.take();
    queue.addAfter('a', 100);
    clock.advance(100);
    expect(queue.depth).toBe(0);
    queue.done('a');
    expect(queue.depth).toBe(1);
  });
});

describe('a key that failed', () => {
  it('waits twice as long each time, up to the longest wait', () => {
    const { queue, clock } = createQueue();
    const waits = [1, 2, 3, 4, 5].map(() => {
      queue.addFailed('a');
      const [wait = 0] = clock.timers;
      clock.advance(wait);
      void queue.take();
      queue.done('a');
      return wait;
    });
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 8_000]);
  });

  it('begins anew after a success, and does not slow down others', () => {
    const { queue, clock } = createQueue();
    for (const key of ['a', 'a', 'a', 'b']) queue.addFailed(key);
    queue.forget('a');
    queue.add('a');
    queue.addFailed('c');
    expect(clock.timers).toEqual([1_000, 1_000]);
  });

  it('comes at once when something changes', async () => {
    const { queue } = createQueue();
    queue.addFailed('a');
    queue.add('a');
    expect(await drain(queue)).toEqual(['a']);
  });
});

describe('a queue that is closed', () => {
  it('releases every worker that waits, and gives nothing any more', async () => {
    const { queue, clock } = createQueue();
    const waiting = [queue.take(), queue.take()];
    queue.addAfter('later', 100);
    queue.close();
    queue.add('a');
    queue.addAfter('b', 1);
    queue.addFailed('c');
    clock.advance(60_000);
    expect(await Promise.all([...waiting, queue.take()])).toEqual([undefined, undefined, undefined]);
    expect([queue.depth, clock.timers]).toEqual([0, []]);
  });

  it('lets the key that is worked on end, and does not give it again', async () => {
    const { queue } = createQueue();
    queue.add('a');
    await queue.take();
    queue.add('a');
    queue.close();
    queue.done('a');
    expect(queue.idle).toBe(true);
  });
});

it('a queue on which nobody works holds nothing, and takes in what is added from then on', async () => {
  const clock = createFakeClock();
  let works = false;
  const queue = createWorkQueue({ clock, random: () => 1, backoff: { base: 1_000, max: 8_000 }, isWorkedOn: () => works });
  queue.add('a');
  queue.addAfter('b', 100);
  queue.addFailed('c');
  expect([queue.depth, clock.timers]).toEqual([0, []]);
  works = true;
  queue.add('a');
  queue.addAfter('b', 100);
  clock.advance(100);
  expect(await drain(queue)).toEqual(['a', 'b']);
});
