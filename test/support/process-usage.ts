import { readdir, readFile } from 'node:fs/promises';

/** What a process uses now, by Linux' /proc: bytes. `anonymous` is what it wrote itself; the rest of `rss` is pages of files. */
export interface ProcessMemory {
  readonly rss: number;
  readonly anonymous: number;
  /** The largest `rss` so far. */
  readonly peak: number;
}

/** The memory that a process has resident. @throws Error when there is no such process */
export async function memoryOf(pid: number): Promise<ProcessMemory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { rss: bytes('VmRSS'), anonymous: bytes('RssAnon'), peak: bytes('VmHWM') };
}

/**
 * Seconds that a process has had a processor. The kernel counts those of each thread that lives in nanoseconds (`schedstat`), and those of all that
 * ever lived in hundredths of a second (proc(5), fields 14 and 15 of `stat`): the larger is nearer to the truth. @throws Error when it is gone
 */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name may have blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Math.max((Number(fields[11]) + Number(fields[12])) / 100, await threadSecondsOf(pid));
}

/** 0 where the kernel was built without it. */
async function threadSecondsOf(pid: number): Promise<number> {
  const folder = `/proc/${pid}/task`;
  // A thread may end while they are read.
  const threads = (await readdir(folder)).map((thread) => readFile(`${folder}/${thread}/schedstat`, 'utf8').catch(() => '0'));
  const nanoseconds = (await Promise.all(threads)).map((text) => Number(text.split(' ')[0]));
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9;
}
