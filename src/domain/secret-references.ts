/** The parts of a pod specification that can name a Secret whose values reach a container. */
export interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly {
    readonly secret?: { readonly secretName?: string };
    readonly projected?: { readonly sources?: readonly { readonly secret?: { readonly name?: string } }[] };
  }[];
}

interface Container {
  readonly env?: readonly { readonly valueFrom?: { readonly secretKeyRef?: { readonly name?: string } } }[];
  readonly envFrom?: readonly { readonly secretRef?: { readonly name?: string } }[];
}

/**
 * Names of the Secrets whose values the containers of a pod consume, through environment or volumes, in order and each once.
 * Secrets for pulling images reach no container and do not count.
 */
export function secretReferences({ containers = [], initContainers = [], volumes = [] }: PodSpec): readonly string[] {
  const names = [
    ...[...containers, ...initContainers].flatMap(({ env = [], envFrom = [] }) => [
      ...env.map((variable) => variable.valueFrom?.secretKeyRef?.name),
      ...envFrom.map((source) => source.secretRef?.name),
    ]),
    ...volumes.flatMap(({ secret, projected }) => [secret?.secretName, ...(projected?.sources ?? []).map((source) => source.secret?.name)]),
  ];
  return [...new Set(names.filter((name) => name !== undefined))].toSorted();
}
