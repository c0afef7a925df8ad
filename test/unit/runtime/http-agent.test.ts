import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createAgent } from '../../../src/runtime/http-agent.ts';
import { createCertificateAuthority } from '../../support/certificates.ts';

it('asks where nobody listens, and where somebody does afterwards', async () => {
  const server = createServer((_, response) => response.end('answer')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const agent = createAgent({ connect: { timeout: 1_000 } });
  onTestFinished(async () => {
    await agent.close();
    server.close();
  });
  const ask = () => agent.request({ origin: `http://127.0.0.1:${port}`, path: '/', method: 'GET' });
  await expect(ask()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  expect(await (await ask()).body.text()).toBe('answer');
});

it('tells when the certificate of the other side expires, with each new connection', async () => {
  const authority = createCertificateAuthority();
  const until = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_600_000);
  const server = createTlsServer(authority.issue('127.0.0.1', { until }), (_, response) => response.end('answer')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const seen: number[] = [];
  const agent = createAgent({ connect: { ca: authority.cert }, onCertificate: (expiry) => seen.push(expiry) });
  onTestFinished(async () => {
    await agent.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  for (let count = 0; count < 2; count += 1) {
    await (await agent.request({ origin: `https://127.0.0.1:${port}`, path: '/', method: 'GET' })).body.text();
  }
  expect(seen).toEqual([until.getTime()]);
});
