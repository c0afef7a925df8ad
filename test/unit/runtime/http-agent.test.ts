import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createAgent } from '../../../src/runtime/http-agent.ts';

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
