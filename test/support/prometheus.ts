import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { eventually } from './eventually.ts';
import { startProgram } from './program.ts';

/** What is scraped, once a second. */
export interface ScrapeJob {
  readonly name: string;
  /** `127.0.0.1:PORT` */
  readonly target: string;
  /** The value of the label `namespace`. */
  readonly namespace: string;
  /** A metric that is thrown away. */
  readonly without?: string;
}

/** A Prometheus that only this machine can ask. */
export interface Prometheus {
  /** The values of an instant query, one for each series. */
  query(expression: string): Promise<readonly number[]>;
  /** The values of a label among the series of a selector. */
  labelValues(selector: string, label: string): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** Starts one in a folder of its own; resolves once it has scraped every job. */
export async function startPrometheus(jobs: readonly ScrapeJob[]): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const file = join(folder, 'prometheus.yaml');
  await writeFile(file, stringify({ global: { scrape_interval: '1s' }, scrape_configs: jobs.map(configOf) }));
  const program = startProgram('prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=error',
  ]);

  async function ask<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const answer = (await response.json()) as { readonly status: string; readonly data: T; readonly error?: string };
    if (answer.status !== 'success') throw new Error(`${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  }

  async function query(expression: string): Promise<readonly number[]> {
    const { result } = await ask<{ result: readonly { readonly value: readonly [number, string] }[] }>('query', { query: expression });
    return result.map(({ value }) => Number(value[1]));
  }

  async function stop(): Promise<void> {
    await program.stop();
    await rm(folder, { recursive: true });
  }

  try {
    await eventually('Prometheus to scrape', async () => ((await query('up == 1')).length === jobs.length ? true : undefined));
  } catch (error) {
    await stop();
    throw new Error(`Prometheus does not scrape: ${program.output()}`, { cause: error });
  }
  return { query, labelValues: (selector, label) => ask(`label/${label}/values`, { 'match[]': selector }), stop };
}

function configOf({ name, target, namespace, without }: ScrapeJob): object {
  return {
    job_name: name,
    static_configs: [{ targets: [target], labels: { namespace } }],
    metric_relabel_configs: without === undefined ? [] : [{ source_labels: ['__name__'], regex: without, action: 'drop' }],
  };
}
