import { describe, expect, it } from 'vitest';
import type { LoggedRequest } from '../../../dev/connect-server/requests.ts';
import type { AuditRecord } from '../../../src/observability/audit-record.ts';
import { auditIsComplete, versionsAreOnRecord } from '../../chaos/audit-invariant.ts';
import { nobodyWritesTooLate } from '../../chaos/leader-invariant.ts';
import { heapIsBack, heapMargin, noCanaries, nobodyCrashed, nothingIsLeft } from '../../chaos/process-invariants.ts';
import { story } from './made-up-history.ts';

const ids = ['1', '2', '3'].map((digit) => `00000000-0000-4000-8000-00000000000${digit}`);
const [one = '', two = ''] = ids;

function request(requestId: string, more: Partial<LoggedRequest> = {}): LoggedRequest {
  const route = 'GET /v1/vaults/{vault}/items/{item}';
  return { method: 'GET', path: '/v1/vaults/v/items/i', route, at: 1_000, userAgent: '', status: 200, endedAt: 1_010, requestId, ...more };
}

function record(requestId: string, seq: number, result: 'success' | 'failed' = 'success'): AuditRecord {
  return {
    log: 'audit',
    schema: 1,
    time: '2026-01-01T00:00:00.000Z',
    process: 'p',
    seq,
    cluster: '',
    pod: '',
    version: '',
    connection: '',
    token: '',
    action: 'item.retrieve',
    vault: 'v',
    item: 'i',
    requesters: [],
    requestId,
    status: 200,
    result,
  };
}

const details = (...args: Parameters<typeof auditIsComplete>) => auditIsComplete(...args).map(({ detail }) => detail);

describe('the audit is complete', () => {
  it('when each retrieval that was served has a record', () => {
    const requests = [request(one), request(two), request('other', { route: 'GET /v1/vaults' }), request('failed', { status: 500 })];
    expect(auditIsComplete(requests, [record(one, 1), record(two, 2, 'failed')], [])).toStrictEqual([]);
  });

  it('and not when one has none', () => {
    expect(details([request(one), request(two)], [record(one, 1)], [])).toStrictEqual([expect.stringContaining(two)]);
    expect(auditIsComplete([request(one, { requestId: '' })], [], [])).toHaveLength(1);
  });

  it('unless who asked died then', () => {
    const asked = [request(one)];
    expect(auditIsComplete(asked, [], [{ at: 1_500, stops: [] }])).toStrictEqual([]);
    expect(auditIsComplete(asked, [], [{ at: 9_000, stops: [] }])).toHaveLength(1);
    expect(auditIsComplete(asked, [], [{ at: 900, stops: [] }])).toHaveLength(1);
    expect(auditIsComplete(asked, [], [{ at: 9_000, stops: [{ from: 1_005, to: 8_900 }] }])).toStrictEqual([]);
    expect(auditIsComplete(asked, [], [{ at: 9_000, stops: [{ from: 1_005, to: 5_000 }] }])).toHaveLength(1);
  });

  it('and not when a request has two records, or a record no request', () => {
    expect(details([request(one)], [record(one, 1), record(one, 2)], [])).toStrictEqual(['2 records of one request']);
    expect(details([], [record(one, 1)], [])).toStrictEqual([expect.stringContaining('Connect knows of no such request')]);
  });

  it('and not when a Secret held a version that nobody retrieved on record', () => {
    const held = story().item({}).secret({}, { itemVersion: '3' }).secret({}, { itemVersion: '4' }).history().secrets;
    const retrieval = {
      ...record(one, 1),
      itemVersion: 3,
      requesters: [{ kind: 'OnePasswordItem', namespace: 'chaos', name: 'db', uid: 'u' }],
    };
    const other = { ...retrieval, itemVersion: 4, requesters: [{ ...retrieval.requesters[0], name: 'other' }] } as AuditRecord;
    expect(versionsAreOnRecord(held, [retrieval as AuditRecord, other])).toMatchObject([
      { object: 'Secret/db', detail: expect.stringContaining('version 4') as string },
    ]);
    const mended = { ...retrieval, itemVersion: 4 } as AuditRecord;
    expect(versionsAreOnRecord(held, [retrieval as AuditRecord, mended])).toStrictEqual([]);
  });

  it('and not when a number is missing', () => {
    expect(details([request(one), request(two)], [record(one, 1), record(two, 3)], [])).toStrictEqual([
      expect.stringContaining('2 up to number 3'),
    ]);
  });
});

const write = (place: 'a' | 'b', at: number) => ({ place, at, method: 'PUT', path: '/p' });

describe('leaders', () => {
  const old = { name: 'a-1', place: 'a', ledFrom: 1_000, endedAt: 9_000 } as const;
  const heir = { name: 'b-1', place: 'b', ledFrom: 5_000, endedAt: undefined } as const;

  it('write until another one leads', () => {
    expect(nobodyWritesTooLate([old, heir], [write('a', 2_000), write('b', 6_000), write('a', 9_500)])).toStrictEqual([]);
    expect(nobodyWritesTooLate([old], [write('a', 6_000)])).toStrictEqual([]);
  });

  it('and not afterwards', () => {
    expect(nobodyWritesTooLate([old, heir], [write('a', 8_000)])).toMatchObject([{ object: 'a-1' }]);
    expect(nobodyWritesTooLate([heir, old], [write('a', 8_000), write('a', 8_001)])).toHaveLength(2);
  });
});

describe('processes', () => {
  const killed = { name: 'a-1', exit: { code: null, signal: 'SIGKILL' }, sent: 'SIGKILL', output: '' } as const;
  const lost =
    '{"level":"fatal","msg":"stopped by an error","err":"another process took the lease chaos/x: this one ends, so that two never act"}\n';

  it('end by our hand, or without the lease', () => {
    const stopped = { ...killed, exit: { code: 0, signal: null }, sent: 'SIGTERM' } as const;
    const without = { ...killed, exit: { code: 1, signal: null }, sent: undefined, output: lost } as const;
    expect(nobodyCrashed([killed, stopped, without])).toStrictEqual([]);
  });

  it('and in no other way', () => {
    const crashed = { ...killed, exit: { code: 1, signal: null }, sent: undefined, output: 'stopped by an error: lost its way\n' } as const;
    const unable = { ...crashed, output: 'stopped by an error: the lease of the cache is over\n' } as const;
    const aborted = { ...killed, exit: { code: null, signal: 'SIGABRT' }, sent: undefined } as const;
    // It ignored the signal, and had to be killed.
    const slow = { ...killed, sent: 'SIGTERM' } as const;
    const left = { ...killed, exit: { code: 0, signal: null }, sent: undefined } as const;
    const failing = { ...killed, exit: { code: 1, signal: null }, sent: 'SIGTERM' } as const;
    expect(nobodyCrashed([crashed, unable, aborted, slow, left, failing])).toHaveLength(6);
  });

  it('leave nothing, tell nothing, and give memory back', () => {
    expect([nothingIsLeft([], []), noCanaries([])]).toStrictEqual([[], []]);
    expect(nothingIsLeft(['process 1'], ['socket 2'])).toHaveLength(2);
    expect(noCanaries([{ place: 'a-1.output', count: 3 }])).toHaveLength(1);
    const none = { handles: 0 };
    const before = { heapUsed: 20e6, external: 1e6, ...none };
    const allowed = 21e6 * (1 + heapMargin.part) + heapMargin.bytes;
    expect(heapIsBack([{ name: 'a', before, after: { heapUsed: allowed - 1e6, external: 1e6, ...none } }])).toStrictEqual([]);
    expect(heapIsBack([{ name: 'a', before, after: { heapUsed: allowed, external: 1e6, ...none } }])).toHaveLength(1);
  });
});
