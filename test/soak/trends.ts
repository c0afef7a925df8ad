import { afterWarmUp, growthOf, type Point, slopeOf } from '../support/trend.ts';

/** What is sampled; bytes, or counts. */
export interface Sample {
  readonly rotations: number;
  readonly heap: number;
  /** Memory of V8's objects outside of the heap, buffers above all. */
  readonly external: number;
  readonly rss: number;
  /** What keeps the event loop busy: sockets, timers, requests. */
  readonly handles: number;
  readonly descriptors: number;
  readonly sockets: number;
  readonly halfClosed: number;
  /** Of the control plane: the resident memory of its processes, and the file of etcd's database, which the API server has compacted every five minutes. */
  readonly controlPlaneRss: number;
  readonly database: number;
}

type Measure = Exclude<keyof Sample, 'rotations'>;

/** What a measure may grow by from the end of the warm-up to the last rotation; without a bound it is told alone. */
const bounds: Readonly<Record<Measure, { readonly what: string; readonly unit: 'bytes' | ''; readonly bound?: number }>> = {
  heap: { what: 'heap after collection', unit: 'bytes', bound: 4_000_000 },
  external: { what: 'memory outside of the heap', unit: 'bytes', bound: 4_000_000 },
  rss: { what: 'resident memory', unit: 'bytes' },
  // They come and go with the connections that are in use: a leak of one in a hundred rotations still is more.
  handles: { what: 'open handles', unit: '', bound: 200 },
  descriptors: { what: 'file descriptors', unit: '', bound: 16 },
  sockets: { what: 'sockets', unit: '', bound: 16 },
  halfClosed: { what: 'half-closed connections', unit: '', bound: 8 },
  controlPlaneRss: { what: 'memory of the control plane', unit: 'bytes' },
  database: { what: 'database of etcd', unit: 'bytes' },
};

/** How one measure went. */
export interface Trend {
  readonly what: string;
  readonly unit: 'bytes' | '';
  /** By 1,000 rotations, by least squares over the samples after the warm-up. */
  readonly slope: number;
  /** What the line grows by from the first of them to the last. */
  readonly growth: number;
  readonly bound: number | undefined;
  readonly first: number;
  readonly last: number;
  readonly most: number;
}

export function trendsOf(samples: readonly Sample[]): readonly Trend[] {
  const warm = afterWarmUp(samples);
  return Object.entries(bounds).map(([name, { what, unit, bound }]) => {
    const points = warm.map((sample): Point => [sample.rotations, sample[name as Measure]]);
    const [first = [0, 0]] = points;
    const last = points.at(-1) ?? first;
    const most = Math.max(...samples.map((sample) => sample[name as Measure]));
    return { what, unit, slope: slopeOf(points) * 1_000, growth: growthOf(points), bound, first: first[1], last: last[1], most };
  });
}

/** True when a measure grows by no more than it may. */
export function isWithin({ growth, bound }: Trend): boolean {
  return bound === undefined || growth <= bound;
}

/** One line for people: `ok   sockets: 81 to 82, at most 90; +0.00 by 1,000 rotations, 0 in all (no more than 16)`. */
export function formatTrend(trend: Trend): string {
  const { what, unit, slope, growth, bound, first, last, most } = trend;
  const amount = (value: number): string => (unit === 'bytes' ? `${(value / 1e6).toFixed(2)} MB` : value.toFixed(0));
  const steep = `${slope < 0 ? '' : '+'}${unit === 'bytes' ? `${slope.toFixed(0)} bytes` : slope.toFixed(3)}`;
  const verdict = bound === undefined ? '    ' : isWithin(trend) ? 'ok  ' : 'FAIL';
  const limit = bound === undefined ? '' : ` (no more than ${amount(bound)})`;
  return `${verdict} ${what}: ${amount(first)} to ${amount(last)}, at most ${amount(most)}; ${steep} by 1,000 rotations, ${amount(growth)} in all${limit}`;
}
