import { parseArgs } from 'node:util';
import { benchmarks } from './benchmark-table.ts';
import { type Form, forms } from './form.ts';

/** The command line of `make bench`. */
export interface Flags {
  readonly form: Form;
  /** Takes the results as JSON. */
  readonly json: string | undefined;
  /** The names of the benchmarks to run. */
  readonly only: ReadonlySet<string>;
  /** The command of another operator. */
  readonly peer: string | undefined;
  readonly help: boolean;
}

/** A command line that cannot be used; the message says what to change. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

export const usage = `make bench ARGS="[--full | --short] [--only NAME]... [--json FILE] [--peer 'COMMAND']"

  (neither)         takes less than 5 minutes on two cores
  --full            more rounds and longer windows: takes less than 30 minutes
  --short           small sizes, for CI: counts are checked, times mean nothing
  --only NAME       a benchmark, or all whose names begin so; may be given several times
  --json FILE       writes a list of {name, value, unit, target, met, raw}
  --peer 'COMMAND'  runs another operator as well, which takes up to twice as long: one program, which takes KUBECONFIG, OP_CONNECT_HOST, OP_CONNECT_TOKEN,
                    WATCH_NAMESPACE, POLLING_INTERVAL, AUTO_RESTART and POD_NAMESPACE from its environment

Names: ${benchmarks.map(({ name }) => name).join(', ')}
`;

/** @throws FlagError */
export function parseFlags(args: readonly string[]): Flags {
  const { full, short, only, json, peer, help } = parseValues(args);
  if (full && short) throw new FlagError('--full and --short exclude each other');
  const unknown = only.find((given) => !benchmarks.some(({ name }) => name.startsWith(given)));
  if (unknown !== undefined) throw new FlagError(`--only ${unknown}: no benchmark has a name that begins so`);
  const chosen = benchmarks.filter(({ name }) => only.length === 0 || only.some((given) => name.startsWith(given)));
  return { form: forms[full ? 'full' : short ? 'short' : 'quick'], json, only: new Set(chosen.map(({ name }) => name)), peer, help };
}

function parseValues(args: readonly string[]) {
  try {
    const options = {
      full: { type: 'boolean', default: false },
      short: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] as string[] },
      json: { type: 'string' },
      peer: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new FlagError(error instanceof Error ? error.message : 'the flags are not valid');
  }
}
