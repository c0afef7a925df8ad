import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../../dev/connect-server/server.ts';
import { type ConnectClient, type ConnectRoute, createConnectClient } from '../../../src/connect/client.ts';
import { type ConnectToken, createConnectToken } from '../../../src/connect/token.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';

export interface Connected {
  readonly server: ConnectServer;
  readonly client: ConnectClient;
  readonly clock: FakeClock;
  /** The token of the client. */
  readonly token: ConnectToken;
  /** What the client reported: route and status of each request. */
  readonly reported: readonly (readonly [ConnectRoute, number])[];
  /** Puts another token into the file that the client has its token from. */
  readonly changeToken: () => Promise<void>;
  /** The token that the client began with is refused from now on. */
  readonly revoke: () => void;
}

/** A Connect server, a clock for it and for the client, and a client; all end with the test. */
export async function connect(seed: Seed, parallelRequests?: number): Promise<Connected> {
  const clock = createFakeClock();
  const server = await startConnectServer({ seed, clock: () => clock.now() });
  const reported: (readonly [ConnectRoute, number])[] = [];
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-connect-'));
  const file = join(folder, 'token');
  const first = server.issueToken({ vaults: ['*'] });
  await writeFile(file, first);
  const token = createConnectToken({ file });
  const client = createConnectClient({
    host: server.url,
    token,
    userAgent: 'test',
    clock,
    onRequest: (route, status) => reported.push([route, status]),
    ...(parallelRequests !== undefined && { parallelRequests }),
  });
  onTestFinished(async () => {
    await client.close();
    await server.close();
    await rm(folder, { recursive: true });
  });
  return {
    server,
    client,
    clock,
    token,
    reported,
    changeToken: () => writeFile(file, server.issueToken({ vaults: ['*'] })),
    revoke: () => server.revokeToken(first),
  };
}
