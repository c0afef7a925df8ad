import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createClusterCache, isOptional, readCluster, reflectCluster } from '../../../src/kube/cluster-cache.ts';
import * as types from '../../../src/kube/resource.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { onePasswordItems } from '../../../src/kube/objects.ts';
import { clientOptions, type Exchange, startApiServer } from './api-server.ts';

/** The first request of each list that is kept of some namespaces, all of them when none is named: those come together. */
async function firstRequests(watchNamespaces: readonly string[], count: number): Promise<readonly Exchange[]> {
  const api = await startApiServer();
  const clock = createFakeClock();
  const client = createKubeClient(clientOptions(api, clock));
  const stop = new AbortController();
  const options = { client, clock, random: () => 0.5, watchNamespaces, onSynced: () => {}, onFailure: () => {} };
  const { ended } = reflectCluster(createClusterCache(), options, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
    await client.close();
  });
  const exchanges: Exchange[] = [];
  for (let index = 0; index < count; index += 1) exchanges.push(await api.next());
  return exchanges;
}

const metadataAlone = /as=PartialObjectMetadata/;
const pathsOf = (exchanges: readonly Exchange[]): readonly string[] => exchanges.map(({ path }) => path).toSorted();
const ofSecrets = (exchanges: readonly Exchange[]): readonly Exchange[] => exchanges.filter(({ path }) => path.endsWith('/secrets'));

describe('the cluster is read', () => {
  it('as a whole when no namespace is named: resources, Secrets, workloads and namespaces', async () => {
    expect(pathsOf(await firstRequests([], 7))).toEqual([
      '/api/v1/namespaces',
      '/api/v1/secrets',
      '/apis/apps/v1/daemonsets',
      '/apis/apps/v1/deployments',
      '/apis/apps/v1/statefulsets',
      '/apis/argoproj.io/v1alpha1/rollouts',
      '/apis/onepassword.com/v1/onepassworditems',
    ]);
  });

  it('in each namespace that is named, and nowhere else', async () => {
    expect(pathsOf(await firstRequests(['a', 'b'], 14))).toEqual(
      ['a', 'b']
        .flatMap((name) => [
          `/api/v1/namespaces/${name}`,
          `/api/v1/namespaces/${name}/secrets`,
          ...['deployments', 'statefulsets', 'daemonsets'].map((kind) => `/apis/apps/v1/namespaces/${name}/${kind}`),
          `/apis/argoproj.io/v1alpha1/namespaces/${name}/rollouts`,
          `/apis/onepassword.com/v1/namespaces/${name}/onepassworditems`,
        ])
        .toSorted(),
    );
  });

  it.each([
    { of: 'all namespaces', names: [], lists: 7, secrets: 1 },
    { of: 'two namespaces', names: ['a', 'b'], lists: 14, secrets: 2 },
  ])('without the Secrets of others, and without values: $of', async ({ names, lists, secrets }) => {
    const asked = ofSecrets(await firstRequests(names, lists));
    expect(asked.map(({ query, headers }) => [query.get('labelSelector'), metadataAlone.test(headers.accept ?? '')])).toEqual(
      Array.from({ length: secrets }, () => ['keyturn.dev/managed=true', true]),
    );
  });
});

/** Answers each request as `statusOf` says of its path: lists with one object of the collection's name, and watches not at all. */
async function cluster(statusOf: (path: string) => number) {
  const api = await startApiServer();
  const clock = createFakeClock();
  const client = createKubeClient(clientOptions(api, clock));
  onTestFinished(() => client.close());
  const serve = ({ path, query, answer }: Exchange): void => {
    if (query.has('watch')) return;
    const name = path.split('/').at(-1) ?? '';
    const item = { metadata: { namespace: 'ns', name, uid: name, resourceVersion: '1' } };
    answer(statusOf(path), { metadata: { resourceVersion: '1' }, items: [item] });
  };
  void (async () => {
    for (;;) serve(await api.next());
  })();
  return { api, clock, client, cache: createClusterCache() };
}

type Cluster = Awaited<ReturnType<typeof cluster>>;
const workloadsOf = ({ cache }: Cluster): readonly string[] => [...cache.workloads.values()].map(({ kind }) => kind).toSorted();
const onlyIn = (plurals: readonly string[], status: number) => (path: string) =>
  plurals.includes(path.split('/').at(-1) ?? '') ? status : 200;
const extras = ['statefulsets', 'daemonsets', 'rollouts'];

/** Keeps the cache equal to a cluster; gives the scopes that were told of as read, and the failures. */
function reflected({ cache, client, clock }: Cluster, watchNamespaces: readonly string[] = []) {
  const stop = new AbortController();
  const synced: (string | undefined)[] = [];
  const failures: string[] = [];
  const reflection = reflectCluster(
    cache,
    {
      client,
      clock,
      random: () => 0.5,
      watchNamespaces,
      onSynced: (namespace) => synced.push(namespace),
      onFailure: ({ status }, { plural }) => failures.push(`${plural} ${status}`),
    },
    stop.signal,
  );
  onTestFinished(async () => {
    stop.abort();
    await reflection.ended;
  });
  return { ...reflection, synced, failures };
}

describe('a cluster', () => {
  it.each([404, 403])('is known without the kinds that Secrets can be synced without: %i', async (status) => {
    const given = await cluster(onlyIn(extras, status));
    const { started, isSynced, synced, failures } = reflected(given);
    await started;
    expect([synced, isSynced('ns'), workloadsOf(given)]).toEqual([[undefined], true, ['Deployment']]);
    expect(failures.toSorted()).toEqual(extras.map((plural) => `${plural} ${status}`).toSorted());
  });

  it('is known with all kinds of workloads, each under its own key', async () => {
    const given = await cluster(() => 200);
    await reflected(given).started;
    expect(workloadsOf(given)).toEqual(['DaemonSet', 'Deployment', 'Rollout', 'StatefulSet']);
  });

  it('is not known as long as another kind fails', async () => {
    const given = await cluster(onlyIn(['deployments'], 500));
    const { isSynced, synced, failures } = reflected(given);
    await vi.waitFor(() => expect(failures).toEqual(['deployments 500']), { interval: 1 });
    await vi.waitFor(() => expect(workloadsOf(given)).toEqual(['DaemonSet', 'Rollout', 'StatefulSet']), { interval: 1 });
    expect([synced, isSynced('ns')]).toEqual([[], false]);
  });

  it('of which a namespace forbids its Secrets is not known there, and keeps nobody waiting', async () => {
    const given = await cluster((path) => (path === '/api/v1/namespaces/closed/secrets' ? 403 : 200));
    const { started, isSynced, synced } = reflected(given, ['open', 'closed']);
    await started;
    expect([synced, isSynced('open'), isSynced('closed')]).toEqual([['open'], true, false]);
  });
});

const read = ({ cache, client }: Cluster): Promise<void> => readCluster(cache, client, undefined, new AbortController().signal);

describe('a cluster that is read once', () => {
  it.each([404, 403])('is read without the kinds that Secrets can be synced without: %i', async (status) => {
    const given = await cluster(onlyIn(extras, status));
    await read(given);
    expect(workloadsOf(given)).toEqual(['Deployment']);
  });

  it.each([
    ['of those fails for another reason', 'statefulsets', 500],
    ['that is needed is not there', 'onepassworditems', 404],
    ['that is needed may not be read', 'deployments', 403],
  ])('is not read when a kind %s', async (_, plural, status) => {
    await expect(read(await cluster(onlyIn([plural], status)))).rejects.toMatchObject({ status });
  });
});

it('Secrets can be synced without StatefulSets, DaemonSets and Rollouts; nothing else is optional', () => {
  const { secrets, deployments, namespaces, statefulSets, daemonSets, rollouts } = types;
  const all = [onePasswordItems, secrets, deployments, namespaces, statefulSets, daemonSets, rollouts];
  expect(all.filter(isOptional)).toEqual([statefulSets, daemonSets, rollouts]);
});
