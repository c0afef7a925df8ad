import { pino } from 'pino';
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { FaultOrder } from '../../dev/connect-server/faults.ts';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { createNamespace, readiness } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { type ApiServerProxy, startApiServerProxy } from '../support/api-server-proxy.ts';
import { eventually } from '../support/eventually.ts';
import { type Scenario, startScenario } from '../support/scenario.ts';
import { startOperator } from '../support/operator.ts';

let port = 0;
let scenario: Scenario | undefined;
let proxy: ApiServerProxy | undefined;

beforeAll(async () => {
  [port = 0] = await freePorts(1);
});

afterEach(async () => {
  await scenario?.end();
  await proxy?.close();
  scenario = undefined;
  proxy = undefined;
});

async function probe(path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return `${response.status} ${await response.text()}`.trim();
}

const titles = Array.from({ length: 60 }, (_, index) => `item-${index}`);
const well = '200 [+]ping ok\n[+]event-loop ok\n[+]workers ok\nhealthz check passed';

describe('the health of the process', () => {
  it.each<[string, FaultOrder]>([
    ['refuses the token', { kind: 'status', status: 401 }],
    ['breaks connections', { kind: 'reset' }],
    ['hangs', { kind: 'hang' }],
  ])('and its readiness are no matter of Connect, when that %s', async (_, fault) => {
    const items = titles.map((title) => ({ title, fields: [{ label: 'password', value: 'first' }] }));
    const flags = [`--health-probe-bind-address=127.0.0.1:${port}`];
    scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] }, flags });
    const { namespace, connect } = scenario;
    connect.faults.order(fault);
    for (const title of titles) await namespace.createItem(title, `vaults/Prod/items/${title}`);
    await eventually('a resource to speak of the outage', async () =>
      (await namespace.items()).some((item) => readiness(item)?.startsWith('Connect')) ? true : undefined,
    );
    expect([await probe('/healthz?verbose'), await probe('/readyz')]).toEqual([well, '200 ok']);
    await scenario.restartOperator();
    expect([await probe('/healthz?verbose'), await probe('/readyz')]).toEqual([well, '200 ok']);
  });

  it('is good while the API server is away, and it is not ready before it has read the cluster', async () => {
    const items = [{ title: 'item-0', fields: [{ label: 'password', value: 'first' }] }];
    scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items }] } });
    const { connect, token, namespace } = scenario;
    proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
    proxy.faults.order({ kind: 'refuse' });
    const starting = startOperator({
      kubeconfig: proxy.kubeconfig,
      connect: connect.url,
      token,
      namespaces: [namespace.name],
      flags: [`--health-probe-bind-address=127.0.0.1:${port}`],
    });
    expect(await eventually('an answer', () => probe('/readyz'))).toBe(
      '503 [+]ping ok\n[-]caches failed: still reading the cluster\nreadyz check failed',
    );
    expect(await probe('/healthz?verbose')).toBe(well);
    proxy.faults.clear();
    const operator = await starting;
    expect(await probe('/readyz?verbose')).toBe('200 [+]ping ok\n[+]caches ok\nreadyz check passed');
    await operator.stop();
  });

  it('does not make it ready before it has read each of the namespaces that it watches', async () => {
    scenario = await startScenario({ seed: { vaults: [{ name: 'Prod', items: [] }] } });
    const { connect, token, namespace } = scenario;
    const second = await createNamespace(sharedControlPlane().kubeconfig);
    onTestFinished(() => second.kube.close());
    proxy = await startApiServerProxy({ controlPlane: sharedControlPlane() });
    const fault = proxy.faults.order({ kind: 'status', status: 503, path: new RegExp(`/${second.name}/`) });
    let output = '';
    const starting = startOperator({
      kubeconfig: proxy.kubeconfig,
      connect: connect.url,
      token,
      namespaces: [namespace.name, second.name],
      flags: [`--health-probe-bind-address=127.0.0.1:${port}`],
      log: pino({ level: 'debug' }, { write: (line: string) => void (output += line) }),
    });
    await eventually('the first to be read', () => (output.includes(`"namespace":"${namespace.name}","msg":"read"`) ? true : undefined));
    expect(await probe('/readyz')).toMatch(/^503 /);
    fault.clear();
    const operator = await starting;
    expect(await probe('/readyz')).toBe('200 ok');
    await operator.stop();
  });
});
