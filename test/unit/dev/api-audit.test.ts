import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ApiAuditLog, type ApiAuditSummary, summarizeApiAudit } from '../../../dev/tools/api-audit.ts';

const user = 'system:serviceaccount:keyturn:keyturn';
const forbid = { 'authorization.k8s.io/decision': 'forbid' };

function event(verb: string, objectRef: object | undefined, code: number, more: object = {}): object {
  const responseStatus = { code, ...(code === 403 && { message: 'no' }) };
  return {
    verb,
    requestURI: '/asked',
    user: { username: user },
    objectRef,
    responseStatus,
    stageTimestamp: '2026-01-01T00:00:01Z',
    ...more,
  };
}

async function summarize(
  events: readonly object[],
  starts: ApiAuditLog['starts'] = [],
): Promise<Pick<ApiAuditSummary, 'used' | 'refused'>> {
  const folder = await mkdtemp(join(tmpdir(), 'api-audit-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'audit.log');
  await writeFile(file, events.map((one) => `${JSON.stringify(one)}\n`).join(''));
  return summarizeApiAudit([{ file, starts }]);
}

describe('the summary of audit logs', () => {
  it('counts what was used, subresources by themselves', async () => {
    const items = { apiGroup: 'onepassword.com', resource: 'onepassworditems' };
    const { used, refused } = await summarize([
      event('list', { resource: 'secrets' }, 200),
      event('list', { resource: 'secrets' }, 410),
      event('patch', items, 404),
      event('patch', { ...items, subresource: 'status' }, 200),
    ]);
    expect(used).toEqual([
      { user, group: '', resource: 'secrets', verb: 'list', count: 2 },
      { user, group: 'onepassword.com', resource: 'onepassworditems', verb: 'patch', count: 1 },
      { user, group: 'onepassword.com', resource: 'onepassworditems/status', verb: 'patch', count: 1 },
    ]);
    expect(refused).toEqual([]);
  });

  it('takes nothing for used that was refused, or that is no resource', async () => {
    const { used } = await summarize([
      event('list', { resource: 'secrets' }, 403, { annotations: forbid }),
      event('list', { resource: 'secrets' }, 401),
      event('get', undefined, 200),
    ]);
    expect(used).toEqual([]);
  });

  it('has every refusal, with who refused it, and whether the API server was ready', async () => {
    const ref = { resource: 'secrets' };
    const { refused } = await summarize(
      [
        event('list', ref, 403, { annotations: forbid }),
        event('create', ref, 403, { annotations: { 'authorization.k8s.io/decision': 'allow' }, stageTimestamp: '2026-01-01T00:00:03Z' }),
      ],
      [{ from: new Date('2026-01-01T00:00:00Z'), to: new Date('2026-01-01T00:00:02Z') }],
    );
    expect(refused).toEqual([
      { user, verb: 'list', uri: '/asked', decision: 'forbid', message: 'no', whileStarting: true, at: '2026-01-01T00:00:01Z' },
      { user, verb: 'create', uri: '/asked', decision: 'allow', message: 'no', whileStarting: false, at: '2026-01-01T00:00:03Z' },
    ]);
  });
});
