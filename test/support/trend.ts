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
