import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Settings of the kernel by their path below /proc/sys. */
export type Sysctls = Readonly<Record<string, string>>;

/** Those that a node changes: the kubelet the first three, the bridge plugin the last. */
const changed = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops', 'net/ipv4/ip_forward'] as const;

/** Reads the settings that a node changes; those that this kernel does not have are left out. */
export async function readSysctls(): Promise<Sysctls> {
  const found = await Promise.all(
    changed.map(async (name): Promise<[string, string][]> => {
      const value = await readFile(join('/proc/sys', name), 'utf8').catch(() => undefined);
      return value === undefined ? [] : [[name, value.trim()]];
    }),
  );
  return Object.fromEntries(found.flat());
}

/** Puts back those that are not as they were. */
export async function restoreSysctls(before: Sysctls): Promise<void> {
  const now = await readSysctls();
  for (const [name, value] of Object.entries(before)) {
    if (now[name] !== value) await writeFile(join('/proc/sys', name), value);
  }
}
