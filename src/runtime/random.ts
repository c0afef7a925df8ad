/** A source of numbers in [0, 1). */
export type Random = () => number;

/** The process's own source: for jitter only, never for anything secret. */
export const systemRandom: Random = () => Math.random();
