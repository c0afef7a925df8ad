import { create, type Api } from './api.ts';

const NAME = 'simulated';
const CAPACITY = { cpu: '1000', memory: '1Ti', pods: '10000' };

/** Creates the one node, with room for any pod; the pod simulator declares it ready. */
export async function createNode(api: Api): Promise<void> {
  await create(api, '/api/v1/nodes', {
    metadata: { name: NAME, labels: { 'kubernetes.io/hostname': NAME, 'kubernetes.io/os': 'linux' } },
    status: { capacity: CAPACITY, allocatable: CAPACITY },
  });
}

/** Whether pods can be scheduled onto the node. */
export async function isNodeReady(api: Api): Promise<boolean> {
  const { body } = await api.get(`/api/v1/nodes/${NAME}`);
  const node = body as
    { status?: { conditions?: readonly { type: string; status: string }[] }; spec?: { taints?: readonly unknown[] } } | undefined;
  const ready = node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  return ready && (node?.spec?.taints ?? []).length === 0;
}
