import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAnnouncer } from '../../../src/controllers/announcer.ts';
import type { Synced } from '../../../src/controllers/item-reconciler.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createEventRecorder } from '../../../src/kube/events.ts';
import { done } from '../../../src/runtime/controller.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, startApiServer } from '../kube/api-server.ts';

const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', namespace: 'ns', name: 'db', uid: 'u', resourceVersion: '3' };
const unremarkable: Synced = {
  state: 'synced',
  next: done,
  record: {
    item: { path: 'vaults/v/items/i', vaultId: 'v'.repeat(26), id: 'i'.repeat(26), version: 3 },
    secret: { name: 'db', resourceVersion: '9' },
  },
  keys: 1,
  collisions: [],
  frozenAt: undefined,
  write: 'updated',
  repaired: [],
  rotatedAt: undefined,
  undone: false,
  lowered: undefined,
};

async function setUp() {
  const api = await startApiServer();
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => kube.close());
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const events = createEventRecorder({ kube, clock, signal: new AbortController().signal, onLost: () => {} });
  return {
    announcer: createAnnouncer(log, events),
    /** The log, one object for each line. */
    logged: () => lines.map((line) => JSON.parse(line) as { readonly level: number; readonly msg: string; readonly reason?: string }),
    /** The next event. */
    event: async () => {
      const { body, answer } = await api.next();
      answer(201, {});
      return JSON.parse(body) as { readonly type: string; readonly reason: string; readonly message: string };
    },
    eventsMade: () => api.count,
  };
}

const warning = 40;

describe('of a Secret that was synced', () => {
  it('an older version that is taken for true is a Warning, with both versions', async () => {
    const { announcer, event, logged } = await setUp();
    announcer.synced(owner, { ...unremarkable, lowered: 5 });
    const { type, reason, message } = await event();
    expect([type, reason]).toEqual(['Warning', 'OlderVersionAccepted']);
    expect(message).toMatch(/version 3 .* lower than 5/);
    expect(logged()).toContainEqual(expect.objectContaining({ level: warning, reason: 'OlderVersionAccepted' }));
  });

  it('keys that somebody else had changed are a Warning', async () => {
    const { announcer, event, logged } = await setUp();
    announcer.synced(owner, { ...unremarkable, repaired: ['password'] });
    expect(await event()).toMatchObject({
      type: 'Warning',
      reason: 'DriftRepaired',
      message: expect.stringMatching(/password$/) as string,
    });
    expect(logged()).toContainEqual(expect.objectContaining({ level: warning, reason: 'DriftRepaired' }));
  });

  it('keys that several fields want are a Warning when the Secret was written, and not again', async () => {
    const { announcer, event, eventsMade } = await setUp();
    announcer.synced(owner, { ...unremarkable, collisions: ['user'], write: 'none' });
    announcer.synced(owner, { ...unremarkable, collisions: ['user-name'] });
    expect(await event()).toMatchObject({
      type: 'Warning',
      reason: 'KeyCollision',
      message: expect.stringMatching(/user-name$/) as string,
    });
    expect(eventsMade()).toBe(1);
  });
});

it.each([
  { ready: true, reason: 'Synced', type: 'Normal', level: 30 },
  { ready: false, reason: 'ItemNotFound', type: 'Warning', level: warning },
] as const)(
  'the reason of a condition is that of its event and of its line in the log: $reason',
  async ({ ready, reason, type, level }) => {
    const { announcer, event, logged } = await setUp();
    announcer.transition(owner, { ready, reason, message: 'in words' });
    expect(await event()).toMatchObject({ type, reason, message: 'in words' });
    expect(logged()).toMatchObject([{ level, reason, msg: 'in words' }]);
  },
);
