import { annotations } from '../../src/api/names.ts';
import { unaskedRolls } from '../support/unasked-rolls.ts';
import { editMark, type History, presentOf, type ResourceState, type Version, type WorkloadState } from './history.ts';
import { valueChanges, type ValueChange } from './value-changes.ts';
import { clock, restartHistory, type Violation } from './violation.ts';
import type { Use } from './world.ts';

/** An annotation that is written so shortly before a change may not be known to who writes the change. In milliseconds. */
export const optInDelay = 10_000;
/** A workload that is born so shortly after a change is rolled for it, as its pods may have the older value (decision 2). In milliseconds. */
export const birthSlack = 8_000;

/** Every pod of a workload that has opted in is younger than the last change of each key that it consumes. */
export function noRestartLost(history: History): readonly Violation[] {
  return [...history.workloads.keys()].flatMap((name) => {
    const workload = presentOf(history.workloads, name);
    if (workload === undefined) return [];
    const pods = history.pods.filter((pod) => pod.workload === name);
    if (pods.length === 0) return [violationOf(history, name, 'has no pods')];
    return workload.state.uses.flatMap((use) => {
      const since = optedInSince(history, name, use.secret);
      if (since === undefined) return [];
      const change = valueChanges(history, use.secret).findLast((one) => concerns(one, use, false) && isOwed(since, one));
      const old = change === undefined ? [] : pods.filter(({ rv }) => rv < change.rv);
      if (change === undefined || old.length === 0) return [];
      const detail = `${old.map((pod) => pod.name).join()} older than the change of ${use.secret} (${change.keys.join()}) at ${change.rv} (${clock(change.at)})`;
      return [violationOf(history, name, detail)];
    });
  });
}

/**
 * No workload was rolled without a change of what it consumes that no roll before had answered: more often than such keys changed, for a repair, or
 * although it had opted out.
 */
export function noRestartRepeated(history: History): readonly Violation[] {
  return [...history.workloads].flatMap(([name, versions]) => livesOf(versions).flatMap((life) => repeatedIn(history, name, life)));
}

/** How often workloads were rolled. */
export function countRolls(history: History): number {
  return [...history.workloads.values()].flatMap((versions) => livesOf(versions).flatMap(rollsOf)).length;
}

/** How often a value changed that a workload consumes. */
export function countChanges(history: History): number {
  return [...history.secrets.keys()].reduce((sum, secret) => sum + valueChanges(history, secret).length, 0);
}

function repeatedIn(history: History, name: string, life: readonly Version<WorkloadState>[]): readonly Violation[] {
  const born = life[0]?.at ?? 0;
  const uses = life.flatMap(({ state }) => state.uses);
  const consumed = [...new Set(uses.map(({ secret }) => secret))];
  const changes = consumed
    .flatMap((secret) => valueChanges(history, secret).filter((one) => uses.some((use) => concerns(one, use, true))))
    .filter(({ at }) => at > born - birthSlack)
    .map(({ secret, rv, revision }) => ({ secret, at: rv, revision }));
  const rolls = rollsOf(life);
  const seen = rolls.map(({ rv, state }) => ({ at: rv, annotations: { [annotations.knownRevisions]: state.known ?? '' } }));
  const unasked = new Set(unaskedRolls(seen, changes).map(({ at }) => at));
  return rolls.flatMap((roll) => {
    const state = stateBefore(life, roll);
    const out = !unasked.has(roll.rv) && state.uses.every(({ secret }) => hasOptedOut(history, name, secret, roll));
    if (!unasked.has(roll.rv) && !out) return [];
    const when = `rolled at ${roll.rv} (${clock(roll.at)})`;
    if (out) return [violationOf(history, name, `${when}, and had opted out`)];
    const since = rolls.findLast(({ rv }) => rv < roll.rv)?.rv ?? 0n;
    const repairs = state.uses.filter(({ secret }) => wasRepaired(history, secret, since, roll.rv));
    const repaired = repairs.length > 0 ? `, but ${repairs.map(({ secret }) => secret).join()} had been repaired` : '';
    return [violationOf(history, name, `${when}, and nothing that it consumes had changed${repaired}`)];
  });
}

/** The versions of each object of a name, from its creation to its end. */
function livesOf(versions: readonly Version<WorkloadState>[]): readonly (readonly Version<WorkloadState>[])[] {
  return [...Map.groupBy(versions, ({ uid }) => uid).values()];
}

/** The versions whose template says of another restart than the one before. */
function rollsOf(life: readonly Version<WorkloadState>[]): readonly Version<WorkloadState>[] {
  return life.filter(({ gone, state: { restarted, known } }, index) => {
    const before = life[index - 1]?.state;
    return !gone && restarted !== undefined && (restarted !== before?.restarted || known !== before.known);
  });
}

function stateBefore(life: readonly Version<WorkloadState>[], roll: Version<WorkloadState>): WorkloadState {
  return (life.findLast(({ rv }) => rv < roll.rv) ?? roll).state;
}

/** @param possibly what may count as changed as well */
function concerns({ keys, unknown }: ValueChange, use: Use, possibly: boolean): boolean {
  if (possibly && unknown) return true;
  return use.keys === undefined ? keys.length > 0 : keys.some((key) => use.keys?.includes(key));
}

/** Whether a change must restart a workload: it was there, or had opted in for a while. */
function isOwed(since: Since, { at, rv }: ValueChange): boolean {
  return since.isBirth ? since.rv < rv : since.at + optInDelay < at;
}

interface Since {
  readonly at: number;
  readonly rv: bigint;
  /** It had opted in when it was made. */
  readonly isBirth: boolean;
}

/** Since when a workload and the resource of a Secret, as they are now, have opted in without a break; undefined when they have not. */
function optedInSince(history: History, name: string, secret: string): Since | undefined {
  const workload = presentOf(history.workloads, name);
  const resource = presentOf(history.resources, secret);
  if (workload === undefined || resource === undefined) return undefined;
  const decisions = decisionsOf(history, name, secret).filter(({ uid }) => uid === workload.uid);
  const lastOut = decisions.findLastIndex(({ restarts }) => !restarts);
  const since = decisions[lastOut + 1];
  return since === undefined ? undefined : { at: since.at, rv: since.rv, isBirth: lastOut < 0 };
}

interface Decision {
  readonly at: number;
  readonly rv: bigint;
  /** Of the workload. */
  readonly uid: string;
  readonly restarts: boolean;
}

/** What the annotations of the resource and of the workload say together, after each version of either. No namespace of a run says anything. */
function decisionsOf(history: History, name: string, secret: string): readonly Decision[] {
  const workloads = history.workloads.get(name) ?? [];
  const resources = history.resources.get(secret) ?? [];
  const moments = [
    ...workloads.map((workload) => ({ at: workload.at, rv: workload.rv, now: { workload } })),
    ...resources.map((resource) => ({ at: resource.at, rv: resource.rv, now: { resource } })),
  ].toSorted((a, b) => (a.rv < b.rv ? -1 : 1));
  let present: { readonly workload?: Version<WorkloadState>; readonly resource?: Version<ResourceState> } = {};
  return moments.flatMap(({ at, rv, now }) => {
    present = { ...present, ...now };
    const { workload, resource } = present;
    if (workload === undefined || workload.gone) return [];
    const said = (resource?.gone === false ? resource.state.optIn : undefined) ?? workload.state.optIn;
    return [{ at, rv, uid: workload.uid, restarts: said === 'true' && resource?.gone === false }];
  });
}

/** Whether a workload had opted out for long when it was rolled. */
function hasOptedOut(history: History, name: string, secret: string, roll: Version<WorkloadState>): boolean {
  const decisions = decisionsOf(history, name, secret).filter(({ rv }) => rv < roll.rv);
  const last = decisions.at(-1);
  if (last === undefined || last.restarts) return false;
  const since = decisions[decisions.findLastIndex(({ restarts }) => restarts) + 1];
  return since !== undefined && since.at + optInDelay < roll.at;
}

function wasRepaired(history: History, secret: string, from: bigint, to: bigint): boolean {
  const versions = history.secrets.get(secret) ?? [];
  return versions.some(({ rv }, index) => {
    const before = versions[index - 1];
    return rv > from && rv < to && before !== undefined && (before.gone || isTampered(before.state.data));
  });
}

function isTampered(data: Readonly<Record<string, string>>): boolean {
  return Object.keys(data).length === 0 || Object.values(data).some((value) => value.includes(editMark));
}

function violationOf(history: History, name: string, detail: string): Violation {
  return { object: `workload/${name}`, detail, history: () => restartHistory(history, name) };
}
