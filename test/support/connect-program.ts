import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import type { Store } from '../../dev/connect-server/store.ts';
import type { ConnectCommand, ConnectEdit, ConnectOrder, ConnectReply } from './connect-process.ts';

/** The dev Connect server as a program that is turned by messages. See `connect-process.ts`. */

let server: ConnectServer | undefined;

async function obey(command: ConnectCommand): Promise<unknown> {
  if (command.do === 'start') {
    server = await startConnectServer({ seed: command.seed, port: command.port });
    return { url: server.url, token: server.issueToken({ vaults: ['*'], write: true }) };
  }
  if (server === undefined) throw new Error('it has not been started');
  const { store, faults, requests } = server;
  switch (command.do) {
    case 'edit':
      return edit(store, command);
    case 'edit-all':
      for (const one of command.edits) edit(store, one);
      return Date.now();
    case 'issue':
      return server.issueToken(command.options);
    case 'revoke':
      return server.revokeToken(command.token);
    case 'restore':
      return server.restoreToken(command.token);
    case 'order':
      return faults.order(command.fault).id;
    case 'clear': {
      const fault = faults.list().find(({ id }) => id === command.id);
      if (command.id === undefined) faults.clear();
      fault?.clear();
      return fault?.hits ?? 0;
    }
    case 'counts':
      return requests.counts();
    case 'log':
      return requests.all;
    case 'reset':
      return requests.reset();
  }
}

function edit(store: Store, { method, args }: ConnectEdit): unknown {
  return (store[method] as (...given: readonly unknown[]) => unknown)(...args);
}

function answer(reply: ConnectReply): void {
  process.send?.(reply);
}

process.on('message', ({ id, command }: ConnectOrder) => {
  obey(command).then(
    (result) => answer({ id, result }),
    (error: unknown) => answer({ id, error: error instanceof Error ? error.message : 'unknown' }),
  );
});
process.once('disconnect', () => process.exit());
