import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { metricTable } from '../../src/observability/metric-table.ts';
import { alertCases } from '../support/alert-cases.ts';
import { requireProgram, runProgram } from '../support/program.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface PrometheusRule {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: { readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[] };
}

const repository = new URL('../../', import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, repository), 'utf8');
const file = parse(await read('deploy/monitoring/prometheus-rule.yaml')) as PrometheusRule;
const rules = file.spec.groups.flatMap((group) => group.rules);

/** The alerts of which a case shows that they fire, or that they do not. */
const shown = (fires: boolean): ReadonlySet<string> =>
  new Set(alertCases.filter((each) => each.fires.length > 0 === fires).map(({ alert }) => alert));

let folder: string;
let groups: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  groups = join(folder, 'rules.yaml');
  await writeFile(groups, stringify({ groups: file.spec.groups }));
});

afterAll(() => rm(folder, { recursive: true }));

describe('the alerts', () => {
  it('are a PrometheusRule that promtool finds well-formed', async (context) => {
    await requireProgram(context, 'promtool');
    expect(file).toMatchObject({ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' });
    const { code, output } = await runProgram('promtool', ['check', 'rules', groups]);
    expect([code, output]).toEqual([0, expect.stringContaining(`SUCCESS: ${rules.length} rules found`)]);
  });

  it.for(alertCases)('$alert: $what', async ({ alert, series, at, fires }, context) => {
    await requireProgram(context, 'promtool');
    const { labels } = rules.find((rule) => rule.alert === alert) ?? { labels: {} };
    const samples = fires.map((more) => ({
      labels: `ALERTS{${Object.entries({ alertname: alert, alertstate: 'firing', ...labels, ...more })
        .map(([name, value]) => `${name}="${value}"`)
        .join(',')}}`,
      value: 1,
    }));
    const test = {
      interval: '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [{ expr: `ALERTS{alertname="${alert}",alertstate="firing"}`, eval_time: at, exp_samples: samples }],
    };
    const path = join(folder, `${alert}.yaml`);
    await writeFile(path, stringify({ rule_files: [groups], evaluation_interval: '1m', tests: [test] }));
    expect(await runProgram('promtool', ['test', 'rules', path])).toMatchObject({ code: 0 });
  });

  it('are each shown to fire, and not to fire', () => {
    const names = new Set(rules.map(({ alert }) => alert));
    expect([shown(true), shown(false)]).toEqual([names, names]);
  });

  it('ask for metrics that there are', () => {
    const asked = new Set(rules.flatMap(({ expr }) => expr.match(/\b(?:keyturn|leader)_[a-z_]+/g) ?? []));
    expect([...asked].filter((name) => !(name in metricTable))).toEqual([]);
  });

  it('have a severity, texts, and a runbook with the meaning, the impact, the diagnosis and the cure; no runbook is without alert', async () => {
    for (const { alert, labels, annotations } of rules) {
      expect(labels['severity']).toMatch(/^(critical|warning)$/);
      expect([annotations['summary'], annotations['description']]).toEqual([expect.any(String), expect.any(String)]);
      expect(annotations['runbook_url']).toBe(`docs/runbooks/${alert}.md`);
      const page = await read(`docs/runbooks/${alert}.md`);
      expect(page.match(/^#+ .*$/gm)).toEqual([`# ${alert}`, '## Meaning', '## Impact', '## Diagnosis', '## Cure']);
      expect(page).toMatch(/^```sh$/m);
    }
    const pages = (await readdir(new URL('docs/runbooks/', repository))).filter((name) => name.endsWith('.md'));
    expect(new Set(pages)).toEqual(new Set(rules.map(({ alert }) => `${alert}.md`)));
  });
});
