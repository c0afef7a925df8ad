import { onTestFinished } from 'vitest';
import type { z } from 'zod';
import type { Seed } from '../../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../../dev/connect-server/server.ts';
import { errorResponseSchema, type WireError } from '../../../src/connect/schema.ts';

/** Two vaults; the item `database` has every part that an item can have. */
export const seed: Seed = {
  vaults: [
    {
      name: 'Demo',
      items: [
        {
          title: 'database',
          category: 'DATABASE',
          tags: ['a', 'b'],
          urls: [{ label: 'url', href: 'https://db.example.com', primary: true }],
          fields: [
            { label: 'username', value: 'shop', purpose: 'USERNAME' },
            { label: 'password', value: 'first', purpose: 'PASSWORD' },
            { label: 'host', value: 'db.example.com', section: 'connection' },
            { label: 'code', value: 'JBSWY3DPEHPK3PXP', type: 'TOTP' },
          ],
          files: [{ name: 'ca.crt', content: 'an authority' }],
        },
        { title: 'api-key', fields: [{ label: 'credential', value: 'one', type: 'CONCEALED' }] },
      ],
    },
    { name: 'Other', items: [{ title: 'admin' }] },
  ],
};

/** A server that ends with the test, and its API as the holder of a token for all vaults. */
export interface Running extends ConnectServer {
  readonly token: string;
  request(method: string, path: string, body?: unknown, token?: string): Promise<Response>;
  /** Asks, expects status 200, and reads the answer by its schema. */
  read<S extends z.ZodType>(schema: S, path: string): Promise<z.output<S>>;
  /** Asks with a body, expects status 200, and reads the answer by its schema. */
  write<S extends z.ZodType>(schema: S, method: string, path: string, body: unknown): Promise<z.output<S>>;
  /** Asks, and reads the answer as an error whose body repeats its status. */
  fail(method: string, path: string, body?: unknown, token?: string): Promise<WireError>;
  /** `/v1/vaults/{vault}` by name, and below it an item by title. */
  path(vault: string, item?: string): string;
}

export async function startServer(options: { readonly seed?: Seed; readonly clock?: () => number } = {}): Promise<Running> {
  const server = await startConnectServer({ seed, ...options });
  onTestFinished(() => server.close());
  const token = server.issueToken({ vaults: ['*'], write: true });

  const request: Running['request'] = (method, path, body, holder = token) =>
    fetch(server.url + path, {
      method,
      redirect: 'manual',
      headers: holder === '' ? {} : { authorization: `Bearer ${holder}` },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });

  const readOk: Running['write'] = async (schema, method, path, body) => {
    const response = await request(method, path, body);
    if (response.status !== 200) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return schema.parse(await response.json());
  };

  return {
    ...server,
    token,
    request,
    write: readOk,
    read: (schema, path) => readOk(schema, 'GET', path, undefined),
    async fail(method, path, body, holder) {
      const response = await request(method, path, body, holder);
      const error = errorResponseSchema.parse(await response.json());
      if (error.status !== response.status) throw new Error(`the body says ${error.status}, the status line ${response.status}`);
      return error;
    },
    path(vault, item) {
      const path = `/v1/vaults/${server.store.vault(vault).id}`;
      return item === undefined ? path : `${path}/items/${server.store.item(vault, item).id}`;
    },
  };
}

/** A clock that moves by hand. */
export function manualClock(start = Date.UTC(2026, 0, 1)): { readonly now: () => number; advance(ms: number): void } {
  let time = start;
  return { now: () => time, advance: (ms) => void (time += ms) };
}
