import type { Benchmark, BenchmarkName } from './benchmark-table.ts';
import type { Form } from './form.ts';

/** What was measured beside a figure, by names that say what it is. */
export type Raw = Readonly<Record<string, unknown>>;

/** One figure of one operator. */
export interface Measure {
  readonly value: number;
  readonly raw: Raw;
}

/** What one operator came to in one run. A peer has no figure where only ours can be asked. */
export type Measures = Partial<Readonly<Record<BenchmarkName, Measure>>>;

/** One benchmark as it stands in the file of results. */
export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Null: it is for information. */
  readonly target: number | null;
  readonly met: boolean | null;
  readonly raw: Raw;
  /** The figure of the operator that was run beside ours. */
  readonly peer?: Measure;
}

/** Holds a figure against its target. */
export function judge(benchmark: Benchmark, form: Form, { value, raw }: Measure, peer: Measure | undefined): Result {
  const { name, unit } = benchmark;
  const target = benchmark.target?.(form) ?? null;
  return { name, value, unit, target, met: target === null ? null : value <= target, raw, ...(peer !== undefined && { peer }) };
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

/** The value that `part` of all are not above, by the nearest rank. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}
