import { type Logger, pino } from 'pino';
import { textLine } from './text-line.ts';

export type Log = Logger;

export interface LogOptions {
  /** `text` is for people: `TIME LEVEL message key=value ...`. JSON unless it says otherwise. */
  readonly format?: 'json' | 'text';
  /** Takes whole lines; standard output unless it says otherwise. */
  readonly destination?: { write(line: string): void };
}

/**
 * Lines on standard output, one for each thing that happened. Values cannot get in by type; errors are reduced to what we wrote ourselves: name,
 * reason, status and, for our own classes, the message. Lines of text are made from those of JSON, so neither shows what the other does not.
 */
export function createLog(
  level: 'debug' | 'info' | 'warn' | 'error',
  { format = 'json', destination = standardOutput() }: LogOptions = {},
): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: withoutErrors },
      hooks: {
        // Given an error alone, pino would take its message for that of the line.
        logMethod([first, ...others], method) {
          const given: unknown = first;
          if (given instanceof Error) method.call(this, describeError(given) as unknown as string, ...others);
          else method.call(this, first, ...others);
        },
      },
    },
    format === 'json' ? destination : { write: (line) => destination.write(textLine(line)) },
  );
}

/** Written at once: what was said before an end by force is there. */
function standardOutput(): { write(line: string): void } {
  return pino.destination({ fd: 1, sync: true });
}

/** Errors among the fields of a line, which may carry anything, as they may be logged. */
function withoutErrors(fields: Record<string, unknown>): Record<string, unknown> {
  if (!Object.values(fields).some((value) => value instanceof Error)) return fields;
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? describeError(value) : value]));
}

/** Names of our own errors, whose messages are written by us and quote nobody. */
const ownErrors = new Set(['Failure', 'KubeError', 'ConfigError', 'ListenError', 'LeaseError', 'CertificateError', 'DeadlineExceeded']);

/** An error as it may be logged: other people's messages may quote their input, so only the names of their types go on. */
export function describeError(error: unknown): { readonly error: string; readonly at?: string } {
  if (!(error instanceof Error)) return { error: typeof error };
  if (ownErrors.has(error.name)) return { error: error.message };
  const frame = framesOf(error).find((line) => line.trimStart().startsWith('at '));
  return { error: error.name, ...(frame !== undefined && { at: frame.trim() }) };
}

/** The lines of a stack below the message, which may have lines that look like them; none when the two cannot be told apart. */
function framesOf({ stack = '', message }: Error): readonly string[] {
  const start = stack.indexOf(message);
  return start === -1 ? [] : stack.slice(start + message.length).split('\n');
}
