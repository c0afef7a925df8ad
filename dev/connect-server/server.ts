import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createDispatch } from './dispatch.ts';
import { createFaults, type Faults } from './faults.ts';
import { createHttpServer, type TlsOptions } from './http-server.ts';
import { createRequestLog, type RequestLog } from './requests.ts';
import { plantSeed, type Seed } from './seed.ts';
import { createStore, type Store } from './store.ts';
import { createTokens, type TokenOptions } from './tokens.ts';

export interface ConnectServerOptions {
  readonly seed: Seed;
  /** A free one unless it says otherwise. Only 127.0.0.1 is bound, always. */
  readonly port?: number;
  /** Milliseconds since the epoch; the system's clock unless it says otherwise. */
  readonly clock?: () => number;
  /** Speaks TLS with this certificate, which should be for 127.0.0.1; plain HTTP unless it says otherwise. */
  readonly tls?: TlsOptions;
}

/** A running server, and everything a test may turn in it. */
export interface ConnectServer {
  /** `http://127.0.0.1:PORT`, or `https:` with `tls`. */
  readonly url: string;
  readonly store: Store;
  readonly faults: Faults;
  readonly requests: RequestLog;
  /** A JWT for these vaults (ids or names, `*` for all, those made later included). Throws StoreError when a vault does not exist. */
  issueToken(options: TokenOptions): string;
  /** From now on the token is answered with 401. */
  revokeToken(token: string): void;
  /** A revoked token is good again. */
  restoreToken(token: string): void;
  /** Ends open connections too, and with them hanging and delayed answers. */
  close(): Promise<void>;
}

/**
 * Starts a 1Password Connect server for demonstration and tests: the API over loopback, kept in memory, with faults to order.
 * @throws SeedError for a seed that is not valid, what OpenSSL says of a certificate it cannot use, and what listening throws, such as
 * EADDRINUSE
 */
export async function startConnectServer({ seed, port = 0, clock = Date.now, tls }: ConnectServerOptions): Promise<ConnectServer> {
  const store = createStore(clock);
  plantSeed(store, seed);
  const tokens = createTokens(store, clock);
  const faults = createFaults(() => store.snapshot());
  const requests = createRequestLog();
  const closing = new AbortController();
  const dispatch = createDispatch({ store, tokens, faults, requests, clock, signal: closing.signal });

  const server = createHttpServer(tls, (request, response) => void dispatch(request, response));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;

  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`,
    store,
    faults,
    requests,
    issueToken: (options) => tokens.issue(options),
    revokeToken: (token) => tokens.revoke(token),
    restoreToken: (token) => tokens.restore(token),
    async close() {
      if (!server.listening) return;
      closing.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
