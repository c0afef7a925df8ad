import { describe, expect, it, onTestFinished } from 'vitest';
import { createKubeClient } from '../../../src/kube/client.ts';
import { createClusterCache, reflectCluster } from '../../../src/kube/cluster-cache.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
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
    expect(pathsOf(await firstRequests(['a', 'b'], 12))).toEqual(
      ['a', 'b']
        .flatMap((name) => [
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
    { of: 'two namespaces', names: ['a', 'b'], lists: 12, secrets: 2 },
  ])('without the Secrets of others, and without values: $of', async ({ names, lists, secrets }) => {
    const asked = ofSecrets(await firstRequests(names, lists));
    expect(asked.map(({ query, headers }) => [query.get('labelSelector'), metadataAlone.test(headers.accept ?? '')])).toEqual(
      Array.from({ length: secrets }, () => ['keyturn.dev/managed=true', true]),
    );
  });
});
