import type { RequestCounts } from './api-counts.ts';
import type { Measure } from './result.ts';

/** What one side asked of the API server, and of Connect by route. */
export interface Asked {
  readonly api: RequestCounts;
  readonly connect: Readonly<Record<string, number>>;
}

/** Both sides of a round: an operator, and the bare loop that it is held against. */
export type Round = readonly [own: Asked, loop: Asked];

/** How far what an operator asks is from what the bare loop asks, in the round in which it is farthest. */
export function sameRequests(rounds: readonly Round[]): Measure {
  const differences = rounds.map(([own, loop]) => differenceOf(own, loop));
  const sums = differences.map((one) => Object.values(one).reduce((sum, count) => sum + Math.abs(count), 0));
  const most = Math.max(0, ...sums);
  return { value: most, raw: { rounds: sums, moreThanLoop: differences[sums.indexOf(most)] ?? {} } };
}

/** How many more of each request an operator makes than the loop, where the numbers differ. */
function differenceOf(own: Asked, loop: Asked): Readonly<Record<string, number>> {
  const [ours, theirs] = [workOf(own), workOf(loop)];
  const all = [...new Set([...ours.keys(), ...theirs.keys()])];
  const more = all.map((what) => [what, (ours.get(what) ?? 0) - (theirs.get(what) ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count !== 0));
}

/** How often collections are listed and watched, and Connect is looked at, is a matter of time; all else is one for each object. */
function workOf({ api, connect }: Asked): ReadonlyMap<string, number> {
  const ofApi = [...api].filter(([what]) => !/^(list|watch) |^get namespaces$/.test(what));
  const ofConnect = Object.entries(connect).filter(([route]) => route.includes('{item}'));
  return new Map([...ofApi, ...ofConnect]);
}
