import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/** What the process counts. Names that controller-runtime and client-go have are theirs, so that existing dashboards work. */
export interface Metrics {
  readonly reconciled: (controller: string, result: string) => void;
  readonly kubeRequest: (method: string, status: number) => void;
  readonly connectRequest: (route: string, status: number) => void;
  readonly restarted: () => void;
  /** Asked at each scrape how many workloads wait for their restart, and how many seconds the first of them has waited. */
  readonly watchRestarts: (waiting: () => { readonly count: number; readonly age: number }) => void;
  /** In the text format of Prometheus. */
  readonly render: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const reconciles = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Total number of reconciliations per controller',
    labelNames: ['controller', 'result'],
    registers,
  });
  const kubeRequests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Number of HTTP requests to the API server, by method and status code',
    labelNames: ['method', 'code'],
    registers,
  });
  const connectRequests = new Counter({
    name: 'keyturn_connect_requests_total',
    help: 'Number of requests to Connect, by route and status code',
    labelNames: ['route', 'code'],
    registers,
  });
  const restarts = new Counter({ name: 'keyturn_restarts_total', help: 'Number of rollouts begun', registers });
  new Gauge({ name: 'keyturn_build_info', help: 'Always 1; the version is a label', labelNames: ['version'], registers }).set(
    { version },
    1,
  );
  return {
    reconciled: (controller, result) => reconciles.inc({ controller, result }),
    kubeRequest: (method, status) => kubeRequests.inc({ method, code: code(status) }),
    connectRequest: (route, status) => connectRequests.inc({ route, code: code(status) }),
    restarted: () => restarts.inc(),
    watchRestarts(waiting) {
      for (const { name, help, value } of [
        { name: 'keyturn_restarts_waiting', help: 'Number of workloads that wait for their restart', value: () => waiting().count },
        {
          name: 'keyturn_restarts_waiting_oldest_seconds',
          help: 'How long the first of the workloads that wait for their restart has waited; 0 when none does',
          value: () => waiting().age,
        },
      ]) {
        registry.registerMetric(
          new Gauge({
            name,
            help,
            registers: [],
            collect() {
              this.set(value());
            },
          }),
        );
      }
    },
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

/** A request without an answer is counted as client-go does. */
function code(status: number): string {
  return status === 0 ? '<error>' : String(status);
}
