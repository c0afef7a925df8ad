/** `npm run metrics` writes the page of metrics that the table in src/observability yields; with --check it only compares. */
import { type MetricDefinition, metricTable, processMetrics } from '../../src/observability/metric-table.ts';
import { tableOf, writePage } from './generated-page.ts';

const introduction = `# Metrics

<!-- Generated from src/observability/metric-table.ts by \`npm run metrics\`. -->

\`/metrics\` on \`--metrics-bind-address\` answers in the text format of Prometheus, on every replica. What controller-runtime and client-go
count by the same meaning has their names, labels and buckets, so that dashboards for operators work as they are; what is Keyturn's own begins
with \`keyturn_\`.

No label has values without a bound: no names of resources, workloads, vaults or items. With \`--metrics-namespace-label\` those marked
_namespace_ have a label \`namespace\`. It is that of the resource: where Prometheus adds one of the scraped pod, ask it to keep ours
(\`honorLabels: true\`), or find ours in \`exported_namespace\`. Without it, counters begin at 0 for every value of their labels.

Of several replicas the one that is elected reconciles; the others' gauges say what they have seen, which may be nothing. Take the \`max\` of
replicas, not the sum; of \`keyturn_connect_up\` the \`min\`.`;

const notes = `## How rotations are timed

\`keyturn_rotation_to_secret_seconds\` and \`keyturn_rotation_to_rolled_seconds\` begin when 1Password dates the change of the item
(\`updatedAt\` in Connect's listings), not when Keyturn first saw it: what people wait for includes the time until the poll, an outage of
Connect, and a restart of the operator. The end is dated by the API server's clock; where two clocks differ by more than it took, it counts as 0.
A rotation counts when it changed values of a Secret that was there. The rollout counts when its last pod is there, for the version that it was
to bring, unless the item has moved on meanwhile.`;

await writePage({
  page: 'docs/reference/metrics.md',
  content: [
    introduction,
    '## Controllers and their clients',
    table(([name]) => !name.startsWith('keyturn_')),
    '## Keyturn',
    table(([name]) => name.startsWith('keyturn_')),
    notes,
    '## The process',
    'As prom-client measures them.',
    tableOf(
      ['metric', 'what it says'],
      Object.entries(processMetrics).map(([name, help]) => [`\`${name}\``, help]),
    ),
  ].join('\n\n'),
  source: 'the table in src/observability',
  script: 'metrics',
});

function table(wanted: (entry: readonly [string, MetricDefinition]) => boolean): string {
  const entries = Object.entries<MetricDefinition>(metricTable).filter(wanted);
  return tableOf(
    ['metric', 'type', 'what it says', 'labels'],
    entries.map(([name, definition]) => [`\`${name}\``, definition.type, definition.help, labelsOf(definition)]),
  );
}

function labelsOf({ labels = {}, namespaced }: MetricDefinition): string {
  const own = Object.entries(labels).map(
    ([label, values]) => `\`${label}\`: ${typeof values === 'string' ? values : values.map((value) => `\`${value}\``).join(', ')}`,
  );
  return [...own, ...(namespaced ? ['_namespace_'] : [])].join('; ');
}
