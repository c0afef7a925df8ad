import { readFileSync, statSync } from 'node:fs';

/** In bytes; nothing that is configured is larger. */
const limit = 1024 * 1024;

/** The text of a file that somebody named, or what is wrong with it: `a file that …`, with the cure. */
export function readSmallFile(path: string): { readonly text: string } | { readonly problem: string } {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return { problem: 'a folder: name the file in it' };
    // A pipe may keep its reader waiting for ever.
    if (!stat.isFile()) return { problem: 'no regular file: name one' };
    if (stat.size > limit) return { problem: 'a file of more than 1 MiB: it must be another one' };
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return { problem: 'a file that does not exist: check its path, and in a pod the Secret or ConfigMap that is mounted there' };
    if (code === 'EACCES' || code === 'EPERM') return { problem: 'a file that may not be read: check its owner and permissions' };
    return { problem: `a file that cannot be read (${code}): check its path and permissions` };
  }
}
