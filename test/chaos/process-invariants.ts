import type { CanaryFinding } from '../support/canary.ts';
import type { CollectedHeap, Exit } from '../support/bundled-operator.ts';
import type { Violation } from './violation.ts';

/** How one process of the operator ended. */
export interface Ending {
  readonly name: string;
  readonly exit: Exit;
  /** The last signal that it was sent by us, if any. */
  readonly sent: NodeJS.Signals | undefined;
  /** The end of its output. */
  readonly output: string;
}

/** Heap of one process before and after, in bytes. */
export interface HeapCompared {
  readonly name: string;
  readonly before: CollectedHeap;
  readonly after: CollectedHeap;
}

/** What a heap may have more than before: in bytes, and a part of it. Caches of code and of connections fill with use. */
export const heapMargin = { bytes: 4 * 1024 * 1024, part: 0.2 };

/** What `LeaseError` says of a lease that was held. */
const leaseLost = /another process took the lease|could not be renewed in time/;

/** A process ended by our hand, or because it lost the lease: exit code 1, and its last words say so. */
export function nobodyCrashed(endings: readonly Ending[]): readonly Violation[] {
  return endings
    .filter(({ exit, sent, output }) => !isOurs(exit, sent) && !(exit.code === 1 && leaseLost.test(lastFatal(output))))
    .map(({ name, exit, sent, output }) => ({
      object: name,
      detail: `ended with ${String(exit.code ?? exit.signal)}${sent === undefined ? '' : `, and was sent ${sent}`}`,
      history: () => output.trimEnd().split('\n').slice(-15),
    }));
}

function isOurs({ code, signal }: Exit, sent: NodeJS.Signals | undefined): boolean {
  return (sent === 'SIGKILL' && signal === 'SIGKILL') || (sent === 'SIGTERM' && code === 0);
}

function lastFatal(output: string): string {
  return output.split('\n').findLast((line) => line.includes('stopped by an error')) ?? '';
}

export function noCanaries(findings: readonly CanaryFinding[]): readonly Violation[] {
  return findings.map(({ place, count }) => ({ object: place, detail: `${count} values of items stand there` }));
}

/** @param processes that should be gone and are not @param sockets that are still open: lines that name them */
export function nothingIsLeft(processes: readonly string[], sockets: readonly string[]): readonly Violation[] {
  return [...processes, ...sockets].map((object) => ({ object, detail: 'is still there' }));
}

export function heapIsBack(compared: readonly HeapCompared[]): readonly Violation[] {
  return compared
    .filter(({ before, after }) => total(after) > total(before) * (1 + heapMargin.part) + heapMargin.bytes)
    .map(({ name, before, after }) => ({
      object: name,
      detail: `${total(before)} bytes before, ${total(after)} after all garbage was collected`,
    }));
}

function total({ heapUsed, external }: CollectedHeap): number {
  return heapUsed + external;
}
