import { bySubject, type Run } from './bench.ts';
import type { ColdSync } from './cold-sync.ts';
import { type Measures, median } from './result.ts';
import { syncedBy } from './synced.ts';

/** What ten times as many resources cost, in time and in memory. */
export const runScale: Run = (bench) => {
  const { small, large } = bench.world.form;
  return bySubject(bench, async (subject) => {
    const few = await syncedBy(bench, subject, small);
    const many = await syncedBy(bench, subject, large);
    return measuresOf(few, many, large - small);
  });
};

function measuresOf(few: readonly ColdSync[], many: readonly ColdSync[], more: number): Measures {
  const smallTime = median(few.map(({ time }) => time));
  const largeTime = median(many.map(({ time }) => time));
  const [before, after] = [few.at(-1), many.at(-1)];
  const memory = {
    rssSmallMB: (before?.memory?.rss ?? 0) / 1e6,
    rssLargeMB: (after?.memory?.rss ?? 0) / 1e6,
    rssPerResourceKiB: ((after?.memory?.rss ?? 0) - (before?.memory?.rss ?? 0)) / more / 1024,
    peakLargeMB: (after?.memory?.peak ?? 0) / 1e6,
  };
  const time = { value: largeTime / smallTime, raw: { smallSeconds: smallTime / 1000, largeSeconds: largeTime / 1000 } };
  const rss = { value: memory.rssLargeMB, raw: memory };
  if (before?.heap === undefined || after?.heap === undefined) return { 'scale-time': time, 'scale-rss': rss };
  return {
    'scale-time': time,
    'scale-rss': rss,
    'scale-heap': {
      value: (after.heap.heapUsed - before.heap.heapUsed) / more / 1024,
      raw: {
        heapSmallMB: before.heap.heapUsed / 1e6,
        heapLargeMB: after.heap.heapUsed / 1e6,
        externalSmallMB: before.heap.external / 1e6,
        externalLargeMB: after.heap.external / 1e6,
      },
    },
  };
}
