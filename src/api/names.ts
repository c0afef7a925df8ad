/** The names by which users, the API server and the operator before us know things. They are a contract: none may change. */

export const group = 'onepassword.com';
export const version = 'v1';
export const kind = 'OnePasswordItem';
export const plural = 'onepassworditems';

/** The kinds of workloads that are restarted. `Rollout` is that of Argo, where its CRD is installed. */
export const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'] as const;
export type WorkloadKind = (typeof workloadKinds)[number];

/** Field manager and event source of everything we write. */
export const fieldManager = 'keyturn';

/** The Lease by which replicas elect their leader; the old operator's as well, so that the two never act together. */
export const leaseName = 'c26807fd.onepassword.com';

/** Left on resources and Deployments by the old operator; removed when met. */
export const legacyFinalizer = 'onepassword.com/finalizer.secret';

/** A tag of an item: its Secret keeps the values it has. */
export const freezingTag = 'operator.1password.io:ignore-secret';

/** Annotations shared with the old operator. */
export const annotations = {
  itemPath: 'operator.1password.io/item-path',
  itemName: 'operator.1password.io/item-name',
  itemVersion: 'operator.1password.io/item-version',
  autoRestart: 'operator.1password.io/auto-restart',
  lastRestarted: 'operator.1password.io/last-restarted',
  /** On a resource, or an annotated Deployment: any new value has the item fetched now. Copied to the Secret, which so records what was done. */
  sync: 'keyturn.dev/sync',
  /** On a Secret that nobody owns: Keyturn may take it over. */
  adopt: 'keyturn.dev/adopt',
  /** On a Secret: JSON, key → revision of its last change. */
  revisions: 'keyturn.dev/revisions',
  /** On a Secret: JSON, revision → when its write was carried out, in milliseconds. */
  revisedAt: 'keyturn.dev/revised-at',
  /** On a Secret: JSON, the names of the labels and annotations copied from the resource. */
  copied: 'keyturn.dev/copied',
  /** On an annotated Deployment: JSON, what its Secret holds; a resource has that in its status. */
  secret: 'keyturn.dev/secret',
  /** On a workload or its pod template: JSON, Secret name → revision its pods are known to have. */
  knownRevisions: 'keyturn.dev/known-revisions',
  /** On an Argo Rollout: the same for its last restart by us, with the time of that, in milliseconds, as `*`. */
  restartedRevisions: 'keyturn.dev/restarted-revisions',
  /** On a workload: `skip` lets its pods be as they are when a value changes. */
  restart: 'keyturn.dev/restart',
  /** On a workload: a Go duration that has to pass between two restarts. */
  minRestartInterval: 'keyturn.dev/min-restart-interval',
  /** On a resource, or an annotated Deployment: the version of the item whose held rollouts go on, or `true` for all. */
  resume: 'keyturn.dev/resume',
} as const;

/** The label by which we watch Secrets, so that other people's are never read. */
export const managedLabel = 'keyturn.dev/managed';
