import { applyCrd, customResourceDefinition } from '../api/custom-resource-definition.ts';
import { fieldManager, group, leaseName, plural, version } from '../api/names.ts';
import type { Config } from '../config.ts';
import { fail, type Finding, ok, warn } from '../domain/finding.ts';
import { missingFields, type ObjectSchema } from '../domain/schema-difference.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { readLeaseState } from '../kube/lease-state.ts';
import { mayI, ownName } from '../kube/own-access.ts';
import { namespaces, objectPath, rollouts } from '../kube/resource.ts';
import { servedResources, servedSchema, servedVersions } from '../kube/served-resource.ts';
import type { Clock } from '../runtime/clock.ts';
import { createSemaphore } from '../runtime/semaphore.ts';
import type { Check } from './check.ts';
import { clockFinding } from './clock-finding.ts';
import { leasePermission, type Permission, reviewPermissions, watchPermissions } from './permissions.ts';

export interface ClusterChecksOptions {
  readonly config: Pick<Config, 'watchNamespaces' | 'leaderElection' | 'metricsSecure'>;
  readonly kube: Pick<KubeClient, 'request' | 'serverTime' | 'namespace'>;
  readonly clock: Clock;
  /** For instance `https://10.96.0.1:443`. */
  readonly server: string;
}

/** Questions about permissions under way at a time. */
const parallel = 16;

/** Where the API server is, what it serves, and what it lets us do: nothing is stored. */
export function clusterChecks({ config, kube, clock, server }: ClusterChecksOptions): readonly Check[] {
  const { watchNamespaces } = config;
  const bounded = createSemaphore(parallel);
  let who = 'the operator';
  const scopes = watchNamespaces.length === 0 ? [undefined] : watchNamespaces;

  return [
    {
      name: 'Kubernetes',
      async run(signal) {
        const { gitVersion = 'of unknown version' } = await kube.request<{ gitVersion?: string }>({
          method: 'GET',
          path: '/version',
          signal,
        });
        who = (await ownName(kube, signal)) ?? who;
        return [ok('Kubernetes', `${new URL(server).origin} is ${gitVersion}, and knows us as ${who}`)];
      },
    },
    {
      name: 'Kubernetes clock',
      needs: 'Kubernetes',
      run: async () => [clockFinding('Kubernetes clock', kube.serverTime() - clock.now())],
    },
    { name: 'CRD', needs: 'Kubernetes', run: async (signal) => [await crdFinding(kube, signal)] },
    ...scopes.map((namespace) => ({
      name: `permissions ${scopeOf(namespace)}`,
      needs: 'Kubernetes',
      run: (signal: AbortSignal) => watchFindings(namespace, signal),
    })),
    ...(config.metricsSecure === undefined
      ? []
      : [
          {
            name: 'permissions for --metrics-secure',
            needs: 'Kubernetes',
            run: (signal: AbortSignal) =>
              examine(reviewPermissions, undefined, () => `bind the ClusterRole system:auth-delegator to ${who}`, signal),
          },
        ]),
    { name: 'lease', needs: 'Kubernetes', run: leaseFindings },
  ];

  async function watchFindings(namespace: string | undefined, signal: AbortSignal): Promise<readonly Finding[]> {
    if (namespace !== undefined && (await isMissing(namespace, signal)))
      return [
        fail(`permissions ${scopeOf(namespace)}`, `there is no namespace ${namespace}`, 'make it, or take it out of WATCH_NAMESPACE'),
      ];
    const permissions = watchPermissions(namespace !== undefined, await hasRollouts(kube, signal));
    return await examine(permissions, namespace, (missing) => grant(missing, namespace), signal);
  }

  /** False also where that may not be known. */
  async function isMissing(namespace: string, signal: AbortSignal): Promise<boolean> {
    try {
      await kube.request({ method: 'GET', path: objectPath(namespaces, { name: namespace }), signal });
      return false;
    } catch (error) {
      if (error instanceof KubeError && (error.status === 404 || error.status === 403)) return error.status === 404;
      throw error;
    }
  }

  function grant(what: string, namespace: string | undefined): string {
    return `grant ${what} to ${who} by a ${namespace === undefined ? 'ClusterRole' : `Role in ${namespace}`}`;
  }

  /** A line for each permission. @param cure of what is missing, such as `get, list on secrets` */
  function examine(
    permissions: readonly Permission[],
    namespace: string | undefined,
    cure: (missing: string) => string,
    signal: AbortSignal,
  ): Promise<Finding[]> {
    return Promise.all(permissions.map((permission) => examineOne(permission)));

    async function examineOne({ group: apiGroup, resource, verbs, name: object, lost }: Permission): Promise<Finding> {
      const allowed = await Promise.all(
        verbs.map((verb) =>
          bounded(() => mayI(kube, { group: apiGroup, resource, verb, namespace, name: verb === 'create' ? undefined : object }, signal)),
        ),
      );
      const missing = verbs.filter((_, index) => allowed[index] === false).join(', ');
      const name = `permission ${verbs.join(', ')} on ${resource} ${scopeOf(namespace)}`;
      if (missing === '') return ok(name, 'granted');
      const target = `${missing} on ${resource}${apiGroup === '' ? '' : ` of ${apiGroup}`}`;
      return lost === undefined
        ? fail(name, `${missing} is not granted`, cure(target))
        : warn(name, `${missing} is not granted: ${lost}`, cure(target));
    }
  }

  async function leaseFindings(signal: AbortSignal): Promise<readonly Finding[]> {
    const { enabled, namespace = kube.namespace } = config.leaderElection;
    if (namespace === undefined) {
      return enabled
        ? [fail('lease', 'it is not known in which namespace it is', 'set POD_NAMESPACE to the namespace of the operator')]
        : [ok('lease', 'not needed without --leader-elect')];
    }
    const granted = enabled ? await examine([leasePermission], namespace, (missing) => grant(missing, namespace), signal) : [];
    return [...granted, ...(await holderFindings(namespace, enabled, signal))];
  }

  async function holderFindings(namespace: string, enabled: boolean, signal: AbortSignal): Promise<readonly Finding[]> {
    const name = `lease ${namespace}/${leaseName}`;
    try {
      const lease = await readLeaseState(kube, { namespace, name: leaseName }, signal);
      if (lease === undefined) return [ok(name, 'nobody holds it')];
      const { holder, until, manager } = lease;
      // A time that cannot be read is over for nobody.
      if (until < kube.serverTime()) return [ok(name, `free: ${holder} held it last`)];
      if (manager !== fieldManager) {
        const what = `${holder} holds it, which is no Keyturn: most likely the Go operator, which is still at work`;
        return [
          warn(name, what, `stop it, for ${enabled ? 'Keyturn waits until it does' : 'without --leader-elect both would act at once'}`),
        ];
      }
      if (!enabled)
        return [warn(name, `${holder} leads by it, and would not be heeded`, 'give all replicas --leader-elect, or run only one')];
      return [ok(name, `${holder} holds it`)];
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 403) throw error;
      // What is missing is said already where it is needed.
      return enabled ? [] : [ok(name, 'not needed without --leader-elect, and not ours to read')];
    }
  }
}

async function crdFinding(kube: Pick<KubeClient, 'request'>, signal: AbortSignal): Promise<Finding> {
  const name = 'CRD';
  const full = `${plural}.${group}`;
  const versions = await servedVersions(kube, signal);
  if (versions === undefined) return fail(name, `${full} is not installed`, applyCrd);
  if (!versions.includes(version)) return fail(name, `${group} is served as ${versions.join(', ')}, and not as ${version}`, applyCrd);
  const resources = await servedResources(kube, signal);
  if (!resources.includes(plural)) return fail(name, `${full} is not installed`, applyCrd);
  if (!resources.includes(`${plural}/status`)) return fail(name, `${full} has no status`, applyCrd);
  const schema = await servedSchema(kube, signal);
  if (schema === undefined)
    return warn(name, `${full}/${version} is served, but its schema cannot be read`, `${applyCrd} if it may be old`);
  const missing = missingFields(ownSchema(), schema);
  if (missing.length > 0)
    return warn(name, `${full}/${version} is an older one, without ${missing.join(', ')}: all works but these`, applyCrd);
  return ok(name, `${full}/${version} is served, and current`);
}

function ownSchema(): ObjectSchema {
  const { spec } = customResourceDefinition() as {
    readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: ObjectSchema } }[] };
  };
  return spec.versions[0]?.schema.openAPIV3Schema ?? {};
}

async function hasRollouts(kube: Pick<KubeClient, 'request'>, signal: AbortSignal): Promise<boolean> {
  try {
    await kube.request({ method: 'GET', path: rollouts.root, signal });
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return false;
    throw error;
  }
}

function scopeOf(namespace: string | undefined): string {
  return namespace === undefined ? 'in all namespaces' : `in ${namespace}`;
}
