import { randomUUID } from 'node:crypto';
import { applyCrd } from './api/custom-resource-definition.ts';
import { annotations, legacyFinalizer, managedLabel, plural, group } from './api/names.ts';
import { Failure } from './api/reasons.ts';
import type { Config } from './config.ts';
import { createConnectClient } from './connect/client.ts';
import { createConnectToken } from './connect/token.ts';
import { createVaultIndex } from './connect/vault-index.ts';
import { type Consumers, createConsumers } from './controllers/consumers.ts';
import { createOwners } from './controllers/owners.ts';
import { claimOf as claimOfDeployment, deploymentMessage } from './controllers/deployment-reconciler.ts';
import { claimOf as claimOfResource } from './controllers/item-reconciler.ts';
import { createItemSource, type FetchedItem, type ItemSource, requesterOf } from './controllers/item-source.ts';
import { createVaultAccess } from './controllers/vault-access.ts';
import { statedRevisions } from './controllers/entries.ts';
import type { ConsumedKeys } from './domain/consumed-keys.ts';
import { objectKey } from './domain/object.ts';
import { formatPlan, planExitCode, type PlannedRestart, type PlannedSecret, type PlanReport } from './domain/plan-report.ts';
import { type KnownRevisions, planAdoption, planRestart } from './domain/restart-plan.ts';
import { consumedRevision, revisedAt } from './domain/revisions.ts';
import { checkType, planSecret, recordedItem, type SecretClaim, type SecretContent, type SecretState } from './domain/secret-plan.ts';
import { createKubeClient, type KubeClient, KubeError } from './kube/client.ts';
import { type ClusterCache, createClusterCache, readCluster } from './kube/cluster-cache.ts';
import type { LoadCredentials } from './kube/credentials.ts';
import { type ManagedSecret, managedSecret } from './kube/objects.ts';
import { readTemplateBirth } from './kube/template-birth.ts';
import type { Workload } from './kube/workload.ts';
import { readSecret } from './kube/secret-api.ts';
import { servedSchema } from './kube/served-resource.ts';
import { createStore } from './kube/store.ts';
import { type AuditSink, createAudit, policyRefusal } from './observability/audit.ts';
import { createAuditStream } from './observability/audit-stream.ts';
import { type Clock, systemClock } from './runtime/clock.ts';
import { createSemaphore } from './runtime/semaphore.ts';
import { version } from './version.ts';

export interface PlanOptions {
  readonly config: Config;
  readonly credentials: LoadCredentials;
  readonly clock?: Clock;
  /** For tests: takes the audit records, instead of standard error. */
  readonly auditSink?: AuditSink;
}

/** What to print, where, and with which code to exit. */
export interface PlanResult {
  readonly output: string;
  readonly errors: string;
  readonly exitCode: 0 | 1;
}

/** Secrets or workloads that are looked at at a time. */
const parallel = 32;
/** Between looks at Connect, in milliseconds: what is longer is most likely carried over from when a look cost a request for each item. */
const shortInterval = 10_000;
const contestedNote = 'several ask for this Secret: whoever comes first gets it';

/**
 * Says what the operator would do with everything it finds, and does nothing: it reads the cluster and Connect once, and writes nowhere.
 * Its decisions are those of the operator, made by the same functions.
 */
export async function runPlan({ config, credentials, clock = systemClock, auditSink }: PlanOptions): Promise<PlanResult> {
  // A slab of Node's pool is memory as somebody freed it, values and all, and outlives what is put into it.
  Buffer.poolSize = 0;
  const userAgent = `keyturn/${version}`;
  const kube = createKubeClient({ load: credentials, clock, userAgent });
  const { connectHost: host, connectCa: ca, connectProxy: proxy } = config;
  const token = createConnectToken({ token: config.connectToken, file: config.connectTokenFile });
  const connect = createConnectClient({ host, token, ca, proxy, userAgent, clock });
  const audit = createAudit({
    // On standard output stands the plan, and a file is the operator's, which may be running.
    sink: auditSink ?? createAuditStream(2),
    clock,
    newId: randomUUID,
    cluster: config.clusterName,
    pod: config.podName,
    version,
    connection: new URL(host).origin,
    tokenId: () => token.id(),
    required: config.audit.required,
  });
  try {
    if (token.current !== undefined) await audit.record({ action: 'token.load', result: 'success' });
    const { signal } = new AbortController();
    const cache = createClusterCache();
    const unread = await readNamespaces(cache, kube, config.watchNamespaces, signal);
    const index = createVaultIndex({ client: connect, clock, onChange: () => {} });
    await index.refresh(signal);
    const access = createVaultAccess({
      index,
      policy: () => config.vaultPolicy,
      onRefusal: (claim) => void audit.record(policyRefusal(requesterOf(claim), claim.itemPath, 'VaultNotAllowed')),
    });
    const source = createItemSource({ connect, index, access, settings: config, audit });
    const forecasts = await forecastSecrets({ cache, kube, source, config }, signal);
    const restarts = await forecastRestarts({ cache, kube, config, forecasts }, signal);
    const notes = [...settingNotes(config), ...(await clusterNotes(cache, kube, signal))];
    const report: PlanReport = { secrets: forecasts.flatMap(({ planned }) => planned), restarts, unread, notes };
    return { output: formatPlan(report), errors: '', exitCode: planExitCode(report) };
  } catch (error) {
    if (!(error instanceof Failure) && !(error instanceof KubeError)) throw error;
    return { output: '', errors: `keyturn: there is no plan: ${describe(error)}\n`, exitCode: 1 };
  } finally {
    await Promise.all([kube.close(), connect.close()]);
    await audit.close();
  }
}

function describe(error: Failure | KubeError): string {
  if (error instanceof Failure) return error.message;
  if (error.status === 404 && error.message.includes(`/${plural}`)) {
    return `the CustomResourceDefinition ${plural}.${group} is not installed; ${applyCrd}`;
  }
  return `the API server could not be read: ${error.message}`;
}

/** Reads what there is. Returns the named namespaces that forbid it, as the operator would go on without them. @throws KubeError */
async function readNamespaces(
  cache: ClusterCache,
  kube: KubeClient,
  watchNamespaces: readonly string[],
  signal: AbortSignal,
): Promise<PlanReport['unread']> {
  if (watchNamespaces.length === 0) {
    await readCluster(cache, kube, undefined, signal);
    return [];
  }
  const outcomes = await Promise.all(
    watchNamespaces.map(async (namespace) => {
      try {
        await readCluster(cache, kube, namespace, signal);
        return [];
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 403) throw error;
        return [{ namespace, message: error.message }];
      }
    }),
  );
  return outcomes.flat();
}

/** What would come of those who ask for one Secret. */
interface Forecast {
  readonly planned: readonly PlannedSecret[];
  /** The Secret as it is; undefined when there is none, or it was not read. */
  readonly before: ManagedSecret | undefined;
  /** The Secret as it would be, where something would be written. */
  readonly after: ManagedSecret | undefined;
  /** A revision would move. */
  readonly rotates: boolean;
}

type Planned = Pick<PlannedSecret, 'namespace' | 'kind' | 'name' | 'secret'>;

/** One who asks for a Secret. */
interface Asking {
  readonly planned: Planned;
  /** @throws Failure when what is asked for is no Secret */
  readonly claim: () => SecretClaim;
}

interface SecretForecastOptions {
  readonly cache: ClusterCache;
  readonly kube: KubeClient;
  readonly source: ItemSource;
  readonly config: Config;
}

async function forecastSecrets({ cache, kube, source, config }: SecretForecastOptions, signal: AbortSignal): Promise<Forecast[]> {
  const { asking, leaving } = askingFor(cache, config);
  const bySecret = Map.groupBy(asking, ({ planned: { namespace, name, secret } }, index) =>
    secret === undefined ? `${index} ${name}` : objectKey({ namespace, name: secret }),
  );
  const bounded = createSemaphore(parallel);
  const forecasts = await Promise.all(
    [...bySecret.values()].map((several) => bounded(() => forecastSecret(kube, source, several, signal))),
  );
  const gone = leaving.map((planned) => ({ ...planned, forecast: { action: 'release' }, notes: [] }) as const);
  return [...forecasts, { planned: gone, before: undefined, after: undefined, rotates: false }];
}

/** Those who ask for Secrets, and resources on their way out that the old operator's finalizer holds. */
function askingFor({ items, workloads }: ClusterCache, { enableAnnotations }: Config): { asking: Asking[]; leaving: Planned[] } {
  const asking: Asking[] = [];
  const leaving: Planned[] = [];
  for (const resource of items.values()) {
    const { namespace, name } = resource;
    const planned = { namespace, kind: 'OnePasswordItem', name, secret: name } as const;
    if (!resource.deleting) asking.push({ planned, claim: () => claimOfResource(resource, resource.status, enableAnnotations) });
    else if (resource.legacyFinalizers !== undefined) leaving.push(planned);
  }
  for (const workload of workloads.values()) {
    const { namespace, name, claim } = workload;
    if (claim === undefined) continue;
    const planned = { namespace, kind: 'Deployment', name, secret: claim.secretName || undefined } as const;
    if (!workload.deleting) asking.push({ planned, claim: () => claimOfDeployment(workload) });
    else if (workload.legacyFinalizers !== undefined) leaving.push(planned);
  }
  return { asking, leaving };
}

/** What would come of those who ask for one Secret, one after another: who comes later finds what the one before has made of it. */
async function forecastSecret(kube: KubeClient, source: ItemSource, several: readonly Asking[], signal: AbortSignal): Promise<Forecast> {
  const results: PlannedSecret[] = [];
  let before: ManagedSecret | undefined;
  let state: SecretState | undefined;
  let read = false;
  let written: SecretClaim | undefined;
  let rotates = false;
  for (const { planned, claim: ask } of several) {
    try {
      const claim = ask();
      checkType(claim);
      const location = await source.locate(claim, signal);
      const item = await source.fetch(claim, location, signal);
      if (!read) {
        const found = await readSecret(kube, claim, signal);
        before = found && managedSecret(found);
        state = found;
        read = true;
      }
      const plan = planSecret(claim, item, state, kube.serverTime());
      results.push({ ...planned, forecast: forecastOf(plan, state), notes: itemNotes(claim, item) });
      if (plan.action === 'none') continue;
      state = afterWrite(plan.content, state);
      written = claim;
      rotates ||= plan.rotates;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const message = planned.kind === 'Deployment' ? deploymentMessage(error) : error.message;
      results.push({ ...planned, forecast: { action: 'refuse', reason: error.reason, message }, notes: [] });
    }
  }
  if (several.length > 1 && before === undefined) {
    for (const [index, result] of results.entries()) results[index] = { ...result, notes: [...result.notes, contestedNote] };
  }
  const after = written && state && managedSecret({ ...state, namespace: written.namespace, name: written.name, uid: before?.uid ?? '' });
  return { planned: results, before, after, rotates };
}

function forecastOf(plan: ReturnType<typeof planSecret>, existing: SecretState | undefined): PlannedSecret['forecast'] {
  if (plan.action === 'none') return { action: 'in-sync' };
  if (existing === undefined) return { action: 'create' };
  if (plan.changed.length > 0) return { action: 'change', keys: plan.changed };
  return { action: existing.labels[managedLabel] === undefined ? 'adopt' : 'metadata' };
}

function afterWrite(content: SecretContent, before: SecretState | undefined): SecretState {
  return {
    ...content,
    resourceVersion: before?.resourceVersion ?? '',
    dataWriters: undefined,
    writtenAt: undefined,
    writtenByUs: true,
    immutable: before?.immutable ?? false,
  };
}

function itemNotes(claim: SecretClaim, item: FetchedItem): string[] {
  const held = recordedItem(claim, item.id)?.version;
  return [
    ...(item.frozen ? ['the item is frozen by its tag: the Secret keeps the values it has'] : []),
    ...(held !== undefined && item.version < held
      ? [`Connect has version ${item.version} of the item, older than ${held}, which was applied: it is believed only after ten minutes`]
      : []),
  ];
}

interface RestartForecastOptions {
  readonly cache: ClusterCache;
  readonly kube: KubeClient;
  readonly config: Config;
  readonly forecasts: readonly Forecast[];
}

/** The workloads that would be rolled when all that is planned was written, and those that would be rolled as things stand. */
async function forecastRestarts(
  { cache, kube, config, forecasts }: RestartForecastOptions,
  signal: AbortSignal,
): Promise<readonly PlannedRestart[]> {
  const changed = forecasts.flatMap(({ after }) => after ?? []);
  const secrets = createStore<ManagedSecret>();
  secrets.replace([...cache.secrets.values(), ...changed], undefined, () => true);
  const consumers = createConsumers({ ...cache, secrets, owners: createOwners(cache), autoRestart: config.autoRestart });
  const rotated = new Map(
    forecasts.flatMap(({ before, rotates }) => (before !== undefined && rotates ? [[objectKey(before), before] as const] : [])),
  );
  const bounded = createSemaphore(parallel);
  const restarts = await Promise.all(
    [...cache.workloads.values()]
      .filter((workload) => !workload.deleting && consumers.keysOf(workload).size > 0)
      .map((workload) => bounded(() => forecastRestart({ kube, consumers, rotated }, workload, signal))),
  );
  return restarts.filter((restart) => restart !== undefined);
}

interface Rollout {
  readonly kube: KubeClient;
  /** Of the Secrets as they would be. */
  readonly consumers: Consumers;
  /** Secrets with a revision that would move, as they are. */
  readonly rotated: ReadonlyMap<string, ManagedSecret>;
}

async function forecastRestart(
  { kube, consumers, rotated }: Rollout,
  workload: Workload,
  signal: AbortSignal,
): Promise<PlannedRestart | undefined> {
  let read: number | undefined;
  // Without a ReplicaSet yet, its pods start about now.
  const birth = async (): Promise<number> => (read ??= (await readTemplateBirth(kube, workload, signal)) ?? kube.serverTime());

  /** What the workload would say of a Secret before its values change. */
  async function adopted(known: KnownRevisions, before: ManagedSecret, keys: ConsumedKeys): Promise<KnownRevisions> {
    const { revision } = consumedRevision(consumers.revisionsOf(before), keys);
    const revised = { revision, revisedAt: revisedAt(before, revision) };
    let plan = planAdoption(before.name, revised, known, undefined);
    if (plan.action === 'read-birth') plan = planAdoption(before.name, revised, known, await birth());
    return plan.action === 'adopt' ? { ...known, adopted: plan.stated } : known;
  }

  let known: KnownRevisions = statedRevisions(workload);
  for (const [name, keys] of consumers.keysOf(workload)) {
    const before = rotated.get(objectKey({ namespace: workload.namespace, name }));
    if (before !== undefined && consumers.optIn(before, workload).restarts) known = await adopted(known, before, keys);
  }
  const secrets = consumers.secretsOf(workload);
  let plan = planRestart(secrets, known, {});
  if (plan.action === 'read-birth') plan = planRestart(secrets, known, { birth: await birth() });
  if (plan.action !== 'roll') return undefined;
  const { namespace, name, paused } = workload;
  if (workload.annotations[annotations.restart] === 'skip') return undefined;
  return { kind: workload.kind, namespace, name, secrets: plan.changed.map(({ secret }) => secret), paused };
}

/** What is worth a word before the operator runs with these settings. */
function settingNotes({ pollingInterval, autoRestart, warnings }: Config): string[] {
  const seconds = pollingInterval / 1000;
  return [
    ...warnings,
    ...(pollingInterval > shortInterval
      ? [
          `POLLING_INTERVAL=${seconds}: changes are seen up to ${seconds} seconds late; a quiet poll costs one request, and 10 is the default`,
        ]
      : []),
    ...(autoRestart ? [`AUTO_RESTART=true: workloads restart unless the annotation ${annotations.autoRestart} says otherwise`] : []),
  ];
}

async function clusterNotes({ items, workloads }: ClusterCache, kube: KubeClient, signal: AbortSignal): Promise<string[]> {
  const marked = [...items.values(), ...workloads.values()].filter(({ legacyFinalizers }) => legacyFinalizers !== undefined).length;
  return [
    ...(marked > 0
      ? [`the finalizer ${legacyFinalizer} of the old operator would be taken out of ${marked} ${marked === 1 ? 'object' : 'objects'}`]
      : []),
    ...((await dropsStatus(kube, signal))
      ? [`the CRD of OnePasswordItem is an older one, which drops fields of the status: ${applyCrd}; all works meanwhile`]
      : []),
  ];
}

/** True when the CRD that is served knows nothing of our status. What everybody may read tells it; where that is closed, nothing is said. */
async function dropsStatus(kube: KubeClient, signal: AbortSignal): Promise<boolean> {
  const status = (await servedSchema(kube, signal))?.properties?.['status']?.properties;
  return status !== undefined && !('observedGeneration' in status);
}
