import { type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * Lines of JSON on standard output. Values cannot get in by type; errors are reduced to what we wrote ourselves: name, reason,
 * status and, for our own classes, the message.
 */
export function createLog(level: 'debug' | 'info' | 'error'): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    pino.destination({ fd: 1, sync: true }),
  );
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
