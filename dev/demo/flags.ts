import { homedir } from 'node:os';
import { delimiter, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** What `make demo` was asked for. */
export interface Flags {
  /** Ends by itself after the last step. */
  readonly once: boolean;
  /** Asks nothing before it writes to a cluster of the reader's. */
  readonly yes: boolean;
  /** Kubeconfig of a cluster of the reader's, absolute, possibly a list; undefined: start a cluster of our own. */
  readonly kubeconfig: string | undefined;
  /** The cluster of our own has a node with real pods. */
  readonly node: boolean;
  readonly help: boolean;
}

/** A command line that cannot be used; the message says what to change. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

export const usage = `make demo                          shows the operator at work in a cluster of its own, until Ctrl-C
make demo ONCE=1                   ends by itself; the exit code says whether all went well
make demo NODE=1 [ONCE=1]          with real pods, that print the value they see; takes root on Linux with Debian's packages
make demo KUBECONFIG=FILE [YES=1]  in that cluster, in a namespace of its own; asks before it writes unless YES=1

Without make: node dev/demo/main.ts [--once] [--node | --kubeconfig FILE [--yes]]
`;

/** Reads the command line, and the variables by which make passes the same. @throws FlagError */
export function parseFlags(args: readonly string[], environment: Readonly<Record<string, string | undefined>>): Flags {
  const values = parseValues(args);
  const kubeconfig = values.kubeconfig ?? environment['KUBECONFIG'] ?? '';
  // Not `NODE`, which npm sets for whatever it runs.
  const node = values.node || isOn('NODE', environment['DEMO_NODE']);
  if (node && kubeconfig !== '')
    throw new FlagError('NODE=1 starts a cluster of its own, and KUBECONFIG names another one: leave one of them out');
  return {
    once: values.once || isOn('ONCE', environment['ONCE']),
    yes: values.yes || isOn('YES', environment['YES']),
    kubeconfig: kubeconfig === '' ? undefined : absolute(kubeconfig),
    node,
    help: values.help,
  };
}

function parseValues(args: readonly string[]) {
  try {
    const options = {
      once: { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
      kubeconfig: { type: 'string' },
      node: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new FlagError(error instanceof Error ? error.message : 'the flags are not valid');
  }
}

function isOn(name: string, text = ''): boolean {
  if (/^(1|true|yes|y)$/i.test(text)) return true;
  if (/^(|0|false|no|n)$/i.test(text)) return false;
  throw new FlagError(`${name} has to be 1 or 0`);
}

/** The shell leaves `~` alone when it stands behind `KUBECONFIG=` in an argument of make. */
function absolute(kubeconfig: string): string {
  return kubeconfig
    .split(delimiter)
    .filter((file) => file !== '')
    .map((file) => resolve(file.replace(/^~(?=\/)/, homedir())))
    .join(delimiter);
}
