import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/config.ts';
import { runChecks } from '../../../src/doctor/check.ts';
import { configurationChecks } from '../../../src/doctor/configuration.ts';
import { formatFinding } from '../../../src/domain/finding.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-doctor-'));
});

afterEach(() => rm(folder, { recursive: true }));

async function examine(...flags: readonly string[]): Promise<readonly string[]> {
  const config = readConfig({ OP_CONNECT_HOST: 'http://localhost:1', OP_CONNECT_TOKEN: 'canary', WATCH_NAMESPACE: 'a,b' }, flags);
  const lines: string[] = [];
  const onFinding = (finding: Parameters<typeof formatFinding>[0]): unknown => lines.push(formatFinding(finding));
  await runChecks(configurationChecks(config), { clock: createFakeClock(), limit: 1_000, onFinding });
  return lines;
}

const ofPath = async (path: string): Promise<string | undefined> => (await examine('--audit-log-path', path)).at(-1);

describe('what doctor says of the configuration', () => {
  it('is where it comes from, and what warnings it calls for', async () => {
    expect(await examine('--enable-http2')).toEqual([
      'ok   configuration: taken from flags, environment; namespaces a, b to watch',
      'warn configuration: accepted, but without effect here: --enable-http2',
      'ok   audit log: to standard output',
    ]);
  });
});

describe('what doctor says of the audit log', () => {
  it('is that a file can be written, whether it is there or not, and neither makes nor changes one', async () => {
    const there = join(folder, 'audit.log');
    await writeFile(there, 'x');
    expect(await ofPath(there)).toBe(`ok   audit log: ${there} can be written`);
    const missing = join(folder, 'new', 'folder', 'audit.log');
    expect(await ofPath(missing)).toBe(`ok   audit log: ${missing} can be written`);
    expect(await readdir(folder)).toEqual(['audit.log']);
  });

  it('is that it is a folder, or below a file, or on what nobody can write', async () => {
    expect(await ofPath(folder)).toBe(`FAIL audit log: ${folder} is a folder; name a file in it with --audit-log-path`);
    await writeFile(join(folder, 'file'), '');
    expect(await ofPath(join(folder, 'file', 'audit.log'))).toMatch(/^FAIL audit log: .* cannot be written \(ENOTDIR\); mend its owner/);
    expect(await ofPath('/proc/audit.log')).toMatch(/^FAIL audit log: .*; /);
  });
});
