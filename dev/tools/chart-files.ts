/**
 * `npm run chart-files` writes into the chart what it takes from deploy/monitoring, since Helm reads no file outside of a chart; with --check it only
 * compares.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { ROOT } from './command.ts';

const read = (path: string): string => readFileSync(resolve(ROOT, path), 'utf8');

function ruleGroups(): string {
  const rule = parse(read('deploy/monitoring/prometheus-rule.yaml')) as { readonly spec: { readonly groups: unknown } };
  return stringify(rule.spec.groups, { lineWidth: 0 });
}

const files: Readonly<Record<string, string>> = {
  'helm/keyturn/files/prometheus-rule-groups.yaml': ruleGroups(),
  'helm/keyturn/files/grafana-dashboard.json': read('deploy/monitoring/grafana-dashboard.json'),
};

for (const [path, content] of Object.entries(files)) {
  const file = resolve(ROOT, path);
  if (!process.argv.includes('--check')) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  } else if (read(path) !== content) {
    console.error(`${path} differs from deploy/monitoring: run \`npm run chart-files\` and commit the result`);
    process.exitCode = 1;
  }
}
