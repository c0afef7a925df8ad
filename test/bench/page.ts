import { tableOf } from '../../dev/tools/generated-page.ts';
import { type Bar, barChart } from './bar-chart.ts';
import { type Benchmark, type BenchmarkName, benchmarks } from './benchmark-table.ts';
import { type Form, forms } from './form.ts';
import type { Raw, Result } from './result.ts';
import { figure, type Row } from './terminal-table.ts';

/** Why a target is missed, for those that are: the cause that a profile showed, and why it stays. */
type Remarks = Partial<Readonly<Record<BenchmarkName, string>>>;
const ourRemarks: Remarks = {
  'rotation-one':
    'it varies between 1.3 and 1.8 from run to run. By a profile, 14 of the 75 ms around each such rotation go to the garbage collector, which the loop hardly needs: the listing of a vault allocates more than V8 ' +
    'allows its young objects with `--optimize-for-size`, a flag that saves about 80 MB of memory ([memory](../memory.md)). Some 25 ms are code that runs once in a second, and most of it has not been compiled. Both stay: nobody sees ' +
    '25 ms beside a wait for the next look of up to ten seconds.',
};

const charts = [
  {
    file: 'ratios.svg',
    title: 'Time, as a multiple of the bare loop or of the smaller size',
    includes: ({ unit }: Benchmark): boolean => unit === '×',
  },
  {
    file: 'limits.svg',
    title: 'Times, memory and processor time, against their targets',
    includes: ({ unit, invariant }: Benchmark): boolean => unit !== '×' && invariant !== true,
  },
  {
    file: 'counts.svg',
    title: 'Requests and writes, against their targets',
    includes: ({ invariant }: Benchmark): boolean => invariant === true,
  },
] as const;

/**
 * The files of docs/benchmarks/ by their names, made of the results and the remarks alone.
 * @throws Error when there is no entry `machine`, or a benchmark misses its target and no remark says why
 */
export function benchmarkFiles(results: readonly Result[], remarks: Remarks = ourRemarks): ReadonlyMap<string, string> {
  const machine = results.find(({ name }) => name === 'machine');
  if (machine === undefined) throw new Error('the results have no entry "machine": make them with `make bench ARGS="--json FILE"`');
  const form = forms[machine.raw['form'] as Form['name']];
  const rows = (benchmarks as readonly Benchmark[]).flatMap((benchmark): readonly Row[] => {
    const result = results.find(({ name }) => name === benchmark.name);
    return result === undefined ? [] : [{ benchmark, result }];
  });
  const drawn = charts.map(
    ({ file, title, includes }) => [file, barChart(title, rows.filter(({ benchmark }) => includes(benchmark)).flatMap(barsOf))] as const,
  );
  return new Map([['README.md', pageOf(rows, machine, form, remarks)], ...drawn]);
}

/** None without a target: there is nothing to draw it against. */
function barsOf({ result: { name, value, unit, target } }: Row): readonly Bar[] {
  if (target === null) return [];
  // Of nothing there is no part: one too many is beyond the end.
  const part = target === 0 ? (value === 0 ? 0 : Number.MAX_SAFE_INTEGER) : value / target;
  return [{ label: name, part, note: `${figure(value, unit)} (≤ ${figure(target, unit)})` }];
}

function pageOf(rows: readonly Row[], machine: Result, form: Form, remarks: Remarks): string {
  const withPeer = rows.some(({ result }) => result.peer !== undefined);
  const missed = rows.filter(({ result }) => result.met === false);
  return [
    '# Benchmarks',
    '<!-- Generated from docs/benchmarks/results.json by `npm run benchmarks-page`. -->',
    introduction,
    '## Results',
    machineLine(machine),
    tableOf(
      ['benchmark', 'measured', 'figure', ...(withPeer ? ['peer'] : []), 'target', 'met'],
      rows.map(({ benchmark, result: { name, value, unit, target, met, peer } }) => [
        `\`${name}\``,
        benchmark.measured(form),
        figure(value, unit),
        ...(withPeer ? [peer === undefined ? '–' : figure(peer.value, unit)] : []),
        target === null ? '' : `≤ ${figure(target, unit)}`,
        met === null ? '' : met ? 'yes' : '**no**',
      ]),
    ),
    ...charts.map(({ file, title }) => `![${title}](${file})`),
    '## Targets that are missed',
    missed.length === 0
      ? 'None in these results.'
      : missed.map(({ benchmark }) => `- \`${benchmark.name}\`: ${remarkOn(benchmark, remarks)}`).join('\n'),
    method,
    '## Raw figures',
    'What stands beside each figure in `results.json`. Lists are rounds, in their order.',
    ...rows.map(({ result }) => rawOf(result)),
  ].join('\n\n');
}

function remarkOn({ name }: Benchmark, remarks: Remarks): string {
  const remark = (remarks as Readonly<Record<string, string>>)[name];
  if (remark === undefined) throw new Error(`${name} misses its target, and no remark in test/bench/page.ts says why`);
  return remark;
}

const introduction = `One command measures what Keyturn adds to the work that has to be done anyway, on your machine:

\`\`\`sh
make bench
\`\`\`

It needs Linux and nothing that runs elsewhere: it starts a real control plane with simulated pods, the dev Connect server as a process, and the
operator from the production bundle as another. It takes less than five minutes on two cores;
\`ARGS=--full\` makes more rounds in less than thirty, \`ARGS="--only rotation"\` runs a part. Times depend on the machine and on what else it does. Therefore each is divided by that of a _bare loop_ in the
same run, a program that makes the same requests and nothing else; what it does, and why that is fair, stands at the head of
\`test/bench/bare-loop-program.ts\`. Counts do not depend on the machine: continuous integration runs \`ARGS=--short\`, where counts have to hold and
times are only printed.

To see another operator beside Keyturn, give the command that starts it. It has to speak the same CustomResourceDefinition and take its settings from
\`OP_CONNECT_HOST\`, \`OP_CONNECT_TOKEN\`, \`POLLING_INTERVAL\`, \`WATCH_NAMESPACE\`, \`AUTO_RESTART\` and \`KUBECONFIG\`:

\`\`\`sh
make bench ARGS="--peer '/path/to/operator'"
\`\`\``;

const method = `## How it is measured

- **Cold sync**: the resources are there, then the operator is started. The time is that from its first request to Connect until a watch of the
  benchmark's own has seen the last resource Ready.
- **Scale**: the same with more resources. Heap is what V8 uses after forced collection, when all has been said; the difference between the two sizes is
  divided by the difference of their numbers, so that what does not grow is left out. RSS stands beside it in the raw figures.
- **Quiet poll**: the operator is started over what is in sync and left alone. Requests are counted by Connect, writes by the audit log of the API
  server, processor time by the kernel; \`windowSeconds\` is how long. Requests are those of one poll, at the most. The listing of all vaults that are
  in use, once in ten minutes, is not in the window.
- **Own restart**: requests and writes from the start of the process until half a second after the last. _In sync_ is when all resources have been looked at and the
  queue is empty, by the metrics of the operator; _first reconcile_ is when its first request arrives at Connect.
- **Rotation**: all items change at one moment, just after the operator has looked at Connect, so that the wait for the next look is as long as it can be.
  A Secret counts when the watch brings the new value. For the ratio the time begins with the look that found the change.
- **Fan-out**: from the change of the Secret until the watch has seen the last template changed, without budget and debounce. One in 25 Deployments has a
  pod, for starting pods takes the control plane much longer than the operator takes for all the rest. The sides take turns in being the first. On two cores, which the
  control plane fills, the figure was between 1.0 and 1.5 from run to run: what the operator computes is taken from the API server.
- **Secrets of others**: RSS of the operator whose quiet polls were measured, before and after they are made in the namespace that it watches, the least of
  the second half of a pause.
- **Requests like the loop's**: what the API server and Connect were asked by both sides, one for each object, has to be the same in each round: else the
  times could not be compared. Lists, watches and looks at Connect are left aside, for their number is a matter of time.
- **A peer** is in sync after a restart when it has asked Connect nothing for three seconds. Its heap cannot be asked for.`;

function machineLine({ value, unit, raw }: Result): string {
  const number = (name: string): number => Number(raw[name]);
  const loads = (name: string): string => (raw[name] as readonly number[]).map((load) => load.toFixed(2)).join(', ');
  return `The ${String(raw['form'])} form on ${String(raw['date'])}, in ${number('minutes').toFixed(1)} minutes, on ${value} ${unit} (${String(raw['processor'])}) with ${number('memoryGB').toFixed(1)} GB of memory,
${String(raw['platform'])}, Node ${String(raw['node'])}, Kubernetes ${String(raw['kubernetes'])}. Load average of the machine before: ${loads('loadBefore')}; after: ${loads('loadAfter')}.`;
}

function rawOf({ name, raw, peer }: Result): string {
  const own = `\`${name}\`: ${listed(raw)}.`;
  return peer === undefined ? own : `${own} Peer: ${listed(peer.raw)}.`;
}

function listed(raw: Raw): string {
  return flattened(raw).join(', ');
}

function flattened(raw: Raw, prefix = ''): readonly string[] {
  return Object.entries(raw).flatMap(([name, value]) => {
    const path = `${prefix}${name}`;
    if (Array.isArray(value)) return [`${path} ${value.map(short).join(' / ')}`];
    if (typeof value === 'object' && value !== null) return flattened(value as Raw, `${path}: `);
    return [`${path} ${short(value)}`];
  });
}

function short(value: unknown): string {
  if (typeof value !== 'number') return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}
