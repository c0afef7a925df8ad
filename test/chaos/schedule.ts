import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import { type Draw, drawFor } from './draw.ts';
import { drawUses, drawWorkload, lease, type Use, type WorkloadPlan, world } from './world.ts';

/** Which of the two replicas: by name, or the one that leads then. */
export type ReplicaChoice = 'a' | 'b' | 'leader';

/** What is done to the operator and to what it depends on. Times are in milliseconds. */
export type Disturbance =
  | { readonly what: 'kill'; readonly replica: ReplicaChoice; readonly down: number }
  /** The leader: SIGSTOP for longer than a lease lasts, so that the other one takes over, then SIGCONT. */
  | { readonly what: 'stop'; readonly ms: number }
  | { readonly what: 'kill-api-server'; readonly down: number }
  | { readonly what: 'pause-etcd'; readonly ms: number }
  | { readonly what: 'break-watches'; readonly replica: ReplicaChoice; readonly how: 'cut-watches' | 'end-watches' | 'watch-error' }
  /** Those of the leader. */
  | { readonly what: 'refuse-connections'; readonly ms: number }
  | {
      readonly what: 'refuse-requests';
      readonly status: number;
      readonly reason?: string;
      readonly retryAfter?: number;
      readonly ms: number;
    }
  | { readonly what: 'connect-fault'; readonly fault: FaultOrder; readonly ms: number }
  /** The token is good again afterwards, or another one takes its place in the file. */
  | { readonly what: 'revoke-token'; readonly how: 'restore' | 'replace'; readonly ms: number };

/** What users do meanwhile. */
export type ClientAct =
  | { readonly what: 'rotate'; readonly item: string; readonly keys: readonly string[] }
  /** Adds a field to an item, or takes it away. */
  | { readonly what: 'toggle-extra'; readonly item: string; readonly present: boolean }
  /** An edit that changes no value. */
  | { readonly what: 'touch-item'; readonly item: string }
  | { readonly what: 'edit-secret'; readonly secret: string; readonly key: string }
  | { readonly what: 'empty-secret'; readonly secret: string }
  | { readonly what: 'delete-secret'; readonly secret: string }
  /** Deletes it, and makes one of its name with another value, for Keyturn to adopt. */
  | { readonly what: 'create-secret'; readonly secret: string }
  | { readonly what: 'unlabel-secret'; readonly secret: string }
  | { readonly what: 'create-resource'; readonly resource: string; readonly optIn?: string }
  | { readonly what: 'delete-resource'; readonly resource: string }
  | { readonly what: 'label-resource'; readonly resource: string }
  | { readonly what: 'opt-resource'; readonly resource: string; readonly value: string | null }
  | { readonly what: 'create-workload'; readonly workload: string; readonly plan: WorkloadPlan }
  | { readonly what: 'delete-workload'; readonly workload: string }
  | { readonly what: 'edit-workload'; readonly workload: string }
  | { readonly what: 'scale-workload'; readonly workload: string; readonly replicas: number }
  | { readonly what: 'opt-workload'; readonly workload: string; readonly value: string | null }
  | { readonly what: 'consume'; readonly workload: string; readonly uses: readonly Use[] };

/** `at` is in milliseconds from the beginning; `number` tells it from all others. */
export type Scheduled = (Disturbance | ClientAct) & { readonly at: number; readonly number: number };

export interface World {
  readonly resources: Readonly<Record<string, string | undefined>>;
  readonly workloads: Readonly<Record<string, WorkloadPlan>>;
}

export interface Schedule {
  /** What is there at the beginning: resource → its annotation `auto-restart`, and workloads. */
  readonly world: World;
  /** In order of time. */
  readonly steps: readonly Scheduled[];
}

/** So long it is disturbed, and then it is let alone until the period is over, but for what users do. In milliseconds. */
export const period = { all: 30_000, disturbed: 21_000 };

/** After each of them, which are two periods, everything has to become calm before it goes on. In milliseconds. */
export const roundTime = 2 * period.all;
/** So long before that no value is rotated: what is lost then is not hidden by what comes later. */
const lastActs = 5_000;

/**
 * The first period and every other after it are hard on processes, the ones between on Connect: spoiled answers show nothing as long as nobody is there
 * to ask. All kinds of disturbances occur in both.
 */
type Kind = 'processes' | 'Connect';

/** A leader that is stopped meets another one that can take over: so long before and after a stop nobody is killed. In milliseconds. */
const aroundStops = { before: 4_000, after: 1_000 };

/** What happens in a run: a function of the seed and the duration alone. */
export function scheduleOf(seed: number, duration: number): Schedule {
  const beginning = firstWorld(drawFor(seed, 'world'));
  const stops = once(drawFor(seed, 'stops'), duration, { processes: [1_000, 5_000] }, stop);
  const kills = every(drawFor(seed, 'kills'), duration, { processes: [1_500, 3_500] }, kill);
  const controlPlane = drawFor(seed, 'control plane');
  const watches = drawFor(seed, 'watches');
  const refusals = drawFor(seed, 'refusals');
  const shortRefusals = drawFor(seed, 'refusals, beside Connect');
  const tokens = drawFor(seed, 'tokens');
  const faults = drawFor(seed, 'Connect');
  const steps = [
    ...stops,
    ...kills.filter(({ at }) => !stops.some((one) => at >= one.at - aroundStops.before && at <= one.at + one.ms + aroundStops.after)),
    ...every(watches, duration, { processes: [5_000, 10_000], Connect: [5_000, 10_000] }, watchesInTurn(watches)),
    ...every(faults, duration, { processes: [4_000, 8_000], Connect: [1_200, 2_000] }, faultsInTurn(faults)),
    // After the stop: nobody could take over.
    ...once(controlPlane, duration, { processes: [13_000, 15_000], Connect: [12_000, 18_000] }, controlPlaneInTurn(controlPlane)),
    ...once(refusals, duration, { processes: [14_000, 19_000] }, refusalsInTurn(refusals, 3_000)),
    // Too short for the loss of the lease: the memory of processes is compared that live until it is calm.
    ...once(shortRefusals, duration, { Connect: [1_000, 11_000] }, refusalsInTurn(shortRefusals, 1_500)),
    ...once(tokens, duration, { processes: [1_000, 16_000], Connect: [1_000, 9_000] }, revokeToken),
    ...rotations(drawFor(seed, 'rotations'), duration),
    ...clientActs(drawFor(seed, 'client'), duration, beginning),
  ];
  return { world: beginning, steps: steps.toSorted((a, b) => a.at - b.at).map((step, number) => ({ ...step, number })) };
}

/** One line, without the time. */
export function describeStep(step: Scheduled): string {
  const parameters = Object.entries(step).filter(([name]) => !['at', 'number', 'what'].includes(name));
  return `#${step.number} ${step.what} ${JSON.stringify(Object.fromEntries(parameters))}`;
}

type Timed<T> = T & { readonly at: number };

/** Nothing is rotated then. */
function isQuiet(at: number): boolean {
  return at % roundTime >= roundTime - lastActs;
}

function kindAt(at: number): Kind {
  return Math.floor(at / period.all) % 2 === 0 ? 'processes' : 'Connect';
}

type Parts = Readonly<Partial<Record<Kind, readonly [number, number]>>>;

/** The periods of some kinds: when each begins, and what is said of its kind. */
function periodsOf(duration: number, parts: Parts): readonly { readonly start: number; readonly part: readonly [number, number] }[] {
  return Array.from({ length: Math.ceil(duration / period.all) }, (_, index) => index * period.all).flatMap((start) => {
    const part = parts[kindAt(start)];
    return part === undefined ? [] : [{ start, part }];
  });
}

/** Again and again in the periods of some kinds while it is disturbed, with pauses of a random length. */
function every(draw: Draw, duration: number, pauses: Parts, make: (draw: Draw) => Disturbance): Timed<Disturbance>[] {
  return periodsOf(duration, pauses).flatMap(({ start, part }) => {
    const made: Timed<Disturbance>[] = [];
    const end = Math.min(start + period.disturbed, duration);
    for (let at = start + draw.between(500, part[1]); at < end; at += draw.between(...part)) made.push({ ...make(draw), at });
    return made;
  });
}

/** Once in each period of some kinds, in a part of it. */
function once<T extends Disturbance>(draw: Draw, duration: number, parts: Parts, make: (draw: Draw) => T): Timed<T>[] {
  return periodsOf(duration, parts).flatMap(({ start, part }) => {
    const at = start + draw.between(...part);
    return at < duration ? [{ ...make(draw), at }] : [];
  });
}

/** All of a list in a random order, then all again: so that each comes soon. */
function inTurn<T>(draw: Draw, list: readonly T[]): () => T {
  let deck: readonly T[] = [];
  return () => {
    if (deck.length === 0) deck = draw.shuffled(list);
    const [next, ...rest] = deck;
    deck = rest;
    return next as T;
  };
}

function kill(draw: Draw): Disturbance {
  return { what: 'kill', replica: draw.of(['leader', 'a', 'b']), down: draw.between(0, 1_500) };
}

function stop(draw: Draw): Extract<Disturbance, { readonly what: 'stop' }> {
  return { what: 'stop', ms: lease.duration + draw.between(1_500, 4_000) };
}

function controlPlaneInTurn(draw: Draw): () => Disturbance {
  const next = inTurn(draw, ['kill-api-server', 'pause-etcd'] as const);
  return () => {
    const what = next();
    return what === 'pause-etcd' ? { what, ms: draw.between(1_000, 6_000) } : { what, down: draw.between(0, 3_000) };
  };
}

function watchesInTurn(draw: Draw): () => Disturbance {
  const how = inTurn(draw, ['cut-watches', 'end-watches', 'watch-error'] as const);
  return () => ({ what: 'break-watches', replica: draw.of(['leader', 'leader', 'a', 'b']), how: how() });
}

function refusalsInTurn(draw: Draw, longest: number): () => Disturbance {
  const what = inTurn(draw, ['refuse-connections', 'refuse-requests'] as const);
  const status = inTurn(draw, [429, 500, 503, 504]);
  return () => {
    const [refused, ms] = [what(), draw.between(1_000, longest)];
    if (refused === 'refuse-connections') return { what: refused, ms };
    const code = status();
    return { what: refused, status: code, ...(code === 429 ? { retryAfter: 1 } : { reason: 'InternalError' }), ms };
  };
}

function revokeToken(draw: Draw): Disturbance {
  return { what: 'revoke-token', how: draw.of(['restore', 'replace']), ms: draw.between(1_000, 4_000) };
}

const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';
const listingRoute = 'GET /v1/vaults/{vault}/items';

/** Each kind that the server knows, most of them in more than one form. */
export const connectFaultOrders: readonly FaultOrder[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, retryAfter: 1 },
  { kind: 'status', status: 429, retryAfter: 2 },
  { kind: 'status', status: 401 },
  { kind: 'status', status: 403 },
  { kind: 'status', status: 404, route: itemRoute },
  { kind: 'status', status: 400, route: itemRoute },
  { kind: 'status', status: 500, every: 2 },
  // Lies: no vaults, no items, an item without anything, and what is no answer of Connect at all.
  { kind: 'status', status: 200, body: [], route: 'GET /v1/vaults' },
  { kind: 'status', status: 200, body: [], route: listingRoute },
  { kind: 'status', status: 200, body: {}, route: itemRoute },
  { kind: 'status', status: 200, body: 'not what was asked for', contentType: 'text/html' },
  { kind: 'latency', ms: 800 },
  { kind: 'hang', at: 'start' },
  { kind: 'hang', at: 'body' },
  { kind: 'reset', at: 'start' },
  { kind: 'reset', at: 'body' },
  { kind: 'truncated' },
  { kind: 'malformed' },
  { kind: 'huge', bytes: 9 * 1024 * 1024, route: itemRoute },
  { kind: 'huge', bytes: 9 * 1024 * 1024, contentLength: false, route: itemRoute },
  { kind: 'content-type', contentType: 'text/html' },
  { kind: 'redirect', location: 'http://127.0.0.1:9/' },
  { kind: 'stale' },
];

function faultsInTurn(draw: Draw): () => Disturbance {
  const fault = inTurn(draw, connectFaultOrders);
  return () => ({ what: 'connect-fault', fault: fault(), ms: draw.between(800, 1_800) });
}

function rotations(draw: Draw, duration: number): Timed<ClientAct>[] {
  const made: Timed<ClientAct>[] = [];
  const extra = new Set<string>();
  for (let at = draw.between(500, 1_500); at < duration; at += draw.chance(15) ? draw.between(20, 150) : draw.between(500, 2_000)) {
    const item = draw.of(world.items);
    const kind = draw.between(1, 100);
    if (isQuiet(at)) continue;
    if (kind <= 80) made.push({ what: 'rotate', item, keys: draw.some(world.keys), at });
    else if (kind <= 90) made.push({ what: 'touch-item', item, at });
    else {
      if (!extra.delete(item)) extra.add(item);
      made.push({ what: 'toggle-extra', item, present: extra.has(item), at });
    }
  }
  return made;
}

function firstWorld(draw: Draw): World {
  const resources = world.items.map((name) => [name, draw.chance(50) ? 'true' : undefined] as const);
  // The last ones are yet to come.
  const workloads = world.workloads.slice(0, -1).map((name) => [name, drawWorkload(draw, name)] as const);
  return { resources: Object.fromEntries(resources), workloads: Object.fromEntries(workloads) };
}

/** Who acts knows what is there: each act makes sense when those before it were carried out. */
function clientActs(draw: Draw, duration: number, { resources, workloads }: World): Timed<ClientAct>[] {
  const made: Timed<ClientAct>[] = [];
  const present = { resources: new Set(Object.keys(resources)), workloads: new Set(Object.keys(workloads)) };
  const onResource = resourceActs(draw, present.resources);
  const onWorkload = workloadActs(draw, present.workloads);
  const edits = new Map<string, readonly number[]>();
  for (let at = draw.between(500, 1_500); at < duration; at += isQuiet(at) ? draw.between(200, 600) : draw.between(400, 1_600)) {
    const act = draw.chance(55) ? onResource() : onWorkload();
    made.push({ ...sparing(act, at, edits), at });
  }
  return made;
}

/** Whoever undoes what Keyturn wrote five times within three minutes is another operator to it: it slows down then. */
const handEdits = { most: 4, within: 180_000 };

/** The act, or a harmless one where one more edit of its Secret would be too many. */
function sparing(act: ClientAct, at: number, edits: Map<string, readonly number[]>): ClientAct {
  const weight = undoings(act);
  if (!('secret' in act) || weight === 0) return act;
  const recent = (edits.get(act.secret) ?? []).filter((time) => at - time < handEdits.within);
  if (recent.length + weight > handEdits.most) return { what: 'label-resource', resource: act.secret };
  edits.set(act.secret, [...recent, ...Array<number>(weight).fill(at)]);
  return act;
}

/** How often an act may undo what Keyturn wrote. */
function undoings({ what }: ClientAct): number {
  if (what === 'create-secret') return 2;
  return what === 'edit-secret' || what === 'empty-secret' || what === 'delete-secret' ? 1 : 0;
}

const resourceKinds = [
  'delete-secret',
  'delete-secret',
  'create-secret',
  'edit-secret',
  'edit-secret',
  'empty-secret',
  'unlabel-secret',
  'opt-resource',
  'label-resource',
  'delete-resource',
] as const;

function resourceActs(draw: Draw, present: Set<string>): () => ClientAct {
  const kind = inTurn(draw, resourceKinds);
  return () => {
    const name = draw.of(world.items);
    if (!present.has(name)) {
      present.add(name);
      return { what: 'create-resource', resource: name, ...(draw.chance(50) && { optIn: 'true' }) };
    }
    const what = kind();
    switch (what) {
      case 'edit-secret':
        return { what, secret: name, key: draw.of(world.keys) };
      case 'opt-resource':
        return { what, resource: name, value: draw.of(['true', 'true', 'false', null]) };
      case 'label-resource':
        return { what, resource: name };
      case 'delete-resource':
        present.delete(name);
        return { what, resource: name };
      case 'delete-secret':
      case 'create-secret':
      case 'empty-secret':
      case 'unlabel-secret':
        return { what, secret: name };
    }
  };
}

const workloadKinds = [
  'delete-workload',
  'scale-workload',
  'consume',
  'opt-workload',
  'opt-workload',
  'edit-workload',
  'edit-workload',
] as const;

function workloadActs(draw: Draw, present: Set<string>): () => ClientAct {
  const kind = inTurn(draw, workloadKinds);
  return () => {
    const name = draw.of(world.workloads);
    if (!present.has(name)) {
      present.add(name);
      return { what: 'create-workload', workload: name, plan: drawWorkload(draw, name) };
    }
    const what = kind();
    switch (what) {
      case 'delete-workload':
        present.delete(name);
        return { what, workload: name };
      case 'scale-workload':
        return { what, workload: name, replicas: draw.between(1, 3) };
      case 'consume':
        return { what, workload: name, uses: drawUses(draw) };
      case 'opt-workload':
        return { what, workload: name, value: draw.of(['true', 'true', 'false', null]) };
      case 'edit-workload':
        return { what, workload: name };
    }
  };
}
