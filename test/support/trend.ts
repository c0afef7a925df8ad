/** A measurement: what was measured after how much. */
export type Point = readonly [x: number, y: number];

/** The slope of the line that is closest to the points by least squares; 0 for fewer than two places. */
export function slopeOf(points: readonly Point[]): number {
  const mean = (pick: 0 | 1): number => points.reduce((sum, point) => sum + point[pick], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (points.length < 2 || spread === 0) return 0;
  return points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
}

/** What that line grows by from the first point to the last. */
export function growthOf(points: readonly Point[]): number {
  return slopeOf(points) * ((points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0));
}

/** All but the first quarter, which is the warm-up: caches fill, and connections are made. */
export function afterWarmUp<T>(samples: readonly T[]): readonly T[] {
  return samples.slice(Math.ceil(samples.length / 4));
}
