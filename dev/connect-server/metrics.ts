import { Counter, Gauge, Registry } from 'prom-client';
import type { StoreView } from './store.ts';

/** The server's metrics in Prometheus' text format. */
export interface Metrics {
  answered(route: string, status: number): void;
  text(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(store: StoreView): Metrics {
  const registry = new Registry();
  const requests = new Counter({
    name: 'dev_connect_requests_total',
    help: 'Requests answered, by route and status',
    labelNames: ['route', 'status'],
    registers: [registry],
  });
  registry.registerMetric(
    new Gauge({
      name: 'dev_connect_items',
      help: 'Active items in all vaults',
      registers: [],
      collect() {
        this.set(store.vaults().reduce((sum, vault) => sum + vault.items, 0));
      },
    }),
  );
  return {
    answered: (route, status) => requests.inc({ route, status: String(status) }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
