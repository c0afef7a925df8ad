import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly seed: number;
  /** How long it is disturbed, in milliseconds. */
  readonly duration: number;
  /** As it was given: for the command that repeats it. */
  readonly time: string;
  /** A bundle that was made otherwise, to see a run fail. */
  readonly bundle: string | undefined;
}

const units = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** @throws Error that says what is wrong */
export function readOptions(args: readonly string[], random: () => number): ChaosOptions {
  const options = { seed: { type: 'string' }, time: { type: 'string' }, bundle: { type: 'string' } } as const;
  const { seed = '', time = '', bundle } = parseArgs({ args: [...args], options }).values;
  const wanted = time === '' ? '2m' : time;
  const [, amount = '', unit = ''] = /^(\d{1,5})(s|m|h)$/.exec(wanted) ?? [];
  if (amount === '' || Number(amount) === 0) throw new Error(`TIME takes a time such as 90s, 2m or 1h, not ${JSON.stringify(time)}`);
  if (seed !== '' && !/^\d{1,9}$/.test(seed))
    throw new Error(`SEED takes a whole number of up to nine digits, not ${JSON.stringify(seed)}`);
  return {
    seed: seed === '' ? Math.floor(random() * 1e6) : Number(seed),
    duration: Number(amount) * units[unit as keyof typeof units],
    time: wanted,
    bundle,
  };
}
