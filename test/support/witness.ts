import type { ConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { type TestNamespace, untilReadiness } from './cluster.ts';
import { eventually } from './eventually.ts';
import { type RolloutHistory, untilNewPods } from './rollout-history.ts';
import { containerOf, createWorkload, untilAdopted, type WorkloadName } from './workloads.ts';

/** A Deployment that has nothing to do with what a test is about, and that the operator rolls as any other. */
export interface Witness {
  /** Changes what it consumes, and waits until it is rolled: whatever there was to do before has been done by then. */
  roll(history: RolloutHistory): Promise<void>;
}

const name = 'witness';
const deployment: WorkloadName = { kind: 'Deployment', name };

/** Makes a witness, with an item of its own in the vault `Prod`; resolves when an operator has adopted it. */
export async function createWitness(namespace: TestNamespace, { store }: ConnectServer): Promise<Witness> {
  const title = `${namespace.name}-${name}`;
  store.createItem('Prod', { title, fields: [{ label: 'password', value: 'first' }] });
  await namespace.createItem(name, `vaults/Prod/items/${title}`, { annotations: { [annotations.autoRestart]: 'true' } });
  await untilReadiness(namespace, name, 'True');
  await createWorkload(namespace, deployment, { containers: [containerOf(name, 'password')] });
  await untilAdopted(namespace, deployment, name);
  return {
    async roll(history) {
      const [changes, templates] = [history.changes(name).length, history.templates(name).length];
      store.setField('Prod', title, 'password', `at ${performance.now()}`);
      await untilNewPods(history, name, name, changes + 1);
      // The watches of the test tell of pods, Secrets and templates in any order.
      await eventually('the new template of the witness', () => history.templates(name).length > templates || undefined);
    },
  };
}
