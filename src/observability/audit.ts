import { Failure, type Reason } from '../api/reasons.ts';
import type { Clock } from '../runtime/clock.ts';
import { withDeadline } from '../runtime/deadline.ts';
import { type AuditEntry, type AuditRecord, auditSchemaVersion, type Requester } from './audit-record.ts';

/** Where the lines go. */
export interface AuditSink {
  /**
   * Writes whole lines and flushes them: when it returns, or the promise is fulfilled, they outlive the process. It is not called again before
   * that. When it fails, none of the lines counts as written.
   */
  write(lines: string): void | Promise<void>;
  close(): Promise<void>;
}

/** The record of what was done with whose items: one JSON line for each thing, flushed before its consequences. */
export interface Audit {
  /** Resolves when the record is flushed, or could not be; never rejects. True when it was. */
  record(entry: AuditEntry): Promise<boolean>;
  /** The same, for what must not be used unrecorded. @throws Failure `AuditUnavailable` when records are required and this one was lost */
  require(entry: AuditEntry): Promise<void>;
  /** Looks, before something is retrieved, whether it could be recorded. @throws Failure `AuditUnavailable` when records are required and it could not */
  admit(): Promise<void>;
  /** Nothing may be recorded afterwards; resolves when what was has been flushed. */
  close(): Promise<void>;
}

export interface AuditOptions {
  readonly sink: AuditSink;
  readonly clock: Clock;
  /** A new UUID at each call. */
  readonly newId: () => string;
  /** The name of the cluster, as the configuration gives it. */
  readonly cluster: string;
  readonly pod: string;
  /** Of the operator. */
  readonly version: string;
  /** The Connect server, without user and password. */
  readonly connection: string;
  /** The id of the token that is in use, never the token. */
  readonly tokenId: () => string;
  /** What cannot be recorded is not retrieved. */
  readonly required: boolean;
  readonly onWritten?: (count: number) => void;
  readonly onLost?: (count: number) => void;
  /** The first loss after a success; `error` is a code such as ENOSPC. */
  readonly onFailing?: (error: string) => void;
  /** Records are written again, after so many were lost. */
  readonly onResumed?: (lost: number) => void;
}

/** Records that wait for the sink at a time: more than there can be retrievals and writes of Secrets under way. */
const mostWaiting = 1_000;
/** How long the sink may take, in milliseconds. */
const writeTimeout = 10_000;
/** Between looks at a sink that does not work, in milliseconds, when nothing but the look is to be written. */
const probeInterval = 1_000;
/** When a claim that could not be recorded is tried again, in milliseconds. */
const retryDelay = 5_000;

interface Waiting {
  readonly time: number;
  /** The id of the token that was in use. */
  readonly token: string;
  readonly entry: AuditEntry;
  readonly settle: (written: boolean) => void;
}

type Told = Omit<Waiting, 'settle'>;

/** While a write is under way, the records that follow gather, and are written together: a flush costs the same for one and for many. */
export function createAudit(options: AuditOptions): Audit {
  const { sink, clock, newId, cluster, pod, version, connection, tokenId, required } = options;
  const { onWritten, onLost, onFailing, onResumed } = options;
  /** Tells the numbers of this process from those of the one before it. */
  const process = newId();
  let seq = 0;
  let waiting: Waiting[] = [];
  let writing: Promise<boolean> | undefined;
  /** The sink has been given lines and has yet to come back, though its time is over. */
  let stuck = false;
  /** Records lost since one was written; 0 while all is well. */
  let lost = 0;
  let probedAt = -probeInterval;
  let closed = false;

  function lineOf(number: number, { time, token, entry }: Told): string {
    const numbered = {
      log: 'audit',
      schema: auditSchemaVersion,
      time: new Date(time).toISOString(),
      process,
      seq: number,
      cluster,
      pod,
      version,
      connection,
      token,
      ...entry,
    } satisfies AuditRecord;
    return `${JSON.stringify(numbered)}\n`;
  }

  /** Takes numbers for records that are not in the stream: the gap shows. */
  function lose(count: number, error: string, numbers = count): void {
    seq += numbers;
    if (lost === 0) onFailing?.(error);
    lost += count;
    onLost?.(count);
  }

  function noted(entry: AuditEntry): Told {
    return { time: clock.now(), token: tokenId(), entry };
  }

  /** Writes what waits, behind a line that tells of a loss, if there was one. True when it worked. */
  async function flush(): Promise<boolean> {
    const batch = waiting;
    waiting = [];
    const before = lost;
    const told: readonly Told[] = before === 0 ? batch : [noted({ action: 'audit.resume', lost: before, result: 'success' }), ...batch];
    try {
      await put(told.map((one, index) => lineOf(seq + 1 + index, one)).join(''));
    } catch (error) {
      // A write that goes on after its time may put its lines there yet, and their numbers must not come again.
      const numbers = stuck && !(error instanceof Stuck) ? told.length : batch.length;
      // A look at a sink that does not work loses nothing.
      if (batch.length > 0) lose(batch.length, codeOf(error), numbers);
      else seq += numbers;
      for (const { settle } of batch) settle(false);
      return false;
    }
    seq += told.length;
    // What came too much while this was written has been lost since.
    lost -= before;
    onWritten?.(told.length);
    if (before > 0) onResumed?.(before);
    for (const { settle } of batch) settle(true);
    return true;
  }

  async function put(lines: string): Promise<void> {
    if (stuck) throw new Stuck();
    const flushed = sink.write(lines);
    // On standard output it is done by now, and needs no timer.
    if (flushed === undefined) return;
    stuck = true;
    const settled = flushed.finally(() => (stuck = false));
    await withDeadline(clock, writeTimeout, undefined, () => settled);
  }

  /** Sees to it that what waits is written, by this write or by the next. */
  async function writeWaiting(): Promise<void> {
    while (waiting.length > 0 && writing === undefined) {
      writing = flush();
      await writing;
      writing = undefined;
    }
  }

  async function idle(): Promise<void> {
    const underWay = writing;
    if (underWay === undefined) return;
    await underWay;
    await idle();
  }

  function record(entry: AuditEntry): Promise<boolean> {
    if (closed || waiting.length >= mostWaiting) {
      lose(1, closed ? 'closed' : 'too many records wait');
      return Promise.resolve(false);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    waiting.push({ ...noted(entry), settle: resolve });
    void writeWaiting();
    return promise;
  }

  /** True when records can be written, as far as is known. */
  async function works(): Promise<boolean> {
    if (lost === 0) return true;
    if (writing !== undefined) return await writing;
    if (clock.monotonic() - probedAt < probeInterval) return false;
    probedAt = clock.monotonic();
    writing = flush();
    const result = await writing;
    writing = undefined;
    void writeWaiting();
    return result;
  }

  return {
    record,
    async require(entry) {
      if (!(await record(entry)) && required) throw unavailable();
    },
    async admit() {
      if (required && !(await works())) throw unavailable();
    },
    async close() {
      closed = true;
      await idle();
      await sink.close();
    },
  };
}

class Stuck extends Error {
  readonly code = 'EBUSY';
}

/** A code of the system such as ENOSPC, which quotes nothing. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}

function unavailable(): Failure {
  return new Failure(
    'AuditUnavailable',
    'audit records cannot be written, and nothing is retrieved without; see the log of the operator, and make room for them or mend the path',
    retryDelay,
  );
}

/** A record of a refusal by the vault policy, before anything was asked. */
export function policyRefusal(requester: Requester, itemPath: string | undefined, reason: Reason): AuditEntry {
  return {
    action: 'policy.refuse',
    requesters: [requester],
    ...(itemPath !== undefined && { itemPath: itemPath.slice(0, longestPath) }),
    result: 'denied',
    reason,
  };
}

/** So much of a path is recorded: a path that leads anywhere is shorter. */
const longestPath = 512;
