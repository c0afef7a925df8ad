import { defaultInterval, type Form, vaultCount } from './form.ts';

/** One figure, and what it is held against. */
export interface Benchmark {
  readonly name: string;
  /** Which run brings it. */
  readonly run: RunName;
  /** What was measured, in a line. */
  readonly measured: (form: Form) => string;
  readonly unit: string;
  /** The figure is met when it is not above. Absent: it is for information. */
  readonly target?: (form: Form) => number;
  /** The raw figures that it was made of, shown beside it. */
  readonly of: Of;
  /** It is a count that no slow machine can change: missed, it fails the run. */
  readonly invariant?: true;
  /** True in a form that does not take it on. */
  readonly leftOut?: (form: Form) => boolean;
}

/** Names of raw figures, and the unit that they have. */
export interface Of {
  readonly names: readonly string[];
  readonly unit: string;
}

export type RunName = 'cold-sync' | 'scale' | 'restart' | 'quiet-poll' | 'rotation' | 'fan-out';

const thousands = (count: number): string => count.toLocaleString('en-US');
const coldSync = (latency: number) => (form: Form) =>
  `cold sync of ${thousands(form.small)} resources, Connect answers in ${latency} ms: time until all are Ready ÷ bare loop`;
const quiet = (size: 'small' | 'large', what: string) => (form: Form) => `quiet poll, ${thousands(form[size])} resources: ${what}`;
const rotated = (count: (form: Form) => number) => (form: Form) =>
  `rotation of ${thousands(count(form))} of ${thousands(form.small)}: look at Connect → last Secret ÷ bare loop`;
const late = (interval: number) => (form: Form) =>
  `rotation of ${thousands(form.small / 10)} of ${thousands(form.small)}, a poll each ${interval} s: change in Connect → Secret, p99`;

const times: Of = { names: ['seconds', 'loopSeconds'], unit: 's' };
const rounds: Of = { names: ['rounds'], unit: '' };
const writes: Of = { names: ['writes', 'resources'], unit: '' };
const looks: Of = { names: ['looks'], unit: '' };
const window: Of = { names: ['windowSeconds'], unit: 's' };
const processor: Of = { names: ['cpuSeconds', 'windowSeconds'], unit: 's' };
const startTimes: Of = { names: ['rounds'], unit: 's' };
const latencies: Of = { names: ['p50Seconds', 'slowestSeconds'], unit: 's' };
const likeLoop = (what: string) => () =>
  `${what}: requests that Keyturn makes and the bare loop does not, or the other way round; looks and watches aside`;

/** All benchmarks, in the order in which they are shown. */
export const benchmarks = [
  { name: 'cold-sync-5ms', run: 'cold-sync', measured: coldSync(5), unit: '×', target: () => 1.3, of: times },
  { name: 'cold-sync-50ms', run: 'cold-sync', measured: coldSync(50), unit: '×', target: () => 1.6, of: times },
  {
    name: 'cold-sync-requests',
    run: 'cold-sync',
    measured: likeLoop('cold sync'),
    unit: 'requests',
    target: () => 0,
    of: rounds,
    invariant: true,
  },
  {
    name: 'writes-created',
    run: 'cold-sync',
    measured: () => 'API writes for each created resource, events and consumer counts aside',
    unit: 'writes',
    target: () => 2,
    of: writes,
    invariant: true,
  },
  {
    name: 'scale-time',
    run: 'scale',
    measured: ({ small, large }) => `cold sync of ${thousands(large)} resources ÷ that of ${thousands(small)}`,
    unit: '×',
    target: ({ small, large }) => (1.1 * large) / small,
    of: { names: ['largeSeconds', 'smallSeconds'], unit: 's' },
  },
  {
    name: 'scale-heap',
    run: 'scale',
    measured: ({ small, large }) =>
      `heap per resource after forced collection: difference between ${thousands(large)} and ${thousands(small)} resources ÷ ${thousands(large - small)}`,
    unit: 'KiB',
    target: () => 4,
    of: { names: ['heapLargeMB', 'heapSmallMB'], unit: 'MB' },
  },
  {
    name: 'scale-rss',
    run: 'scale',
    measured: ({ small, large }) => `RSS after the cold sync of ${thousands(large)} resources, beside that of ${thousands(small)}`,
    unit: 'MB',
    of: { names: ['rssLargeMB', 'rssSmallMB'], unit: 'MB' },
  },
  {
    name: 'quiet-poll-requests',
    run: 'quiet-poll',
    measured: quiet('small', 'Connect requests for a poll, at the most'),
    unit: 'requests',
    target: () => 1,
    of: looks,
    invariant: true,
  },
  {
    name: 'quiet-poll-writes',
    run: 'quiet-poll',
    measured: quiet('small', 'API writes, Lease aside'),
    unit: 'writes',
    target: () => 0,
    of: window,
    invariant: true,
  },
  { name: 'quiet-poll-cpu', run: 'quiet-poll', measured: quiet('small', 'processor time'), unit: 's/h', target: () => 20, of: processor },
  {
    name: 'quiet-poll-requests-large',
    run: 'quiet-poll',
    measured: quiet('large', 'Connect requests for a poll, at the most'),
    unit: 'requests',
    target: () => 1,
    of: looks,
    invariant: true,
  },
  {
    name: 'quiet-poll-writes-large',
    run: 'quiet-poll',
    measured: quiet('large', 'API writes, Lease aside'),
    unit: 'writes',
    target: () => 0,
    of: window,
    invariant: true,
  },
  {
    name: 'quiet-poll-cpu-large',
    run: 'quiet-poll',
    measured: quiet('large', 'processor time'),
    unit: 's/h',
    target: () => 20,
    of: processor,
  },
  {
    name: 'restart-requests',
    run: 'restart',
    measured: ({ small }) => `own restart over ${thousands(small)} unchanged resources of ${vaultCount} vaults: Connect requests`,
    unit: 'requests',
    target: () => 1 + vaultCount,
    of: rounds,
    invariant: true,
  },
  {
    name: 'restart-writes',
    run: 'restart',
    measured: ({ small }) => `own restart over ${thousands(small)} unchanged resources: API writes, Lease aside`,
    unit: 'writes',
    target: () => 0,
    of: rounds,
    invariant: true,
  },
  {
    name: 'restart-time',
    run: 'restart',
    measured: ({ small }) => `own restart over ${thousands(small)} unchanged resources: process start → all known in sync`,
    unit: 's',
    target: () => 2,
    of: startTimes,
  },
  { name: 'start', run: 'restart', measured: () => 'process start → first reconcile', unit: 's', target: () => 1, of: startTimes },
  {
    name: 'rotation-p99-default',
    run: 'rotation',
    measured: late(defaultInterval),
    unit: 's',
    target: () => defaultInterval + 1,
    of: latencies,
    leftOut: ({ rotations }) => rotations.atDefault.tenth === 0,
  },
  { name: 'rotation-p99-1s', run: 'rotation', measured: late(1), unit: 's', target: () => 2, of: latencies },
  { name: 'rotation-one', run: 'rotation', measured: rotated(() => 1), unit: '×', target: () => 1.5, of: times },
  { name: 'rotation-tenth', run: 'rotation', measured: rotated(({ small }) => small / 10), unit: '×', target: () => 1.5, of: times },
  { name: 'rotation-all', run: 'rotation', measured: rotated(({ small }) => small), unit: '×', target: () => 1.5, of: times },
  {
    name: 'rotation-requests',
    run: 'rotation',
    measured: likeLoop('rotations'),
    unit: 'requests',
    target: () => 0,
    of: rounds,
    invariant: true,
  },
  {
    name: 'writes-rotated',
    run: 'rotation',
    measured: () => 'API writes for each rotated resource, events and consumer counts aside',
    unit: 'writes',
    target: () => 2,
    of: writes,
    invariant: true,
  },
  {
    name: 'fan-out',
    run: 'fan-out',
    measured: ({ deployments }) =>
      `fan-out of one item to ${thousands(deployments)} Deployments without a budget: change of the Secret → last patch ÷ bare loop`,
    unit: '×',
    target: () => 1.3,
    of: times,
  },
  {
    name: 'fan-out-requests',
    run: 'fan-out',
    measured: () => 'fan-out: patches of Deployments that Keyturn makes and the bare loop does not, or the other way round',
    unit: 'requests',
    target: () => 0,
    of: rounds,
    invariant: true,
  },
  {
    name: 'foreign-secrets',
    run: 'quiet-poll',
    measured: ({ foreign }) => `RSS that ${thousands(foreign)} Secrets of others, 8 KB each, add`,
    unit: 'MB',
    target: () => 5,
    of: { names: ['rssAfterMB', 'rssBeforeMB'], unit: 'MB' },
  },
] as const satisfies readonly Benchmark[];

export type BenchmarkName = (typeof benchmarks)[number]['name'];
