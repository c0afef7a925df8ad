import { parseArgs } from 'node:util';

/** The command line of `make soak`. */
export interface Flags {
  readonly rotations: number;
  readonly resources: number;
}

/** Of fewer, with those of the warm-up left out, no trend can be told. */
const fewestRotations = 2_000;

/** @throws Error that says what to give instead */
export function parseFlags(args: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    options: { rotations: { type: 'string', default: '100000' }, resources: { type: 'string', default: '1000' } },
  });
  const flags = { rotations: Number(values.rotations), resources: Number(values.resources) };
  if (!Number.isInteger(flags.rotations) || flags.rotations < fewestRotations) {
    throw new Error(`--rotations takes a number, ${fewestRotations} or more: of fewer there are too few samples for a trend`);
  }
  if (!Number.isInteger(flags.resources) || flags.resources < 1) throw new Error('--resources takes a number, 1 or more');
  return flags;
}
