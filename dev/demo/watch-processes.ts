import { ChildDeath } from './child.ts';
import type { Session } from './session.ts';

/** A process of the cluster that is no more. */
export interface DeadProcess {
  /** As a sentence names it. */
  readonly name: string;
  readonly logFile: string;
}

const lookMs = 250;

/**
 * Ends the demo when a process of the cluster dies.
 *
 * @param find one that has died, if one has
 * @returns what ends the watching
 */
export function watchProcesses({ fail }: Session, find: () => DeadProcess | undefined): () => void {
  const timer = setInterval(() => {
    const dead = find();
    if (dead === undefined) return;
    clearInterval(timer);
    fail(new ChildDeath(dead.name, 'nobody had asked it to', dead.logFile));
  }, lookMs).unref();
  return () => clearInterval(timer);
}
