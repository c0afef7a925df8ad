import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAuditStream } from '../../../src/observability/audit-stream.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';

function opened(path: string): number {
  const fd = openSync(path, 'a');
  onTestFinished(() => closeSync(fd));
  return fd;
}

describe('a stream of audit records', () => {
  it('has been written when the write returns', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-audit-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, 'out');
    const sink = createAuditStream(opened(path));
    const returned = sink.write('one\n');
    expect([returned, readFileSync(path, 'utf8')]).toEqual([undefined, 'one\n']);
  });

  it('that is full fails', () => {
    const sink = createAuditStream(opened('/dev/full'));
    expect(() => sink.write('one\n')).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
  });

  it('that was full in the middle of a line goes on with a line of its own', async (context) => {
    const place = await mountSmallDisk();
    if (place === undefined) return context.skip('no file system may be mounted here');
    const path = join(place, 'out');
    const filler = join(place, 'filler');
    writeFileSync(filler, 'x'.repeat(8_192));
    const sink = createAuditStream(opened(path));
    expect(() => sink.write(`${'a'.repeat(100_000)}\n`)).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    rmSync(filler);
    void sink.write('b\n');
    expect(readFileSync(path, 'utf8')).toMatch(/^a+\nb\n$/);
  });
});
