import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import { type Draw, drawFor } from './draw.ts';
import { drawUses, drawWorkload, lease, type Use, type WorkloadPlan, world } from './world.ts';

/** Which of the two replicas: by name, or the one that leads then. */
export type ReplicaChoice = 'a' | 'b' | 'leader';

/** What is done to the operator and to what it depends on. Times are in milliseconds. */
export type Disturbance =
  | { readonly what: 'kill'; readonly replica: ReplicaChoice; readonly down: number }
  /** SIGSTOP for longer than a lease lasts, then SIGCONT. */
  | { readonly what: 'stop'; readonly replica: ReplicaChoice; readonly ms: number }
  | { readonly what: 'kill-api-server'; readonly down: number }
  | { readonly what: 'pause-etcd'; readonly ms: number }
  | { readonly what: 'break-watches'; readonly how: 'cut-watches' | 'end-watches' | 'watch-error' }
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
const period = { all: 30_000, disturbed: 21_000 };

/** After each of them, which are two periods, everything has to become calm before it goes on. In milliseconds. */
export const roundTime = 2 * period.all;
/** So long before that no value is rotated: what is lost then is not hidden by what comes later. */
const lastActs = 5_000;

/**
 * The first period and every other after it are hard on processes, the ones between on Connect: spoiled answers show nothing as long as nobody is there
 * to ask. All kinds of disturbances occur in both.
 */
type Kind = 'processes' | 'Connect';

/** What happens in a run: a function of the seed and the duration alone. */
export function scheduleOf(seed: number, duration: number): Schedule {
  const beginning = firstWorld(drawFor(seed, 'world'));
  const steps = [
    ...every(drawFor(seed, 'kills'), duration, { processes: [3_000, 6_000], Connect: [8_000, 14_000] }, kill),
    ...every(drawFor(seed, 'watches'), duration, { processes: [5_000, 10_000], Connect: [5_000, 10_000] }, breakWatches),
    ...every(drawFor(seed, 'Connect'), duration, { processes: [4_000, 8_000], Connect: [1_200, 2_000] }, faultsInTurn()),
    ...once(drawFor(seed, 'stops'), duration, 'processes', [1_000, 11_000], stop),
    ...once(drawFor(seed, 'control plane'), duration, 'processes', [2_000, 15_000], disturbControlPlane),
    ...once(drawFor(seed, 'control plane, beside Connect'), duration, 'Connect', [12_000, 18_000], disturbControlPlane),
    ...once(drawFor(seed, 'tokens'), duration, 'Connect', [1_000, 9_000], revokeToken),
    ...once(drawFor(seed, 'tokens, beside processes'), duration, 'processes', [1_000, 16_000], revokeToken),
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

/** Again and again, with pauses of a random length that depends on the kind of the period, wherever it is disturbed. */
function every(
  draw: Draw,
  duration: number,
  pauses: Readonly<Record<Kind, readonly [number, number]>>,
  make: (draw: Draw) => Disturbance,
): Timed<Disturbance>[] {
  const made: Timed<Disturbance>[] = [];
  for (let at = draw.between(500, pauses.processes[1]); at < duration; at += draw.between(...pauses[kindAt(at)])) {
    if (at % period.all < period.disturbed) made.push({ ...make(draw), at });
  }
  return made;
}

/** Once in each period of a kind, in a part of it. */
function once(
  draw: Draw,
  duration: number,
  kind: Kind,
  part: readonly [number, number],
  make: (draw: Draw) => Disturbance,
): Timed<Disturbance>[] {
  const made: Timed<Disturbance>[] = [];
  for (let start = 0; start < duration; start += period.all) {
    const at = start + draw.between(...part);
    if (at < duration && kindAt(at) === kind) made.push({ ...make(draw), at });
  }
  return made;
}

function kill(draw: Draw): Disturbance {
  return { what: 'kill', replica: draw.of(['leader', 'a', 'b']), down: draw.between(0, 1_500) };
}

function stop(draw: Draw): Disturbance {
  return { what: 'stop', replica: draw.chance(80) ? 'leader' : draw.of(['a', 'b']), ms: lease.duration + draw.between(1_500, 4_000) };
}

function disturbControlPlane(draw: Draw): Disturbance {
  if (draw.chance(60)) return { what: 'kill-api-server', down: draw.between(0, 3_000) };
  return { what: 'pause-etcd', ms: draw.between(1_000, 6_000) };
}

function breakWatches(draw: Draw): Disturbance {
  const ms = draw.between(500, 3_000);
  switch (draw.between(0, 5)) {
    case 0:
      return { what: 'refuse-connections', ms };
    case 1:
      return { what: 'refuse-requests', status: 429, retryAfter: 1, ms };
    case 2:
      return { what: 'refuse-requests', status: draw.of([500, 503, 504]), reason: 'InternalError', ms };
    default:
      return { what: 'break-watches', how: draw.of(['cut-watches', 'end-watches', 'watch-error']) };
  }
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

/** All faults in a random order, then all again. */
function faultsInTurn(): (draw: Draw) => Disturbance {
  let deck: readonly FaultOrder[] = [];
  return (draw) => {
    if (deck.length === 0) deck = draw.shuffled(connectFaultOrders);
    const fault = draw.of(deck);
    deck = deck.filter((other) => other !== fault);
    return { what: 'connect-fault', fault, ms: draw.between(800, 1_800) };
  };
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
  for (let at = draw.between(500, 1_500); at < duration; at += isQuiet(at) ? draw.between(200, 600) : draw.between(400, 1_600)) {
    const act = draw.chance(55) ? actOnResource(draw, present.resources) : actOnWorkload(draw, present.workloads);
    made.push({ ...act, at });
  }
  return made;
}

function actOnResource(draw: Draw, present: Set<string>): ClientAct {
  const name = draw.of(world.items);
  if (!present.has(name)) {
    present.add(name);
    return { what: 'create-resource', resource: name, ...(draw.chance(50) && { optIn: 'true' }) };
  }
  switch (draw.between(0, 9)) {
    case 0:
    case 1:
    case 2:
      return { what: 'delete-secret', secret: name };
    case 3:
    case 4:
      return { what: 'edit-secret', secret: name, key: draw.of(world.keys) };
    case 5:
      return { what: 'empty-secret', secret: name };
    case 6:
      return { what: 'unlabel-secret', secret: name };
    case 7:
      return { what: 'opt-resource', resource: name, value: draw.of(['true', 'true', 'false', null]) };
    case 8:
      return { what: 'label-resource', resource: name };
    default:
      present.delete(name);
      return { what: 'delete-resource', resource: name };
  }
}

function actOnWorkload(draw: Draw, present: Set<string>): ClientAct {
  const name = draw.of(world.workloads);
  if (!present.has(name)) {
    present.add(name);
    return { what: 'create-workload', workload: name, plan: drawWorkload(draw, name) };
  }
  switch (draw.between(0, 6)) {
    case 0:
      present.delete(name);
      return { what: 'delete-workload', workload: name };
    case 1:
      return { what: 'scale-workload', workload: name, replicas: draw.between(1, 3) };
    case 2:
      return { what: 'consume', workload: name, uses: drawUses(draw) };
    case 3:
    case 4:
      return { what: 'opt-workload', workload: name, value: draw.of(['true', 'true', 'false', null]) };
    default:
      return { what: 'edit-workload', workload: name };
  }
}
