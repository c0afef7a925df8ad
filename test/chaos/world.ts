import type { WorkloadKind } from '../../src/api/names.ts';
import { containerOf } from '../support/workloads.ts';
import type { Draw } from './draw.ts';

/** What there is: items and resources of these names, each with a Secret of its name, and workloads that consume them. */
export const world = {
  namespace: 'chaos',
  vault: 'Prod',
  items: Array.from({ length: 10 }, (_, index) => `db-${index}`),
  /** Fields that each item has at all times. */
  keys: ['username', 'password', 'token'],
  /** A field that items have now and then. */
  extra: 'extra',
  workloads: Array.from({ length: 14 }, (_, index) => `app-${index}`),
} as const;

/** How long a lease lasts, until a leader gives it up, and how often it is renewed: in milliseconds. A quarter of the defaults, so that somebody leads most of the time. */
export const lease = { duration: 4_000, renew: 2_700, retry: 500 };

/** How pods get a Secret. Without keys they get all of it. */
export interface Use {
  readonly secret: string;
  readonly keys?: readonly string[];
  readonly by: 'env' | 'files';
}

export interface WorkloadPlan {
  readonly kind: Exclude<WorkloadKind, 'Rollout'>;
  readonly replicas: number;
  readonly uses: readonly Use[];
  /** The annotation `auto-restart`, if there is one. */
  readonly optIn?: string;
}

/** The kind of a workload goes with its name, so that one of a name can be found. */
export function kindOf(workload: string): WorkloadPlan['kind'] {
  const index = world.workloads.indexOf(workload);
  return index === 12 ? 'DaemonSet' : index >= 9 ? 'StatefulSet' : 'Deployment';
}

export function drawUses(draw: Draw): readonly Use[] {
  const secrets = draw.shuffled(world.items).slice(0, draw.chance(30) ? 2 : 1);
  return secrets.map((secret) => ({
    secret,
    ...(draw.chance(65) && { keys: draw.some(world.keys) }),
    by: draw.chance(75) ? 'env' : 'files',
  }));
}

export function drawWorkload(draw: Draw, name: string): WorkloadPlan {
  return {
    kind: kindOf(name),
    replicas: draw.between(1, 2),
    uses: drawUses(draw),
    ...(draw.chance(85) && { optIn: draw.chance(85) ? 'true' : 'false' }),
  };
}

/** The specification of pods that get what `uses` says. `image` is any number: another one is another template. */
export function podSpecOf(uses: readonly Use[], image: number): object {
  const named = uses.filter(({ by, keys }) => by === 'env' && keys !== undefined);
  const whole = uses.filter(({ by, keys }) => by === 'env' && keys === undefined);
  const files = uses.filter(({ by }) => by === 'files');
  const containers = named.map(({ secret, keys = [] }) => ({ ...containerOf(secret, ...keys), name: `named-${secret}` }));
  return {
    // Pods of a test end at once.
    terminationGracePeriodSeconds: 0,
    containers: [
      ...containers,
      {
        name: 'main',
        image: `example.test/app:${image}`,
        envFrom: whole.map(({ secret }) => ({ secretRef: { name: secret } })),
        volumeMounts: files.map(({ secret }) => ({ name: secret, mountPath: `/run/${secret}` })),
      },
    ],
    volumes: files.map(({ secret, keys }) => ({
      name: secret,
      secret: { secretName: secret, ...(keys !== undefined && { items: keys.map((key) => ({ key, path: key })) }) },
    })),
  };
}
