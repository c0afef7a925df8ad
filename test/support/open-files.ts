import { readdir, readFile, readlink } from 'node:fs/promises';

/** What a process has open, by Linux' /proc. */
export interface OpenFiles {
  /** File descriptors of any kind. */
  readonly descriptors: number;
  /** Those that are sockets. */
  readonly sockets: number;
  /** TCP connections that the other side has closed and the process has not (CLOSE_WAIT). */
  readonly halfClosed: number;
}

/** CLOSE_WAIT in `/proc/net/tcp`. */
const closeWait = '08';

/** @throws Error when there is no such process */
export async function openFilesOf(pid: number): Promise<OpenFiles> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder);
  // One that is closed meanwhile does not count.
  const targets = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => undefined)));
  const sockets = new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1] ?? []));
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '')));
  const waiting = tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    // sl, local and remote address, state, queues, timer, retransmits, uid, timeout, inode
    .filter(([, , , state, , , , , , inode]) => state === closeWait && inode !== undefined && sockets.has(inode));
  return { descriptors: targets.filter((target) => target !== undefined).length, sockets: sockets.size, halfClosed: waiting.length };
}
