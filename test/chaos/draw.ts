/** Chance that can be had again: the same name draws the same. */
export interface Draw {
  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number;
  /** @throws RangeError for an empty list */
  of<T>(list: readonly T[]): T;
  /** Some of a list, at least one, in its order. */
  some<T>(list: readonly T[]): readonly T[];
  shuffled<T>(list: readonly T[]): readonly T[];
  /** True so often of 100 times. */
  chance(percent: number): boolean;
}

/** Draws by a seed, for one of several purposes: what is drawn for one does not move what is drawn for another. */
export function drawFor(seed: number, purpose: string): Draw {
  const next = numbersFrom(hash(`${seed} ${purpose}`));
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  const of = <T>(list: readonly T[]): T => {
    if (list.length === 0) throw new RangeError('nothing to draw from');
    return list[between(0, list.length - 1)] as T;
  };
  const shuffled = <T>(list: readonly T[]): readonly T[] =>
    list
      .map((entry) => [next(), entry] as const)
      .toSorted(([a], [b]) => a - b)
      .map(([, entry]) => entry);
  return {
    between,
    of,
    shuffled,
    some(list) {
      const chosen = new Set(shuffled(list).slice(0, between(1, list.length)));
      return list.filter((entry) => chosen.has(entry));
    },
    chance: (percent) => next() * 100 < percent,
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** Mulberry32: numbers in [0, 1). */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
