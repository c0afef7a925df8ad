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
