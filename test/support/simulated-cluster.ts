import { pino } from 'pino';
import { readConfig } from '../../src/config.ts';
import { runOperator } from '../../src/operator.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { Random } from '../../src/runtime/random.ts';
import { createFakeClock } from './fake-clock.ts';
import { createSimulatedApiServer, type SimulatedApiServer } from './simulated-api-server.ts';
import { createSimulatedConnect, type SimulatedConnect } from './simulated-connect.ts';
import { createSimulatedDeployments, type SimulatedDeployments } from './simulated-deployments.ts';
import { createSimulatedNetwork } from './simulated-network.ts';
import { createObjectStore, type ObjectStore } from './simulated-objects.ts';

/**
 * A world of its own, in this process and by a clock of its own: an API server, the controllers behind Deployments, a Connect server, and the
 * operator, which can be killed between any two of its calls.
 */
export interface SimulatedCluster {
  readonly store: ObjectStore;
  readonly api: SimulatedApiServer;
  readonly deployments: SimulatedDeployments;
  readonly connect: SimulatedConnect;
  /** By the API server's clock, in milliseconds since the epoch. */
  now(): number;
  /** The operator runs, and nothing is on its way to it that it does not have. */
  readonly isLevel: boolean;
  readonly isRunning: boolean;
  /** Starts the operator with an empty memory, unless it runs. */
  start(): void;
  /** Kills the operator before the call that follows `calls` others; it is started again after `down` milliseconds. */
  killAfter(calls: number, down: number): void;
  /** Takes back a kill that is still to come. */
  spare(): void;
  /** The operator's own clock goes wrong by so many milliseconds. */
  skew(ms: number): void;
  /** Lets so many things arrive that are under way, without any time passing. */
  step(limit: number): Promise<void>;
  /** Lets time pass, with all that happens in it. */
  advance(ms: number): Promise<void>;
  /** Ends everything. @throws what the operator failed with */
  close(): Promise<void>;
}

interface Process {
  readonly id: number;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  /** Its calls do not arrive any more. */
  dead: boolean;
}

export const namespace = 'shop';
/** Resources, Secrets, namespaces and the kinds of workloads that are installed. */
const watchedCollections = 6;

const authenticate = async () => ({ tls: { rejectUnauthorized: true }, headers: {} });

export interface SimulatedClusterOptions {
  /** Decides everything that is left to chance. */
  readonly random: Random;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

export function createSimulatedCluster({ random, environment = {}, flags = [] }: SimulatedClusterOptions): SimulatedCluster {
  const clock = createFakeClock(Date.UTC(2026, 0, 1) + Math.floor(random() * 1000));
  const store = createObjectStore(() => clock.now());
  const connect = createSimulatedConnect();
  const deployments = createSimulatedDeployments({ store, clock, random });
  const api = createSimulatedApiServer({ store, clock, network: () => network });
  const failures: unknown[] = [];
  const ending: Promise<void>[] = [];
  let processes = 0;
  let running: Process | undefined;
  let sentence: { callsLeft: number; readonly down: number } | undefined;
  let skewed = 0;
  let level = false;

  const network = createSimulatedNetwork(random, (exchange) => {
    const [kind, id] = exchange.host.split('-');
    if (running === undefined || running.dead || running.id !== Number(id)) exchange.fail();
    else if (kind === 'connect') connect.serve(exchange);
    else if (sentence?.callsLeft === 0) {
      clock.after(sentence.down, start);
      kill(running);
      // A write is waited for beyond the abort; with a process its connections end.
      exchange.fail();
    } else {
      if (sentence !== undefined) sentence.callsLeft -= 1;
      api.serve(exchange);
    }
  });

  function kill(process: Process): void {
    process.dead = true;
    running = undefined;
    sentence = undefined;
    level = false;
    process.stop.abort();
  }

  function start(): void {
    if (running !== undefined) return;
    processes += 1;
    const id = processes;
    const stop = new AbortController();
    const config = readConfig(
      { OP_CONNECT_HOST: `http://connect-${id}.simulated`, OP_CONNECT_TOKEN: 'token', POLLING_INTERVAL: '30', ...environment },
      ['--health-probe-bind-address=0', '--metrics-bind-address=0', ...flags],
    );
    const credentials = () => ({ server: `http://cluster-${id}.simulated`, namespace, authenticate });
    const log = pino({ level: 'silent' });
    const ended = runOperator({ config, credentials, log, clock: clockOf(id), random }, stop.signal).catch((error: unknown) => {
      failures.push(error);
    });
    ending.push(ended);
    running = { id, stop, ended, dead: false };
  }

  /** The timers of a process die with it. */
  function clockOf(id: number): Clock {
    return {
      now: () => clock.now() + skewed,
      monotonic: () => clock.monotonic(),
      after: (delay, run) =>
        clock.after(delay, () => {
          if (running?.id === id) run();
        }),
    };
  }

  async function step(limit: number): Promise<void> {
    level = false;
    await network.settle(limit);
  }

  async function settle(): Promise<void> {
    await network.settle();
    level = running !== undefined && api.watchCount === watchedCollections;
  }

  return {
    store,
    api,
    deployments,
    connect,
    now: () => clock.now(),
    get isLevel() {
      return level;
    },
    get isRunning() {
      return running !== undefined;
    },
    start,
    killAfter: (callsLeft, down) => void (sentence = running && { callsLeft, down }),
    spare: () => void (sentence = undefined),
    skew: (ms) => void (skewed = ms),
    step,
    async advance(ms) {
      const end = clock.monotonic() + ms;
      await settle();
      for (let [next] = clock.timers; next !== undefined && clock.monotonic() + next <= end; [next] = clock.timers) {
        clock.advance(next);
        await settle();
      }
      clock.advance(end - clock.monotonic());
    },
    async close() {
      if (running !== undefined) kill(running);
      await network.settle();
      await Promise.all(ending);
      network.close();
      if (failures.length > 0) throw failures[0];
    },
  };
}
