import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import type { Form } from './form.ts';
import type { Result } from './result.ts';

/** What figures can only be read beside: one more entry of the list, without a target. */
export function machine(form: Form, began: Date, loadBefore: readonly number[], kubernetes: string): Result {
  return {
    name: 'machine',
    value: availableParallelism(),
    unit: 'processors',
    target: null,
    met: null,
    raw: {
      form: form.name,
      date: began.toISOString().slice(0, 10),
      minutes: (Date.now() - began.getTime()) / 60_000,
      processor: cpus()[0]?.model ?? 'unknown',
      memoryGB: totalmem() / 1e9,
      platform: `${process.platform} ${process.arch}`,
      node: process.version,
      kubernetes,
      loadBefore,
      loadAfter: loadavg(),
      sizes: form,
    },
  };
}
