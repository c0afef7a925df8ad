import { describe, expect, it, onTestFinished } from 'vitest';
import { recordDeletions } from '../../../src/controllers/secret-deletions.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { type ManagedSecret, reduceSecret } from '../../../src/kube/objects.ts';
import { createStore } from '../../../src/kube/store.ts';
import { auditInto, createAuditMemory } from '../../support/audit.ts';
import { eventually } from '../../support/eventually.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { clientOptions, startApiServer } from '../kube/api-server.ts';

const vault = 'v'.repeat(26);
const item = 'i'.repeat(26);
const metadata = {
  namespace: 'ns',
  name: 'db',
  uid: 's',
  resourceVersion: '1',
  annotations: { 'operator.1password.io/item-path': `vaults/${vault}/items/${item}`, 'operator.1password.io/item-version': '4' },
  ownerReferences: [{ apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'u' }],
};
const secret = reduceSecret({ metadata });

/** A store with Secrets, whose deletion is looked into; the API server answers as told. */
async function setUp(status: number, body: object = {}, leads = true, known: readonly ManagedSecret[] = [secret]) {
  const api = await startApiServer();
  const clock = createFakeClock();
  const kube = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => kube.close());
  const secrets = createStore<ManagedSecret>();
  for (const one of known) secrets.put(one);
  const memory = createAuditMemory();
  const role = { leads };
  // A disk that takes a moment.
  const sink = { ...memory, write: (lines: string) => new Promise(setImmediate).then(() => memory.write(lines)) };
  const audit = auditInto(known.length > 1 ? sink : memory);
  const deletions = recordDeletions({ secrets, kube, audit, clock, isLeading: () => role.leads }, new AbortController().signal);
  let asked = 0;
  void (async () => {
    for (;;) {
      const { answer } = await api.next();
      asked += 1;
      answer(status, body);
    }
  })();
  return {
    secrets,
    memory,
    clock,
    asked: () => asked,
    lead: () => {
      role.leads = true;
      deletions.takeOver();
    },
  };
}

const several = (count: number): readonly ManagedSecret[] =>
  Array.from({ length: count }, (_, index) => reduceSecret({ metadata: { ...metadata, name: `db-${index}`, uid: `s-${index}` } }));

describe('a Secret that goes out of sight', () => {
  it('was deleted when it is not there: the record names it, its item, and whose it was', async () => {
    const { secrets, memory } = await setUp(404, { reason: 'NotFound' });
    secrets.remove(secret);
    const record = await eventually('a record', () => memory.records[0]);
    expect(record).toMatchObject({
      action: 'secret.delete',
      secret: { namespace: 'ns', name: 'db', uid: 's' },
      vault,
      item,
      itemVersion: 4,
      requesters: [{ kind: 'OnePasswordItem', namespace: 'ns', name: 'db', uid: 'u' }],
      result: 'success',
    });
  });

  it('was deleted when another one has its name', async () => {
    const { secrets, memory } = await setUp(200, { metadata: { ...metadata, uid: 'other' } });
    secrets.remove(secret);
    expect(await eventually('a record', () => memory.records[0])).toMatchObject({ secret: { uid: 's' }, result: 'success' });
  });

  it('was not deleted when it is there: somebody took its label away', async () => {
    const { secrets, memory, asked } = await setUp(200, { metadata });
    secrets.remove(secret);
    await eventually('the look', () => (asked() > 0 ? true : undefined));
    secrets.put({ ...secret, resourceVersion: '2' });
    secrets.put({ ...secret, uid: 'next', resourceVersion: '3' });
    expect(memory.records).toMatchObject([{ action: 'secret.delete', secret: { uid: 's' } }]);
  });

  it('is recorded by one replica alone, the leader', async () => {
    const { secrets, memory, asked } = await setUp(404, { reason: 'NotFound' }, false);
    secrets.remove(secret);
    secrets.put({ ...secret, uid: 'next', resourceVersion: '3' });
    expect([memory.records, asked()]).toEqual([[], 0]);
  });

  it('may have been deleted when it cannot be looked for', async () => {
    const { secrets, memory } = await setUp(403, { reason: 'Forbidden' });
    secrets.remove(secret);
    expect(await eventually('a record', () => memory.records[0])).toMatchObject({ result: 'unknown' });
  });

  it('was deleted when another one is seen in its place, which costs no look', async () => {
    const { secrets, memory, asked } = await setUp(500);
    secrets.put({ ...secret, uid: 'next', resourceVersion: '3' });
    expect([memory.records.map((record) => record.action), asked()]).toEqual([['secret.delete'], 0]);
  });

  it('has its record, though thousands go at once, more than the audit can hold', { timeout: 60_000 }, async () => {
    const count = 2_500;
    const { secrets, memory } = await setUp(404, { reason: 'NotFound' }, true, several(count));
    secrets.replace([], '2', () => true);
    await eventually('all records', () => (memory.records.length >= count ? true : undefined));
    expect(new Set(memory.records.map((record) => ('secret' in record ? `${record.secret.uid} ${record.result}` : record.action)))).toEqual(
      new Set(several(count).map(({ uid }) => `${uid} success`)),
    );
  });
});

describe('a Secret that goes out of sight while nobody leads', () => {
  it('is recorded by whoever begins to lead', async () => {
    const { secrets, memory, clock, lead } = await setUp(404, { reason: 'NotFound' }, false, several(2));
    secrets.replace([], '2', () => true);
    clock.advance(60_000);
    lead();
    await eventually('both records', () => (memory.records.length === 2 ? true : undefined));
  });

  it('a minute ago is taken for recorded by who led then', async () => {
    const { secrets, memory, clock, lead } = await setUp(404, { reason: 'NotFound' }, false, several(3));
    const [first, second, third] = several(3);
    if (first === undefined || second === undefined || third === undefined) throw new Error('there are three');
    secrets.remove(first);
    clock.advance(30_000);
    secrets.remove(second);
    clock.advance(30_001);
    secrets.remove(third);
    lead();
    await eventually('both records', () => (memory.records.length === 2 ? true : undefined));
    expect(memory.records).toMatchObject([{ secret: { uid: 's-1' } }, { secret: { uid: 's-2' } }]);
  });
});
