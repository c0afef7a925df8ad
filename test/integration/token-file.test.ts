import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { tokenId } from '../../src/connect/token-id.ts';
import { createNamespace, type TestNamespace, untilReadiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { startOperator, type TestOperator, type TestOperatorOptions } from '../support/operator.ts';
import { installCrd } from '../support/scenario.ts';

let connect: ConnectServer;
let namespace: TestNamespace;
let folder: string;
let file: string;
let operator: TestOperator;
let lines: string[];

/** Puts a new token for these vaults into the file. */
async function issue(...vaults: readonly string[]): Promise<string> {
  const token = connect.issueToken({ vaults });
  await writeFile(file, `${token}\n`);
  return token;
}

async function start(options: Partial<TestOperatorOptions> = {}): Promise<void> {
  operator = await startOperator({
    kubeconfig: sharedControlPlane().accounts.namespaced.kubeconfig,
    connect: connect.url,
    token: 'unheeded',
    namespaces: [namespace.name],
    config: { connectTokenFile: file },
    log: pino({ level: 'info', base: null }, { write: (line: string) => void lines.push(line) }),
    ...options,
  });
}

const said = (text: string): Promise<true> =>
  eventually(`a line with ${text}`, () => (lines.some((line) => line.includes(text)) ? true : undefined));

beforeEach(async () => {
  await installCrd();
  lines = [];
  folder = await mkdtemp(join(tmpdir(), 'keyturn-token-'));
  file = join(folder, 'token');
  const items = [{ title: 'db', fields: [{ label: 'password', value: 'one' }] }];
  connect = await startConnectServer({
    seed: {
      vaults: [
        { name: 'Prod', items },
        { name: 'Other', items },
      ],
    },
  });
  namespace = await createNamespace(sharedControlPlane().kubeconfig);
});

afterEach(async () => {
  await operator?.stop();
  await connect?.close();
  await namespace?.kube.close();
  await rm(folder, { recursive: true });
});

describe('the token for Connect in a file', () => {
  it('changes without a restart, also when the last one has been revoked; the log names both, and holds neither', async () => {
    const first = await issue('Prod');
    await start();
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'True');
    connect.revokeToken(first);
    await said('ConnectUnauthorized');
    await namespace.createItem('other', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'other', 'ConnectUnauthorized');
    const second = await issue('Prod');
    await untilReadiness(namespace, 'other', 'True');
    const log = lines.join('');
    for (const token of [first, second]) {
      expect(log).toContain(tokenId(token));
      expect(log).not.toContain(token);
    }
  });

  it('that reaches more vaults has them read at once', async () => {
    await issue('Prod');
    await start();
    await namespace.createItem('db', 'vaults/Other/items/db');
    await untilReadiness(namespace, 'db', 'VaultNotFound');
    await issue('Prod', 'Other');
    await untilReadiness(namespace, 'db', 'True');
  });

  it('that reaches fewer vaults keeps the Secrets of the others, which say so when it lasts, and follow when it is over', async () => {
    await issue('Prod', 'Other');
    await start({ times: { outageGrace: 2_000 } });
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await namespace.createItem('lost', 'vaults/Other/items/db');
    for (const name of ['db', 'lost']) await untilReadiness(namespace, name, 'True');
    await issue('Prod');
    await untilReadiness(namespace, 'lost', 'ConnectForbidden');
    await said('a vault cannot be read');
    expect((await namespace.secret('lost'))?.values).toEqual({ password: 'one' });
    await untilReadiness(namespace, 'db', 'True');
    await issue('Prod', 'Other');
    connect.store.setField('Other', 'db', 'password', 'two');
    await untilReadiness(namespace, 'lost', 'True');
    await eventually('the new value', async () => ((await namespace.secret('lost'))?.values['password'] === 'two' ? true : undefined));
  });

  it('stays the last good one while the file is gone, which is said once', async () => {
    await issue('Prod');
    await start();
    await unlink(file);
    await said('OP_CONNECT_TOKEN_FILE');
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'True');
    expect(lines.filter((line) => line.includes('OP_CONNECT_TOKEN_FILE'))).toHaveLength(1);
  });

  it('may come after the operator, which says so meanwhile', async () => {
    await start();
    await namespace.createItem('db', 'vaults/Prod/items/db');
    await untilReadiness(namespace, 'db', 'ConnectUnauthorized');
    await issue('Prod');
    await untilReadiness(namespace, 'db', 'True');
  });
});
