import type { Use } from './world.ts';

/** What happened, as it was recorded: by a watcher of the API server, by the client, and by who disturbed. Times are milliseconds since the epoch. */
export interface History {
  /** By name, in the order in which the API server wrote them. */
  readonly secrets: Versions<SecretState>;
  readonly resources: Versions<ResourceState>;
  readonly workloads: Versions<WorkloadState>;
  /** Those that are there at the end. */
  readonly pods: readonly PodState[];
  /** What each item has held, in order; it is known before Connect has it. */
  readonly items: ReadonlyMap<string, readonly ItemState[]>;
  /** What the client did to Secrets. */
  readonly interventions: readonly Intervention[];
  /** When Connect and the API server answered, and a replica led. In order, without overlap. */
  readonly served: readonly Interval[];
}

export type Versions<T> = ReadonlyMap<string, readonly Version<T>[]>;

/** One version of an object that says something else than the one before. Resource versions of all kinds come from one sequence. */
export interface Version<T> {
  /** When the watcher saw it. */
  readonly at: number;
  readonly rv: bigint;
  /** It was deleted; the rest is as it was last. */
  readonly gone: boolean;
  readonly uid: string;
  readonly state: T;
}

export interface SecretState {
  /** The uids of its owners. */
  readonly owners: readonly string[];
  readonly data: Readonly<Record<string, string>>;
  /** The version of the item that it says to hold. */
  readonly itemVersion: string | undefined;
  /** The latest that it names; 0 for none. */
  readonly revision: number;
}

export interface ResourceState {
  readonly optIn: string | undefined;
  /** The version of the item that its status says the Secret to hold. */
  readonly recorded: string | undefined;
}

export interface WorkloadState {
  readonly optIn: string | undefined;
  readonly uses: readonly Use[];
  /** What stands in the pod template: when it was restarted, and what its pods know then. */
  readonly restarted: string | undefined;
  readonly known: string | undefined;
}

export interface PodState {
  readonly name: string;
  readonly workload: string;
  /** Of its first version. */
  readonly rv: bigint;
  readonly at: number;
}

/** Where versions may have been missed. */
export interface Gap {
  readonly kind: string;
  readonly from: bigint;
  readonly to: bigint;
}

export interface ItemState {
  readonly at: number;
  readonly data: Readonly<Record<string, string>>;
}

/** Something that the client did to a Secret. */
export interface Intervention {
  readonly what: 'edit-secret' | 'empty-secret' | 'delete-secret' | 'create-secret';
  readonly secret: string;
  /** From its first attempt to the end of its last. */
  readonly from: number;
  readonly to: number;
  /** How many of its requests may have been carried out: one or more where it was done, none where there was nothing to do. */
  readonly attempts: number;
}

export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** Stands in what the client writes into Secrets, and in no item. */
export const editMark = 'EDITED-BY-HAND';

/** The last version of an object that is there. */
export function presentOf<T>(versions: Versions<T>, name: string): Version<T> | undefined {
  const last = versions.get(name)?.at(-1);
  return last === undefined || last.gone ? undefined : last;
}

export function sameData(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  return Object.keys(a).length === Object.keys(b).length && differingKeys(a, b).length === 0;
}

export function differingKeys(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): readonly string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]);
}
