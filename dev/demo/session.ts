import type { Cleanup } from './cleanup.ts';
import type { Screen } from './screen.ts';
import type { Steps } from './steps.ts';

/** What all parts of one run of the demo share. */
export interface Session {
  readonly screen: Screen;
  readonly steps: Steps;
  readonly cleanup: Cleanup;
  /** Everything that the run writes to this machine is in here. */
  readonly folder: string;
  /** Aborted when somebody asks the demo to end, or a process of it dies; the reason says which. */
  readonly signal: AbortSignal;
  /** Ends the run with an error. */
  readonly fail: (error: Error) => void;
}
