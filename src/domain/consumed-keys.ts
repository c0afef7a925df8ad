/** The parts of a pod specification that can bring the values of a Secret to a container. */
export interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
}

interface Container {
  readonly env?: readonly { readonly valueFrom?: { readonly secretKeyRef?: Reference & { readonly key?: string } } }[];
  readonly envFrom?: readonly { readonly secretRef?: Reference }[];
  readonly volumeMounts?: readonly { readonly name?: string; readonly subPath?: string; readonly subPathExpr?: string }[];
}

interface Volume {
  readonly name?: string;
  readonly secret?: SecretFiles & { readonly secretName?: string };
  readonly projected?: { readonly sources?: readonly { readonly secret?: SecretFiles & Reference }[] };
}

interface Reference {
  readonly name?: string;
  readonly optional?: boolean;
}

interface SecretFiles {
  readonly items?: readonly { readonly key?: string; readonly path?: string }[];
  readonly optional?: boolean;
}

/** Which keys of a Secret containers get. */
export interface ConsumedKeys {
  /** All there are. */
  readonly whole: boolean;
  /** By name, in order. A pod that names a key which is not there does not start. */
  readonly required: readonly string[];
  /** By name, in order, and the pod starts without them. */
  readonly optional: readonly string[];
}

/** A way in which a container gets something of a Secret: a key, or all of them. */
interface Use {
  readonly secret: string | undefined;
  readonly key: string | undefined;
  readonly optional: boolean;
}

/**
 * The Secrets whose values the containers of a pod consume, through environment or mounted volumes, with the keys. Secrets for pulling images
 * reach no container and do not count; nor does a volume that nobody mounts.
 */
export function consumedKeys({ containers = [], initContainers = [], volumes = [] }: PodSpec): ReadonlyMap<string, ConsumedKeys> {
  const all = [...containers, ...initContainers];
  const mounts = all.flatMap(({ volumeMounts = [] }) => volumeMounts);
  const uses = [
    ...all.flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => use(valueFrom?.secretKeyRef?.name, valueFrom?.secretKeyRef?.key, valueFrom?.secretKeyRef?.optional)),
      ...envFrom.map(({ secretRef }) => use(secretRef?.name, undefined, secretRef?.optional)),
    ]),
    ...volumes.flatMap(({ name, secret, projected }) => {
      // What an expression yields is known in the pod alone: it may be any file.
      const paths = mounts.filter((mount) => mount.name === name).map((mount) => (mount.subPathExpr ? '' : (mount.subPath ?? '')));
      const projections = (projected?.sources ?? []).flatMap((source) => mounted(source.secret?.name, source.secret ?? {}, paths));
      return [...mounted(secret?.secretName, secret ?? {}, paths), ...projections];
    }),
  ];
  const bySecret = Map.groupBy(uses, ({ secret }) => secret);
  return new Map([...bySecret].flatMap(([secret, some]) => (secret === undefined ? [] : [[secret, keysOf(some)] as const])));
}

function use(secret: string | undefined, key: string | undefined, optional = false): Use {
  return { secret, key, optional };
}

function keysOf(uses: readonly Use[]): ConsumedKeys {
  const named = (isOptional: boolean): readonly string[] => {
    const keys = uses.flatMap(({ key, optional }) => (key !== undefined && optional === isOptional ? [key] : []));
    return [...new Set(keys)].toSorted();
  };
  return { whole: uses.some(({ key }) => key === undefined), required: named(false), optional: named(true) };
}

/** What mounts of `paths` show of a volume's source; the path of a whole volume is empty. */
function mounted(secret: string | undefined, { items = [], optional = false }: SecretFiles, paths: readonly string[]): readonly Use[] {
  const wanted = paths.map((path) =>
    path
      .split('/')
      .filter((part) => part !== '' && part !== '.')
      .join('/'),
  );
  const isShown = (file: string): boolean => wanted.some((path) => path === '' || file === path || file.startsWith(`${path}/`));
  if (items.length > 0)
    return items.flatMap(({ key, path = key }) => (key !== undefined && isShown(path ?? '') ? [use(secret, key, optional)] : []));
  // Without items each key is a file of its name.
  return wanted.includes('') ? [use(secret, undefined)] : wanted.map((key) => use(secret, key, optional));
}
