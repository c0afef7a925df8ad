import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createOwners } from '../../../src/controllers/owners.ts';
import { type Change, createRestartNews, type RestartNews } from '../../../src/controllers/restart-news.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createEventRecorder } from '../../../src/kube/events.ts';
import { type OnePasswordItem, reduceOnePasswordItem } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { reduceWorkload, type Workload, workloadKey } from '../../../src/kube/workload.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, startApiServer } from '../kube/api-server.ts';

const meta = (name: string) => ({ namespace: 'ns', name, uid: `uid of ${name}`, resourceVersion: '1' });
const deployment: Workload = reduceWorkload('Deployment')({ metadata: meta('web') });
const onDelete: Workload = { ...reduceWorkload('StatefulSet')({ metadata: meta('queue') }), onDelete: true };
/** Asks for the Secret `own` by its annotations. */
const asking: Workload = reduceWorkload('Deployment')({
  metadata: {
    ...meta('shop'),
    annotations: { 'operator.1password.io/item-path': 'vaults/v/items/i', 'operator.1password.io/item-name': 'own' },
  },
});
const changeOf = (...changed: Change['changed']): Change => ({ changed, revision: changed.map(({ secret }) => `${secret} 5`).join(', ') });
const password = changeOf({ secret: 'db', keys: ['password'] });

interface WireEvent {
  readonly involvedObject: { readonly kind: string; readonly name: string };
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

const isOnOwner = ({ involvedObject: { kind } }: WireEvent): number => (kind === 'OnePasswordItem' ? 1 : 0);

/** In a namespace with the resources `db` and `api`. */
async function setUp() {
  const server = await startApiServer();
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(server, clock));
  onTestFinished(() => kube.close());
  const items = createStore<OnePasswordItem>();
  const workloads = createStore<Workload>(workloadKey);
  for (const name of ['db', 'api']) items.put(reduceOnePasswordItem({ metadata: meta(name) }));
  const owners = createOwners({ items, workloads });
  workloads.put(asking);
  const lines: { readonly level: number; readonly kind: string; readonly name: string; readonly reason: string; readonly msg: string }[] =
    [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) });
  const events = createEventRecorder({ kube, clock, signal: new AbortController().signal });
  const results: string[] = [];
  const onResult = ({ kind, name }: Workload, result: string): void => void results.push(`${kind} ${name} ${result}`);
  const news = createRestartNews({ log, events, owners, onResult });
  const last = { ...meta('last'), apiVersion: 'v1', kind: 'Last' };
  let marks = 0;

  /** Events up to a mark that is recorded now. */
  async function untilMark(): Promise<readonly WireEvent[]> {
    const mark = `mark ${(marks += 1)}`;
    events.record(last, 'Normal', 'Synced', mark, mark);
    const found: WireEvent[] = [];
    for (;;) {
      const { body, answer } = await server.next();
      answer(201, {});
      const event = JSON.parse(body) as WireEvent;
      if (event.message === mark) return found;
      found.push(event);
    }
  }

  return {
    clock,
    news,
    results,
    /** Tells; gives the events that come of it, those on the workload first, and the lines of the log. */
    told: async (tell: (to: RestartNews) => void) => {
      tell(news);
      // Two are written at a time, so that one may come after the first mark.
      const made = [...(await untilMark()), ...(await untilMark())];
      return {
        events: made
          .toSorted((a, b) => isOnOwner(a) - isOnOwner(b))
          .map(({ involvedObject: { kind, name }, type, reason, message }) => [`${kind} ${name}`, type, reason, message]),
        logged: lines.splice(0).map(({ level, kind, name, reason, msg }) => [level, `${kind} ${name}`, reason, msg]),
      };
    },
  };
}

const [info, warn] = [30, 40];
const ten = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];

/** The objects that events are about. */
const subjectsOf = (events: readonly (readonly string[])[]): readonly string[] => events.map(([subject = '']) => subject).toSorted();

it('what becomes of restarts is counted, each time, whoever has heard of it already', async () => {
  const { news, results } = await setUp();
  news.restarted(deployment, password);
  news.wouldRestart(deployment, password);
  news.skipped(deployment, password);
  news.restarted(onDelete, password);
  news.refused(deployment, password, '403 Forbidden');
  news.refused(deployment, password, '403 Forbidden');
  news.queued(deployment, password, 'until it is resumed');
  expect(results).toEqual([
    'Deployment web restarted',
    'Deployment web would_restart',
    'Deployment web skipped',
    'StatefulSet queue on_delete',
    'Deployment web refused',
    'Deployment web refused',
  ]);
});

describe('a restart', () => {
  it('is told of on the workload, on who asks for the Secret, and in the log, with the keys that changed', async () => {
    const { told } = await setUp();
    const message = 'Restarted Deployment web: Secret db changed in password';
    expect(await told((news) => news.restarted(deployment, password))).toEqual({
      events: [
        ['Deployment web', 'Normal', 'Restarted', message],
        ['OnePasswordItem db', 'Normal', 'Restarted', message],
      ],
      logged: [[info, 'Deployment web', 'Restarted', message]],
    });
  });

  it.each<[string, Change, string]>([
    ['several keys', changeOf({ secret: 'db', keys: ['password', 'user'] }), 'Secret db changed in password, user'],
    ['the whole Secret', changeOf({ secret: 'db', keys: ['*'] }), 'Secret db changed'],
    [
      'several Secrets',
      changeOf({ secret: 'db', keys: ['password'] }, { secret: 'tls', keys: ['*'] }),
      'Secret db changed in password; Secret tls changed',
    ],
    ['so many keys as are named', changeOf({ secret: 'db', keys: ten }), 'Secret db changed in a, b, c, d, e, f, g, h, i, j'],
    [
      'many keys',
      changeOf({ secret: 'db', keys: [...ten, 'k', 'l', 'm'] }),
      'Secret db changed in a, b, c, d, e, f, g, h, i, j and 3 more',
    ],
  ])('says what changed: %s', async (_, change, expected) => {
    const { told } = await setUp();
    const { logged } = await told((news) => news.restarted(deployment, change));
    expect(logged.map(([, , , message]) => message)).toEqual([`Restarted Deployment web: ${expected}`]);
  });

  it('for several Secrets is told to each who asks for one', async () => {
    const { told } = await setUp();
    const change = changeOf({ secret: 'db', keys: ['a'] }, { secret: 'api', keys: ['b'] }, { secret: 'foreign', keys: ['c'] });
    const { events } = await told((news) => news.restarted(deployment, change));
    expect(subjectsOf(events)).toEqual(['Deployment web', 'OnePasswordItem api', 'OnePasswordItem db']);
  });

  it('of a Deployment that asks for the Secret itself is told to it once', async () => {
    const { told } = await setUp();
    const { events } = await told((news) => news.restarted(asking, changeOf({ secret: 'own', keys: ['a'] })));
    expect(events.map(([subject]) => subject)).toEqual(['Deployment shop']);
  });

  it('for a Secret that another Deployment asks for is told to that', async () => {
    const { told } = await setUp();
    const { events } = await told((news) => news.restarted(deployment, changeOf({ secret: 'own', keys: ['a'] })));
    expect(subjectsOf(events)).toEqual(['Deployment shop', 'Deployment web']);
  });

  it('of several workloads is told of for each, to who asks for the Secret, too', async () => {
    const { told } = await setUp();
    const other = { ...deployment, name: 'api', uid: 'uid of api' };
    const { events } = await told((news) => {
      news.restarted(deployment, password);
      news.restarted(other, password);
    });
    const onResource = events.filter(([subject]) => subject === 'OnePasswordItem db');
    expect(onResource.map(([, , , message = '']) => message).toSorted()).toEqual([
      'Restarted Deployment api: Secret db changed in password',
      'Restarted Deployment web: Secret db changed in password',
    ]);
  });

  it('is told of once for one change, and again for the next', async () => {
    const { told } = await setUp();
    await told((news) => news.restarted(deployment, password));
    expect(await told((news) => news.restarted(deployment, password))).toEqual({ events: [], logged: [] });
    const next = await told((news) => news.restarted(deployment, { ...password, revision: 'db 6' }));
    expect([next.events.length, next.logged.length]).toEqual([2, 1]);
  });

  it('of pods that somebody has to delete says so on the workload and on who asks for the Secret, and not that it restarted', async () => {
    const { told } = await setUp();
    const { events, logged } = await told((news) => news.restarted(onDelete, password));
    const hint =
      'StatefulSet queue has the update strategy OnDelete: delete its pods for them to get the new values (Secret db changed in password)';
    expect(events).toEqual([
      ['StatefulSet queue', 'Warning', 'DeletePodsToUpdate', hint],
      ['OnePasswordItem db', 'Warning', 'DeletePodsToUpdate', hint],
    ]);
    expect(logged).toContainEqual([warn, 'StatefulSet queue', 'DeletePodsToUpdate', hint]);
  });

  it('says beside it which pods a partition leaves as they are', async () => {
    const { told } = await setUp();
    const { events } = await told((news) => news.restarted({ ...onDelete, onDelete: false, partition: 2 }, password));
    const found = events.map(
      ([about, , reason, message]) => `${about} ${reason}${message?.includes('below the partition 2') ? ': partition' : ''}`,
    );
    expect(found.toSorted()).toEqual([
      'OnePasswordItem db Restarted',
      'StatefulSet queue DeletePodsToUpdate: partition',
      'StatefulSet queue Restarted',
    ]);
  });
});

describe('what becomes of a restart', () => {
  const held = { secret: 'db', item: 'vaults/v/items/i', version: '7' };
  const reverted = 'somebody takes our annotations out of the pod template of Deployment web again and again; trying at growing intervals';
  const refused = 'Deployment web cannot be restarted (PATCH /x: 403 Forbidden); trying again';
  const heldMessage =
    'rollouts for version 7 of the item failed and none succeeded: the others are held; ' +
    'mend the item, or annotate who asks for the Secret with keyturn.dev/resume="7" to go on';

  it.each<[string, (news: RestartNews) => void, 'Normal' | 'Warning', string, string]>([
    [
      'that is only reported',
      (news) => news.wouldRestart(deployment, password),
      'Normal',
      'WouldRestart',
      'Would restart Deployment web: Secret db changed in password',
    ],
    ['that is reverted', (news) => news.reverted(deployment, password), 'Warning', 'RestartReverted', reverted],
    ['that is refused', (news) => news.refused(deployment, password, 'PATCH /x: 403 Forbidden'), 'Warning', 'RestartRefused', refused],
    ['that is held', (news) => news.held(deployment, password, held), 'Warning', 'RolloutsHeld', heldMessage],
  ])('%s is told of on the workload and on who asks for the Secret, and once in the log', async (_, tell, type, reason, message) => {
    const { told } = await setUp();
    expect(
      await told((news) => {
        tell(news);
        tell(news);
      }),
    ).toEqual({
      events: [
        ['Deployment web', type, reason, message],
        ['OnePasswordItem db', type, reason, message],
      ],
      logged: [[type === 'Normal' ? info : warn, 'Deployment web', reason, message]],
    });
  });

  it.each<[string, (news: RestartNews) => void, 'Normal' | 'Warning', string, string]>([
    [
      'that is skipped',
      (news) => news.skipped(deployment, password),
      'Normal',
      'RestartSkipped',
      'not restarted, as its annotation says: Secret db changed in password',
    ],
    [
      'that waits',
      (news) => news.queued(deployment, password, 'until it is resumed'),
      'Normal',
      'RestartQueued',
      'waits until it is resumed: Secret db changed in password',
    ],
    [
      'that would start no pod',
      (news) =>
        news.blocked(deployment, [
          { secret: 'db', keys: ['user', 'password'] },
          { secret: 'api', keys: ['token'] },
        ]),
      'Warning',
      'KeyMissing',
      'not restarted, though Secrets changed: its pods name keys that are gone, so no new one would start (db: user, password; api: token)',
    ],
    [
      'whose workload cannot be annotated',
      (news) => news.adoptionRefused(deployment, 'PATCH /x: 403 Forbidden'),
      'Warning',
      'RestartRefused',
      'cannot be annotated (PATCH /x: 403 Forbidden); what its pods know is kept in memory alone',
    ],
    [
      'whose annotation cannot be read',
      (news) => news.invalid(deployment, 'the annotation x is not heeded'),
      'Warning',
      'InvalidAnnotation',
      'the annotation x is not heeded',
    ],
  ])('%s is told of on the workload alone, and once in the log', async (_, tell, type, reason, message) => {
    const { told } = await setUp();
    expect(
      await told((news) => {
        tell(news);
        tell(news);
      }),
    ).toEqual({
      events: [['Deployment web', type, reason, message]],
      logged: [[type === 'Normal' ? info : warn, 'Deployment web', reason, message]],
    });
  });

  it('that waits for something else than before is told of again', async () => {
    const { told } = await setUp();
    const { events } = await told((news) => {
      news.queued(deployment, password, 'until it is resumed');
      news.queued(deployment, password, 'until other rollouts have ended');
    });
    expect(events).toHaveLength(2);
  });

  it('that is held, for many workloads, is told of once to who asks for the Secret', async () => {
    const { told } = await setUp();
    const { events } = await told((news) => {
      for (const name of ['a', 'b', 'c']) news.held({ ...deployment, name, uid: name }, password, held);
    });
    expect(subjectsOf(events)).toEqual(['Deployment a', 'Deployment b', 'Deployment c', 'OnePasswordItem db']);
  });

  it('is told of again after ten minutes, while it lasts', async () => {
    const { told, clock } = await setUp();
    await told((news) => news.reverted(deployment, password));
    clock.advance(600_000);
    const { logged } = await told((news) => news.reverted(deployment, password));
    expect(logged).toHaveLength(1);
  });
});
