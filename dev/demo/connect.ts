import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { startChild } from './child.ts';
import type { Session } from './session.ts';
import { until } from './until.ts';

/** The dev Connect server, and the item of which the demo tells. */
export interface Connect {
  readonly url: string;
  /** For the operator and the reader; it dies with the server. */
  readonly token: string;
  readonly vault: string;
  readonly item: string;
  /** Path of the item below `url`. */
  readonly itemPath: string;
  /** Path of the rotated field within the item, as a JSON Pointer. */
  readonly fieldPath: string;
  /** The value of that field. */
  value(): Promise<string>;
  /** Gives that field another value. @returns the item's version after it */
  rotate(value: string): Promise<number>;
}

interface WireItem {
  readonly version: number;
  readonly fields: readonly { readonly id: string; readonly label?: string; readonly value?: string }[];
}

const vault = 'Demo';
const item = 'database';
/** The key of the Secret whose value the demo rotates; it is the label of a field. */
export const rotatedKey = 'password';

const startDeadlineMs = 20_000;
const requestTimeoutMs = 10_000;

/** Starts the server as a process of its own, on a free port; it is stopped in the end. */
export async function startConnect(session: Session): Promise<Connect> {
  return session.steps.run('Start a 1Password Connect server', async (stage) => {
    const readyFile = join(session.folder, 'connect.json');
    const child = await startChild({
      name: 'the Connect server',
      args: ['dev/connect-server/main.ts', '--port=0', `--ready-file=${readyFile}`],
      environment: process.env,
      logFile: join(session.folder, 'connect.log'),
      onDeath: session.fail,
    });
    session.cleanup.defer('Connect server', () => child.stop());
    const { url, token } = await until(
      'the Connect server to listen',
      { deadlineMs: startDeadlineMs, signal: session.signal },
      async () => {
        const text = await readFile(readyFile, 'utf8').catch(() => undefined);
        return text === undefined ? { seen: 'it is starting' } : { found: JSON.parse(text) as { url: string; token: string } };
      },
    );
    const connect = await findItem(url, token);
    stage.show(`${url}, for demonstration only; vault ${vault}, item ${item}`);
    return connect;
  });
}

async function findItem(url: string, token: string): Promise<Connect> {
  const vaultId = await idOf(url, token, '/v1/vaults', `name eq "${vault}"`);
  const itemPath = `/v1/vaults/${vaultId}/items/${await idOf(url, token, `/v1/vaults/${vaultId}/items`, `title eq "${item}"`)}`;
  const field = async (): Promise<WireItem['fields'][number]> => {
    const { fields } = await call<WireItem>(url, token, 'GET', itemPath);
    const found = fields.find(({ label }) => label === rotatedKey);
    if (found === undefined) throw new Error(`the item ${item} has no field ${rotatedKey}`);
    return found;
  };
  const fieldPath = `/fields/${(await field()).id}/value`;
  return {
    url,
    token,
    vault,
    item,
    itemPath,
    fieldPath,
    value: async () => (await field()).value ?? '',
    rotate: async (value) => (await call<WireItem>(url, token, 'PATCH', itemPath, [{ op: 'replace', path: fieldPath, value }])).version,
  };
}

async function idOf(url: string, token: string, path: string, filter: string): Promise<string> {
  const [found] = await call<readonly { id: string }[]>(url, token, 'GET', `${path}?filter=${encodeURIComponent(filter)}`);
  if (found === undefined) throw new Error(`the Connect server has nothing at ${path} with ${filter}`);
  return found.id;
}

async function call<T>(url: string, token: string, method: 'GET' | 'PATCH', path: string, body?: unknown): Promise<T> {
  const response = await request(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    body: body === undefined ? null : JSON.stringify(body),
    // The connection is not kept, so that it does not hold up the end of either process.
    reset: true,
    signal: AbortSignal.timeout(requestTimeoutMs),
  });
  if (response.statusCode !== 200) {
    await response.body.dump();
    throw new Error(`${method} ${path}: Connect answered ${response.statusCode}`);
  }
  return (await response.body.json()) as T;
}
