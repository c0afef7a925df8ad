import { describe, expect, it, onTestFinished } from 'vitest';
import { Failure } from '../../../src/api/reasons.ts';
import { KubeError } from '../../../src/kube/client.ts';
import { type Endpoint, healthEndpoints, listen } from '../../../src/observability/http.ts';
import { describeError } from '../../../src/observability/log.ts';

const canary = 'canary-08aa';

describe('an error in the log', () => {
  it.each<[string, Error, string]>([
    ['ours', new Failure('ItemNotFound', 'the item does not exist'), 'the item does not exist'],
    ['of the API server', new KubeError('GET', '/api', 403, 'Forbidden'), 'GET /api: 403 Forbidden'],
  ])('keeps the message that we wrote: %s', (_, error, message) => {
    expect(describeError(error)).toEqual({ error: message });
  });

  it.each<[string, () => unknown]>([
    ['of a parser', () => JSON.parse(`{"password": ${canary}`) as unknown],
    ['with lines that look like a stack', () => failWith(new TypeError(`bad\n    at ${canary} (/x.ts:1:1)\n    at ${canary}`))],
    [
      'with a message that was changed afterwards',
      () => failWith(Object.assign(new Error(`at ${canary}\n    at ${canary}`), { message: 'changed' })),
    ],
    ['with a cause', () => failWith(new Error('outer', { cause: new Error(canary) }))],
    ['with properties', () => failWith(Object.assign(new Error('x'), { body: canary }))],
    ['without a stack', () => failWith(Object.assign(new Error(canary), { stack: undefined }))],
    ['that is no error', () => failWith(canary as unknown as Error)],
  ])('shows no message of others: %s', (_, run) => {
    const shown = JSON.stringify(describeError(thrownBy(run)));
    expect(shown).not.toContain(canary);
    expect(shown).toMatch(/"error":"(SyntaxError|TypeError|Error|string)"/);
  });

  it('says where it came from', () => {
    expect(describeError(thrownBy(() => failWith(new RangeError(`${canary}\nsecond line`))))).toMatchObject({
      error: 'RangeError',
      at: expect.stringMatching(/^at .*observability\.test\.ts:\d+/) as string,
    });
  });
});

async function serve(endpoints: Readonly<Record<string, Endpoint>>): Promise<(path: string, method?: string) => Promise<string>> {
  const listener = await listen('--x', { host: '127.0.0.1', port: 0 }, endpoints);
  onTestFinished(() => listener.close());
  return async (path, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${listener.port}${path}`, { method });
    return `${response.status} ${await response.text()}`.trim();
  };
}

describe('the endpoints', () => {
  it('say that the process lives, and whether it has read the cluster', async () => {
    let ready = false;
    const problem = (): string | undefined => (ready ? undefined : 'still reading the cluster');
    const get = await serve(healthEndpoints({ healthz: [], readyz: [{ name: 'caches', problem }] }));
    expect(await get('/healthz')).toBe('200 ok');
    expect(await get('/readyz')).toBe('503 [+]ping ok\n[-]caches failed: still reading the cluster\nreadyz check failed');
    ready = true;
    expect(await get('/readyz')).toBe('200 ok');
    expect(await get('/readyz?verbose')).toBe('200 [+]ping ok\n[+]caches ok\nreadyz check passed');
  });

  it('answer nothing else, and quote no failure', async () => {
    const get = await serve({ '/broken': () => Promise.reject(new Error(canary)) });
    expect(await Promise.all([get('/'), get('/constructor'), get('/broken', 'POST'), get('/broken')])).toEqual([
      '404',
      '404',
      '404',
      '500',
    ]);
  });

  it('fail to begin when the address is taken', async () => {
    const listener = await listen('--x', { host: '127.0.0.1', port: 0 }, {});
    onTestFinished(() => listener.close());
    await expect(listen('--x', { host: '127.0.0.1', port: listener.port }, {})).rejects.toThrow(/EADDRINUSE.*--x=0/);
  });
});

function failWith(error: Error): never {
  throw error;
}

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
}
