import { annotations, managedLabel } from '../../src/api/names.ts';
import { objectKey } from '../../src/domain/object.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { type ManagedSecret, reduceSecret } from '../../src/kube/objects.ts';
import { runReflector } from '../../src/kube/reflector.ts';
import { collectionPath, secrets } from '../../src/kube/resource.ts';
import { createStore } from '../../src/kube/store.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { waitFor } from '../../dev/control-plane/wait.ts';
import type { ConnectProcess } from '../support/connect-process.ts';

/** The item of a resource: both have the same number. */
export interface SoakItem {
  readonly id: string;
  /** Of the resource and its Secret. */
  readonly name: string;
}

export interface RotationsOptions {
  readonly kube: KubeClient;
  readonly connect: ConnectProcess;
  readonly namespace: string;
  readonly vault: string;
  readonly items: readonly SoakItem[];
  /** How many there are to be. */
  readonly total: number;
}

/** Items that change, and their Secrets that follow. */
export interface Rotations {
  /** So many Secrets have followed. */
  readonly done: number;
  /** The resources whose Secret has not come to the version of its item. */
  readonly outstanding: readonly string[];
  /** Changes nothing more until `resume`; resolves when every Secret has followed. @throws Error when they do not within `deadlineMs` */
  pause(deadlineMs: number): Promise<void>;
  resume(): void;
  end(): Promise<void>;
}

/**
 * Changes every item, and each again as soon as its Secret has followed: then no two changes are merged into one write. One rotation is one item whose
 * version moved and whose Secret came to exactly that version, with another `resourceVersion`, as a watch of the Secrets tells.
 */
export function startRotations({ kube, connect, namespace, vault, items, total }: RotationsOptions): Rotations {
  const idOf = new Map(items.map(({ id, name }) => [name, id]));
  const wanted = new Map<string, number>();
  const store = createStore<ManagedSecret>();
  const stop = new AbortController();
  const edits = new Set<Promise<void>>();
  /** While there is a pause: what is to be changed after it. */
  let held: string[] | undefined;
  let begun = 0;
  let done = 0;

  async function change(name: string): Promise<void> {
    if (held !== undefined) held.push(name);
    if (held !== undefined || begun >= total || stop.signal.aborted) return;
    begun += 1;
    const { version } = await connect.edit('setField', vault, idOf.get(name) ?? '', 'password', `rotation-${begun}`);
    wanted.set(name, version);
    // The Secret may have followed before the answer was read.
    take(store.get(objectKey({ namespace, name })));
  }

  function changeSoon(name: string): void {
    const edit = change(name).finally(() => edits.delete(edit));
    edits.add(edit);
  }

  /** Counts a Secret that has come to the version of its item. */
  function take(secret: ManagedSecret | undefined): void {
    if (secret === undefined || secret.annotations[annotations.itemVersion] !== String(wanted.get(secret.name))) return;
    wanted.delete(secret.name);
    done += 1;
    changeSoon(secret.name);
  }

  store.onChange((_, before, after) => {
    if (before !== undefined && before.resourceVersion !== after?.resourceVersion) take(after);
  });
  const reflecting = runReflector(
    {
      client: kube,
      clock: systemClock,
      random: Math.random,
      path: collectionPath(secrets, namespace),
      labelSelector: `${managedLabel}=true`,
      metadataOnly: true,
      reduce: reduceSecret,
      store,
      covers: () => true,
      onSynced: () => items.forEach(({ name }) => changeSoon(name)),
      onFailure: () => {},
    },
    stop.signal,
  );

  return {
    get done() {
      return done;
    },
    get outstanding() {
      return [...wanted.keys()];
    },
    async pause(deadlineMs) {
      held = [];
      await waitFor('all Secrets to follow', () => Promise.resolve(done === begun ? true : undefined), { deadlineMs, intervalMs: 20 });
    },
    resume() {
      const names = held ?? [];
      held = undefined;
      names.forEach(changeSoon);
    },
    async end() {
      stop.abort();
      await Promise.all([reflecting, ...edits]);
    },
  };
}
