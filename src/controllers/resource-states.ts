import { kind } from '../api/names.ts';
import type { Condition } from '../api/onepassword-item.ts';
import { reasons } from '../api/reasons.ts';
import { readyCondition } from '../domain/conditions.ts';
import type { OnePasswordItem } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import { type Workload, workloadKey } from '../kube/workload.ts';
import { foreignReason, noReason } from '../observability/metric-table.ts';
import type { ResourceState } from '../observability/metrics.ts';
import type { DeploymentReconciler } from './deployment-reconciler.ts';
import type { ItemStatuses } from './item-status.ts';

export interface ResourceStatesOptions {
  readonly items: Store<OnePasswordItem>;
  readonly workloads: Store<Workload>;
  readonly statuses: Pick<ItemStatuses, 'of'>;
  /** Undefined in a process that does not lead: what came of the last attempt is known to the leader alone, so it tells of Deployments. */
  readonly deployments: Pick<DeploymentReconciler, 'failureOf'> | undefined;
}

/** What has become of every resource, and of every Deployment that asks for a Secret by annotations. */
export function* resourceStates({ items, workloads, statuses, deployments }: ResourceStatesOptions): Generator<ResourceState> {
  for (const resource of items.values()) {
    const condition = readyCondition(statuses.of(resource).conditions);
    yield { kind, namespace: resource.namespace, ...(condition === undefined ? pending : boundedState(condition)) };
  }
  if (deployments === undefined) return;
  for (const workload of workloads.values()) {
    const { namespace, claim } = workload;
    if (claim === undefined) continue;
    const failure = deployments.failureOf(workloadKey(workload));
    const state = claim.record.secret === undefined ? pending : ({ ready: 'True', reason: 'Synced' } as const);
    yield { kind: 'Deployment', namespace, ...(failure === undefined ? state : { ready: 'False', reason: failure }) };
  }
}

type Bounded = Pick<ResourceState, 'ready' | 'reason'>;

const pending: Bounded = { ready: 'Unknown', reason: noReason };

/** Whoever may write a status may write anything there. */
function boundedState({ status, reason }: Condition): Bounded {
  return {
    ready: status === 'True' || status === 'False' ? status : 'Unknown',
    reason: reasons.find((known) => known === reason) ?? foreignReason,
  };
}
