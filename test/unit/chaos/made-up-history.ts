import type { History, Intervention, PodState, ResourceState, SecretState, Version, WorkloadState } from '../../chaos/history.ts';
import type { Use } from '../../chaos/world.ts';

/** A history that is told step by step. Each step is one write, a second after the one before. */
export interface Story {
  /** The item `db` holds this from now on. */
  item(data: Readonly<Record<string, string>>): Story;
  /** A version of the resource `db`, which owns the Secret unless it says otherwise, and whose status has the present version of the item. */
  resource(optIn?: string, uid?: string): Story;
  /** A new resource `db`, whose status says nothing yet. */
  newResource(uid: string): Story;
  noResource(): Story;
  /** A version of the Secret `db`. */
  secret(
    data: Readonly<Record<string, string>>,
    more?: { readonly uid?: string; readonly owner?: string; readonly revision?: number; readonly itemVersion?: string },
  ): Story;
  /** A Secret `db` that somebody else makes, for it to be adopted. */
  foreignSecret(data: Readonly<Record<string, string>>, uid: string): Story;
  noSecret(): Story;
  /** A version of the workload `app`, which has opted in and consumes all of `db` unless it says otherwise. */
  workload(more?: { readonly uid?: string; readonly optIn?: string; readonly uses?: readonly Use[] }): Story;
  /** It is rolled, for the revision that the Secret has. */
  roll(): Story;
  pod(name?: string): Story;
  noPod(name?: string): Story;
  client(what: Intervention['what'], attempts?: number): Story;
  /** All answers for so many milliseconds. */
  calm(ms: number): Story;
  /** Time passes, and not all answers. */
  outage(ms: number): Story;
  readonly now: number;
  history(): History;
}

const wholeSecret: readonly Use[] = [{ secret: 'db', by: 'env' }];

export function story(): Story {
  let now = 1_000_000;
  let rv = 100n;
  const items: { at: number; data: Readonly<Record<string, string>> }[] = [];
  const secrets: Version<SecretState>[] = [];
  const resources: Version<ResourceState>[] = [];
  const workloads: Version<WorkloadState>[] = [];
  const pods = new Map<string, PodState>();
  const interventions: Intervention[] = [];
  const served: { from: number; to: number }[] = [];
  let rolls = 0;

  function next(): { at: number; rv: bigint } {
    now += 1_000;
    rv += 1n;
    return { at: now, rv };
  }

  const told: Story = {
    item(data) {
      items.push({ at: now, data });
      return told;
    },
    resource(optIn, uid = 'owner') {
      resources.push({ ...next(), gone: false, uid, state: { optIn, recorded: String(items.length) } });
      return told;
    },
    newResource(uid) {
      resources.push({ ...next(), gone: false, uid, state: { optIn: undefined, recorded: undefined } });
      return told;
    },
    noResource() {
      resources.push({ ...next(), gone: true, uid: resources.at(-1)?.uid ?? '', state: { optIn: undefined, recorded: undefined } });
      return told;
    },
    secret(data, { uid = 'secret', owner = 'owner', revision = 0, itemVersion = String(items.length) } = {}) {
      secrets.push({ ...next(), gone: false, uid, state: { data, owners: [owner], revision, itemVersion } });
      return told;
    },
    foreignSecret(data, uid) {
      secrets.push({ ...next(), gone: false, uid, state: { data, owners: [], revision: 0, itemVersion: undefined } });
      return told;
    },
    noSecret() {
      const last = secrets.at(-1);
      if (last !== undefined) secrets.push({ ...last, ...next(), gone: true });
      return told;
    },
    workload({ uid = 'workload', optIn = 'true', uses = wholeSecret } = {}) {
      const { restarted, known } = workloads.at(-1)?.state ?? { restarted: undefined, known: undefined };
      workloads.push({ ...next(), gone: false, uid, state: { optIn, uses, restarted, known } });
      return told;
    },
    roll() {
      const last = workloads.at(-1);
      rolls += 1;
      const known = JSON.stringify({ db: secrets.at(-1)?.state.revision ?? 0 });
      if (last !== undefined) workloads.push({ ...last, ...next(), state: { ...last.state, restarted: `time ${rolls}`, known } });
      return told;
    },
    pod(name = 'pod') {
      pods.set(name, { name, workload: 'app', ...next() });
      return told;
    },
    noPod(name = 'pod') {
      pods.delete(name);
      return told;
    },
    client(what, attempts = 1) {
      interventions.push({ what, secret: 'db', from: now, to: now + 500, attempts });
      return told;
    },
    calm(ms) {
      served.push({ from: now, to: now + ms });
      now += ms;
      return told;
    },
    outage(ms) {
      now += ms;
      return told;
    },
    get now() {
      return now;
    },
    history: () => ({
      secrets: new Map(secrets.length === 0 ? [] : [['db', secrets]]),
      resources: new Map(resources.length === 0 ? [] : [['db', resources]]),
      workloads: new Map(workloads.length === 0 ? [] : [['app', workloads]]),
      pods: [...pods.values()],
      items: new Map([['db', items]]),
      interventions,
      served,
    }),
  };
  return told;
}
