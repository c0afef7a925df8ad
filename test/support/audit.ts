import { type AuditRecord, auditRecordSchema } from '../../src/observability/audit-record.ts';
import { type Audit, type AuditSink, createAudit } from '../../src/observability/audit.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { createFakeClock } from './fake-clock.ts';

/** Takes audit records and forgets them. */
export const discardedAudit: AuditSink = { write() {}, close: async () => {} };

/** An audit that nobody reads. */
export const unreadAudit: Audit = {
  record: async () => true,
  require: async () => {},
  admit: async () => {},
  close: async () => {},
};

/** A sink in memory. */
export interface AuditMemory extends AuditSink {
  /** Every line so far, each checked against the schema. */
  readonly records: readonly AuditRecord[];
  /** The lines as they were written. */
  readonly text: string;
  /** From now on writes fail with a code such as ENOSPC, or work again. */
  failWith(code: string | undefined): void;
}

export function createAuditMemory(): AuditMemory {
  let text = '';
  let failure: string | undefined;
  return {
    write(lines) {
      if (failure !== undefined) throw Object.assign(new Error('ordered'), { code: failure });
      text += lines;
    },
    close: async () => {},
    failWith: (code) => void (failure = code),
    get text() {
      return text;
    },
    get records() {
      return auditRecords(text);
    },
  };
}

/** @throws ZodError for a line that has more, less, or something else than the schema says */
export function auditRecords(text: string): readonly AuditRecord[] {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('the last line has no end');
  return lines.map((line) => auditRecordSchema.parse(JSON.parse(line)));
}

/** The number of a UUID says which of the calls it comes from. */
export function countedIds(): () => string {
  let count = 0;
  return () => {
    count += 1;
    return `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`;
  };
}

/** An audit into a sink, by a clock of its own unless it is given one. */
export function auditInto(sink: AuditSink, more: Partial<Parameters<typeof createAudit>[0]> = {}, clock: Clock = createFakeClock()): Audit {
  return createAudit({
    sink,
    clock,
    newId: countedIds(),
    cluster: 'test',
    pod: 'keyturn-0',
    version: '1.2.3',
    connection: 'http://connect:8080',
    tokenId: () => 'token-1',
    required: false,
    ...more,
  });
}
