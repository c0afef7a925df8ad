import type { KubeClient } from '../../src/kube/client.ts';

/** What makes the pods of the example print the value. */
export interface SpeakingPods {
  /** An image with a shell, that the cluster has. */
  readonly image: string;
  /** What a pod has printed so far. */
  log(pod: string): Promise<string>;
}

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
  /** Real pods, which say what they see; undefined where they are simulated, or made of an image that does nothing. */
  readonly pods: SpeakingPods | undefined;
  /** How long pods may take to start, in milliseconds. */
  readonly podDeadlineMs: number;
}
