/**
 * The dev Connect server in a pod, bundled into one file. It binds loopback alone, so a door on all addresses leads to it.
 *
 *   serve                    until it is ended; an access token to read with is printed first
 *   set TITLE LABEL VALUE    in the pod of a server: gives a field of an item another value
 */
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { startConnectServer } from '../../dev/connect-server/server.ts';

const port = 8090;
const doorPort = 8080;
const tokenFile = '/run/connect/token';
const url = `http://127.0.0.1:${port}/v1`;

interface WireItem {
  readonly fields: readonly { readonly id: string; readonly label: string }[];
}

async function serve(): Promise<void> {
  const items = ['database', 'other', 'cache'].map((title) => ({
    title,
    fields: [
      { label: 'username', value: title },
      { label: 'password', value: 'first' },
    ],
  }));
  const server = await startConnectServer({ seed: { vaults: [{ name: 'Demo', items }] }, port });
  const token = server.issueToken({ vaults: ['*'] });
  await writeFile(tokenFile, server.issueToken({ vaults: ['*'], write: true }), { mode: 0o600 });
  const door = createServer((socket) => {
    const inner = connect(port, '127.0.0.1');
    for (const end of [socket, inner]) end.on('error', () => [socket, inner].forEach((other) => other.destroy()));
    socket.pipe(inner).pipe(socket);
  });
  door.listen(doorPort, () => process.stdout.write(`${token}\n`));
  process.on('SIGTERM', () => process.exit(0));
}

async function set(title: string, label: string, value: string): Promise<void> {
  const authorization = `Bearer ${await readFile(tokenFile, 'utf8')}`;
  const ask = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
    const response = await fetch(url + path, { ...init, headers: { authorization, 'content-type': 'application/json' } });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return (await response.json()) as T;
  };
  const [vault] = await ask<readonly { id: string }[]>('/vaults');
  const [item] = await ask<readonly { id: string }[]>(`/vaults/${vault?.id}/items?filter=${encodeURIComponent(`title eq "${title}"`)}`);
  const path = `/vaults/${vault?.id}/items/${item?.id}`;
  const field = (await ask<WireItem>(path)).fields.find((found) => found.label === label);
  if (field === undefined) throw new Error(`${title} has no field ${label}`);
  await ask(path, { method: 'PATCH', body: JSON.stringify([{ op: 'replace', path: `/fields/${field.id}/value`, value }]) });
}

const [command, title = '', label = '', value = ''] = process.argv.slice(2);
if (command === 'set') await set(title, label, value);
else await serve();
