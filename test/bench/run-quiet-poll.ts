import { setTimeout as pause } from 'node:timers/promises';
import { between, writesOf } from './api-counts.ts';
import type { Bench, Run } from './bench.ts';
import { requestsOfLooks, untilBetweenLooks, untilLook } from './looks.ts';
import type { Measure, Measures } from './result.ts';
import type { Subject } from './subject.ts';
import { syncedNamespace } from './synced.ts';
import { untilCurrent } from './values.ts';

/** Lets each operator be, over what is in sync. */
export const runQuietPoll: Run = async (bench) => {
  const { small, large } = bench.world.form;
  const all: [Subject['name'], Measures][] = [];
  for (const subject of bench.subjects) {
    const few = await quiet(bench, subject, small);
    const many = await quiet(bench, subject, large);
    all.push([
      subject.name,
      {
        'quiet-poll-requests': few.requests,
        'quiet-poll-writes': few.writes,
        'quiet-poll-cpu': few.cpu,
        'quiet-poll-requests-large': many.requests,
        'quiet-poll-writes-large': many.writes,
        'quiet-poll-cpu-large': many.cpu,
      },
    ]);
  }
  return Object.fromEntries(all);
};

interface Quiet {
  readonly requests: Measure;
  readonly writes: Measure;
  readonly cpu: Measure;
}

async function quiet(bench: Bench, subject: Subject, size: number): Promise<Quiet> {
  const { world, log } = bench;
  const { api, connect } = world;
  const { quietPolls, quietInterval, quietSettling } = world.form;
  const namespace = await syncedNamespace(bench, subject, size);
  const window = quietPolls * quietInterval;
  log(`quiet poll over ${size} resources, ${window} s: ${subject.name}`);
  const running = await subject.start({ namespace, token: await world.tokenFor(size), pollingInterval: quietInterval });
  try {
    const ready = async (): Promise<void> => {
      await untilLook(world);
      await untilCurrent(world, namespace, size);
      await api.settled(subject.user);
      await pause(Math.max(0, running.spawnedAt + quietSettling * 1000 - Date.now()));
      await untilBetweenLooks(world, quietInterval);
    };
    await Promise.race([ready(), running.failed]);
    const before = await api.of(subject.user);
    await connect.requests.reset();
    const cpuBefore = await running.cpuSeconds();
    const began = performance.now();
    await Promise.race([pause(window * 1000), running.failed]);
    const elapsed = (performance.now() - began) / 1000;
    const cpu = (await running.cpuSeconds()) - cpuBefore;
    const looks = requestsOfLooks(await connect.requests.log(), quietInterval);
    if (looks.length < quietPolls - 1) throw new Error(`${looks.length} looks at Connect in ${elapsed} s, a poll each ${quietInterval} s`);
    const requests = await connect.requests.counts();
    const asked = between(before, await api.of(subject.user));
    const raw = { windowSeconds: elapsed, intervalSeconds: quietInterval };
    return {
      requests: { value: Math.max(...looks), raw: { ...raw, looks, requests } },
      writes: { value: writesOf(asked), raw: { ...raw, requests: Object.fromEntries(asked) } },
      cpu: { value: (cpu / elapsed) * 3600, raw: { ...raw, cpuSeconds: cpu, rssMB: (await running.memory()).rss / 1e6 } },
    };
  } finally {
    await running.stop();
  }
}
