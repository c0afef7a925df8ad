import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { between, createApiCounts, told, writesOf } from '../../bench/api-counts.ts';

function line(user: string, verb: string, resource: string, subresource?: string): string {
  const objectRef = { resource, ...(subresource !== undefined && { subresource }) };
  return `${JSON.stringify({ verb, requestURI: '/', user: { username: user }, objectRef })}\n`;
}

test('counts the requests of one user since, and of them the writes, with what is told to people or without', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'audit.log');
  const mark = (path: string): Promise<void> => appendFile(file, `${JSON.stringify({ verb: 'get', requestURI: path, user: {} })}\n`);
  const counts = createApiCounts(file, mark);

  await appendFile(file, line('us', 'create', 'secrets'));
  const before = await counts.of('us');
  const more = [
    line('us', 'create', 'secrets'),
    line('us', 'patch', 'onepassworditems', 'status'),
    line('us', 'update', 'leases'),
    line('us', 'create', 'events'),
    line('us', 'get', 'secrets'),
    line('others', 'create', 'secrets'),
  ];
  await appendFile(file, more.join(''));
  const added = between(before, await counts.of('us'));

  expect(Object.fromEntries(added)).toStrictEqual({
    'create secrets': 1,
    'patch onepassworditems/status': 1,
    'create events': 1,
    'get secrets': 1,
  });
  expect(writesOf(added)).toBe(3);
  expect(writesOf(added, told)).toBe(2);
});
