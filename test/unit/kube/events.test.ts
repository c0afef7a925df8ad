import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createEventRecorder, type EventSubject } from '../../../src/kube/events.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, type Exchange, startApiServer } from './api-server.ts';

const minute = 60_000;
const subject = (name: string): EventSubject => ({
  apiVersion: 'onepassword.com/v1',
  kind: 'OnePasswordItem',
  namespace: 'ns',
  name,
  uid: `uid of ${name}`,
  resourceVersion: '7',
});

async function setUp() {
  const server = await startApiServer();
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(server, clock));
  onTestFinished(() => kube.close());
  const stop = new AbortController();
  const onLost = vi.fn<() => void>();
  const recorder = createEventRecorder({ kube, clock, signal: stop.signal, onLost });
  /** Answers the next event, and gives it. */
  const next = async (status = 201): Promise<Exchange> => {
    const exchange = await server.next();
    exchange.answer(status, {});
    return exchange;
  };
  return { server, clock, stop, onLost, recorder, next };
}

const messageOf = ({ body }: Exchange): string => (JSON.parse(body) as { message: string }).message;

describe('an event', () => {
  it('is written on the object it is about', async () => {
    const { recorder, next } = await setUp();
    recorder.record(subject('db'), 'Warning', 'ItemNotFound', 'the item does not exist');
    const { method, path, body } = await next();
    expect([method, path]).toEqual(['POST', '/api/v1/namespaces/ns/events']);
    expect(JSON.parse(body)).toMatchObject({
      metadata: { namespace: 'ns', generateName: 'db.' },
      involvedObject: { kind: 'OnePasswordItem', namespace: 'ns', name: 'db', uid: 'uid of db' },
      type: 'Warning',
      reason: 'ItemNotFound',
      message: 'the item does not exist',
      count: 1,
    });
  });

  it('has no longer message than the API server takes', async () => {
    const { recorder, next } = await setUp();
    recorder.record(subject('db'), 'Warning', 'ItemNotFound', 'x'.repeat(5_000));
    expect(messageOf(await next())).toHaveLength(1_024);
  });
});

describe('an object', () => {
  it('gets an event of one reason once in ten minutes, whatever it says', async () => {
    const { recorder, server, clock, next } = await setUp();
    const record = (message: string): boolean => recorder.record(subject('db'), 'Warning', 'ItemNotFound', message);
    record('first');
    await next();
    record('at once');
    clock.advance(10 * minute - 1);
    record('too soon');
    clock.advance(1);
    record('after ten minutes');
    expect([messageOf(await next()), server.count]).toEqual(['after ten minutes', 2]);
  });

  it('gets events of one reason about several things, about each once in ten minutes', async () => {
    const { recorder, server, next } = await setUp();
    const record = (about: string): boolean => recorder.record(subject('db'), 'Normal', 'Restarted', `about ${about}`, about);
    const told = [record('db 1'), record('db 2'), record('db 1'), record('db 2')];
    expect([await next(), await next()].map(messageOf).toSorted()).toEqual(['about db 1', 'about db 2']);
    expect([told, server.count]).toEqual([[true, true, false, false], 2]);
  });

  it('that has another of the same name after it is not taken for it', async () => {
    const { recorder } = await setUp();
    const record = (uid: string): boolean => recorder.record({ ...subject('db'), uid }, 'Normal', 'Restarted', 'm', 'db 1');
    expect([record('u'), record('v'), record('u')]).toEqual([true, true, false]);
  });

  it('gets events of several reasons, and others get theirs', async () => {
    const { recorder, next } = await setUp();
    recorder.record(subject('db'), 'Warning', 'ItemNotFound', 'a');
    recorder.record(subject('db'), 'Warning', 'VaultNotFound', 'b');
    recorder.record(subject('other'), 'Warning', 'ItemNotFound', 'c');
    expect([await next(), await next(), await next()].map(messageOf).toSorted()).toEqual(['a', 'b', 'c']);
  });
});

describe('whoever records an event is told', () => {
  it('that it is news, even when it is lost, and so the log has it', async () => {
    const { recorder, onLost } = await setUp();
    const told = new Set<boolean>();
    for (let count = 0; count < 1_100; count += 1) told.add(recorder.record(subject(`db-${count}`), 'Normal', 'Synced', 'm'));
    expect([[...told], onLost.mock.calls.length > 0]).toEqual([[true], true]);
  });

  it('that it was said a short while ago', async () => {
    const { recorder, clock } = await setUp();
    const record = (): boolean => recorder.record(subject('db'), 'Normal', 'Synced', 'm');
    const told = [record(), record()];
    clock.advance(10 * minute);
    expect([...told, record()]).toEqual([true, false, true]);
  });
});

describe('events in a flood', () => {
  it('are written two at a time, a thousand wait, and what comes on top is counted as lost', async () => {
    const { recorder, server, onLost } = await setUp();
    for (let count = 0; count < 1_100; count += 1) recorder.record(subject(`db-${count}`), 'Normal', 'Synced', 'm');
    await vi.waitFor(() => expect(server.count).toBe(2));
    expect(onLost).toHaveBeenCalledTimes(1_100 - 1_002);
  });

  it('are not told of as lost when they are merely too many of one kind', async () => {
    const { recorder, onLost } = await setUp();
    for (let count = 0; count < 1_100; count += 1) recorder.record(subject('db'), 'Normal', 'Synced', 'm');
    expect(onLost).not.toHaveBeenCalled();
  });

  it('one that was dropped may come again', async () => {
    const { recorder, server, next } = await setUp();
    for (let count = 0; count < 1_003; count += 1) recorder.record(subject(`db-${count}`), 'Normal', 'Synced', 'first');
    for (let count = 0; count < 1_002; count += 1) await next();
    recorder.record(subject('db-1002'), 'Normal', 'Synced', 'again');
    expect(messageOf(await next())).toBe('again');
    expect(server.count).toBe(1_003);
  });
});

describe('an API server that does not take events', () => {
  it('loses that one, and gets the next', async () => {
    const { recorder, next, onLost } = await setUp();
    recorder.record(subject('db'), 'Normal', 'Synced', 'first');
    await next(403);
    await vi.waitFor(() => expect(onLost).toHaveBeenCalledTimes(1));
    recorder.record(subject('other'), 'Normal', 'Synced', 'second');
    expect(messageOf(await next())).toBe('second');
  });

  it('loses that one when the connection breaks, too', async () => {
    const { recorder, server, onLost } = await setUp();
    recorder.record(subject('db'), 'Normal', 'Synced', 'first');
    (await server.next()).reset();
    await vi.waitFor(() => expect(onLost).toHaveBeenCalledTimes(1));
  });
});

it('nothing is recorded once the process stops', async () => {
  const { recorder, server, stop, onLost } = await setUp();
  stop.abort();
  const news = recorder.record(subject('db'), 'Normal', 'Synced', 'm');
  await new Promise(setImmediate);
  expect([news, server.count, onLost.mock.calls.length]).toEqual([false, 0, 0]);
});
