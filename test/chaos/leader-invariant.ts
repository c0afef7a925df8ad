import type { Place } from './replicas.ts';
import { clock, type Violation } from './violation.ts';

/** A process that has led, from when it said so; the next one in its place starts when it has ended. */
export interface Leader {
  readonly name: string;
  readonly place: Place;
  readonly ledFrom: number;
  readonly endedAt: number | undefined;
}

/** A write as it arrived from one of the replicas. */
export interface SentWrite {
  readonly place: Place;
  readonly at: number;
  readonly method: string;
  readonly path: string;
}

/** Who has led sends no write once another one leads, also where it was stopped and does not know. What was under way has arrived long before. */
export function nobodyWritesTooLate(leaders: readonly Leader[], writes: readonly SentWrite[]): readonly Violation[] {
  return leaders.flatMap(({ name, place, ledFrom, endedAt = Number.POSITIVE_INFINITY }) => {
    const taken = Math.min(...leaders.map((other) => other.ledFrom).filter((from) => from > ledFrom));
    return writes
      .filter((write) => write.place === place && write.at > taken && write.at < endedAt)
      .map(({ at, method, path }) => ({
        object: name,
        detail: `${method} ${path} at ${clock(at)}; another one led since ${clock(taken)}`,
      }));
  });
}
