import { annotations } from '../api/names.ts';

type Metadata = Readonly<Record<string, string>>;

/** Labels by which GitOps tools track objects: copied, they make those tools prune the Secret. */
function isTracking(key: string): boolean {
  return (
    key === 'app.kubernetes.io/instance' || /^(argocd\.argoproj\.io|kustomize\.toolkit\.fluxcd\.io|helm\.toolkit\.fluxcd\.io)\//.test(key)
  );
}

function isPrivateAnnotation(key: string): boolean {
  return /^(kubectl\.kubernetes\.io|kubernetes\.io|meta\.helm\.sh|keyturn\.dev|operator\.1password\.io)\//.test(key);
}

export interface Copied {
  readonly labels: Metadata;
  readonly annotations: Metadata;
}

/** What of a resource's metadata goes onto its Secret; annotations only when asked for, but `auto-restart` and `sync` always. */
export function copiedMetadata(labels: Metadata, notes: Metadata, withAnnotations: boolean): Copied {
  const { [annotations.autoRestart]: autoRestart, [annotations.sync]: sync } = notes;
  return {
    labels: Object.fromEntries(Object.entries(labels).filter(([key]) => !isTracking(key))),
    annotations: {
      ...(withAnnotations && Object.fromEntries(Object.entries(notes).filter(([key]) => !isTracking(key) && !isPrivateAnnotation(key)))),
      ...(autoRestart !== undefined && { [annotations.autoRestart]: autoRestart }),
      ...(sync !== undefined && { [annotations.sync]: sync }),
    },
  };
}

/** The names of what was copied, as they are recorded on the Secret: a removal is so told from somebody else's label. */
interface CopiedNames {
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
}

function parseCopied(record: string | undefined): CopiedNames {
  try {
    const { labels, annotations: notes } = JSON.parse(record ?? '{}') as Record<keyof CopiedNames, unknown>;
    return { labels: namesIn(labels), annotations: namesIn(notes) };
  } catch {
    return { labels: [], annotations: [] };
  }
}

function namesIn(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : [];
}

/**
 * The labels and annotations a Secret should carry: those it has, without what was copied earlier and is gone from the resource,
 * with `copied` and `ours` on top.
 */
export function desiredMetadata(existing: Copied, copied: Copied, ours: Copied): Copied {
  const before = parseCopied(existing.annotations[annotations.copied]);
  const names = { labels: Object.keys(copied.labels).toSorted(), annotations: Object.keys(copied.annotations).toSorted() };
  const anything = names.labels.length > 0 || names.annotations.length > 0;
  return {
    labels: { ...without(existing.labels, before.labels), ...copied.labels, ...ours.labels },
    annotations: {
      ...without(existing.annotations, [...before.annotations, annotations.copied]),
      ...copied.annotations,
      ...(anything && { [annotations.copied]: JSON.stringify(names) }),
      ...ours.annotations,
    },
  };
}

function without(metadata: Metadata, names: readonly string[]): Metadata {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !names.includes(key)));
}

/** True when two sets of labels or annotations are the same. */
export function sameMetadata(a: Metadata, b: Metadata): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
