import { setTimeout as pause } from 'node:timers/promises';
import {
  type BundledOperator,
  type BundledOperatorOptions,
  type CollectedHeap,
  startBundledOperator,
} from '../support/bundled-operator.ts';
import type { Death } from './audit-invariant.ts';
import type { Interval } from './history.ts';
import type { Leader } from './leader-invariant.ts';
import type { Ending } from './process-invariants.ts';
import type { ReplicaChoice } from './schedule.ts';

/** Two replicas of the operator, each a process that is started again whenever it has ended. */
export interface Replicas {
  /** Kills one; it is started again after `down` milliseconds. @returns what was killed, if anything runs */
  kill(choice: ReplicaChoice, down: number): string | undefined;
  /** Stops the leader for so long, and lets it go on. Resolves then. @returns whether another one led meanwhile */
  freezeLeader(ms: number): Promise<boolean>;
  /** Where the one is that is meant; `a` where nobody runs. */
  placeOf(choice: ReplicaChoice): Place;
  /** All that have led. */
  leaders(): readonly Leader[];
  /** When somebody led and was not stopped. */
  leading(): readonly Interval[];
  readonly endings: readonly Ending[];
  /** Of all that had led and ended, also by themselves. */
  deaths(): readonly Death[];
  /** Those that run. */
  running(): readonly BundledOperator[];
  /** Resolves when both have read the cluster and one of them leads. @throws Error at the deadline */
  untilReady(deadlineMs: number): Promise<void>;
  /** Of those that run, by the name of the process: no two ever have the same. */
  heaps(): Promise<ReadonlyMap<string, CollectedHeap>>;
  /** By the name of the file. */
  outputs(): Promise<Readonly<Record<string, string>>>;
  readonly auditFiles: readonly string[];
  readonly pids: readonly number[];
  /** How many processes there were. */
  readonly count: number;
  /** Ends both, in order. */
  stop(): Promise<void>;
}

interface Life {
  readonly name: string;
  readonly place: Place;
  readonly operator: BundledOperator;
  ledFrom: number | undefined;
  endedAt: number | undefined;
  sent: NodeJS.Signals | undefined;
  readonly stops: { from: number; to: number }[];
}

export type Place = 'a' | 'b';

export interface ReplicasOptions {
  /** All but the name. */
  readonly optionsOf: (place: Place) => Omit<BundledOperatorOptions, 'name'>;
  readonly log: (line: string) => void;
}

/** How long one is away that ended by itself, in milliseconds: about as a container's first restart. */
const usualPause = 500;

export async function startReplicas({ optionsOf, log }: ReplicasOptions): Promise<Replicas> {
  const lives: Life[] = [];
  const current = new Map<Place, Life>();
  const downs = new Map<Place, number>();
  const endings: Ending[] = [];
  const stopping = new AbortController();
  let starts = 0;

  async function start(place: Place): Promise<Life> {
    starts += 1;
    const name = `${place}-${starts}`;
    const operator = await startBundledOperator({ ...optionsOf(place), name });
    const life: Life = { name, place, operator, ledFrom: undefined, endedAt: undefined, sent: undefined, stops: [] };
    lives.push(life);
    current.set(place, life);
    operator.reconciling.then(
      () => (life.ledFrom = Date.now()),
      () => {},
    );
    return life;
  }

  async function keep(place: Place): Promise<void> {
    while (!stopping.signal.aborted) {
      const life = await start(place);
      if (stopping.signal.aborted) send(life, 'SIGKILL');
      const exit = await life.operator.exit;
      life.endedAt = Date.now();
      current.delete(place);
      const output = await life.operator.output().catch(() => '');
      endings.push({ name: life.name, exit, sent: life.sent, output: output.slice(-20_000) });
      if (life.sent === undefined) log(`${life.name} ended by itself with ${String(exit.code ?? exit.signal)}`);
      const down = downs.get(place) ?? usualPause;
      downs.delete(place);
      await pause(down, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  function find(choice: ReplicaChoice): [Place, Life] | undefined {
    if (choice !== 'leader') {
      const life = current.get(choice);
      return life === undefined ? undefined : [choice, life];
    }
    // The last that began to lead is the one that does, though another one may be stopped and think so; where nobody does, anybody is taken.
    return [...current].toSorted(([, a], [, b]) => (b.ledFrom ?? 0) - (a.ledFrom ?? 0))[0];
  }

  function send(life: Life, signal: NodeJS.Signals): void {
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') life.sent = signal;
    life.operator.kill(signal);
  }

  const kept = [keep('a'), keep('b')];

  return {
    kill(choice, down) {
      const found = find(choice);
      if (found === undefined) return undefined;
      const [place, life] = found;
      downs.set(place, down);
      send(life, 'SIGKILL');
      return life.name;
    },
    async freezeLeader(ms) {
      const [, life] = find('leader') ?? [];
      if (life === undefined) return false;
      const stop = { from: Date.now(), to: Number.POSITIVE_INFINITY };
      life.stops.push(stop);
      send(life, 'SIGSTOP');
      log(`${life.name} is stopped`);
      await pause(ms);
      stop.to = Date.now();
      send(life, 'SIGCONT');
      const heir = lives.find(({ ledFrom = 0 }) => ledFrom > stop.from && ledFrom < stop.to);
      log(`${life.name} goes on, ${heir?.name ?? 'nobody'} has taken over`);
      return heir !== undefined;
    },
    placeOf: (choice) => find(choice)?.[0] ?? 'a',
    leaders: () => lives.flatMap(({ name, place, ledFrom, endedAt }) => (ledFrom === undefined ? [] : [{ name, place, ledFrom, endedAt }])),
    leading: () => lives.flatMap(ledParts),
    endings,
    deaths: () =>
      lives.flatMap(({ ledFrom, endedAt, stops }) => (ledFrom === undefined || endedAt === undefined ? [] : [{ at: endedAt, stops }])),
    running: () => [...current.values()].map(({ operator }) => operator),
    async untilReady(deadlineMs) {
      const end = performance.now() + deadlineMs;
      for (;;) {
        const ready = await Promise.all([...current.values()].map(({ operator }) => operator.probe('/readyz').catch(() => '')));
        const leads = [...current.values()].some(({ ledFrom }) => ledFrom !== undefined);
        if (leads && ready.length === 2 && ready.every((text) => text.startsWith('200'))) return;
        if (performance.now() > end) throw new Error(`the replicas are not ready: ${ready.join(', ') || 'none runs'}`);
        await pause(100);
      }
    },
    async heaps() {
      const read = [...current.values()].map(async ({ name, operator }) => {
        // One that ends meanwhile has none.
        const heap = await operator.heap().catch(() => undefined);
        return heap === undefined ? [] : [[name, heap] as const];
      });
      return new Map((await Promise.all(read)).flat());
    },
    outputs: async () =>
      Object.fromEntries(await Promise.all(lives.map(async ({ name, operator }) => [`${name}.output`, await operator.output()] as const))),
    get auditFiles() {
      return lives.map(({ operator }) => operator.auditFile);
    },
    get pids() {
      return lives.map(({ operator }) => operator.pid);
    },
    get count() {
      return lives.length;
    },
    async stop() {
      stopping.abort();
      for (const life of current.values()) send(life, 'SIGTERM');
      const late = setTimeout(() => {
        // What it was sent stays: it should have ended by that.
        for (const { operator } of current.values()) operator.kill('SIGKILL');
      }, 30_000);
      await Promise.all(kept);
      clearTimeout(late);
    },
  };
}

function ledParts({ ledFrom, endedAt, stops }: Life): readonly Interval[] {
  if (ledFrom === undefined) return [];
  const parts: Interval[] = [];
  let from = ledFrom;
  for (const stop of stops) {
    if (stop.from > from) parts.push({ from, to: stop.from });
    from = Math.max(from, stop.to);
  }
  const to = endedAt ?? Number.POSITIVE_INFINITY;
  return from < to ? [...parts, { from, to }] : parts;
}
