import { annotations } from '../api/names.ts';
import type { RestartResult } from '../api/outcomes.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';
import type { Clock } from '../runtime/clock.ts';

/** How many rollouts that we began may be under way; 0 is no limit. */
export interface RolloutBudget {
  readonly inAll: number;
  readonly perNamespace: number;
}

/** The version of an item that a rollout brings to pods. */
export interface Cause {
  /** The name of the Secret that holds it. */
  readonly secret: string;
  /** `vaults/<id>/items/<id>` */
  readonly item: string;
  readonly version: string;
}

export type RolloutEnd = Extract<RestartResult, 'completed' | 'failed' | 'reverted'>;

export interface RolloutsOptions {
  readonly clock: Clock;
  readonly budget: RolloutBudget;
  /** A workload that waited for its turn has it now. */
  readonly onTurn: (key: string) => void;
  /** Rollouts of an item were held, or are no longer. */
  readonly onHeld: (item: string) => void;
  /** A rollout has ended well, has been given up, or somebody took it back. */
  readonly onEnd: (workload: Workload, result: RolloutEnd, causes: readonly Cause[]) => void;
}

/** The rollouts that we began: how many there may be at a time, and how they end. */
export interface Rollouts {
  /** True when a workload may be rolled now: `begun` or `withdraw` has to follow. Otherwise it waits, and `onTurn` comes. */
  request(workload: Workload): boolean;
  /** A workload is not to be rolled any more, or could not be. */
  withdraw(key: string): void;
  /**
   * A rollout that a process before this one began was found, under way or complete. How the workload was before is not known, so its failure
   * does not count.
   */
  found(workload: Workload, causes: readonly Cause[]): void;
  /** A workload was rolled; `before` is how it was, for what was not well then did not fail by us. */
  begun(workload: Workload, before: Workload, causes: readonly Cause[]): void;
  /** Takes a change of a workload; undefined when it is gone. */
  observe(key: string, workload: Workload | undefined): void;
  /** A rollout that we began has not ended well yet. */
  isUnderway(key: string): boolean;
  /** Rollouts of a version failed, and none of them succeeded. */
  isHeld(cause: Cause): boolean;
  /** How many hold a place in the budget. */
  readonly size: number;
  /** The same by namespace. */
  readonly places: ReadonlyMap<string, number>;
  /** Waits for nothing any more. */
  close(): void;
}

interface Rollout {
  readonly uid: string;
  readonly namespace: string;
  readonly causes: readonly Cause[];
  /** All was well before: it holds a place in the budget, and its failure counts. */
  readonly wasWell: boolean;
  /** As it was when it began. */
  readonly begun: Workload;
  latest: Workload;
  best: Best;
  place: boolean;
  failed: boolean;
  /** How often the pods of a Rollout came and went. */
  moves: number;
  cancel: () => void;
}

/** The most pods so far of the template of a generation, the fewest others, and the most available ones since either last moved. */
interface Best {
  /** None before its controller has seen the new template: the status is that of the old one until then. */
  readonly generation: number | undefined;
  readonly updated: number;
  readonly old: number;
  readonly available: number;
}

interface Tally {
  readonly version: string;
  readonly failed: Set<string>;
  succeeded: boolean;
}

/** A rollout in which nothing moves for so long, in milliseconds, gives its place away. */
const patience = 120_000;
/** So many failures of one version of an item, and no success, hold the others. */
const failureLimit = 3;
/** Of so many versions of an item the ends of rollouts are counted: those of an earlier one may come late. */
const versionsCounted = 3;

export function createRollouts({ clock, budget, onTurn, onHeld, onEnd }: RolloutsOptions): Rollouts {
  const rollouts = new Map<string, Rollout>();
  /** Who may be rolled and has not been yet, with its namespace. */
  const granted = new Map<string, string>();
  /** Who waits, first come first. */
  const waiting = new Map<string, string>();
  /** Places that are taken, by namespace. */
  const taken = new Map<string, number>();
  let places = 0;
  /** By item, the latest version first. */
  const tallies = new Map<string, readonly Tally[]>();

  function take(namespace: string): void {
    places += 1;
    taken.set(namespace, (taken.get(namespace) ?? 0) + 1);
  }

  function free(namespace: string): void {
    places -= 1;
    const left = (taken.get(namespace) ?? 0) - 1;
    if (left > 0) taken.set(namespace, left);
    else taken.delete(namespace);
    giveTurns();
  }

  const isFull = (): boolean => budget.inAll > 0 && places >= budget.inAll;
  const isFullIn = (namespace: string): boolean => budget.perNamespace > 0 && (taken.get(namespace) ?? 0) >= budget.perNamespace;

  function giveTurns(asking?: string): void {
    for (const [key, namespace] of waiting) {
      if (isFull()) return;
      if (isFullIn(namespace)) continue;
      waiting.delete(key);
      take(namespace);
      granted.set(key, namespace);
      if (key !== asking) onTurn(key);
    }
  }

  function giveUpPlace(rollout: Rollout): void {
    if (!rollout.place) return;
    rollout.place = false;
    free(rollout.namespace);
  }

  function drop(key: string): void {
    const rollout = rollouts.get(key);
    if (rollout === undefined) return;
    rollout.cancel();
    rollouts.delete(key);
    giveUpPlace(rollout);
  }

  function follow(key: string, workload: Workload, causes: readonly Cause[], wasWell: boolean, place: boolean): void {
    const { uid, namespace } = workload;
    const best = bestOf(workload);
    const rollout = {
      uid,
      namespace,
      causes,
      wasWell,
      begun: workload,
      latest: workload,
      best,
      place,
      failed: false,
      moves: 0,
      cancel: () => {},
    };
    rollouts.set(key, rollout);
    // Its pods are replaced when somebody deletes them.
    if (workload.onDelete) giveUpPlace(rollout);
    else awaitProgress(key, rollout);
  }

  function awaitProgress(key: string, rollout: Rollout): void {
    rollout.cancel();
    rollout.cancel = clock.after(patience, () => {
      giveUpPlace(rollout);
      if (!rollout.latest.paused) fail(key, rollout);
    });
  }

  function fail(key: string, rollout: Rollout): void {
    rollout.failed = true;
    rollout.cancel();
    giveUpPlace(rollout);
    onEnd(rollout.latest, 'failed', rollout.causes);
    // What was not well before may not have failed by us.
    if (!rollout.wasWell) return;
    for (const cause of rollout.causes) count(cause, ({ failed }) => failed.add(key));
  }

  /** Where there are no pods of it, the new value has not proved itself. */
  function succeed({ rollout }: Workload, causes: readonly Cause[]): void {
    if (rollout.updatedPods === 0) return;
    for (const cause of causes) count(cause, (tally) => void (tally.succeeded = true));
  }

  function tallyOf({ item, version }: Cause): Tally | undefined {
    return tallies.get(item)?.find((tally) => tally.version === version);
  }

  function addTally({ item, version }: Cause): Tally {
    const tally = { version, failed: new Set<string>(), succeeded: false };
    tallies.set(item, [tally, ...(tallies.get(item) ?? [])].slice(0, versionsCounted));
    return tally;
  }

  function count(cause: Cause, change: (tally: Tally) => void): void {
    const tally = tallyOf(cause) ?? addTally(cause);
    const before = isTallyHeld(tally);
    change(tally);
    if (before !== isTallyHeld(tally)) onHeld(cause.item);
  }

  function withdraw(key: string): void {
    waiting.delete(key);
    const namespace = granted.get(key);
    if (namespace !== undefined && granted.delete(key)) free(namespace);
  }

  return {
    request(workload) {
      const key = workloadKey(workload);
      if (granted.has(key) || rollouts.get(key)?.place || !isWell(workload)) return true;
      waiting.set(key, workload.namespace);
      giveTurns(key);
      return granted.has(key);
    },

    withdraw,

    found(workload, causes) {
      const key = workloadKey(workload);
      if (rollouts.has(key)) return;
      if (workload.rollout.complete) {
        succeed(workload, causes);
        return;
      }
      withdraw(key);
      take(workload.namespace);
      follow(key, workload, causes, false, true);
    },

    begun(workload, before, causes) {
      const key = workloadKey(workload);
      const earlier = rollouts.get(key);
      earlier?.cancel();
      waiting.delete(key);
      const had = granted.delete(key) || (earlier?.place ?? false);
      // It gave its turn away, when the answer to its patch was lost.
      const place = had || (isWell(before) && !workload.onDelete);
      if (place && !had) take(workload.namespace);
      follow(key, workload, causes, isWell(before) || (earlier?.wasWell ?? false), place);
    },

    observe(key, workload) {
      const rollout = rollouts.get(key);
      if (workload === undefined) withdraw(key);
      if (rollout === undefined) return;
      if (workload?.uid !== rollout.uid) {
        drop(key);
        return;
      }
      const moved = hasMoved(rollout, workload) || (rollout.latest.paused && !workload.paused);
      rollout.latest = workload;
      if (workload.rollout.complete) {
        drop(key);
        // What is complete then is something else, and proves nothing.
        const takenBack = isTakenBack(rollout.begun, workload);
        onEnd(workload, takenBack ? 'reverted' : 'completed', rollout.causes);
        if (!takenBack) succeed(workload, rollout.causes);
      } else if (!rollout.failed && !workload.onDelete) {
        // Until its controller has seen the new template, the status is that of the rollout before.
        if (workload.observed && workload.rollout.failed && rollout.wasWell) fail(key, rollout);
        else if (moved) awaitProgress(key, rollout);
      }
    },

    isUnderway: (key) => rollouts.has(key),
    isHeld(cause) {
      const tally = tallyOf(cause);
      return tally !== undefined && isTallyHeld(tally);
    },
    get size() {
      return places;
    },
    places: taken,
    close() {
      for (const { cancel } of rollouts.values()) cancel();
    },
  };
}

/**
 * More pods are new, fewer are old, or more available; not those that come and go. The restart of a Rollout shows in nothing else, but each of its
 * pods goes once, and comes back once.
 */
function hasMoved(rollout: Rollout, workload: Workload): boolean {
  const { updatedPods: updated, oldPods: old, availablePods: available } = workload.rollout;
  const { best, latest } = rollout;
  if (workload.kind === 'Rollout') {
    if (updated === latest.rollout.updatedPods && available === latest.rollout.availablePods) return false;
    rollout.moves += 1;
    return rollout.moves <= 2 * (updated + old + 1);
  }
  if (!workload.observed) return false;
  if (workload.generation !== best.generation) {
    rollout.best = bestOf(workload);
    return true;
  }
  if (updated > best.updated || old < best.old) {
    rollout.best = { ...best, updated: Math.max(updated, best.updated), old: Math.min(old, best.old), available };
    return true;
  }
  if (available <= best.available) return false;
  rollout.best = { ...best, available };
  return true;
}

/** Somebody went back to another template, or took away the restart of a Rollout. */
function isTakenBack(begun: Workload, { kind, restartAt = 0, restartedAt = 0, templateAnnotations }: Workload): boolean {
  if (kind === 'Rollout') return Math.max(restartAt, restartedAt) < (begun.restartAt ?? 0);
  return templateAnnotations[annotations.knownRevisions] !== begun.templateAnnotations[annotations.knownRevisions];
}

function bestOf({ observed, generation, rollout: { updatedPods: updated, oldPods: old, availablePods: available } }: Workload): Best {
  return { generation: observed ? generation : undefined, updated, old, available };
}

function isTallyHeld({ failed, succeeded }: Tally): boolean {
  return failed.size >= failureLimit && !succeeded;
}

/** As many pods are available as there should be, and no rollout has been given up. */
function isWell({ rollout }: Workload): boolean {
  return rollout.available && !rollout.failed;
}
