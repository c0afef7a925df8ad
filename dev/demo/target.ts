import type { KubeClient } from '../../src/kube/client.ts';

/** The cluster that the demo runs in. */
export interface Target {
  /** For a process of its own: as the variable `KUBECONFIG`. */
  readonly kubeconfig: string;
  readonly kube: KubeClient;
  /** Where the examples are applied. */
  readonly namespace: string;
  /** Whether the operator looks at that namespace only. */
  readonly namespaced: boolean;
  /** A folder with a kubectl that suits the cluster, where we have one. */
  readonly kubectlFolder: string | undefined;
  /** How long pods may take to start, in milliseconds. */
  readonly podDeadlineMs: number;
}
