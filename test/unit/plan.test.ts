import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { readConfig } from '../../src/config.ts';
import { runPlan } from '../../src/plan.ts';
import { discardedAudit } from '../support/audit.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { clientOptions, startApiServer } from './kube/api-server.ts';

const now = Date.UTC(2026, 0, 1);
const month = 30 * 24 * 60 * 60_000;
const list = (items: readonly object[] = []): object => ({ metadata: { resourceVersion: '9' }, items });
const meta = (name: string, more: object = {}): object => ({ namespace: 'ns', name, uid: name, resourceVersion: '5', ...more });

/** What stands in the cluster besides a resource `db` and the Deployment `web`, which reads its Secret. */
interface Given {
  /** Of the Secret `db`: which version of the item it is said to have. */
  readonly version: number;
  /** When the pods of `web` came to be; undefined before the Deployment controller has seen it. */
  readonly birth: number | undefined;
  /** When a value of the Secret changed before; undefined when none has. */
  readonly revision?: number;
}

/** Plans for a Secret that has another value than its item, which is at version 2. */
async function plan({ version, birth, revision }: Given, flags: readonly string[] = []): Promise<string> {
  // The run turns the pool off for the whole process, which other test files share.
  const { poolSize } = Buffer;
  onTestFinished(() => void (Buffer.poolSize = poolSize));
  const connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: [{ title: 'db', fields: [{ label: 'password', value: 'canary' }] }] }] },
  });
  onTestFinished(() => connect.close());
  connect.store.setField('Prod', 'db', 'password', 'canary 2');
  const path = `vaults/${connect.store.vault('Prod').id}/items/${connect.store.item('Prod', 'db').id}`;
  const replicaSet = birth !== undefined && {
    metadata: meta('web-1', { ownerReferences: [{ uid: 'web' }], creationTimestamp: new Date(birth).toISOString() }),
  };
  const notes = {
    [annotations.itemVersion]: String(version),
    ...(revision !== undefined && { [annotations.revisions]: JSON.stringify({ password: revision }) }),
  };
  const template = { spec: { containers: [{ envFrom: [{ secretRef: { name: 'db' } }] }] } };
  const answers: Readonly<Record<string, object>> = {
    '/apis/onepassword.com/v1/onepassworditems': list([{ metadata: meta('db'), spec: { itemPath: path } }]),
    '/api/v1/secrets': list(),
    '/api/v1/namespaces': list(),
    '/apis/apps/v1/deployments': list([
      {
        metadata: meta('web', { generation: 1 }),
        spec: { selector: { matchLabels: { app: 'web' } }, template },
        status: { observedGeneration: birth === undefined ? 0 : 1 },
      },
    ]),
    '/api/v1/namespaces/ns/secrets/db': {
      metadata: meta('db', { annotations: { [annotations.itemPath]: path, ...notes } }),
      type: 'Opaque',
      data: { password: Buffer.from('old').toString('base64') },
    },
    '/apis/apps/v1/namespaces/ns/replicasets': list(replicaSet ? [replicaSet] : []),
  };
  const clock = createFakeClock(now);
  const api = await startApiServer();
  void (async () => {
    for (;;) {
      const { path: asked, answer } = await api.next();
      const found = answers[asked];
      answer(found === undefined ? 404 : 200, found ?? {}, { date: new Date(now).toUTCString() });
    }
  })();
  const config = readConfig(
    { OP_CONNECT_HOST: connect.url, OP_CONNECT_TOKEN: connect.issueToken({ vaults: ['*'] }), AUTO_RESTART: 'true' },
    ['--plan', ...flags],
  );
  const auditSink = config.audit.path === undefined ? discardedAudit : undefined;
  return (await runPlan({ config, credentials: clientOptions(api, clock).load, clock, ...(auditSink && { auditSink }) })).output;
}

describe('a Deployment that consumes a Secret whose values change with the item', () => {
  it.each([
    ['runs for a month', now - month],
    ['was made a minute ago', now - 60_000],
  ])('is planned to restart when it %s', async (_, birth) => {
    expect(await plan({ version: 1, birth })).toContain('change keys: password\n    would restart: Deployment web\n');
  });

  it.each([
    ['lately', now - 2_000, true],
    ['a month ago', now - month, false],
  ])('without pods yet restarts for what changed %s only when that may have missed them', async (_, revision, restarts) => {
    expect((await plan({ version: 2, birth: undefined, revision })).includes('would restart:')).toBe(restarts);
  });

  it('is not when the Secret is only repaired', async () => {
    const output = await plan({ version: 2, birth: now - month });
    expect(output).toContain('change keys: password\n');
    expect(output).not.toContain('would restart:');
  });
});

it('a plan leaves the audit log to the operator, whose file it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-plan-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  expect(await plan({ version: 1, birth: now }, [`--audit-log-path=${join(folder, 'audit.log')}`])).toContain('change keys');
  expect(await readdir(folder)).toEqual([]);
});
