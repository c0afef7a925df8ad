import type { Clock } from '../../src/runtime/clock.ts';
import type { Exchange, SimulatedNetwork } from './simulated-network.ts';
import { mergePatch, type ObjectChange, type ObjectStore, type SimulatedObject } from './simulated-objects.ts';

/** What an API server does for the operator: lists, watches, reads and guarded writes. */
export interface SimulatedApiServer {
  serve(exchange: Exchange): void;
  /** Refuses the next write of an object that is there, as if somebody had been faster. */
  conflictOnce(): void;
  /** How often that was done. */
  readonly conflicts: number;
  /** Does the next write of an object, and breaks the connection before it answers. */
  loseAnswerOnce(): void;
  /** Ends all watches, and lets none begin for `away` milliseconds; `expired` has them begin with a list. */
  dropWatches(expired: boolean, away: number): void;
  /** How many watches somebody reads. */
  readonly watchCount: number;
  /** Every write that was done, but for events: method, path and body. */
  readonly writes: readonly string[];
  /** Events that were written. */
  readonly eventCount: number;
}

interface Watch {
  readonly exchange: Exchange;
  readonly collection: string;
  readonly isOf: (object: SimulatedObject) => boolean;
  readonly metadataOnly: boolean;
  readonly cancel: () => void;
}

const bookmarkInterval = 60_000;

export function createSimulatedApiServer({
  store,
  clock,
  network,
}: {
  readonly store: ObjectStore;
  /** That of the server, which tells it in each answer. */
  readonly clock: Clock;
  readonly network: () => SimulatedNetwork;
}): SimulatedApiServer {
  const watches = new Set<Watch>();
  const writes: string[] = [];
  let eventCount = 0;
  let conflict = false;
  let conflicts = 0;
  let loss = false;
  let expiredBefore = 0;
  let awayUntil = 0;

  store.onChange((change) => {
    for (const watch of watches) if (watch.collection === change.collection) deliver(watch, change);
  });

  function deliver(watch: Watch, { before, after }: ObjectChange): void {
    const object = after ?? before;
    if (object === undefined || !watch.isOf(object)) return;
    const type = after === undefined ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED';
    network().deliver(watch, () => watch.exchange.send({ type, object: shown(object, watch.metadataOnly) }));
  }

  function answer(exchange: Exchange, status: number, body: object): void {
    exchange.answer(status, body, { date: new Date(clock.now()).toUTCString() });
  }

  function refuse(exchange: Exchange, code: number, reason: string): void {
    answer(exchange, code, { kind: 'Status', status: 'Failure', code, reason });
  }

  function openWatch(exchange: Exchange, collection: string, isOf: Watch['isOf'], metadataOnly: boolean): void {
    const { resourceVersion, timeoutSeconds } = exchange.query;
    const from = Number(resourceVersion);
    if (clock.monotonic() < awayUntil) {
      exchange.fail();
      return;
    }
    exchange.begin({ date: new Date(clock.now()).toUTCString() });
    if (from < expiredBefore) {
      exchange.send({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
      exchange.end();
      return;
    }
    const timers: (() => void)[] = [clock.after(Number(timeoutSeconds) * 1000, () => close(watch))];
    const watch = { exchange, collection, isOf, metadataOnly, cancel: () => timers.forEach((cancel) => cancel()) };
    watches.add(watch);
    const bookmark = (): void => {
      const object = { metadata: { resourceVersion: String(store.version) } };
      network().deliver(watch, () => exchange.send({ type: 'BOOKMARK', object }));
      if (exchange.ended) close(watch);
      else timers[1] = clock.after(bookmarkInterval, bookmark);
    };
    timers[1] = clock.after(bookmarkInterval, bookmark);
    for (const change of store.since(collection, from)) deliver(watch, change);
  }

  function close(watch: Watch): void {
    watch.cancel();
    watches.delete(watch);
    network().deliver(watch, () => watch.exchange.end());
  }

  function read(exchange: Exchange, { collection, namespace, name }: Target): void {
    const isOf = selects(exchange.query['labelSelector'], namespace);
    const metadataOnly = exchange.accept.includes('as=PartialObjectMetadata');
    if (collection.startsWith('/apis/argoproj.io')) refuse(exchange, 404, 'NotFound');
    else if (exchange.query['watch'] === 'true') openWatch(exchange, collection, isOf, metadataOnly);
    else if (name !== undefined) {
      const object = store.get(collection, namespace ?? '', name);
      if (object === undefined) refuse(exchange, 404, 'NotFound');
      else answer(exchange, 200, shown(object, metadataOnly));
    } else {
      const items = store.list(collection).filter(isOf);
      answer(exchange, 200, {
        metadata: { resourceVersion: String(store.version) },
        items: items.map((object) => shown(object, metadataOnly)),
      });
    }
  }

  function write(exchange: Exchange, target: Target): void {
    if (conflict && exchange.method !== 'POST') {
      conflict = false;
      conflicts += 1;
      refuse(exchange, 409, 'Conflict');
      return;
    }
    const { status, body } = perform(exchange, target);
    if (status < 400) writes.push(`${exchange.method} ${exchange.path} ${JSON.stringify(exchange.body)}`);
    if (!loss) {
      answer(exchange, status, body);
      return;
    }
    loss = false;
    exchange.fail();
  }

  function perform({ method, body, query }: Exchange, { collection, namespace = '', name, subresource }: Target): Reply {
    const manager = query['fieldManager'] ?? 'unknown';
    const given = body as SimulatedObject;
    const before = store.get(collection, namespace, name ?? given.metadata.name);
    if (method === 'POST')
      return before === undefined ? { status: 201, body: store.create(collection, given, manager) } : refusal(409, 'AlreadyExists');
    if (before === undefined) return refusal(404, 'NotFound');
    const { resourceVersion, uid } = { ...before.metadata, ...given.metadata };
    if (resourceVersion !== before.metadata.resourceVersion || uid !== before.metadata.uid) return refusal(409, 'Conflict');
    const { status: stays, ...others } = (method === 'PATCH' ? mergePatch(before, given) : given) as SimulatedObject;
    const after = subresource === 'status' ? { ...before, status: stays } : { ...others, ...pickStatus(before) };
    return { status: 200, body: store.replace(collection, before, after, manager) };
  }

  return {
    serve(exchange) {
      const target = parsePath(exchange.path);
      if (target === undefined) refuse(exchange, 404, 'NotFound');
      else if (exchange.method === 'GET') read(exchange, target);
      else if (target.collection === '/api/v1/events') {
        eventCount += 1;
        answer(exchange, 201, exchange.body as object);
      } else write(exchange, target);
    },
    conflictOnce: () => void (conflict = true),
    loseAnswerOnce: () => void (loss = true),
    dropWatches(expired, away) {
      awayUntil = clock.monotonic() + away;
      if (expired) expiredBefore = store.version;
      for (const watch of watches) close(watch);
    },
    get watchCount() {
      return watches.values().reduce((count, { exchange }) => count + (exchange.ended ? 0 : 1), 0);
    },
    writes,
    get conflicts() {
      return conflicts;
    },
    get eventCount() {
      return eventCount;
    },
  };
}

interface Reply {
  readonly status: number;
  readonly body: object;
}

function refusal(code: number, reason: string): Reply {
  return { status: code, body: { kind: 'Status', status: 'Failure', code, reason } };
}

interface Target {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

function parsePath(path: string): Target | undefined {
  const [, root, namespace, plural, name, subresource] =
    /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/(status))?$/.exec(path) ?? [];
  return root === undefined ? undefined : { collection: `${root}/${plural}`, namespace, name, subresource };
}

function pickStatus({ status }: SimulatedObject): object {
  return status === undefined ? {} : { status };
}

function shown(object: SimulatedObject, metadataOnly: boolean): object {
  return metadataOnly ? { metadata: object.metadata } : object;
}

function selects(labelSelector: string | undefined, namespace: string | undefined): (object: SimulatedObject) => boolean {
  const wanted = (labelSelector ?? '').split(',').flatMap((pair) => (pair === '' ? [] : [pair.split('=') as [string, string]]));
  return ({ metadata }) =>
    (namespace === undefined || metadata.namespace === namespace) && wanted.every(([key, value]) => metadata.labels?.[key] === value);
}
