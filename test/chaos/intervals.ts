import type { Interval } from './history.ts';

/** What is left of an interval without others, which are in order and do not overlap. */
export function subtract({ from, to }: Interval, others: readonly Interval[]): readonly Interval[] {
  const left: Interval[] = [];
  let start = from;
  for (const other of others) {
    if (other.to <= start || other.from >= to) continue;
    if (other.from > start) left.push({ from: start, to: other.from });
    start = Math.max(start, other.to);
  }
  return start < to ? [...left, { from: start, to }] : left;
}

/** The same time, in order and without overlap. */
export function merge(intervals: readonly Interval[]): readonly Interval[] {
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of intervals.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}
