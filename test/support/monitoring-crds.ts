const text = { type: 'string' };
const texts = { type: 'object', additionalProperties: text };
const any = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/**
 * What the chart uses of the Prometheus operator's kinds, field by field: its own definitions are not there to be asked. A field that is none of these is
 * refused where fields are validated strictly.
 */
export const monitoringCrds = [
  definition('ServiceMonitor', 'servicemonitors', {
    selector: selector(),
    endpoints: list({ ...endpoint(), bearerTokenFile: text, params: any }),
  }),
  definition('PodMonitor', 'podmonitors', { selector: selector(), podMetricsEndpoints: list({ ...endpoint(), params: any }) }),
  definition('PrometheusRule', 'prometheusrules', {
    groups: list({
      name: text,
      rules: list({ alert: text, record: text, expr: text, for: text, keep_firing_for: text, labels: texts, annotations: texts }),
    }),
  }),
] as const;

function list(properties: object): object {
  return { type: 'array', items: { type: 'object', properties } };
}

function selector(): object {
  return { type: 'object', properties: { matchLabels: texts } };
}

function endpoint(): object {
  return {
    port: text,
    path: text,
    scheme: { type: 'string', enum: ['http', 'https'] },
    interval: { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' },
    scrapeTimeout: { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' },
    tlsConfig: any,
    authorization: any,
    relabelings: { type: 'array', items: any },
    metricRelabelings: { type: 'array', items: any },
  };
}

function definition(kind: string, plural: string, spec: object): { readonly metadata: { readonly name: string } } {
  const group = 'monitoring.coreos.com';
  const schema = { type: 'object', required: ['spec'], properties: { spec: { type: 'object', properties: spec } } };
  const crd = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  };
  return crd;
}
