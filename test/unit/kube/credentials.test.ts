import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { createKubeClient, KubeError } from '../../../src/kube/client.ts';
import { credentialsFrom } from '../../../src/kube/credentials.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'keyturn-credentials-'));
const file = join(folder, 'kubeconfig');
const refusing = createServer((_, response) => response.writeHead(401).end());
afterEach(() => void refusing.close());
afterAll(() => rmSync(folder, { recursive: true }));

function write(server: string): void {
  const clusters = [{ name: 'one', cluster: { server } }];
  const contexts = [{ name: 'one', context: { cluster: 'one', user: 'me' } }];
  writeFileSync(file, JSON.stringify({ clusters, contexts, users: [{ name: 'me', user: { token: 't' } }], 'current-context': 'one' }));
}

it('a kubeconfig whose server is no URL is refused when it is read', () => {
  write('nowhere');
  expect(credentialsFrom(file)).toThrow(/no URL/);
});

it('one that is spoiled while the operator runs fails the request that is refused, and nothing else', async () => {
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
  write(`http://127.0.0.1:${(refusing.address() as AddressInfo).port}`);
  const client = createKubeClient({ load: credentialsFrom(file), clock: systemClock, userAgent: 'test', onRequest: () => {} });
  write('nowhere');
  try {
    await expect(client.watch({ method: 'GET', path: '/api/v1/secrets' })[Symbol.asyncIterator]().next()).rejects.toBeInstanceOf(KubeError);
  } finally {
    await client.close();
  }
});
