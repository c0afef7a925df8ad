import type { AuditSink } from './audit.ts';
import { type AuditFileOptions, createAuditFile } from './audit-file.ts';
import { createAuditStream } from './audit-stream.ts';

export interface AuditSinkOptions extends Omit<AuditFileOptions, 'path'> {
  /** Of the file; without one the lines go to `fd`. */
  readonly path: string | undefined;
  readonly fd: number;
}

/** Where the configuration has the audit records go. */
export function createAuditSink({ path, fd, ...options }: AuditSinkOptions): AuditSink {
  return path === undefined ? createAuditStream(fd) : createAuditFile({ ...options, path });
}
