import { isDeepStrictEqual } from 'node:util';
import type { ManagedFields, WireMeta } from '../../src/kube/resource.ts';

/** An object as the API server gives it. */
export interface SimulatedObject {
  readonly metadata: WireMeta;
  readonly [field: string]: unknown;
}

export interface ObjectChange {
  /** For instance `/apis/apps/v1/deployments`. */
  readonly collection: string;
  readonly before: SimulatedObject | undefined;
  readonly after: SimulatedObject | undefined;
  /** The version that the change came to. */
  readonly version: number;
  readonly manager: string;
}

/** The objects of a cluster, with the part of an API server's behaviour that does not depend on who asks. */
export interface ObjectStore {
  /** Of the last change: a clock of its own, that never stands still between two changes. */
  readonly version: number;
  get(collection: string, namespace: string, name: string): SimulatedObject | undefined;
  list(collection: string): readonly SimulatedObject[];
  /** Changes that came after a version, oldest first. */
  since(collection: string, version: number): readonly ObjectChange[];
  create(collection: string, draft: object, manager: string): SimulatedObject;
  /** Puts an object in the place of one; nothing happens when nothing differs. */
  replace(collection: string, before: SimulatedObject, after: SimulatedObject, manager: string): SimulatedObject;
  remove(collection: string, object: SimulatedObject, manager: string): void;
  /** Calls `listener` after every change. */
  onChange(listener: (change: ObjectChange) => void): void;
}

/** @param now milliseconds since the epoch */
export function createObjectStore(now: () => number): ObjectStore {
  const objects = new Map<string, SimulatedObject>();
  const history: ObjectChange[] = [];
  const listeners: ((change: ObjectChange) => void)[] = [];
  let version = 1000;
  let uids = 0;

  const time = (): string => `${new Date(now()).toISOString().slice(0, 19)}Z`;

  function commit(
    collection: string,
    before: SimulatedObject | undefined,
    changed: SimulatedObject,
    manager: string,
    gone = false,
  ): SimulatedObject {
    version += 1;
    const managedFields = gone ? changed.metadata.managedFields : updateManagers(before, changed, manager, time());
    const after = {
      ...changed,
      metadata: { ...changed.metadata, resourceVersion: String(version), ...(managedFields && { managedFields }) },
    };
    if (gone) objects.delete(keyOf(collection, after.metadata));
    else objects.set(keyOf(collection, after.metadata), after);
    const change = { collection, before: gone ? after : before, after: gone ? undefined : after, version, manager };
    history.push(change);
    for (const listener of listeners) listener(change);
    return after;
  }

  return {
    get version() {
      return version;
    },
    get: (collection, namespace, name) => objects.get(keyOf(collection, { namespace, name })),
    list: (collection) => [...objects].flatMap(([key, object]) => (key.startsWith(`${collection} `) ? [object] : [])),
    since: (collection, from) => history.filter((change) => change.collection === collection && change.version > from),
    create(collection, draft, manager) {
      uids += 1;
      const given = draft as SimulatedObject;
      const metadata = { ...given.metadata, uid: `uid-${uids}`, generation: 1, creationTimestamp: time() };
      return commit(collection, undefined, { ...given, metadata }, manager);
    },
    replace(collection, before, after, manager) {
      const { resourceVersion, managedFields, generation = 0 } = before.metadata;
      const kept = { ...after.metadata, resourceVersion, ...(managedFields && { managedFields }), generation };
      const same = { ...after, metadata: kept };
      if (isDeepStrictEqual(same, before)) return before;
      const moved = isDeepStrictEqual(before['spec'], after['spec']) ? 0 : 1;
      return commit(collection, before, { ...after, metadata: { ...kept, generation: generation + moved } }, manager);
    },
    remove: (collection, object, manager) => void commit(collection, object, object, manager, true),
    onChange: (listener) => void listeners.push(listener),
  };
}

function keyOf(collection: string, { namespace = '', name }: Pick<WireMeta, 'namespace' | 'name'>): string {
  return `${collection} ${namespace}/${name}`;
}

/** RFC 7386. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Who wrote which field of a Secret: whoever writes a value takes it from the others, with the time; what is removed nobody has. */
function updateManagers(
  before: SimulatedObject | undefined,
  after: SimulatedObject,
  manager: string,
  time: string,
): readonly ManagedFields[] | undefined {
  if (after['data'] === undefined) return undefined;
  const [old, present] = [leaves(before), leaves(after)];
  const written = [...present].filter(([field, value]) => old.get(field) !== value).map(([field]) => field);
  const entries = new Map<string, { readonly time: string; readonly fields: ReadonlySet<string> }>();
  for (const { manager: name = '', time: at = '', fieldsV1 = {} } of before?.metadata.managedFields ?? []) {
    const fields = Object.entries(fieldsV1).flatMap(([part, some]) => Object.keys(some).map((field) => `${part}/${field}`));
    entries.set(name, { time: at, fields: new Set(fields.filter((field) => present.has(field) && !written.includes(field))) });
  }
  if (written.length > 0) entries.set(manager, { time, fields: new Set([...(entries.get(manager)?.fields ?? []), ...written]) });
  return [...entries].map(([name, { time: at, fields }]) => ({ manager: name, time: at, fieldsV1: nested(fields) }));
}

function leaves(object: SimulatedObject | undefined): ReadonlyMap<string, string> {
  const { annotations = {}, labels = {} } = object?.metadata ?? {};
  const parts = { data: (object?.['data'] ?? {}) as Readonly<Record<string, string>>, annotations, labels };
  return new Map(
    Object.entries(parts).flatMap(([part, record]) =>
      Object.entries(record).map(([field, value]) => [`f:${part}/f:${field}`, value] as const),
    ),
  );
}

function nested(fields: ReadonlySet<string>): Readonly<Record<string, object>> {
  const parts = Map.groupBy(fields, (field) => field.slice(0, field.indexOf('/')));
  return Object.fromEntries(
    [...parts].map(([part, some]) => [part, Object.fromEntries(some.map((field) => [field.slice(part.length + 1), {}]))]),
  );
}
