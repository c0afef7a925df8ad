import { group, leaseName, plural } from '../api/names.ts';

/** Something that the operator does with a kind of object. */
export interface Permission {
  /** Empty for the core group. */
  readonly group: string;
  /** With a subresource as `onepassworditems/status`. */
  readonly resource: string;
  readonly verbs: readonly string[];
  /** Of the only object that is meant. What is created is not bound to it: the API server looks at rights before it knows the name. */
  readonly name?: string;
  /** What does not work without it, when all else does. */
  readonly lost?: string;
}

const noRestart = 'none of them is restarted';
const oneMoreRestart = 'a workload that was changed shortly before a rotation may be restarted once more';

/** What is needed in a namespace that is watched, or of all namespaces when none are named. */
const everywhere: readonly Permission[] = [
  { group, resource: plural, verbs: ['get', 'list', 'watch'] },
  {
    group,
    resource: plural,
    verbs: ['patch'],
    lost: "the Go operator's finalizer stays on resources, which keeps them from being deleted",
  },
  { group, resource: `${plural}/status`, verbs: ['patch'] },
  { group: '', resource: 'secrets', verbs: ['get', 'list', 'watch', 'create', 'update'] },
  { group: 'apps', resource: 'deployments', verbs: ['get', 'list', 'watch', 'patch'] },
  { group: 'apps', resource: 'statefulsets', verbs: ['get', 'list', 'watch', 'patch'], lost: noRestart },
  { group: 'apps', resource: 'daemonsets', verbs: ['get', 'list', 'watch', 'patch'], lost: noRestart },
  { group: 'apps', resource: 'replicasets', verbs: ['list'], lost: oneMoreRestart },
  { group: 'apps', resource: 'controllerrevisions', verbs: ['list'], lost: oneMoreRestart },
  { group: '', resource: 'events', verbs: ['create'], lost: 'nothing is told by events' },
];

const rollouts: Permission = {
  group: 'argoproj.io',
  resource: 'rollouts',
  verbs: ['get', 'list', 'watch', 'patch'],
  lost: noRestart,
};

/** @param named whether namespaces to watch are named @param withRollouts whether the cluster has Argo Rollouts */
export function watchPermissions(named: boolean, withRollouts: boolean): readonly Permission[] {
  const namespaces: Permission = named
    ? { group: '', resource: 'namespaces', verbs: ['get'], lost: 'the annotation auto-restart on the namespace is not heeded' }
    : { group: '', resource: 'namespaces', verbs: ['list', 'watch'] };
  return [...everywhere, ...(withRollouts ? [rollouts] : []), namespaces];
}

/** In the namespace of the operator, with leader election. */
export const leasePermission: Permission = {
  group: 'coordination.k8s.io',
  resource: 'leases',
  verbs: ['get', 'create', 'update'],
  name: leaseName,
};

/** Of the cluster, with `--metrics-secure`. */
export const reviewPermissions: readonly Permission[] = [
  { group: 'authentication.k8s.io', resource: 'tokenreviews', verbs: ['create'] },
  { group: 'authorization.k8s.io', resource: 'subjectaccessreviews', verbs: ['create'] },
];
