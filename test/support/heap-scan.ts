import { type HeapProfiler, type Runtime, Session } from 'node:inspector';
import { setImmediate } from 'node:timers/promises';
import { types } from 'node:util';
import { eventually } from './eventually.ts';
import { type HeapGraph, readHeapSnapshot } from './heap-snapshot.ts';

/**
 * Sequences of bytes to look for, each byte complemented (`255 - byte`): a scan shares its heap with what it searches, and must not find
 * the question.
 */
export type Needles = readonly (readonly number[])[];

/** Questions to one scan, by names of the caller's. A name must not be what it looks for. */
export type Questions<Name extends string = string> = Readonly<Record<Name, Needles>>;

/** What was found, by the kind of its holder; never the value. */
export interface HeapFindings {
  /** In strings: the path of references from the roots that keeps one alive → how many there are. */
  readonly strings: Readonly<Record<string, number>>;
  /** In the bytes of buffers: kind and size → how many occurrences. */
  readonly buffers: Readonly<Record<string, number>>;
}

/** Turns what is to be found into what may be sent to the process that is searched. */
export function complement(forms: readonly Uint8Array[]): Needles {
  return forms.map((form) => Array.from(form, (byte) => 255 - byte));
}

/**
 * Collects garbage and searches what is left in this process: all strings, and the bytes of all buffers, including the memories of
 * WebAssembly and the pools of Node. Needs `--expose-gc`, and `--heap-snapshot-string-limit` for strings of more than 1,024 characters.
 */
export async function scanHeap(questions: Questions): Promise<Readonly<Record<string, HeapFindings>>> {
  const search = createSearch(questions);
  // Holds the slab that was in use, so that it is searched too.
  const pooled = Buffer.allocUnsafe(1);
  renewPool();
  await collectGarbage();
  const session = new Session();
  session.connect();
  try {
    // Before the snapshot, whose text is a copy of every string there is.
    const buffers = await liveBuffers(session);
    if (!buffers.has(pooled.buffer)) throw new Error('not every buffer was found');
    const inBuffers = buffers.entries().map(([buffer, kind]) => {
      const bytes = new Uint8Array(buffer);
      return { holder: () => `${kind} of ${bytes.length} bytes`, counts: search(bytes.length, (i) => bytes[i]) };
    });
    const found = inBuffers.toArray();
    const graph = await takeSnapshot(session);
    const occurrences = (text: string): Counts => search(text.length, (i) => text.charCodeAt(i));
    const withoutValue = (path: string): string => (occurrences(path) === none ? path : 'an object with a property of that name');
    const inStrings = graph.texts().map(([text, node]) => ({ holder: () => withoutValue(graph.path(node)), counts: occurrences(text) }));
    return Object.fromEntries(
      Object.keys(questions).map((name) => [name, { strings: tally(name, inStrings), buffers: tally(name, found) }]),
    );
  } finally {
    session.disconnect();
  }
}

/** Uses up Node's pool a few times, as an ordinary day does: each new slab is memory as somebody freed it. */
function renewPool(): void {
  for (let used = 0; used < 8 * Buffer.poolSize; used += 1_024) Buffer.allocUnsafe(1_024);
}

/** Collects until what became garbage just now is gone, several times: finalizers and weak references free more in the next round. */
async function collectGarbage(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error('run node with --expose-gc');
  for (let round = 0; round < 4; round += 1) {
    const garbage = new WeakRef({});
    await setImmediate();
    await eventually('garbage to be collected', () => {
      globalThis.gc?.();
      return garbage.deref() === undefined ? true : undefined;
    });
  }
}

/** How often each question is answered by one string or buffer. */
type Counts = ReadonlyMap<string, number>;

const none: Counts = new Map();

/** Searches the `length` values that `at` gives. Compares value by value, so that no needle is ever put together. */
function createSearch(questions: Questions): (length: number, at: (index: number) => number | undefined) => Counts {
  const needles = Object.entries(questions).flatMap(([name, all]) => all.map((needle) => ({ name, needle })));
  const byFirst = Map.groupBy(needles, ({ needle: [first = 0] }) => 255 - first);
  const starts = Array.from({ length: 256 }, (_, byte) => byFirst.get(byte));
  return (length, at) => {
    let counts: Map<string, number> | undefined;
    for (let i = 0; i < length; i += 1) {
      for (const { name, needle } of starts[at(i) ?? -1] ?? []) {
        if (i + needle.length > length || !needle.every((byte, j) => at(i + j) === 255 - byte)) continue;
        counts ??= new Map();
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
    return counts ?? none;
  };
}

/** The answers to one question, by holder. */
function tally(name: string, all: readonly { readonly holder: () => string; readonly counts: Counts }[]): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const { holder, counts } of all) {
    const count = counts.get(name) ?? 0;
    if (count > 0) sums.set(holder(), (sums.get(holder()) ?? 0) + count);
  }
  return Object.fromEntries(sums);
}

/** Every buffer with its kind. Small typed arrays have none until they are asked for it, so these are looked for too. */
async function liveBuffers(session: Session): Promise<ReadonlyMap<ArrayBufferLike, string>> {
  const kinds = new Map<ArrayBufferLike, string>();
  for (const object of await liveObjects(session)) {
    if (types.isArrayBufferView(object)) kinds.set(object.buffer, object.constructor.name);
    else if (isMemory(object)) kinds.set(object.buffer, 'WebAssembly.Memory');
    else if (types.isAnyArrayBuffer(object) && !kinds.has(object))
      kinds.set(object, types.isSharedArrayBuffer(object) ? 'SharedArrayBuffer' : 'ArrayBuffer');
  }
  return kinds;
}

const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Memory: new () => { readonly buffer: ArrayBufferLike } };
};

function isMemory(object: unknown): object is { readonly buffer: ArrayBufferLike } {
  return !types.isProxy(object) && object instanceof WebAssembly.Memory;
}

/** All objects of the heap but those without a prototype. */
async function liveObjects(session: Session): Promise<readonly unknown[]> {
  const { result } = await post<Runtime.EvaluateReturnType>(session, 'Runtime.evaluate', { expression: 'Object.prototype' });
  const { objects } = await post<Runtime.QueryObjectsReturnType>(session, 'Runtime.queryObjects', { prototypeObjectId: result.objectId });
  const handover = globalThis as { liveObjects?: readonly unknown[] | undefined };
  const functionDeclaration = 'function () { globalThis.liveObjects = this; }';
  await post(session, 'Runtime.callFunctionOn', { objectId: objects.objectId, functionDeclaration });
  const found = handover.liveObjects ?? [];
  handover.liveObjects = undefined;
  await post(session, 'Runtime.releaseObject', { objectId: objects.objectId });
  return found;
}

async function takeSnapshot(session: Session): Promise<HeapGraph> {
  const chunks: string[] = [];
  const keep = ({ params }: { params: HeapProfiler.AddHeapSnapshotChunkEventDataType }): void => void chunks.push(params.chunk);
  session.on('HeapProfiler.addHeapSnapshotChunk', keep);
  await post(session, 'HeapProfiler.takeHeapSnapshot', { exposeInternals: true });
  session.off('HeapProfiler.addHeapSnapshotChunk', keep);
  return readHeapSnapshot(chunks.join(''));
}

function post<T>(session: Session, method: string, parameters: object): Promise<T> {
  return new Promise((resolve, reject) => {
    session.post(method, parameters, (error, result) => (error === null ? resolve(result as T) : reject(new Error(`${method} failed`))));
  });
}
