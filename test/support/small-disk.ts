import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A file system of 64 KiB for the length of a test; undefined where none may be mounted. */
export async function mountSmallDisk(): Promise<string | undefined> {
  const place = await mkdtemp(join(tmpdir(), 'keyturn-disk-'));
  onTestFinished(() => rm(place, { recursive: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', place]));
  return place;
}
