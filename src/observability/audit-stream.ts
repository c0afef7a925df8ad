import { writeSync } from 'node:fs';
import type { AuditSink } from './audit.ts';

/** How long a full pipe may keep us waiting, and between attempts at it, in milliseconds. */
const patience = 1_000;
const pause = 5;

/** Lines written at once to an open file descriptor such as standard output: whoever reads it has them when the write returns. */
export function createAuditStream(fd: number): AuditSink {
  /** The last write ended in the middle of a line. */
  let torn = false;
  return {
    write(lines) {
      const bytes = Buffer.from(torn ? `\n${lines}` : lines);
      let done = 0;
      let waited = 0;
      try {
        while (done < bytes.length) {
          const written = attempt(fd, bytes.subarray(done));
          done += written;
          if (written > 0) continue;
          if (waited >= patience) throw new PipeFull();
          sleep(pause);
          waited += pause;
        }
        torn = false;
      } catch (error) {
        torn = done > 0 ? bytes[done - 1] !== newline : torn;
        throw error;
      }
    },
    close: async () => {},
  };
}

const newline = 0x0a;

class PipeFull extends Error {
  readonly code = 'EAGAIN';
}

/** How many bytes were taken; 0 when the pipe is full. */
function attempt(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
    throw error;
  }
}

/** Nothing else may be written meanwhile: it would stand in the middle of a line. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
