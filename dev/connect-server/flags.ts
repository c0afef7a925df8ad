import { parseArgs } from 'node:util';

/** The command line of `npm run connect`. */
export interface Flags {
  readonly port: number;
  readonly seed: string | undefined;
  readonly readyFile: string | undefined;
  readonly help: boolean;
}

/** A command line that cannot be used; the message says what to change. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

export const usage = `npm run connect -- [--port PORT] [--seed FILE] [--ready-file FILE]

  --port PORT        the port on 127.0.0.1 (default 8090; 0 is a free one)
  --seed FILE        vaults and items in YAML (default dev/connect-server/seed.yaml, which also explains the form)
  --ready-file FILE  written as {"url", "token"} once the server listens, readable by you alone; removed at the end
`;

/** @throws FlagError */
export function parseFlags(args: readonly string[]): Flags {
  const values = parseValues(args);
  const port = Number(values.port);
  if (!/^\d{1,5}$/.test(values.port) || port > 65_535) throw new FlagError('--port has to be a number from 0 to 65535');
  return { port, seed: values.seed, readyFile: values['ready-file'], help: values.help };
}

function parseValues(args: readonly string[]) {
  try {
    const options = {
      port: { type: 'string', default: '8090' },
      seed: { type: 'string' },
      'ready-file': { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new FlagError(error instanceof Error ? error.message : 'the flags are not valid');
  }
}
