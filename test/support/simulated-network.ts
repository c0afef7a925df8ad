import { setImmediate as turn } from 'node:timers/promises';
import { Agent, type Dispatcher } from 'undici';
import type { Random } from '../../src/runtime/random.ts';

/** Of all hosts that there are. */
const domain = '.simulated';

/** A request that has come and has no answer yet. */
export interface Exchange {
  readonly method: string;
  /** For instance `cluster-1`. */
  readonly host: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly accept: string;
  /** Of JSON. */
  readonly body: unknown;
  /** Whoever asked has given up, or has the whole answer. */
  readonly ended: boolean;
  answer(status: number, body: object, headers?: Readonly<Record<string, string>>): void;
  /** Begins an answer of status 200 that goes on with `send`. */
  begin(headers: Readonly<Record<string, string>>): void;
  /** A line of JSON. */
  send(line: object): void;
  end(): void;
  /** Breaks the connection. */
  fail(): void;
}

/**
 * The network between the process and the simulated world, below undici: what is under way arrives one piece at a time, in an order that
 * `random` chooses, and so is the same for the same numbers.
 */
export interface SimulatedNetwork {
  /** Has something arrive, after all that came before it in the same line. */
  deliver(line: object, arrive: () => void): void;
  /** Lets things arrive until nothing is under way, or so many have. */
  settle(limit?: number): Promise<void>;
  /** Gives undici its sockets back, that it lacks until then. */
  close(): void;
}

/** @param serve takes each request that arrives */
export function createSimulatedNetwork(random: Random, serve: (exchange: Exchange) => void): SimulatedNetwork {
  const lines = new Map<object, (() => void)[]>();

  function deliver(line: object, arrive: () => void): void {
    const waiting = lines.get(line);
    if (waiting === undefined) lines.set(line, [arrive]);
    else waiting.push(arrive);
  }

  function arriveOne(): void {
    const index = Math.floor(random() * lines.size);
    const [line, waiting] = [...lines][index] ?? [];
    if (line === undefined || waiting === undefined) return;
    const arrive = waiting.shift();
    if (waiting.length === 0) lines.delete(line);
    arrive?.();
  }

  Agent.prototype.dispatch = function dispatchSimulated(options, handler) {
    const { hostname } = new URL(String(options.origin));
    if (!hostname.endsWith(domain)) throw new Error(`${hostname} is not simulated`);
    const exchange = createExchange(hostname.slice(0, -domain.length), options, handler);
    if (!exchange.ended) deliver(exchange, () => exchange.ended || serve(exchange));
    return true;
  };

  return {
    deliver,
    async settle(limit = Infinity) {
      for (let arrived = 0; arrived < limit; arrived += 1) {
        // What has arrived is worked on before anything else does.
        await turn();
        if (lines.size === 0) return;
        arriveOne();
      }
      await turn();
    },
    close: () => void Reflect.deleteProperty(Agent.prototype, 'dispatch'),
  };
}

function createExchange(host: string, options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): Exchange {
  const { method, path, query = {}, headers, body } = options;
  const controller = {
    aborted: false,
    paused: false,
    reason: null as Error | null,
    pause() {},
    resume() {},
    abort(reason: Error) {
      controller.aborted = true;
      controller.reason = reason;
      fail(reason);
    },
  };
  let ended = false;

  function fail(reason: Error): void {
    if (ended) return;
    ended = true;
    handler.onResponseError?.(controller, reason);
  }

  function begin(status: number, given: Readonly<Record<string, string>>): void {
    handler.onResponseStart?.(controller, status, given, '');
  }

  function send(text: string): void {
    if (!ended) handler.onResponseData?.(controller, Buffer.from(text));
  }

  function end(): void {
    if (ended) return;
    ended = true;
    handler.onResponseEnd?.(controller, {});
  }

  handler.onRequestStart?.(controller, null);
  return {
    method,
    host,
    path,
    query: query as Exchange['query'],
    accept: (headers as Readonly<Record<string, string>> | undefined)?.['accept'] ?? '',
    body: body instanceof Uint8Array ? JSON.parse(Buffer.from(body).toString()) : undefined,
    get ended() {
      return ended;
    },
    answer(status, content, given = {}) {
      if (ended) return;
      begin(status, given);
      send(JSON.stringify(content));
      end();
    },
    begin: (given) => begin(200, given),
    send: (line) => send(`${JSON.stringify(line)}\n`),
    end,
    fail: () => fail(Object.assign(new Error('the connection broke'), { code: 'UND_ERR_SOCKET' })),
  };
}
