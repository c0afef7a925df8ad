import { setTimeout as pause } from 'node:timers/promises';
import { between, writesOf } from './api-counts.ts';
import { type Bench, bySubject, type Run } from './bench.ts';
import type { BenchmarkName } from './benchmark-table.ts';
import { foreignSecrets } from './foreign-secrets.ts';
import { requestsOfLooks, untilBetweenLooks, untilLook } from './looks.ts';
import type { Measure } from './result.ts';
import type { Subject } from './subject.ts';
import { syncedNamespace } from './synced.ts';
import { untilCurrent } from './values.ts';

const ofLarge: readonly BenchmarkName[] = ['quiet-poll-requests-large', 'quiet-poll-writes-large', 'quiet-poll-cpu-large'];

/** Lets each operator be, over what is in sync; then makes Secrets of others beside one that has long been quiet. */
export const runQuietPoll: Run = (bench) => {
  const { small, large } = bench.world.form;
  return bySubject(bench, async (subject) => {
    // The Secrets of others fill the cluster, and are therefore the last.
    const many = ofLarge.some((name) => bench.only.has(name)) ? await quiet(bench, subject, large) : undefined;
    const few = await quiet(bench, subject, small, bench.only.has('foreign-secrets'));
    return {
      'quiet-poll-requests': few.requests,
      'quiet-poll-writes': few.writes,
      'quiet-poll-cpu': few.cpu,
      ...(many !== undefined && {
        'quiet-poll-requests-large': many.requests,
        'quiet-poll-writes-large': many.writes,
        'quiet-poll-cpu-large': many.cpu,
      }),
      ...(few.foreign !== undefined && { 'foreign-secrets': few.foreign }),
    };
  });
};

interface Quiet {
  readonly requests: Measure;
  readonly writes: Measure;
  readonly cpu: Measure;
  readonly foreign: Measure | undefined;
}

async function quiet(bench: Bench, subject: Subject, size: number, withForeign = false): Promise<Quiet> {
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
      foreign: withForeign ? await foreignSecrets(bench, running, namespace) : undefined,
    };
  } finally {
    await running.stop();
  }
}
