/** The names by which users, the API server and the operator before us know things. They are a contract: none may change. */

export const group = 'onepassword.com';
export const version = 'v1';
export const kind = 'OnePasswordItem';
export const plural = 'onepassworditems';

/** The kinds of workloads that are restarted. `Rollout` is that of Argo, where its CRD is installed. */
export const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'] as const;
export type WorkloadKind = (typeof workloadKinds)[number];

/** The Lease by which one process of several is elected; the old operator's, so that the two exclude each other. */
export const leaseName = 'c26807fd.onepassword.com';

/** Field manager and event source of everything we write. */
export const fieldManager = 'keyturn';

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
  /** On a Secret that nobody owns: Keyturn may take it over. */
  adopt: 'keyturn.dev/adopt',
  /** On a Secret: JSON, key → revision of its last change. */
  revisions: 'keyturn.dev/revisions',
  /** On a Secret: JSON, the names of the labels and annotations copied from the resource. */
  copied: 'keyturn.dev/copied',
  /** On an annotated Deployment: JSON, what its Secret holds; a resource has that in its status. */
  secret: 'keyturn.dev/secret',
  /** On a workload or its pod template: JSON, Secret name → revision its pods are known to have. */
  knownRevisions: 'keyturn.dev/known-revisions',
  /** On a workload: `skip` lets its pods be as they are when a value changes. */
  restart: 'keyturn.dev/restart',
  /** On a workload: a Go duration that has to pass between two restarts. */
  minRestartInterval: 'keyturn.dev/min-restart-interval',
  /** On a resource, or an annotated Deployment: the version of the item whose held rollouts go on, or `true` for all. */
  resume: 'keyturn.dev/resume',
} as const;

/** The label by which we watch Secrets, so that other people's are never read. */
export const managedLabel = 'keyturn.dev/managed';
