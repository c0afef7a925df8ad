import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readVaultPolicy } from '../../src/config.ts';
import { proxyFor } from '../../src/config/proxy.ts';
import { listenAddress, namespaceNames } from '../../src/config/setting-type.ts';
import { itemSummaryListSchema } from '../../src/connect/schema.ts';
import { tokenClaims } from '../../src/connect/token-claims.ts';
import { credentialsProblem } from '../../src/domain/connect-credentials.ts';
import { consumedKeys } from '../../src/domain/consumed-keys.ts';
import { isItemPath } from '../../src/domain/item-path.ts';
import { printable } from '../../src/domain/printable.ts';
import { latestOf, parseRevisions, revise } from '../../src/domain/revisions.ts';
import { secretKey } from '../../src/domain/secret-key.ts';
import { similarTitles } from '../../src/domain/similar-titles.ts';
import { matchesGlob } from '../../src/domain/vault-policy.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { textLine } from '../../src/observability/text-line.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { parseDuration } from '../../src/runtime/duration.ts';
import { startApiServer } from '../unit/kube/api-server.ts';

/** How much longer the long input is. */
const factor = 16;
/** Time that grows with the length is 16 times as much for it, by the square 256: caches and collections may make much of it. */
const mostTimes = 100;
/** Less than this, in milliseconds, is nothing that could be measured. */
const smallest = 2;

const folder = mkdtempSync(join(tmpdir(), 'keyturn-fuzz-'));
const file = join(folder, 'config.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

const policy = (text: string): void => {
  writeFileSync(file, text);
  readVaultPolicy(file);
};
const numbered = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, index]));
const files = (count: number) => Array.from({ length: count }, (_, index) => ({ key: `k${index}`, path: `a/${index}` }));

/** What is read at which length, in characters or parts. */
const readers: readonly (readonly [string, number, (length: number) => unknown])[] = [
  ['a label of signs that no key has', 20_000, (length) => secretKey(` é-`.repeat(length))],
  ['a label that ends otherwise', 50_000, (length) => secretKey(`${'.'.repeat(length)} `)],
  ['a path with many parts', 30_000, (length) => isItemPath(`vaults/${'/items'.repeat(length)}`)],
  ['a pattern of many stars', 50_000, (length) => matchesGlob('*a*a*a*b', 'a'.repeat(length))],
  ['a long title beside others', 15_000, (length) => similarTitles('a'.repeat(length), ['a'.repeat(length), 'b'.repeat(length)])],
  ['a line for a terminal', 50_000, (length) => printable('\u202e\n'.repeat(length))],
  ['a line of the log', 15_000, (length) => textLine(JSON.stringify({ level: 'info', msg: '"\\\u2028'.repeat(length) }))],
  [
    'a record of revisions',
    2_000,
    (length) => latestOf(parseRevisions(JSON.stringify(numbered(length))), revise(numbered(length), ['x'], 1)),
  ],
  [
    'keys that pods consume',
    1_500,
    (length) =>
      consumedKeys({
        containers: [{ volumeMounts: [{ name: 'v' }] }],
        volumes: [{ name: 'v', secret: { secretName: 's', items: files(length) } }],
      }),
  ],
  ['a token of many parts', 50_000, (length) => tokenClaims('.'.repeat(length))],
  ['credentials that are none', 30_000, (length) => credentialsProblem(`${'A '.repeat(length)}=`)],
  ['a duration', 50_000, (length) => parseDuration('1h'.repeat(length))],
  ['an address to listen on', 50_000, (length) => listenAddress.schema.safeParse(':1'.repeat(length))],
  ['names of namespaces', 10_000, (length) => namespaceNames.schema.safeParse('a, '.repeat(length))],
  [
    'NO_PROXY',
    10_000,
    (length) => proxyFor(new URL('https://connect'), { httpsProxy: 'http://p', httpProxy: undefined, noProxy: '[a:1,'.repeat(length) }),
  ],
  ['a listing', 500, (length) => itemSummaryListSchema.safeParse(Array.from({ length }, () => ({ id: 'x'.repeat(26) })))],
  ['a configuration file with an error in each word', 400, (length) => policy(`vaultPolicy: ${'"a" '.repeat(length)}`)],
  ['a configuration file that goes ever deeper', 800, (length) => policy(`vaultPolicy: ${'['.repeat(length)}`)],
  [
    'a configuration file of many lines',
    500,
    (length) => policy('vaultPolicy:\n'.concat('  - {namespaces: [a], vaults: [b]}\n'.repeat(length))),
  ],
];

/** What a thread's processor time was in the shortest of several runs, in milliseconds: what other processes do counts for little. */
function timeOf(act: () => unknown): number {
  const times = Array.from({ length: 3 }, () => {
    const began = process.threadCpuUsage();
    act();
    const { user, system } = process.threadCpuUsage(began);
    return (user + system) / 1_000;
  });
  return Math.min(...times);
}

describe('reading takes time by the length of what is read, and not by its square:', () => {
  it.each(readers)('%s', (_, length, read) => {
    timeOf(() => read(length));
    const short = timeOf(() => read(length));
    const long = timeOf(() => read(length * factor));
    expect(long / Math.max(short, smallest)).toBeLessThan(mostTimes);
  });

  it('a line of a watch that comes in many pieces', async () => {
    const api = await startApiServer();
    const client = createKubeClient({
      clock: systemClock,
      userAgent: 'fuzz',
      load: () => ({ server: api.url, namespace: 'ns', authenticate: async () => ({ tls: { rejectUnauthorized: true }, headers: {} }) }),
    });
    const timeFor = async (pieces: number): Promise<number> => {
      const lines = client.watch({ method: 'GET', path: '/watch' });
      const began = performance.now();
      const read = (async () => {
        for await (const line of lines) return line.length;
        return 0;
      })();
      const exchange = await api.next();
      exchange.write(...Array.from({ length: pieces }, () => 'x'.repeat(1_000)), '\n');
      exchange.end();
      expect(await read).toBe(pieces * 1_000);
      return performance.now() - began;
    };
    try {
      await timeFor(250);
      const short = Math.min(await timeFor(250), await timeFor(250));
      expect((await timeFor(250 * factor)) / Math.max(short, smallest)).toBeLessThan(mostTimes);
    } finally {
      await client.close();
    }
  });
});
