import { readFile } from 'node:fs/promises';
import type { Prometheus } from './prometheus.ts';

/** A dashboard of Grafana, as far as its queries are concerned. */
export interface Dashboard {
  readonly templating: { readonly list: readonly Variable[] };
  readonly panels: readonly Panel[];
}

type Variable =
  | { readonly name: string; readonly type: 'datasource' }
  | { readonly name: string; readonly type: 'query'; readonly query: { readonly query: string }; readonly includeAll: boolean };

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

/** Variables to their values, as they are put into queries. */
export type Values = ReadonlyMap<string, string>;

export async function readDashboard(): Promise<Dashboard> {
  return JSON.parse(await readFile(new URL('../../deploy/monitoring/grafana-dashboard.json', import.meta.url), 'utf8')) as Dashboard;
}

/**
 * Gives every variable the value that Grafana would: that in `chosen`, or all that Prometheus has.
 * @throws Error for one that has none
 */
export async function resolveVariables(
  { templating }: Dashboard,
  prometheus: Prometheus,
  chosen: Readonly<Record<string, string>> = {},
): Promise<Values> {
  const values = new Map([
    ['datasource', 'prometheus'],
    ['__rate_interval', '5m'],
  ]);
  for (const variable of templating.list) {
    if (variable.type === 'datasource') continue;
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(variable.query.query) ?? [];
    if (selector === undefined || label === undefined) throw new Error(`the variable ${variable.name} asks for no values of a label`);
    const all = await prometheus.labelValues(substitute(selector, values), label);
    if (all.length === 0) throw new Error(`the variable ${variable.name} has no value`);
    values.set(variable.name, chosen[variable.name] ?? `(${all.join('|')})`);
  }
  return values;
}

/** The queries that give no series with a number, each with the title of its panel. */
export async function emptyQueries(dashboard: Dashboard, prometheus: Prometheus, values: Values): Promise<readonly string[]> {
  const empty: string[] = [];
  for (const { title, targets = [] } of dashboard.panels) {
    for (const { expr } of targets) {
      const found = await prometheus.query(substitute(expr, values));
      if (!found.some((value) => Number.isFinite(value))) empty.push(`${title}: ${expr}`);
    }
  }
  return empty;
}

/** @throws Error for a variable that has no value */
function substitute(text: string, values: Values): string {
  return text.replaceAll(/\$\{?(\w+)\}?/g, (_, name: string) => {
    const value = values.get(name);
    if (value === undefined) throw new Error(`there is no variable ${name}: ${text}`);
    return value;
  });
}
