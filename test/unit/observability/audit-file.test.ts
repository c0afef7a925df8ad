import { appendFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAuditFile } from '../../../src/observability/audit-file.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'keyturn-audit-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

async function setUp({ maxSize = 1_000, maxBackups = 2, at = '' } = {}) {
  const place = at || (await folder());
  const path = join(place, 'audit.log');
  const clock = createFakeClock();
  const troubles: unknown[] = [];
  const sink = createAuditFile({ path, maxSize, maxBackups, clock, onStuck: (error) => troubles.push(error) });
  onTestFinished(() => sink.close());
  return { place, path, clock, sink, troubles, read: () => readFile(path, 'utf8'), files: async () => (await readdir(place)).toSorted() };
}

async function codeOf(written: void | Promise<void>): Promise<unknown> {
  try {
    await written;
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
}

const line = (letter: string, length: number): string => `${letter.repeat(length - 1)}\n`;

describe('a file of audit records', () => {
  it('is made with its folder, and appended to', async () => {
    const { path, sink, place } = await setUp({ at: join(await folder(), 'a', 'b') });
    await sink.write('one\n');
    await sink.write('two\n');
    expect([await readFile(path, 'utf8'), await readdir(place)]).toEqual(['one\ntwo\n', ['audit.log']]);
  });

  it('is readable by its owner and group alone', async () => {
    const { path, sink } = await setUp();
    await sink.write('one\n');
    expect(((await stat(path)).mode & 0o777).toString(8)).toMatch(/^6[04]0$/);
  });

  it('goes on where a process before it ended', async () => {
    const { path, sink } = await setUp();
    await writeFile(path, 'before\n');
    await sink.write('one\n');
    expect(await readFile(path, 'utf8')).toBe('before\none\n');
  });

  it('ends a line that a process before it was killed in', async () => {
    const { path, sink } = await setUp();
    await writeFile(path, 'before\nhal');
    await sink.write('one\n');
    expect(await readFile(path, 'utf8')).toBe('before\nhal\none\n');
  });

  it('is made anew when somebody deletes it', async () => {
    const { path, sink, read } = await setUp();
    await sink.write('one\n');
    await rm(path);
    await sink.write('two\n');
    expect(await read()).toBe('two\n');
  });

  it('is made anew when somebody renames it, or puts another one in its place', async () => {
    const { path, place, sink, read, files } = await setUp();
    await sink.write('one\n');
    await rename(path, join(place, 'away'));
    await sink.write('two\n');
    await rename(join(place, 'away'), path);
    await sink.write('three\n');
    expect([await read(), await files()]).toEqual(['one\nthree\n', ['audit.log']]);
  });

  it('that somebody empties goes on from its beginning', async () => {
    const { path, sink, read } = await setUp();
    await sink.write('one\n');
    await writeFile(path, '');
    await sink.write('two\n');
    expect(await read()).toBe('two\n');
  });
});

describe('a full file', () => {
  it('is put aside under the time, and never grows beyond its size', async () => {
    const { sink, files, read, place } = await setUp();
    await sink.write(line('a', 600));
    await sink.write(line('b', 400));
    await sink.write(line('c', 1));
    const [aside = '', current] = await files();
    expect([aside, current, await read()]).toEqual(['audit-2026-01-01T00-00-00.000.log', 'audit.log', line('c', 1)]);
    expect(await readFile(join(place, aside), 'utf8')).toBe(line('a', 600) + line('b', 400));
  });

  it('takes no name that is taken', async () => {
    const { sink, files } = await setUp();
    for (const letter of 'abc') await sink.write(line(letter, 900));
    expect(await files()).toEqual(['audit-2026-01-01T00-00-00.000.log', 'audit-2026-01-01T00-00-00.001.log', 'audit.log']);
  });

  it('has the oldest ones removed, and no file of others', async () => {
    const { sink, files, clock, place } = await setUp();
    for (const name of ['audit-notes.log', 'other-2026-01-01T00-00-00.000.log']) await writeFile(join(place, name), '');
    for (const letter of 'abcde') {
      await sink.write(line(letter, 900));
      clock.advance(1_000);
    }
    expect(await files()).toEqual([
      'audit-2026-01-01T00-00-03.000.log',
      'audit-2026-01-01T00-00-04.000.log',
      'audit-notes.log',
      'audit.log',
      'other-2026-01-01T00-00-00.000.log',
    ]);
  });

  it('has none removed when all are to be kept', async () => {
    const { sink, files } = await setUp({ maxBackups: 0 });
    for (const letter of 'abcde') await sink.write(line(letter, 900));
    expect(await files()).toHaveLength(5);
  });

  it('that cannot be put aside grows on, and is told of once', async () => {
    const { sink, path, read, troubles } = await setUp();
    await sink.write(line('a', 900));
    // A folder in the place of the one to be removed cannot be removed like a file.
    for (const name of ['audit-2025-01-01T00-00-00.000.log', 'audit-2025-01-01T00-00-01.000.log'])
      await mkdir(join(path, '..', name, 'in'), { recursive: true });
    await sink.write(line('b', 900));
    await sink.write(line('c', 900));
    expect([(await read()).length, troubles.length]).toEqual([2_700, 1]);
  });
});

describe('a path that cannot be written', () => {
  it('fails, and works when it can be, without a restart', async () => {
    const { sink, path, read } = await setUp();
    await mkdir(path);
    const before = await codeOf(sink.write('one\n'));
    await rm(path, { recursive: true });
    await sink.write('two\n');
    expect([before, await read()]).toEqual(['EISDIR', 'two\n']);
  });

  it('fails for a device that is full', async () => {
    const sink = createAuditFile({ path: '/dev/full', maxSize: 10, maxBackups: 1, clock: createFakeClock() });
    expect(await codeOf(sink.write('one\n'))).toBe('ENOSPC');
    await sink.close();
  });
});

describe('a disk that is full', () => {
  it('keeps whole lines alone, and takes further ones when there is room', async (context) => {
    const place = await mountSmallDisk();
    if (place === undefined) return context.skip('no file system may be mounted here');
    const { sink, read } = await setUp({ at: place, maxSize: 1_000_000 });
    const filler = join(place, 'filler');
    await sink.write(line('a', 3_000));
    await codeOf(appendFile(filler, 'x'.repeat(100_000)));
    const full = await codeOf(sink.write(line('b', 3_000)));
    const kept = await read();
    await rm(filler);
    await sink.write(line('c', 3_000));
    expect([full, kept, await read()]).toEqual(['ENOSPC', line('a', 3_000), line('a', 3_000) + line('c', 3_000)]);
    await sink.close();
  });
});
