import { onTestFinished } from 'vitest';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../../dev/connect-server/server.ts';
import { type ConnectClient, type ConnectRoute, createConnectClient } from '../../../src/connect/client.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

export interface Connected {
  readonly server: ConnectServer;
  readonly client: ConnectClient;
  readonly clock: FakeClock;
  /** What the client reported: route and status of each request. */
  readonly reported: readonly (readonly [ConnectRoute, number])[];
}

/** A Connect server, a clock for it and for the client, and a client; all end with the test. */
export async function connect(seed: Seed, parallelRequests?: number): Promise<Connected> {
  const clock = createFakeClock();
  const server = await startConnectServer({ seed, clock: () => clock.now() });
  const reported: (readonly [ConnectRoute, number])[] = [];
  const client = createConnectClient({
    host: server.url,
    token: server.issueToken({ vaults: ['*'] }),
    userAgent: 'test',
    clock,
    onRequest: (route, status) => reported.push([route, status]),
    ...(parallelRequests !== undefined && { parallelRequests }),
  });
  onTestFinished(async () => {
    await client.close();
    await server.close();
  });
  return { server, client, clock, reported };
}
