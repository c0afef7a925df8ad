import { describe, expect, it } from 'vitest';
import { Failure } from '../../../src/api/reasons.ts';
import { type Audit, type AuditSink, policyRefusal } from '../../../src/observability/audit.ts';
import type { AuditEntry } from '../../../src/observability/audit-record.ts';
import { auditInto, auditRecords, createAuditMemory } from '../../support/audit.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const requester = { kind: 'OnePasswordItem', namespace: 'shop', name: 'db', uid: 'u', generation: 2 };
const loaded: AuditEntry = { action: 'token.load', result: 'success' };
const retrieved: AuditEntry = {
  action: 'item.retrieve',
  vault: 'v',
  item: 'i',
  itemVersion: 3,
  requesters: [requester],
  requestId: '00000000-0000-4000-8000-000000000009',
  status: 200,
  result: 'success',
};

/** An audit that works, then does not, then works again, and what it told of that. */
function faulty(required = false) {
  const memory = createAuditMemory();
  const told: (string | number)[] = [];
  const clock = createFakeClock();
  const audit = auditInto(
    memory,
    {
      required,
      onWritten: (count) => told.push(count),
      onLost: (count) => told.push(-count),
      onFailing: (error) => told.push(error),
      onResumed: (lost) => told.push(`resumed after ${lost}`),
    },
    clock,
  );
  return { memory, told, audit, clock };
}

async function failureOf(promise: Promise<unknown>): Promise<Failure | undefined> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof Failure ? error : undefined;
}

describe('an audit record', () => {
  it('says when, where, by which process, by which token, and what', async () => {
    const memory = createAuditMemory();
    await auditInto(memory).record(retrieved);
    expect(memory.records).toEqual([
      {
        log: 'audit',
        schema: 1,
        time: '2026-01-01T00:00:00.000Z',
        process: '00000000-0000-4000-8000-000000000001',
        seq: 1,
        cluster: 'test',
        pod: 'keyturn-0',
        version: '1.2.3',
        connection: 'http://connect:8080',
        token: 'token-1',
        ...retrieved,
      },
    ]);
  });

  it('has the time at which it happened, not that at which it was written', async () => {
    const slow = createSlowSink();
    const clock = createFakeClock();
    const audit = auditInto(slow, {}, clock);
    void audit.record(loaded);
    clock.advance(5);
    const second = audit.record(loaded);
    clock.advance(700);
    slow.finish();
    slow.finish();
    await second;
    expect(auditRecords(slow.text).map(({ time }) => time.slice(-5))).toEqual(['.000Z', '.005Z']);
  });

  it('names the token that was used, or that was in use when it happened', async () => {
    const slow = createSlowSink();
    let token = 'old';
    const audit = auditInto(slow, { tokenId: () => token });
    const all = [audit.record(loaded), audit.record(loaded), audit.record({ ...retrieved, token: 'used' })];
    token = 'new';
    slow.finish();
    slow.finish();
    await Promise.all(all);
    expect(auditRecords(slow.text).map((record) => record.token)).toEqual(['old', 'old', 'used']);
  });

  it('of a refusal by the policy says who asked for what, and cuts off what is too long', async () => {
    const memory = createAuditMemory();
    await auditInto(memory).record(policyRefusal(requester, 'x'.repeat(10_000), 'ConnectForbidden'));
    expect(memory.records).toMatchObject([
      { action: 'policy.refuse', requesters: [requester], itemPath: 'x'.repeat(512), result: 'denied', reason: 'ConnectForbidden' },
    ]);
  });
});

/** A sink that is slow: writes end one by one, on demand. */
function createSlowSink(): AuditSink & { readonly writes: readonly string[]; readonly text: string; finish(): void } {
  const writes: string[] = [];
  const open: (() => void)[] = [];
  let finishNext = 0;
  return {
    writes,
    get text() {
      return writes.join('');
    },
    async write(lines) {
      writes.push(lines);
      if (finishNext > 0) finishNext -= 1;
      else await new Promise<void>((resolve) => open.push(resolve));
    },
    finish() {
      const next = open.shift();
      if (next === undefined) finishNext += 1;
      else next();
    },
    close: async () => {},
  };
}

describe('records', () => {
  it('are numbered from 1 without a gap', async () => {
    const memory = createAuditMemory();
    const audit = auditInto(memory);
    await Promise.all(Array.from({ length: 20 }, () => audit.record(loaded)));
    expect(memory.records.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it('are told written only when they have been flushed', async () => {
    const slow = createSlowSink();
    const audit = auditInto(slow);
    let written = false;
    const record = audit.record(loaded).then(() => (written = true));
    await new Promise(setImmediate);
    expect([slow.writes.length, written]).toEqual([1, false]);
    slow.finish();
    await record;
  });

  it('that come while others are flushed are flushed together', async () => {
    const slow = createSlowSink();
    const audit = auditInto(slow);
    const all = Array.from({ length: 10 }, () => audit.record(loaded));
    slow.finish();
    slow.finish();
    await Promise.all(all);
    expect(slow.writes.map((text) => auditRecords(text).length)).toEqual([1, 9]);
  });

  it('wait in a bounded number', async () => {
    const slow = createSlowSink();
    let lost = 0;
    const audit = auditInto(slow, { onLost: (count) => (lost += count) });
    const all = Array.from({ length: 1_500 }, () => audit.record(loaded));
    slow.finish();
    slow.finish();
    const written = (await Promise.all(all)).filter(Boolean).length;
    expect([written, lost]).toEqual([1_001, 499]);
  });

  it('wait ten seconds for a sink that hangs, and are lost at once from then on', async () => {
    const slow = createSlowSink();
    const clock = createFakeClock();
    const told: string[] = [];
    const audit = auditInto(slow, { onFailing: (error) => told.push(error) }, clock);
    const first = audit.record(loaded);
    clock.advance(10_000);
    expect([await first, await audit.record(loaded), told]).toEqual([false, false, ['DEADLINE_EXCEEDED']]);
  });

  it('that are under way are flushed before the end', async () => {
    const slow = createSlowSink();
    const audit = auditInto(slow);
    const all = [audit.record(loaded), audit.record(loaded)];
    const closed = audit.close();
    slow.finish();
    slow.finish();
    await closed;
    expect(await Promise.all(all)).toEqual([true, true]);
  });
});

describe('a sink that fails', () => {
  it('is told of once for all that it loses, and so is its end', async () => {
    const { memory, told, audit } = faulty();
    await audit.record(loaded);
    memory.failWith('ENOSPC');
    await audit.record(loaded);
    await audit.record(loaded);
    memory.failWith(undefined);
    await audit.record(loaded);
    expect(told).toEqual([1, 'ENOSPC', -1, -1, 2, 'resumed after 2']);
  });

  it('leaves a gap in the numbers as large as what it lost, and a line that says so', async () => {
    const { memory, audit } = faulty();
    await audit.record(loaded);
    memory.failWith('ENOSPC');
    await audit.record(loaded);
    await audit.record(loaded);
    memory.failWith(undefined);
    await audit.record(retrieved);
    expect(memory.records).toMatchObject([
      { seq: 1, action: 'token.load' },
      { seq: 4, action: 'audit.resume', lost: 2 },
      { seq: 5, action: 'item.retrieve' },
    ]);
  });

  it('that writes after its time gives no number twice', async () => {
    const slow = createSlowSink();
    const clock = createFakeClock();
    const audit = auditInto(slow, {}, clock);
    const late: Promise<boolean>[] = [];
    for (let write = 0; write < 2; write += 1) {
      late.push(audit.record(loaded));
      clock.advance(10_000);
      await late[write];
      slow.finish();
      await new Promise(setImmediate);
    }
    slow.finish();
    await audit.record(retrieved);
    expect(await Promise.all(late)).toEqual([false, false]);
    const told = auditRecords(slow.text).map((record) => `${record.seq} ${record.action} ${'lost' in record ? record.lost : ''}`.trim());
    expect(told).toEqual(['1 token.load', '2 audit.resume 1', '3 token.load', '4 audit.resume 2', '5 item.retrieve']);
  });

  it('keeps nothing from being retrieved', async () => {
    const { memory, audit } = faulty();
    memory.failWith('ENOSPC');
    const failures = [await failureOf(audit.require(retrieved)), await failureOf(audit.admit())];
    expect(failures).toEqual([undefined, undefined]);
  });
});

async function failing(): Promise<ReturnType<typeof faulty>> {
  const all = faulty(true);
  all.memory.failWith('ENOSPC');
  await failureOf(all.audit.require(retrieved));
  return all;
}

const reasonOf = async (asked: (audit: Audit) => Promise<void>, audit: Audit) => (await failureOf(asked(audit)))?.reason;

describe('a sink that fails where records are required', () => {
  it('keeps what was retrieved from being used', async () => {
    const { memory, audit } = faulty(true);
    memory.failWith('ENOSPC');
    expect(await failureOf(audit.require(retrieved))).toMatchObject({ reason: 'AuditUnavailable', retryAfter: 5_000 });
  });

  it('keeps anything further from being retrieved', async () => {
    const { audit } = await failing();
    expect(await reasonOf((one) => one.admit(), audit)).toBe('AuditUnavailable');
  });

  it('is looked at again, once a second, until it works', async () => {
    const { memory, audit, clock } = await failing();
    await failureOf(audit.admit());
    memory.failWith(undefined);
    expect(await reasonOf((one) => one.admit(), audit)).toBe('AuditUnavailable');
    clock.advance(1_000);
    await audit.admit();
    expect(memory.records).toMatchObject([{ seq: 2, action: 'audit.resume', lost: 1 }]);
  });

  it('that was not looked at since is found to work by the next record', async () => {
    const { memory, audit } = await failing();
    memory.failWith(undefined);
    await audit.record(loaded);
    expect(await failureOf(audit.admit())).toBeUndefined();
  });
});
