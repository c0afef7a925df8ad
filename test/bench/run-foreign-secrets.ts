import { setTimeout as pause } from 'node:timers/promises';
import { collectionPath, secrets } from '../../src/kube/resource.ts';
import type { ProcessMemory } from '../support/process-usage.ts';
import type { Bench, Run } from './bench.ts';
import { defaultInterval } from './form.ts';
import type { Measures } from './result.ts';
import type { RunningSubject, Subject } from './subject.ts';

const foreignBytes = 8 * 1024;
/** Between two looks at the memory, in milliseconds. */
const sampleInterval = 250;

/** What Secrets that nobody asked it to keep cost an operator that watches their namespace while they are made. */
export const runForeignSecrets: Run = async (bench) => {
  const all: [Subject['name'], Measures][] = [];
  for (const subject of bench.subjects) all.push([subject.name, await measure(bench, subject)]);
  return Object.fromEntries(all);
};

async function measure({ world, log }: Bench, subject: Subject): Promise<Measures> {
  const { form } = world;
  log(`${form.foreign} Secrets of others: ${subject.name}`);
  const namespace = await world.createNamespace();
  const running = await subject.start({ namespace, token: await world.tokenFor(form.small), pollingInterval: defaultInterval });
  try {
    const before = await settledMemory(running, form.settling);
    const data = { blob: Buffer.alloc(foreignBytes, 'x').toString('base64') };
    const plant = (): Promise<void> =>
      world.plant(collectionPath(secrets, namespace), form.foreign, (index) => ({ metadata: { name: `foreign-${index}` }, data }));
    await Promise.race([plant(), running.failed]);
    const after = await settledMemory(running, form.settling);
    return {
      'foreign-secrets': {
        value: (after.rss - before.rss) / 1e6,
        raw: {
          rssBeforeMB: before.rss / 1e6,
          rssAfterMB: after.rss / 1e6,
          ownBeforeMB: before.anonymous / 1e6,
          ownAfterMB: after.anonymous / 1e6,
          peakMB: after.peak / 1e6,
        },
      },
    };
  } finally {
    await running.stop();
  }
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
