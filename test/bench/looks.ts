import { setTimeout as pause } from 'node:timers/promises';
import type { LoggedRequest } from '../../dev/connect-server/requests.ts';
import { eventually } from '../support/eventually.ts';
import type { World } from './world.ts';

/** The request that a look at Connect begins with. */
export const look = 'GET /v1/vaults';

/** Longer than any interval here, in milliseconds. */
const deadline = 60_000;

/** Waits until the operator has begun another look at Connect. */
export async function untilLook({ connect }: World): Promise<void> {
  const looks = async (): Promise<number> => (await connect.requests.counts())[look] ?? 0;
  const before = await looks();
  await eventually('a look at Connect', async () => ((await looks()) > before ? true : undefined), deadline);
}

/** Waits until the middle between two looks, so that what begins then has as many looks as belong into it. @param interval seconds */
export async function untilBetweenLooks({ connect }: World, interval: number): Promise<void> {
  const last = (await connect.requests.log()).at(-1)?.at;
  if (last === undefined) throw new Error('nobody has looked at Connect');
  const past = (Date.now() - last) / 1000 / interval;
  await pause((Math.ceil(past + 0.5) - 0.5 - past) * interval * 1000);
}

/**
 * How many requests each look took: what arrives more than half an interval after the last begins another, whoever asks and for whatever.
 * @param interval seconds
 */
export function requestsOfLooks(log: readonly Pick<LoggedRequest, 'at'>[], interval: number): readonly number[] {
  const looks: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const { at } of log) {
    if (at - last > interval * 500) looks.push(0);
    looks.push((looks.pop() ?? 0) + 1);
    last = at;
  }
  return looks;
}
