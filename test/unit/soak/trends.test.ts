import { describe, expect, it } from 'vitest';
import { parseFlags } from '../../soak/flags.ts';
import { formatTrend, isWithin, type Sample, type Trend, trendsOf } from '../../soak/trends.ts';

const still = {
  heap: 20e6,
  external: 7e6,
  rss: 120e6,
  handles: 40,
  descriptors: 112,
  sockets: 91,
  halfClosed: 0,
  controlPlaneRss: 1e9,
  database: 1e8,
};

/** Forty samples, one for every 1,000 rotations, of which each is as `measure` has it. */
function samples(measure: (rotations: number) => Partial<Sample>): readonly Sample[] {
  return Array.from({ length: 40 }, (_, index) => ({ rotations: index * 1_000, ...still, ...measure(index * 1_000) }));
}

const broken = (measure: (rotations: number) => Partial<Sample>): readonly string[] =>
  trendsOf(samples(measure))
    .filter((trend) => !isWithin(trend))
    .map(({ what }) => what);

describe('a soak', () => {
  it('holds when nothing grows, whatever it did in the warm-up', () => {
    expect(broken(() => ({}))).toEqual([]);
    expect(broken((rotations) => ({ sockets: Math.min(91, rotations / 20), heap: Math.min(20e6, 5e6 + rotations * 2_000) }))).toEqual([]);
  });

  it('leaves out the first of few samples, too', () => {
    const [heap] = trendsOf(samples((rotations) => ({ heap: rotations === 0 ? 5e6 : 20e6 })).slice(0, 3));
    expect(heap).toMatchObject({ growth: 0, first: 20e6 });
  });

  it('fails when each rotation leaves two hundred bytes, and when a thousand leave a socket', () => {
    expect(broken((rotations) => ({ heap: 20e6 + rotations * 200 }))).toEqual(['heap after collection']);
    expect(broken((rotations) => ({ sockets: 91 + rotations / 1_000, descriptors: 112 + rotations / 1_000 }))).toEqual([
      'file descriptors',
      'sockets',
    ]);
  });

  it('says what a slope means', () => {
    const [heap] = trendsOf(samples((rotations) => ({ heap: 20e6 + rotations * 200 })));
    expect(formatTrend(heap as Trend)).toBe(
      'FAIL heap after collection: 22.00 MB to 27.80 MB, at most 27.80 MB; +200000 bytes by 1,000 rotations, 5.80 MB in all (no more than 4.00 MB)',
    );
  });

  it.each([['--rotations=many'], ['--rotations=1999'], ['--resources=0'], ['--rotations=2000.5']])('does not begin with %s', (flag) => {
    expect(() => parseFlags([flag])).toThrow(/takes a number/);
  });
});
