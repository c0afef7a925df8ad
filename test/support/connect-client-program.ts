import { createConnectClient } from '../../src/connect/client.ts';
import { createConnectToken } from '../../src/connect/token.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { scanHeap } from './heap-scan.ts';
import type { ClientAnswer, ClientOrder } from './connect-client-process.ts';

/** A client of Connect as a program of its own, that reads one item, forgets it and searches its memory. See `connect-client-process.ts`. */

Buffer.poolSize = 0;

async function obey({ host, token, ca, proxy, vaultId, itemId, questions }: ClientOrder): Promise<ClientAnswer> {
  const client = createConnectClient({
    host,
    token: createConnectToken({ token }),
    ca,
    proxy,
    userAgent: 'test',
    clock: systemClock,
  });
  const { signal } = new AbortController();
  let outcome = 'read';
  try {
    await client.getItem(vaultId, itemId, signal);
  } catch (error) {
    outcome = error instanceof Error ? error.message : 'unknown';
  }
  const findings = questions && (await scanHeap(questions));
  await client.close();
  return { outcome, findings };
}

process.once('message', (order: ClientOrder) => {
  void obey(order).then((answer) => process.send?.(answer, () => process.exit(0)));
});
