import type { Bench } from './bench.ts';
import { coldLoop, type ColdSync, coldSync } from './cold-sync.ts';
import type { Subject } from './subject.ts';

/** What was synced already by an operator, or by the bare loop; one cold sync is made when there is none. */
export async function syncedBy(bench: Bench, subject: Subject | 'loop', size: number): Promise<readonly ColdSync[]> {
  const key = keyOf(subject, size);
  const made = bench.synced.get(key);
  if (made !== undefined) return made;
  bench.log(`${key.replace('/', ': cold sync of ')} resources`);
  const first = [subject === 'loop' ? await coldLoop(bench.world, size) : await coldSync(bench, subject, size)];
  bench.synced.set(key, first);
  return first;
}

/** A namespace that is in sync. */
export async function syncedNamespace(bench: Bench, subject: Subject | 'loop', size: number): Promise<string> {
  const last = (await syncedBy(bench, subject, size)).at(-1);
  if (last === undefined) throw new Error('nothing was synced');
  return last.namespace;
}

/** Keeps a cold sync at the usual latency, for whoever needs one. */
export function keepSynced(bench: Bench, subject: Subject | 'loop', size: number, made: ColdSync): void {
  const key = keyOf(subject, size);
  bench.synced.set(key, [...(bench.synced.get(key) ?? []), made]);
}

function keyOf(subject: Subject | 'loop', size: number): string {
  return `${subject === 'loop' ? 'bare loop' : subject.name}/${size}`;
}
