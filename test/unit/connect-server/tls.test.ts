import { once } from 'node:events';
import { get } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FaultOrder } from '../../../dev/connect-server/faults.ts';
import { type ConnectServer, startConnectServer } from '../../../dev/connect-server/server.ts';
import { createCertificateAuthority } from '../../support/certificates.ts';
import { seed } from './harness.ts';

const authority = createCertificateAuthority();

async function startTlsServer(): Promise<ConnectServer> {
  const server = await startConnectServer({ seed, tls: authority.issue('127.0.0.1') });
  onTestFinished(() => server.close());
  return server;
}

/** Asks for the heartbeat, trusting `ca` alone. */
async function heartbeat({ url }: ConnectServer, ca: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get(`${url}/heartbeat`, { ca, agent: false }, (response) => void text(response).then(resolve, reject)).once('error', reject);
  return promise;
}

describe('over TLS', () => {
  it('answers whoever trusts the authority', async () => {
    const server = await startTlsServer();
    expect(server.url).toMatch(/^https:/);
    expect(await heartbeat(server, authority.cert)).toBe('.');
  });

  it('is refused by whoever trusts another one', async () => {
    const server = await startTlsServer();
    const other = createCertificateAuthority('Another authority');
    await expect(heartbeat(server, other.cert)).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    expect(server.requests.total).toBe(0);
  });

  it.each<FaultOrder>([{ kind: 'reset' }, { kind: 'reset', at: 'body' }, { kind: 'truncated' }])(
    '%j ends the connection',
    async (fault) => {
      const server = await startTlsServer();
      server.faults.order(fault);
      await expect(heartbeat(server, authority.cert)).rejects.toMatchObject({ code: 'ECONNRESET' });
    },
  );

  it('closes although somebody has connected and says nothing', async () => {
    const server = await startTlsServer();
    const silent = connectTcp(Number(new URL(server.url).port), '127.0.0.1');
    await once(silent, 'connect');
    const [ended] = await Promise.all([once(silent, 'close'), heartbeat(server, authority.cert).then(() => server.close())]);
    expect(ended).toBeDefined();
  });
});
