import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import type { LoggedRequest } from '../../dev/connect-server/requests.ts';
import type { Seed } from '../../dev/connect-server/seed.ts';
import type { Store } from '../../dev/connect-server/store.ts';
import type { TokenOptions } from '../../dev/connect-server/tokens.ts';

/** What may be asked of the vaults and items, by the names of the store's own methods. */
export type StoreMethod = Exclude<keyof Store, 'snapshot'>;

/** One call of a method of the store. */
export interface ConnectEdit {
  readonly method: StoreMethod;
  readonly args: readonly unknown[];
}

/** What the program in `connect-program.ts` can be told to do. */
export type ConnectCommand =
  | { readonly do: 'start'; readonly seed: Seed; readonly port: number }
  | ({ readonly do: 'edit' } & ConnectEdit)
  | { readonly do: 'edit-all'; readonly edits: readonly ConnectEdit[] }
  | { readonly do: 'issue'; readonly options: TokenOptions }
  | { readonly do: 'revoke' | 'restore'; readonly token: string }
  | { readonly do: 'order'; readonly fault: FaultOrder }
  | { readonly do: 'clear'; readonly id?: string }
  | { readonly do: 'counts' | 'log' | 'reset' };

export interface ConnectOrder {
  readonly id: number;
  readonly command: ConnectCommand;
}

export interface ConnectReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A fault that stands. */
export interface ConnectFault {
  /** Withdraws it; it says how often it has struck. */
  clear(): Promise<number>;
}

/** The dev Connect server as a process of its own: what it costs and how it fails is its alone. */
export interface ConnectProcess {
  readonly pid: number;
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Of all vaults, and may write. */
  readonly token: string;
  /** Calls a method of the store: `edit('setField', 'main', 'db', 'password', 'new')`. Vaults and items by id, name or title. */
  edit<Method extends StoreMethod>(method: Method, ...args: Parameters<Store[Method]>): Promise<ReturnType<Store[Method]>>;
  /** Carries out all of them between two requests, as the service's own changes arrive. @returns milliseconds since the epoch at which all were there */
  editAll(edits: readonly ConnectEdit[]): Promise<number>;
  issueToken(options: TokenOptions): Promise<string>;
  /** From now on the token is answered with 401. */
  revokeToken(token: string): Promise<void>;
  /** A revoked token is good again. */
  restoreToken(token: string): Promise<void>;
  readonly faults: {
    order(fault: FaultOrder): Promise<ConnectFault>;
    clear(): Promise<void>;
  };
  readonly requests: {
    /** By route, such as `GET /v1/vaults/{vault}/items/{item}`; routes that nobody asked are absent. */
    counts(): Promise<Readonly<Record<string, number>>>;
    /** In order of arrival. */
    log(): Promise<readonly LoggedRequest[]>;
    reset(): Promise<void>;
  };
  /** SIGSTOP, SIGCONT, SIGKILL and so on. */
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** Starts it with a seed, on a free port unless told; the caller stops it, and it ends with us if not before. */
export async function startConnectProcess(seed: Seed, port = 0): Promise<ConnectProcess> {
  const child = fork(new URL('connect-program.ts', import.meta.url), {
    execArgv: [],
    env: { PATH: process.env['PATH'] },
    // Items hold the bytes of files.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const asked = new Map<number, PromiseWithResolvers<unknown>>();
  let orders = 0;
  child.on('message', ({ id, result, error }: ConnectReply) => {
    const waiting = asked.get(id);
    asked.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`the Connect server: ${error}`));
  });
  const ended = once(child, 'close').then(([code, signal]) => {
    for (const waiting of asked.values()) waiting.reject(new Error(`the Connect server ended with ${String(code ?? signal)}`));
    asked.clear();
  });

  function ask<T>(command: ConnectCommand): Promise<T> {
    const waiting = Promise.withResolvers<unknown>();
    const order: ConnectOrder = { id: (orders += 1), command };
    asked.set(order.id, waiting);
    child.send(order, (error) => (error === null ? undefined : waiting.reject(error)));
    return waiting.promise as Promise<T>;
  }

  const { url, token } = await ask<{ readonly url: string; readonly token: string }>({ do: 'start', seed, port });
  return {
    pid: child.pid ?? 0,
    url,
    token,
    edit: (method, ...args) => ask({ do: 'edit', method, args }),
    editAll: (edits) => ask({ do: 'edit-all', edits }),
    issueToken: (options) => ask({ do: 'issue', options }),
    revokeToken: (revoked) => ask({ do: 'revoke', token: revoked }),
    restoreToken: (restored) => ask({ do: 'restore', token: restored }),
    faults: {
      async order(fault) {
        const id = await ask<string>({ do: 'order', fault });
        return { clear: () => ask({ do: 'clear', id }) };
      },
      async clear() {
        await ask({ do: 'clear' });
      },
    },
    requests: {
      counts: () => ask({ do: 'counts' }),
      log: () => ask({ do: 'log' }),
      reset: () => ask({ do: 'reset' }),
    },
    kill: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
