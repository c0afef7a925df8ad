import { annotations, fieldManager } from '../api/names.ts';
import type { WaitReason } from '../api/outcomes.ts';
import { parseDuration } from '../runtime/duration.ts';
import type { ConsumedKeys } from '../domain/consumed-keys.ts';
import { objectKey } from '../domain/object.ts';
import { type KeysOfSecret, knownRevision, planAdoption, planRestart, type RestartPlan } from '../domain/restart-plan.ts';
import { consumedRevision, latestRevision, revisedAt, revisionOf, type Revisions } from '../domain/revisions.ts';
import { isConflict, isRefusal, isUncertain, type KubeClient, KubeError } from '../kube/client.ts';
import type { ManagedSecret, SecretBefore } from '../kube/objects.ts';
import { objectPath, type WireObject } from '../kube/resource.ts';
import type { Store } from '../kube/store.ts';
import { readTemplateBirth } from '../kube/template-birth.ts';
import { reduceWorkload, type Workload, workloadKey, workloadType } from '../kube/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import { done, type Outcome, requeue, retry } from '../runtime/controller.ts';
import type { Consumers } from './consumers.ts';
import { createEntries, restartRecord, statedRevisions } from './entries.ts';
import type { Owners } from './owners.ts';
import type { Change, RestartNews } from './restart-news.ts';
import { createRepeats } from './repeats.ts';
import type { Cause, Rollouts } from './rollouts.ts';
import { createTemplateAges } from './template-age.ts';

export interface WorkloadReconcilerOptions {
  readonly workloads: Store<Workload>;
  readonly secrets: Store<ManagedSecret>;
  readonly consumers: Consumers;
  readonly owners: Owners;
  readonly rollouts: Rollouts;
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly news: RestartNews;
  /** A rollout begins this long after the last change that calls for it, so that several make one; in milliseconds. */
  readonly debounce: number;
  /** Say what would be restarted, and write nothing to workloads. */
  readonly reportOnly: boolean;
  /** A workload began or ceased to wait for its restart. */
  readonly onWaiting: (workload: Workload) => void;
}

export interface WorkloadReconciler {
  /** Rolls a workload when what it consumes is newer than what its pods know. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Makes every consumer of a Secret say what its pods know, before the data change. @throws KubeError */
  readonly adoptConsumers: (before: SecretBefore, signal: AbortSignal) => Promise<void>;
  /** The latest revision that anybody is known to have of a Secret: what it changes to has to be later. */
  readonly latestKnown: (secretKey: string) => number;
  /** True when a change of a Secret, by its name, has called for a restart of a workload that has not begun. */
  readonly isWaiting: (key: string, secret: string) => boolean;
  /** The workloads that wait, each for what and since when, by the monotonic clock. */
  readonly waiting: () => Iterable<WaitingRestart>;
  /** Takes note of the rollouts in a namespace, or in all, that a process before this one began. */
  readonly takeOver: (namespace: string | undefined) => void;
}

/** A restart as it was sent. */
interface Attempt {
  readonly before: Workload;
  readonly known: Revisions;
  readonly change: Change;
  readonly causes: readonly Cause[];
}

export interface WaitingRestart {
  readonly namespace: string;
  readonly since: number;
  readonly reason: WaitReason;
}

/** What somebody asked for: how long that lasts says nothing of how long what comes after it lasts. */
const askedFor: ReadonlySet<WaitReason> = new Set(['paused', 'interval', 'held']);
/** How soon to look again for the history of a template that its controller has yet to write, in milliseconds. */
const historyDelay = 1_000;
/** Changes that come one after another delay a rollout by no more than so many debounces. */
const longestDebounce = 5;
/** Between attempts at a workload that admission lets nobody patch, in milliseconds. */
const refusedPause = 30_000;
/** The longest time until a workload is looked at again, in milliseconds: timers know no longer one than 24 days. */
const longestPause = 86_400_000;
/** An interval may be so long that its end is no time that could be written. */
const latestTime = Date.UTC(9999, 11, 31);
/** So many times a workload that somebody else writes to is read again, for it to be adopted. */
const adoptionAttempts = 5;
/** A rollout under way that is younger, in milliseconds, may be one of ours: as long as a Deployment gives its rollouts, and some. */
const recentRestart = 900_000;

export function createWorkloadReconciler(options: WorkloadReconcilerOptions): WorkloadReconciler {
  const { workloads, secrets, consumers, owners, rollouts, kube, clock, news, debounce, reportOnly, onWaiting } = options;
  const entries = createEntries(workloads, reportOnly);
  const ages = createTemplateAges({
    workloads,
    serverTime: () => kube.serverTime(),
    readBirth: (workload, signal) => readTemplateBirth(kube, workload, signal),
  });
  const repeats = createRepeats(clock);
  /** Since when a change waits for others to come, by the monotonic clock. */
  const debouncing = new Map<string, number>();
  const waits = new Map<string, WaitingRestart & { readonly secrets: ReadonlySet<string> }>();
  /** Restarts that were sent, and of which it is not known yet whether they were carried out. */
  const attempts = new Map<string, Attempt>();

  workloads.onChange((key, _, after) => {
    rollouts.observe(key, after);
    if (after !== undefined) return;
    debouncing.delete(key);
    waits.delete(key);
    attempts.delete(key);
    repeats.forget(key);
  });

  return {
    async reconcile(key, signal) {
      const workload = workloads.get(key);
      // A Rollout without the Deployment whose template it runs has none for the moment.
      if (workload === undefined || workload.deleting || !consumers.hasTemplate(workload)) {
        giveUp(key);
        return done;
      }
      for (const message of misread(workload)) news.invalid(workload, message);
      const attempt = attempts.get(key);
      if (attempt?.before.uid === workload.uid && states(workload, attempt.known)) begin(key, workload, attempt);
      const plan = await plannedAfterDebounce(key, workload, signal);
      switch (plan.action) {
        case 'wait':
          return plan.outcome;
        case 'none':
          settle(key, workload);
          return done;
        case 'blocked':
          rollouts.withdraw(key);
          wait(key, workload, plan.changed, 'key_missing');
          news.blocked(workload, plan.missing);
          return done;
        case 'adopt':
          settle(key, workload);
          await adopt(workload, plan.stated, signal);
          return done;
        case 'roll':
          return await restart(key, workload, plan, signal);
      }
    },

    async adoptConsumers(before, signal) {
      const adoptions = consumers.of(objectKey(before)).map((workload) => adoptBefore(before, workload, signal));
      await Promise.all(adoptions);
    },

    latestKnown(secretKey) {
      const name = secretKey.slice(secretKey.indexOf('/') + 1);
      return consumers.of(secretKey).reduce((latest, workload) => {
        const { adopted, rolled } = entries.of(workload);
        return Math.max(latest, revisionOf(adopted, name) ?? 0, revisionOf(rolled, name) ?? 0);
      }, 0);
    },

    isWaiting: (key, secret) => waits.get(key)?.secrets.has(secret) ?? false,
    waiting: () => waits.values(),

    takeOver(namespace) {
      for (const workload of workloads.values()) {
        if (namespace !== undefined && workload.namespace !== namespace) continue;
        const isRecent = workload.onDelete || kube.serverTime() - lastRestart(workload) <= recentRestart;
        if (!workload.rollout.complete && !isRecent) continue;
        const { rolled: known } = statedRevisions(workload);
        const restartedFor = consumers.secretsOf(workload).filter(({ name }) => (revisionOf(known, name) ?? 0) > 0);
        if (restartedFor.length === 0) continue;
        // Of a Secret that changed once more since, in whatever key, the version that it brings is not known.
        const present = restartedFor.filter(({ name }) => {
          const secret = secrets.get(objectKey({ namespace: workload.namespace, name }));
          return secret !== undefined && revisionOf(known, name) === latestRevision(consumers.revisionsOf(secret));
        });
        rollouts.found(
          workload,
          causesOf(
            workload,
            present.map(({ name }) => name),
          ),
        );
      }
    },
  };

  type Planned = Exclude<RestartPlan, { action: 'read-birth' }> | { readonly action: 'wait'; readonly outcome: Outcome };

  async function plannedAfterDebounce(key: string, workload: Workload, signal: AbortSignal): Promise<Planned> {
    const consumed = consumers.secretsOf(workload);
    const known = entries.of(workload);
    const plan = planRestart(consumed, known, { unchangedSince: ages.unchangedSince(workload) });
    if (plan.action !== 'roll' && plan.action !== 'read-birth') return plan;
    const latest = Math.max(0, ...consumed.map((secret) => (secret.restarts ? (secret.consumed?.revision ?? 0) : 0)));
    const after = debounceLeft(key, latest);
    if (after > 0) {
      if (plan.action === 'roll') wait(key, workload, plan.changed, 'debounce');
      return { action: 'wait', outcome: requeue(after) };
    }
    if (plan.action === 'roll') return plan;
    const birth = await ages.birth(workload, signal);
    if (birth === undefined) {
      rollouts.withdraw(key);
      // A template that was paused from the start comes to be when it is resumed.
      return { action: 'wait', outcome: workload.paused ? done : retry(historyDelay) };
    }
    return planRestart(consumed, known, { birth });
  }

  /** Milliseconds to wait for further changes after one of `revision`. */
  function debounceLeft(key: string, revision: number): number {
    const age = kube.serverTime() - revision;
    // A revision that lies further ahead was made by a clock that was wrong: it is not waited for.
    if (Math.abs(age) >= debounce) {
      debouncing.delete(key);
      return 0;
    }
    const now = clock.monotonic();
    const since = debouncing.get(key) ?? now;
    debouncing.set(key, since);
    return Math.min(debounce - age, debounce, since + longestDebounce * debounce - now);
  }

  /** There is nothing to restart any more. */
  function giveUp(key: string): void {
    rollouts.withdraw(key);
    debouncing.delete(key);
    waits.delete(key);
  }

  /** Its pods have, or get, what they consume. */
  function settle(key: string, workload: Workload): void {
    rollouts.withdraw(key);
    debouncing.delete(key);
    if (waits.delete(key)) onWaiting(workload);
  }

  /** @param from since when it has waited, unless that is known */
  function wait(
    key: string,
    workload: Workload,
    changed: readonly KeysOfSecret[],
    reason: WaitReason,
    from: number = clock.monotonic(),
  ): void {
    const before = waits.get(key);
    const names = new Set(changed.map(({ secret }) => secret));
    const goesOn = before !== undefined && (before.reason === reason || !askedFor.has(before.reason));
    waits.set(key, { namespace: workload.namespace, since: goesOn ? before.since : from, secrets: names, reason });
    if (before !== undefined && names.size === before.secrets.size && [...names].every((name) => before.secrets.has(name))) return;
    onWaiting(workload);
  }

  async function restart(
    key: string,
    workload: Workload,
    { known, changed }: Extract<RestartPlan, { action: 'roll' }>,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const change = { changed, revision: changed.map(({ secret }) => `${secret} ${known[secret]}`).join(', ') };
    if (workload.annotations[annotations.restart] === 'skip') {
      settle(key, workload);
      await adopt(workload, known, signal);
      news.skipped(workload, change);
      return done;
    }
    if (reportOnly) {
      settle(key, workload);
      entries.remember(workload, known);
      news.wouldRestart(workload, change);
      return done;
    }
    const causes = causesOf(
      workload,
      changed.map(({ secret }) => secret),
    );
    const hindrance = hindranceOf(key, workload, change, causes);
    // A workload that is put back after each roll has waited since the first of them.
    wait(
      key,
      workload,
      changed,
      hindrance?.reason ?? 'budget',
      hindrance?.reason === 'reverted' ? repeats.since(key, change.revision) : undefined,
    );
    if (hindrance !== undefined) {
      rollouts.withdraw(key);
      return hindrance.outcome;
    }
    if (!rollouts.request(workload)) {
      news.queued(workload, change, 'until other rollouts have ended');
      return done;
    }
    const attempt = { before: workload, known, change, causes };
    attempts.set(key, attempt);
    let rolled: Workload;
    try {
      rolled = await roll(workload, known, signal);
    } catch (error) {
      const outcome = refuse(key, workload, change, error);
      wait(key, workload, changed, 'refused');
      return outcome;
    }
    if (!states(rolled, known)) return strip(key, rolled, attempt);
    begin(key, rolled, attempt);
    settle(key, workload);
    return done;
  }

  /** Takes note of a restart that was carried out, be it that its answer came, or that the workload shows it. */
  function begin(key: string, rolled: Workload, { before, change, causes }: Attempt): void {
    attempts.delete(key);
    rollouts.begun(rolled, before, causes);
    // A watch may have been faster than the answer.
    rollouts.observe(key, workloads.get(key));
    repeats.add(key, change.revision);
    news.restarted(rolled, { ...change, revision: `${change.revision} ${lastRestart(rolled)}` });
  }

  /** The API server took our patch and left our entry out: somebody's admission does that. If anything of it is left, the pods are replaced all the same. */
  function strip(key: string, rolled: Workload, attempt: Attempt): Outcome {
    const { before, change } = attempt;
    if (rolled.generation === before.generation) {
      attempts.delete(key);
      rollouts.withdraw(key);
      repeats.add(key, change.revision);
    } else begin(key, rolled, attempt);
    wait(key, before, change.changed, 'reverted');
    news.reverted(before, change);
    return requeue(Math.max(refusedPause, repeats.pause(key, change.revision)));
  }

  /** @throws unknown what is not a refusal */
  function refuse(key: string, workload: Workload, change: Change, error: unknown): Outcome {
    // Lost against a faster write, it is planned anew and keeps its turn; it may have been a patch of ours, whose answer was lost.
    if (isConflict(error)) throw error;
    if (!mayHaveLanded(error)) attempts.delete(key);
    rollouts.withdraw(key);
    if (!isRefusal(error)) throw error;
    if (error.status !== 404) news.refused(workload, change, error.message);
    return requeue(refusedPause);
  }

  interface Hindrance {
    readonly reason: WaitReason;
    readonly outcome: Outcome;
  }

  /** What keeps a workload from being rolled now, though it has to be. */
  function hindranceOf(key: string, workload: Workload, change: Change, causes: readonly Cause[]): Hindrance | undefined {
    if (workload.paused) {
      news.queued(workload, change, 'until it is resumed');
      return { reason: 'paused', outcome: done };
    }
    const left = intervalLeft(workload);
    if (left > 0) {
      const due = timestamp(Math.min(kube.serverTime() + left, latestTime));
      news.queued(workload, change, `until ${due}, for ${annotations.minRestartInterval}`);
      return { reason: 'interval', outcome: requeue(Math.min(left, longestPause)) };
    }
    const pause = repeats.pause(key, change.revision);
    if (pause > 0) {
      news.reverted(workload, change);
      return { reason: 'reverted', outcome: requeue(pause) };
    }
    const held = causes.find((cause) => rollouts.isHeld(cause) && !isResumed(workload, cause));
    if (held === undefined) return undefined;
    news.held(workload, change, held);
    return { reason: 'held', outcome: done };
  }

  /** Milliseconds until a workload may be restarted again. A last restart that lies ahead was copied, or planned by somebody. */
  function intervalLeft(workload: Workload): number {
    const interval = parseDuration(workload.annotations[annotations.minRestartInterval] ?? '') ?? 0;
    const last = lastRestart(workload);
    return last === 0 ? 0 : Math.min(last + interval - kube.serverTime(), interval);
  }

  /** Who asks for the Secret lets the rollouts go on. */
  function isResumed({ namespace }: Workload, { secret, version }: Cause): boolean {
    const asking = owners.of(objectKey({ namespace, name: secret }));
    return asking.some(({ annotations: notes }) => ['true', version].includes(notes[annotations.resume] ?? ''));
  }

  /** The versions of items that the Secrets hold now. */
  function causesOf({ namespace }: Workload, names: readonly string[]): readonly Cause[] {
    return names.flatMap((name) => {
      const { [annotations.itemPath]: item, [annotations.itemVersion]: version } =
        secrets.get(objectKey({ namespace, name }))?.annotations ?? {};
      return item === undefined || version === undefined ? [] : [{ secret: name, item, version }];
    });
  }

  /** Annotations that mean something, but not what they say. */
  function misread(workload: Workload): readonly string[] {
    const { [annotations.restart]: mode, [annotations.minRestartInterval]: interval } = workload.annotations;
    return [
      ...(mode === undefined || mode === 'skip' ? [] : [`the annotation ${annotations.restart} must be skip; it is not heeded`]),
      ...(interval === undefined || parseDuration(interval) !== undefined
        ? []
        : [`the annotation ${annotations.minRestartInterval} must be a duration such as 1h30m; it is not heeded`]),
      ...consumers.misread(workload),
    ];
  }

  /** What a consumer says of a Secret whose values are about to change, unless it has said so before. */
  async function adoptBefore(before: SecretBefore, seen: Workload, signal: AbortSignal): Promise<void> {
    let workload: Workload | undefined = seen;
    for (let attempt = 1; ; attempt += 1) {
      if (workload === undefined || workload.deleting || !consumers.optIn(before, workload).restarts) return;
      const keys = consumers.keysOf(workload).get(before.name);
      if (keys === undefined) return;
      const stated = reportOnly ? entries.of(workload) : statedRevisions(workload);
      if (knownRevision(before.name, stated) !== undefined) return;
      const plan = await planBefore(before, workload, keys, signal);
      if (plan.action !== 'adopt') return;
      try {
        await adopt(workload, plan.stated, signal);
        return;
      } catch (error) {
        if (!isConflict(error) || attempt === adoptionAttempts) throw error;
      }
      workload = await read(workload, signal);
    }
  }

  async function planBefore(before: SecretBefore, workload: Workload, keys: ConsumedKeys, signal: AbortSignal): Promise<RestartPlan> {
    const known = entries.of(workload);
    // Somebody took away what it stated.
    if (revisionOf(known.adopted, before.name) !== undefined) return { action: 'adopt', stated: known.adopted };
    const { revision } = consumedRevision(consumers.revisionsOf(before), keys);
    const revised = { revision, revisedAt: revisedAt(before, revision) };
    const plan = planAdoption(before.name, revised, known, undefined);
    // Without a history yet, its pods start about now.
    return plan.action === 'read-birth'
      ? planAdoption(before.name, revised, known, (await ages.birth(workload, signal)) ?? revision)
      : plan;
  }

  /** Undefined when it is gone. */
  async function read(workload: Workload, signal: AbortSignal): Promise<Workload | undefined> {
    const type = workloadType(workload.kind);
    try {
      workloads.put(
        reduceWorkload(workload.kind)(await kube.request<WireObject>({ method: 'GET', path: objectPath(type, workload), signal })),
      );
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 404) throw error;
      return undefined;
    }
    return workloads.get(workloadKey(workload));
  }

  /** Nothing rolls. One workload that nobody may patch must not keep a new value from all the others: it is remembered then. */
  async function adopt(workload: Workload, stated: Revisions, signal: AbortSignal): Promise<void> {
    try {
      if (!reportOnly) await patch(workload, { metadata: { annotations: { [annotations.knownRevisions]: record(stated) } } }, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (error.status !== 404) news.adoptionRefused(workload, error.message);
    }
    entries.remember(workload, stated);
  }

  function roll(workload: Workload, known: Revisions, signal: AbortSignal): Promise<Workload> {
    const now = kube.serverTime();
    if (workload.kind === 'Rollout') {
      // Pods of the present second may be older than the restart.
      const restartAt = timestamp(now + 999);
      const notes = { [annotations.restartedRevisions]: restartRecord(known, restartAt) };
      return patch(workload, { metadata: { annotations: notes }, spec: { restartAt } }, signal);
    }
    const notes = { [annotations.lastRestarted]: timestamp(now), [annotations.knownRevisions]: record(known) };
    return patch(workload, { metadata: {}, spec: { template: { metadata: { annotations: notes } } } }, signal);
  }

  /** Guarded: a workload that changed since it was read is planned anew. @throws KubeError */
  async function patch(workload: Workload, body: { metadata: object; spec?: object }, signal: AbortSignal): Promise<Workload> {
    const written = await kube.request<WireObject>({
      method: 'PATCH',
      path: objectPath(workloadType(workload.kind), workload),
      query: { fieldManager },
      body: { ...body, metadata: { ...body.metadata, resourceVersion: workload.resourceVersion } },
      signal,
    });
    const reduced = reduceWorkload(workload.kind)(written);
    workloads.put(reduced);
    return reduced;
  }
}

/** True for a failure after which a patch may have been carried out: the API server answers 500 too when etcd did not answer it in time. */
function mayHaveLanded(error: unknown): boolean {
  return isUncertain(error) || (error instanceof KubeError && error.status === 500);
}

/** True when a workload was restarted for these revisions. */
function states(workload: Workload, known: Revisions): boolean {
  const { rolled } = statedRevisions(workload);
  return Object.entries(known).every(([name, revision]) => revisionOf(rolled, name) === revision);
}

/** When the operator last restarted a workload, in milliseconds; 0 for never. */
function lastRestart({ templateAnnotations, restartAt }: Workload): number {
  return restartAt ?? (Date.parse(templateAnnotations[annotations.lastRestarted] ?? '') || 0);
}

/** RFC 3339, whole seconds. */
function timestamp(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** The annotation's value; null takes the annotation away. */
function record(known: Revisions): string | null {
  return Object.keys(known).length === 0 ? null : JSON.stringify(known);
}
