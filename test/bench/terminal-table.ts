import type { Benchmark, Of } from './benchmark-table.ts';
import type { Form } from './form.ts';
import type { Raw, Result } from './result.ts';

/** A result together with the benchmark that it is of. */
export interface Row {
  readonly benchmark: Benchmark;
  readonly result: Result;
}

/** A figure with as many digits as it is good for. */
export function figure(value: number, unit: string): string {
  const digits = Math.abs(value) >= 100 || (Number.isInteger(value) && unit !== '×') ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`.trimEnd();
}

/** The raw figures that one was made of, rounds among them. */
function madeOf({ names, unit }: Of, raw: Raw): string {
  return names
    .flatMap((name) => raw[name])
    .map((value) => figure(Number(value), unit))
    .join(' / ');
}

/** The results in columns, that of the peer among them when there is one. */
export function terminalTable(rows: readonly Row[], form: Form): string {
  const withPeer = rows.some(({ result }) => result.peer !== undefined);
  const head = ['', 'figure', 'target', ...(withPeer ? ['peer'] : []), 'of', 'measured'];
  const lines = rows.map(({ benchmark, result: { value, unit, target, met, raw, peer } }) => [
    met === null ? '' : met ? 'ok' : benchmark.invariant === true ? 'FAIL' : 'MISSED',
    figure(value, unit),
    target === null ? '' : `≤ ${figure(target, unit)}`,
    ...(withPeer ? [peer === undefined ? '–' : figure(peer.value, unit)] : []),
    madeOf(benchmark.of, raw),
    `${benchmark.measured(form)} [${benchmark.name}]`,
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0)));
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
