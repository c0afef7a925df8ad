import type { PodSpec } from '../domain/consumed-keys.ts';
import type { WireMeta, WireObject } from './resource.ts';

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}

/** A workload as the API server gives it, as far as any kind is read. */
export interface WireWorkload extends WireObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: LabelSelector;
    readonly paused?: boolean;
    readonly template?: { readonly metadata?: Partial<WireMeta>; readonly spec?: PodSpec };
    readonly updateStrategy?: { readonly type?: string; readonly rollingUpdate?: { readonly partition?: number } };
    readonly workloadRef?: { readonly kind?: string; readonly name?: string };
    readonly restartAt?: string;
  };
  readonly status?: {
    /** A Rollout writes it as text. */
    readonly observedGeneration?: number | string;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly desiredNumberScheduled?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberAvailable?: number;
    readonly conditions?: readonly { readonly type: string; readonly reason?: string }[];
    readonly phase?: string;
    readonly restartedAt?: string;
    readonly stableRS?: string;
  };
}
