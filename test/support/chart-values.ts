import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { chart } from './helm.ts';

/** A part of values.schema.json. */
export interface ValuesSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | ValuesSchema;
}

export type Values = Readonly<Record<string, unknown>>;

export const valuesSchema = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8')) as ValuesSchema;
export const defaultValues = parse(readFileSync(join(chart, 'values.yaml'), 'utf8')) as Values;

/** What every release has to say. */
export const minimal = { operator: { connectUrl: 'http://onepassword-connect:8080' } } as const;

export function isMap(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `a.b.c` and a value → `{a: {b: {c: value}}}`. */
export function nested(path: string, value: unknown): Values {
  return path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Values;
}

/** Values on top of others, as Helm puts them. */
export function merged(base: Values, top: Values): Values {
  const entries = Object.entries(top).map(([key, value]) => {
    const below = base[key];
    return [key, isMap(value) && isMap(below) ? merged(below, value) : value] as const;
  });
  return { ...base, ...Object.fromEntries(entries) };
}

/** The paths of all booleans in values.yaml, with their defaults. */
export function booleans(values: Values = defaultValues, path = ''): readonly { readonly path: string; readonly held: boolean }[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const place = `${path}${key}`;
    if (typeof value === 'boolean') return [{ path: place, held: value }];
    // A security context is one value, and no boolean of ours.
    return isMap(value) && !/securityContext$/i.test(key) ? booleans(value, `${place}.`) : [];
  });
}

const text = `it's "quoted": yes, {{ .Values }} # no comment\nand a second line\n`;

/** Values that turn on everything optional, with texts that YAML would misread. */
export const everything: Values = {
  commonLabels: { team: '123', 'example.test/on': 'true' },
  crds: { labels: { a: 'b' }, podLabels: { 'sidecar.istio.io/inject': 'false' }, podAnnotations: { note: text } },
  operator: {
    connectUrl: 'https://connect.example.test:8443/',
    replicas: 2,
    image: { repository: 'registry.example.test:5000/team/keyturn', digest: `sha256:${'0'.repeat(64)}`, pullPolicy: 'Always' },
    imagePullSecrets: ['registry'],
    token: { name: 'connect.token', key: 'the_token' },
    tls: { trust: { secret: 'ca' } },
    httpsProxy: 'http://proxy.example.test:3128',
    httpProxy: 'http://proxy.example.test:3128',
    noProxy: '.example.test,10.0.0.0/8',
    pollingInterval: 1000,
    vaultPolicy: [{ namespaces: ['*', 'team-1'], vaults: ['*', '123', `Ä "quoted": yes`] }],
    clusterName: text.trim(),
    autoRestart: true,
    restartMode: 'report',
    restartDebounce: '1m30s',
    maxRestarts: 999999,
    logLevel: 'debug',
    logFormat: 'text',
    auditLogPath: '/var/log/keyturn/audit: "x".log',
    config: { leaderElectLeaseDuration: '30s', maxRestartsPerNamespace: 0, metricsCertPath: '/certificates', autoRestart: false },
    extraArgs: ['--leader-elect-retry-period=3s', '--cluster-name="quoted": yes'],
    customEnvVars: [
      { name: 'NUMBER', value: 1000000 },
      { name: 'BOOLEAN', value: true },
      { name: 'TEXT', value: text },
      { name: 'EMPTY', value: '' },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'a', key: 'b' } } },
    ],
    volumes: [{ name: 'audit', emptyDir: {} }],
    volumeMounts: [{ name: 'audit', mountPath: '/var/log/keyturn' }],
    nodeSelector: { 'kubernetes.io/os': 'linux', number: '1' },
    affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
    tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }],
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { own: 'selector' } },
      },
    ],
    priorityClassName: 'system-cluster-critical',
    hostAliases: [{ ip: '10.1.2.3', hostnames: ['connect.example.test'] }],
    dnsConfig: { options: [{ name: 'ndots', value: '2' }] },
    annotations: { note: text },
    labels: { a: 'true' },
    podAnnotations: { note: text, number: '1' },
    podLabels: { 'app.kubernetes.io/name': 'not-this', b: '1' },
    serviceAnnotations: { note: text },
    serviceLabels: { c: 'null' },
    serviceAccount: { annotations: { note: text } },
    pdb: { enabled: true, annotations: { note: text }, minAvailable: '50%' },
    networkPolicy: {
      enabled: true,
      apiServerTo: [{ ipBlock: { cidr: '10.0.0.1/32' } }],
      connectTo: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
      metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      extraIngress: [{ ports: [{ port: 9000 }] }],
      extraEgress: [{ ports: [{ port: 3128 }] }],
    },
    serviceMonitor: {
      enabled: true,
      scrapeTimeout: '10s',
      labels: { release: 'prometheus' },
      annotations: { note: text },
      relabelings: [{ action: 'replace', targetLabel: 'cluster', replacement: 'a: "b"' }],
      metricRelabelings: [{ action: 'drop', sourceLabels: ['__name__'], regex: 'nodejs_.*' }],
    },
    prometheusRule: { enabled: true, labels: { release: 'prometheus' }, runbookBaseUrl: 'https://example.test/repository/' },
    dashboard: { enabled: true, annotations: { folder: 'a "b"' } },
    rbac: { deleteSecrets: true },
    metricsSecure: true,
  },
  connect: {
    create: true,
    replicas: 2,
    host: 'onepassword-connect.keyturn.svc',
    imagePullSecrets: ['registry'],
    tls: { enabled: true },
    dataVolume: { values: { sizeLimit: '1Gi' } },
    serviceType: 'LoadBalancer',
    loadBalancerIP: '10.9.8.7',
    loadBalancerSourceRanges: ['10.0.0.0/16'],
    serviceAnnotations: { note: text },
    serviceAccount: { create: true, annotations: { note: text } },
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
    tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }],
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' }],
    priorityClassName: 'system-cluster-critical',
    annotations: { note: text },
    labels: { a: 'b' },
    podAnnotations: { note: text },
    podLabels: { a: 'b' },
    customEnvVars: [{ name: 'OP_PROFILER_KEEP_LAST', value: 12 }],
    pdb: { enabled: true },
    api: { serviceMonitor: { enabled: true, params: { a: ['b'] }, annotations: { note: text } } },
  },
};

/** The same operator for two namespaces, its token in the environment, its CA from a ConfigMap, scraped by a PodMonitor. */
export const otherwise: Values = merged(everything, {
  operator: {
    watchNamespace: ['team-a', 'team-b'],
    token: { asEnvironmentVariable: true },
    tls: { trust: { secret: '', configMap: 'ca', key: 'ca.pem' } },
    serviceMonitor: { enabled: false },
    podMonitor: { enabled: true, labels: { release: 'prometheus' }, authorization: { credentials: { name: 'token', key: 'token' } } },
    networkPolicy: { connectTo: [], metricsFrom: [] },
    vaultPolicy: [],
    noProxy: '.svc',
    pdb: { minAvailable: 0, maxUnavailable: 1 },
  },
  connect: { tls: { enabled: false }, serviceType: 'NodePort' },
});
