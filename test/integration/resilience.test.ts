import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import { annotations } from '../../src/api/names.ts';
import { readiness, untilEvent, untilReadiness } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';

const vaultsRoute = 'GET /v1/vaults';
const listingRoute = 'GET /v1/vaults/{vault}/items';
const itemRoute = 'GET /v1/vaults/{vault}/items/{item}';

let scenario: Scenario;
let lines: string[] = [];

beforeAll(async () => {
  const titles = ['limited', 'forbidden', 'labelled', 'deleted', 'listing', 'vaults', 'good', 'bad', 'ids'];
  const items = titles.map((title) => ({ title, fields: [{ label: 'password', value: 'first' }] }));
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] }, log, times: { outageGrace: 2_000 } });
});

afterEach(() => scenario.connect.faults.clear());
afterAll(() => scenario?.end());

async function createReady(name: string, labels: object = {}): Promise<void> {
  await scenario.namespace.createItem(name, `vaults/prod/items/${name}`, { labels });
  await untilReadiness(scenario.namespace, name, 'True');
}

function untilValue(name: string, value: string): Promise<string> {
  return eventually(`${name} to be ${value}`, async () =>
    (await scenario.namespace.secret(name))?.values['password'] === value ? value : undefined,
  );
}

describe('an item that changed while no operator ran', () => {
  it.each<[string, FaultOrder]>([
    ['limited', { kind: 'status', status: 429, retryAfter: 1, times: 1, route: listingRoute }],
    ['forbidden', { kind: 'status', status: 403, times: 1, route: listingRoute }],
  ])('is noticed although the first listing is refused: %s', async (name, fault) => {
    await createReady(name);
    await scenario.stopOperator();
    scenario.connect.store.setField('Prod', name, 'password', 'second');
    scenario.connect.faults.order(fault);
    await scenario.restartOperator();
    expect(await untilValue(name, 'second')).toBe('second');
  });
});

describe('somebody who undoes again and again what is written', () => {
  it.each<[string, (name: string) => Promise<boolean>]>([
    [
      'labelled',
      async (name) => {
        const secret = await scenario.namespace.secret(name);
        if (secret === undefined || secret.metadata.labels?.['team'] === 'b') return false;
        await scenario.namespace.patchSecret(name, { metadata: { labels: { team: 'b' } } });
        return true;
      },
    ],
    [
      'deleted',
      async (name) => {
        if ((await scenario.namespace.secret(name)) === undefined) return false;
        await scenario.namespace.delete('secrets', name);
        return true;
      },
    ],
  ])('is named, and costs no more than a few attempts: %s', async (name, undo) => {
    const { namespace, connect } = scenario;
    await createReady(name, { team: 'a' });
    connect.requests.reset();
    await eventually(
      'the other one to be named',
      async () => {
        await undo(name);
        return readiness(await namespace.item(name)) === 'AnotherOperatorActive' ? true : undefined;
      },
      30_000,
    );
    const polls = connect.requests.count(vaultsRoute);
    await eventually('five polls', async () => {
      await undo(name);
      return connect.requests.count(vaultsRoute) >= polls + 5 ? true : undefined;
    });
    // Five times undone, and the attempt that was under way then.
    expect(connect.requests.count(itemRoute)).toBeLessThanOrEqual(7);
  });
});

describe('Connect that cannot be read in part', () => {
  it.each<[string, FaultOrder, string]>([
    ['listing', { kind: 'status', status: 500, route: listingRoute }, 'ConnectUnavailable'],
    ['vaults', { kind: 'status', status: 403, route: vaultsRoute }, 'ConnectForbidden'],
  ])('is said by resources in sync: no %s', { timeout: 150_000 }, async (name, fault, reason) => {
    await createReady(name);
    const standing = scenario.connect.faults.order(fault);
    // Something has to make a listing due.
    scenario.connect.store.setField('Prod', name, 'password', 'second');
    await untilReadiness(scenario.namespace, name, reason, 60_000);
    standing.clear();
    await untilReadiness(scenario.namespace, name, 'True', 60_000);
    expect(await untilValue(name, 'second')).toBe('second');
  });

  it('does not keep others from being read when it is one item', async () => {
    const { namespace, connect } = scenario;
    await createReady('good');
    const { id } = connect.store.item('Prod', 'bad');
    const { id: vault } = connect.store.vault('Prod');
    lines = [];
    const fault = connect.faults.order({ kind: 'status', status: 500, path: `/v1/vaults/${vault}/items/${id}` });
    await namespace.createItem('bad', 'vaults/prod/items/bad');
    await eventually('six attempts', () => (fault.hits >= 6 ? true : undefined), 40_000);
    expect(lines.filter((line) => line.includes('cannot be read'))).toEqual([]);
  });
});

it('a record on a Deployment whose ids are none is no record', async () => {
  const { namespace } = scenario;
  const item = { path: 'vaults/Prod/items/ids', vaultId: 'x', id: 'y', version: 1 };
  await namespace.createDeployment('ids', 'ids', {
    [annotations.itemPath]: 'vaults/Prod/items/ids',
    [annotations.itemName]: 'ids',
    [annotations.secret]: JSON.stringify({ item, secret: { name: 'ids', resourceVersion: '1' } }),
  });
  expect(await untilValue('ids', 'first')).toBe('first');
});

it('a Secret that is gone goes back to whom it belonged', async () => {
  const { namespace } = scenario;
  const notes = { [annotations.itemPath]: 'vaults/Prod/items/good', [annotations.itemName]: 'good' };
  await namespace.createDeployment('rival', 'good', notes);
  await untilEvent(namespace, 'Deployment', 'rival', 'SecretNotOwned');
  for (let round = 0; round < 3; round += 1) {
    const before = await namespace.secret('good');
    await namespace.delete('secrets', 'good');
    const after = await eventually('the Secret', async () => {
      const secret = await namespace.secret('good');
      return secret?.metadata.uid === before?.metadata.uid ? undefined : secret;
    });
    expect(after.metadata.ownerReferences).toMatchObject([{ kind: 'OnePasswordItem', name: 'good' }]);
  }
});
