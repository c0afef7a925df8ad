import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import type { AuditSink } from './audit.ts';

export interface AuditFileOptions {
  readonly path: string;
  /** Bytes; a file that would become larger is put aside first. */
  readonly maxSize: number;
  /** How many files that were put aside are kept; 0 is all. */
  readonly maxBackups: number;
  readonly clock: Clock;
  /** The file could not be put aside, or an old one not removed: records go on into the file that is there. Told once until it works again. */
  readonly onStuck?: (error: unknown) => void;
}

/** A file, and how large it was before a write. */
interface Started {
  readonly file: FileHandle;
  readonly size: number;
  /** Which file it is. */
  readonly dev: number;
  readonly ino: number;
  /** No pipe, and no device. */
  readonly isRegular: boolean;
}

/**
 * A file of lines, flushed to the disk, for this process alone. When it is full it is renamed to `<name>-<time><extension>`, as the API server does with
 * its audit log. It is opened when it is needed, and anew after a failure, so that a path that becomes writable needs no restart.
 */
export function createAuditFile({ path, maxSize, maxBackups, clock, onStuck }: AuditFileOptions): AuditSink {
  let file: FileHandle | undefined;
  let isStuck = false;

  return {
    async write(lines) {
      const bytes = Buffer.from(lines);
      let started: Started | undefined;
      let done = 0;
      try {
        started = await prepare(bytes.length);
        while (done < bytes.length) done += (await started.file.write(bytes, done)).bytesWritten;
        // A pipe or a terminal has nothing to be flushed.
        if (started.isRegular) await started.file.sync();
      } catch (error) {
        await abandon(started, done);
        throw error;
      }
    },
    close,
  };

  async function close(): Promise<void> {
    const closing = file;
    file = undefined;
    await closing?.close();
  }

  /**
   * Half a line must not stay, nor a line that counts as lost; but what somebody else has written since must. A disk that has failed may fail again: the
   * first failure is the one to be told.
   */
  async function abandon(started: Started | undefined, written: number): Promise<void> {
    if (started?.isRegular) await takeBack(started, written).catch(() => {});
    await close().catch(() => {});
  }

  /** An open file with room for `length` bytes, unless the one that is full cannot be put aside: records are worth more than a bound. */
  async function prepare(length: number): Promise<Started> {
    const current = await opened();
    if (!current.isRegular) return current;
    const isFull = current.size > 0 && current.size + length > maxSize;
    if ((await isInPlace(current)) && !(isFull && (await putAside()))) return current;
    await close();
    return await opened();
  }

  async function opened(): Promise<Started> {
    file ??= await openFile(path);
    const found = await file.stat();
    return { file, size: found.size, dev: found.dev, ino: found.ino, isRegular: found.isFile() };
  }

  /** False when somebody deleted, renamed or replaced the file that is open. */
  async function isInPlace({ dev, ino }: Started): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    return found?.dev === dev && found.ino === ino;
  }

  /** False when that cannot be done. */
  async function putAside(): Promise<boolean> {
    try {
      const names = await backups();
      const surplus = maxBackups === 0 ? [] : names.slice(0, Math.max(0, names.length + 1 - maxBackups));
      for (const name of surplus) await rm(join(dirname(path), name), { force: true });
      await rename(path, join(dirname(path), freeName(names)));
      isStuck = false;
      return true;
    } catch (error) {
      if (!isStuck) onStuck?.(error);
      isStuck = true;
      return false;
    }
  }

  /** The names of the files that were put aside, the oldest first. */
  async function backups(): Promise<readonly string[]> {
    const { prefix, extension } = parts(path);
    const isBackup = (name: string): boolean =>
      name.startsWith(prefix) && name.endsWith(extension) && timePattern.test(name.slice(prefix.length, name.length - extension.length));
    return (await readdir(dirname(path))).filter(isBackup).toSorted();
  }

  function freeName(taken: readonly string[]): string {
    const { prefix, extension } = parts(path);
    for (let time = clock.now(); ; time += 1) {
      const name = `${prefix}${new Date(time).toISOString().replaceAll(':', '-').replace('Z', '')}${extension}`;
      if (!taken.includes(name)) return name;
    }
  }
}

async function takeBack({ file, size }: Started, written: number): Promise<void> {
  if ((await file.stat()).size === size + written) await file.truncate(size);
}

const timePattern = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/;

/** `audit.log` → `audit-` and `.log` */
function parts(path: string): { readonly prefix: string; readonly extension: string } {
  const extension = extname(path);
  return { prefix: `${basename(path, extension)}-`, extension };
}

/** Opens a file to be appended to, and ends a line that a process before this one was killed in. */
async function openFile(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, constants.O_APPEND | constants.O_CREAT | constants.O_RDWR, 0o640);
  try {
    const found = await file.stat();
    if (!found.isFile()) return file;
    if (found.size === 0) await syncFolder(dirname(path));
    else {
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, found.size - 1);
      if (buffer.toString() !== '\n') await file.appendFile('\n');
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A new file outlives a crash of the machine only when its folder does. Where a folder may not be read, or not be flushed, it has to do without. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY).catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}
