import { defaultInterval, type Form, vaultCount } from './form.ts';

/** One figure, and what it is held against. */
export interface Benchmark {
  readonly name: string;
  /** Which run brings it. */
  readonly run: RunName;
  /** What was measured, in a line. */
  readonly measured: (form: Form) => string;
  readonly unit: string;
  /** The figure is met when it is not above. */
  readonly target: (form: Form) => number;
  /** It is a count that no slow machine can change: missed, it fails the run. */
  readonly invariant?: true;
  /** True in a form that does not take it on. */
  readonly leftOut?: (form: Form) => boolean;
}

export type RunName = 'cold-sync' | 'scale' | 'restart' | 'quiet-poll' | 'rotation' | 'fan-out' | 'foreign-secrets';

const thousands = (count: number): string => count.toLocaleString('en-US');
const coldSync = (latency: number) => (form: Form) =>
  `cold sync of ${thousands(form.small)} resources, Connect answers in ${latency} ms: time until all are Ready ÷ bare loop`;
const quiet = (size: 'small' | 'large', what: string) => (form: Form) => `quiet poll, ${thousands(form[size])} resources: ${what}`;
const rotated = (count: (form: Form) => number) => (form: Form) =>
  `rotation of ${thousands(count(form))} of ${thousands(form.small)}: look at Connect → last Secret ÷ bare loop`;
const late = (interval: number) => (form: Form) =>
  `rotation of ${thousands(form.small / 10)} of ${thousands(form.small)}, a poll each ${interval} s: change in Connect → Secret, p99`;

/** All benchmarks, in the order in which they are shown. */
export const benchmarks = [
  { name: 'cold-sync-5ms', run: 'cold-sync', measured: coldSync(5), unit: '×', target: () => 1.3 },
  { name: 'cold-sync-50ms', run: 'cold-sync', measured: coldSync(50), unit: '×', target: () => 1.6 },
  {
    name: 'writes-created',
    run: 'cold-sync',
    measured: () => 'API writes for each created resource, events and consumer counts aside',
    unit: 'writes',
    target: () => 2,
    invariant: true,
  },
  {
    name: 'scale-time',
    run: 'scale',
    measured: ({ small, large }) => `cold sync of ${thousands(large)} resources ÷ that of ${thousands(small)}`,
    unit: '×',
    target: ({ small, large }) => (1.1 * large) / small,
  },
  {
    name: 'scale-heap',
    run: 'scale',
    measured: ({ small, large }) =>
      `heap per resource after forced collection: difference between ${thousands(large)} and ${thousands(small)} resources ÷ ${thousands(large - small)}`,
    unit: 'KiB',
    target: () => 4,
  },
  {
    name: 'quiet-poll-requests',
    run: 'quiet-poll',
    measured: quiet('small', 'Connect requests for a poll, at the most'),
    unit: 'requests',
    target: () => 1,
    invariant: true,
  },
  {
    name: 'quiet-poll-writes',
    run: 'quiet-poll',
    measured: quiet('small', 'API writes, Lease aside'),
    unit: 'writes',
    target: () => 0,
    invariant: true,
  },
  { name: 'quiet-poll-cpu', run: 'quiet-poll', measured: quiet('small', 'processor time'), unit: 's/h', target: () => 20 },
  {
    name: 'quiet-poll-requests-large',
    run: 'quiet-poll',
    measured: quiet('large', 'Connect requests for a poll, at the most'),
    unit: 'requests',
    target: () => 1,
    invariant: true,
  },
  {
    name: 'quiet-poll-writes-large',
    run: 'quiet-poll',
    measured: quiet('large', 'API writes, Lease aside'),
    unit: 'writes',
    target: () => 0,
    invariant: true,
  },
  { name: 'quiet-poll-cpu-large', run: 'quiet-poll', measured: quiet('large', 'processor time'), unit: 's/h', target: () => 20 },
  {
    name: 'restart-requests',
    run: 'restart',
    measured: ({ small }) => `own restart over ${thousands(small)} unchanged resources of ${vaultCount} vaults: Connect requests`,
    unit: 'requests',
    target: () => 1 + vaultCount,
    invariant: true,
  },
  {
    name: 'restart-writes',
    run: 'restart',
    measured: ({ small }) => `own restart over ${thousands(small)} unchanged resources: API writes, Lease aside`,
    unit: 'writes',
    target: () => 0,
    invariant: true,
  },
  {
    name: 'restart-time',
    run: 'restart',
    measured: ({ small }) => `own restart over ${thousands(small)} unchanged resources: process start → all known in sync`,
    unit: 's',
    target: () => 2,
  },
  { name: 'start', run: 'restart', measured: () => 'process start → first reconcile', unit: 's', target: () => 1 },
  {
    name: 'rotation-p99-default',
    run: 'rotation',
    measured: late(defaultInterval),
    unit: 's',
    target: () => defaultInterval + 1,
    leftOut: ({ rotations }) => rotations.atDefault.tenth === 0,
  },
  { name: 'rotation-p99-1s', run: 'rotation', measured: late(1), unit: 's', target: () => 2 },
  { name: 'rotation-one', run: 'rotation', measured: rotated(() => 1), unit: '×', target: () => 1.5 },
  { name: 'rotation-tenth', run: 'rotation', measured: rotated(({ small }) => small / 10), unit: '×', target: () => 1.5 },
  { name: 'rotation-all', run: 'rotation', measured: rotated(({ small }) => small), unit: '×', target: () => 1.5 },
  {
    name: 'writes-rotated',
    run: 'rotation',
    measured: () => 'API writes for each rotated resource, events and consumer counts aside',
    unit: 'writes',
    target: () => 2,
    invariant: true,
  },
  {
    name: 'fan-out',
    run: 'fan-out',
    measured: ({ deployments }) =>
      `fan-out of one item to ${thousands(deployments)} Deployments without a budget: change of the Secret → last patch ÷ bare loop`,
    unit: '×',
    target: () => 1.3,
  },
  {
    name: 'foreign-secrets',
    run: 'foreign-secrets',
    measured: ({ foreign }) => `RSS that ${thousands(foreign)} Secrets of others, 8 KB each, add`,
    unit: 'MB',
    target: () => 5,
  },
] as const satisfies readonly Benchmark[];

export type BenchmarkName = (typeof benchmarks)[number]['name'];
