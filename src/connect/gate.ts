import { Failure } from '../api/reasons.ts';
import type { Clock } from '../runtime/clock.ts';

/**
 * What a failed request says of those that would follow it: `shuts` – they would all fail alike; `suspect` – a run of these does;
 * `answers` – the other side works, the failure is this request's own; `unknown` – nothing.
 */
export type Verdict = 'shuts' | 'suspect' | 'answers' | 'unknown';

/** While nothing is asked: why, and since when by the monotonic clock. */
export interface Outage {
  readonly failure: Failure;
  readonly since: number;
}

/** Keeps requests that would fail from being made, so that an outage costs one probe at a time and not a request of everybody. */
export interface Gate {
  /** Makes a request, or throws the failure that shut the gate without asking. `question` tells one request from another. */
  pass<T>(request: () => Promise<T>, question?: string): Promise<T>;
  readonly outage: Outage | undefined;
  /** Milliseconds until the next request is let through as a probe; 0 while the gate is open. */
  readonly probeIn: number;
  /** What shut the gate may be over: the next request is let through as a probe. */
  hurry(): void;
}

export interface GateOptions {
  readonly clock: Clock;
  readonly judge: (failure: Failure) => Verdict;
  /** The gate was shut, or a probe opened it again. */
  readonly onTurn?: (outage: Outage | undefined) => void;
}

/** Between the starts of two probes, in milliseconds. */
const probeInterval = 5_000;
/** So many suspect answers to different questions, with no good one in between, shut the gate: one bad item does not. */
const longestRun = 5;

export function createGate({ clock, judge, onTurn }: GateOptions): Gate {
  let outage: Outage | undefined;
  let probeAt = 0;
  let probing = false;
  const suspects = new Set<string>();
  let turns = 0;

  function shut(failure: Failure, asked: number): void {
    const since = outage?.since ?? clock.monotonic();
    const isTurn = outage === undefined;
    outage = { failure, since };
    probeAt = Math.max(asked + probeInterval, clock.monotonic() + (failure.retryAfter ?? 0));
    if (!isTurn) return;
    turns += 1;
    onTurn?.(outage);
  }

  function open(): void {
    suspects.clear();
    if (outage === undefined) return;
    outage = undefined;
    onTurn?.(undefined);
  }

  /** Answers to requests that were under way when the gate was shut say nothing new. */
  function learn(error: unknown, asked: number, isProbe: boolean, turnsBefore: number, question: string | undefined): void {
    if (turns !== turnsBefore) return;
    const verdict = error instanceof Failure ? judge(error) : 'unknown';
    if (verdict === 'answers') open();
    if (verdict === 'suspect') suspects.add(question ?? `${suspects.size}`);
    const failed = verdict === 'shuts' || (verdict === 'suspect' && (isProbe || suspects.size >= longestRun));
    if (failed && error instanceof Failure) shut(error, asked);
  }

  return {
    async pass(request, question) {
      const asked = clock.monotonic();
      const isProbe = outage !== undefined;
      const turnsBefore = turns;
      if (outage !== undefined) {
        if (probing || asked < probeAt) throw outage.failure;
        probing = true;
        probeAt = asked + probeInterval;
      }
      try {
        const answer = await request();
        if (turns === turnsBefore) open();
        return answer;
      } catch (error) {
        learn(error, asked, isProbe, turnsBefore, question);
        throw error;
      } finally {
        if (isProbe) probing = false;
      }
    },
    get outage() {
      return outage;
    },
    get probeIn() {
      return outage === undefined ? 0 : Math.max(0, probeAt - clock.monotonic());
    },
    hurry() {
      probeAt = clock.monotonic();
    },
  };
}
