import { setTimeout as pause } from 'node:timers/promises';
import { collectionPath, secrets } from '../../src/kube/resource.ts';
import type { ProcessMemory } from '../support/process-usage.ts';
import type { Bench } from './bench.ts';
import type { Measure } from './result.ts';
import type { RunningSubject } from './subject.ts';

const foreignBytes = 8 * 1024;
/** Between two looks at the memory, in milliseconds. */
const sampleInterval = 250;

/** What Secrets that nobody asked it to keep cost an operator that watches their namespace while they are made. */
export async function foreignSecrets({ world, log }: Bench, running: RunningSubject, namespace: string): Promise<Measure> {
  const { foreign, settling } = world.form;
  log(`${foreign} Secrets of others`);
  const before = await settledMemory(running, settling);
  const data = { blob: Buffer.alloc(foreignBytes, 'x').toString('base64') };
  const planted = world.plant(collectionPath(secrets, namespace), foreign, (index) => ({ metadata: { name: `foreign-${index}` }, data }));
  await Promise.race([planted, running.failed]);
  const after = await settledMemory(running, settling);
  return {
    value: (after.rss - before.rss) / 1e6,
    raw: {
      rssBeforeMB: before.rss / 1e6,
      rssAfterMB: after.rss / 1e6,
      ownBeforeMB: before.anonymous / 1e6,
      ownAfterMB: after.anonymous / 1e6,
      peakMB: after.peak / 1e6,
    },
  };
}

/** The least in the second half of a pause: what else is there is garbage that waits for its collection. */
async function settledMemory(running: RunningSubject, seconds: number): Promise<ProcessMemory> {
  await Promise.race([pause(seconds * 500), running.failed]);
  let least = await running.memory();
  const end = performance.now() + seconds * 500;
  while (performance.now() < end) {
    await Promise.race([pause(sampleInterval), running.failed]);
    const now = await running.memory();
    if (now.rss < least.rss) least = now;
  }
  return least;
}
