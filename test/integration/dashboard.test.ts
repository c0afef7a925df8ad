import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { metricTable } from '../../src/observability/metric-table.ts';
import { requireFeature, sharedControlPlane } from '../support/control-plane.ts';
import { emptyQueries, readDashboard, resolveVariables } from '../support/dashboard.ts';
import { eventually } from '../support/eventually.ts';
import { play, type PlayedScenario, startPlayedScenario } from '../support/played-scenario.ts';
import { requireProgram, runProgram } from '../support/program.ts';
import { type Prometheus, startPrometheus } from '../support/prometheus.ts';

const dashboard = await readDashboard();

let scenario: PlayedScenario;
let prometheus: Prometheus;

beforeAll(async () => {
  if (!sharedControlPlane().features.pods || (await runProgram('prometheus', ['--version'])).code === 127) return;
  scenario = await startPlayedScenario();
  const target = scenario.metricsAddress;
  prometheus = await startPrometheus([
    { name: 'keyturn', target, namespace: 'operators' },
    { name: 'lacking', target, namespace: 'operators', without: 'keyturn_connect_up' },
  ]);
  await play(scenario);
});

afterAll(async () => {
  await prometheus?.stop();
  await scenario?.end();
});

describe('the dashboard, over a Prometheus that has seen a rotation with a restart, an edited Secret and an outage', () => {
  beforeEach(async (context) => {
    requireFeature(context, 'pods');
    await requireProgram(context, 'prometheus');
  });

  it('shows something in every panel', async () => {
    const values = await resolveVariables(dashboard, prometheus);
    expect(values.get('job')).toBe('(keyturn|lacking)');
    await eventually('a series for every query', async () => {
      const empty = await emptyQueries(dashboard, prometheus, values);
      if (empty.length > 0) throw new Error(empty.join('\n'));
      return true;
    });
  });

  it('shows nothing where a metric is missing, and everything elsewhere', async () => {
    const values = await resolveVariables(dashboard, prometheus, { job: 'lacking' });
    const empty = await emptyQueries(dashboard, prometheus, values);
    expect(empty).toEqual(['Connect: min(keyturn_connect_up{namespace=~"$namespace", job=~"$job"})']);
  });
});

describe('the dashboard', () => {
  const queries = dashboard.panels.flatMap(({ targets = [] }) => targets);

  it('shows every metric that is ours', () => {
    const shown = queries.map(({ expr }) => expr).join('\n');
    const missing = Object.keys(metricTable).filter((name) => name.startsWith('keyturn_') && !shown.includes(name));
    expect(missing).toEqual([]);
  });

  it('asks the data source that is chosen, for the chosen jobs and namespaces alone', () => {
    for (const { expr, datasource } of queries) {
      expect(datasource.uid).toBe('${datasource}');
      const selectors =
        expr.match(/\b(?:keyturn|controller_runtime|workqueue|rest_client|leader_election|process|nodejs)_\w+(\{[^}]*\})?/g) ?? [];
      expect(selectors.length).toBeGreaterThan(0);
      for (const selector of selectors) expect(selector).toContain('{namespace=~"$namespace", job=~"$job"');
    }
  });
});
