import fc from 'fast-check';
import { expect, it } from 'vitest';
import { waitReasons } from '../../src/api/outcomes.ts';
import { connectReasons, Failure } from '../../src/api/reasons.ts';
import { createLog } from '../../src/observability/log.ts';
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts';
import { SecretValue } from '../../src/domain/secret-value.ts';
import { KubeError } from '../../src/kube/client.ts';
import { canary } from '../support/canary.ts';
import { fuzz, refuseCanaries } from '../support/fuzz.ts';
import { oddText, oddValue } from '../support/odd-json.ts';

/** A line of the text format of Prometheus: a comment, or a name, labels in quotes, and a number. */
const expositionLine =
  /^(# (HELP|TYPE) .*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? (\d+(\.\d+)?(e[+-]?\d+)?|-\d.*|Nan|[+-]Inf))$/;
const idle = { due: 0, work: { keys: 0, longest: 0, total: 0 } };
const milliseconds = fc.oneof(fc.double({ noNaN: true, min: -1e15, max: 1e15 }), fc.nat(10_000));

it('labels of any text make no line of their own, and no scrape fails', { timeout: 3_600_000 }, async () => {
  const one = fc.record({
    namespaced: fc.boolean(),
    namespaces: fc.array(oddText, { minLength: 1, maxLength: 4 }),
    kind: oddText,
    route: oddText,
    host: oddText,
    status: fc.nat(999),
    duration: milliseconds,
    reason: fc.constantFrom(...waitReasons),
    failure: fc.option(fc.constantFrom(...connectReasons), { nil: undefined }),
  });
  await fuzz('labels of metrics', one, async ({ namespaced, namespaces, kind, route, host, status, duration, reason, failure }) => {
    const metrics = createMetrics({ version: route, pollingInterval: 1_000, namespaceLabel: namespaced });
    for (const namespace of namespaces) {
      metrics.secretWritten(namespace, 'updated');
      metrics.driftRepaired(namespace);
      metrics.restart({ kind, namespace }, 'restarted');
    }
    metrics.kubeRequest(kind, status, host);
    metrics.connectRequest(route, status, Math.abs(duration));
    metrics.connectCertificate(duration);
    metrics.polled(duration);
    metrics.rotated('secret', duration);
    metrics.watch(stateOf({ namespaces, kind, reason, duration, failure }));
    const { body } = await metrics.render();
    const lines = body.split('\n').filter((line) => line !== '');
    expect(lines.filter((line) => !expositionLine.test(line))).toEqual([]);
    const samples = lines.filter((line) => line.startsWith('keyturn_drift_repaired_total'));
    expect(samples).toHaveLength(namespaced ? new Set(namespaces).size : 1);
  });
});

function stateOf(drawn: {
  readonly namespaces: readonly string[];
  readonly kind: string;
  readonly reason: (typeof waitReasons)[number];
  readonly duration: number;
  readonly failure: (typeof connectReasons)[number] | undefined;
}): Parameters<Metrics['watch']>[0] {
  const { namespaces, kind, reason, duration, failure } = drawn;
  return {
    controllers: { onepassworditem: idle, 'deployment-annotation': idle, workload: idle, 'consumer-status': idle },
    workers: { onepassworditem: 1, 'deployment-annotation': 1, workload: 1, 'consumer-status': 1 },
    resources: () => namespaces.map((namespace) => ({ kind: 'Deployment', namespace, ready: 'True', reason: kind })),
    waiting: () => namespaces.map((namespace) => ({ namespace, reason, since: duration })),
    rollouts: () => namespaces.map((namespace) => [namespace, 1] as const),
    connectFailure: () => failure,
    indexed: () => ({ vaults: 1, items: 1 }),
    now: () => 0,
  };
}

const secret = canary('VALUE');

/** Errors as other people's libraries throw them: with the input in the message, or more of it. */
const foreignError = fc.oneof(
  fc.constantFrom(
    new SyntaxError(`Unexpected token in ${secret}`),
    Object.assign(new Error(secret), { code: secret, cause: new Error(secret) }),
    Object.assign(new Error(`x\n    at ${secret}`), { name: 'ZodError', issues: [{ input: secret }] }),
    new AggregateError([new Error(secret)], secret),
    Object.assign(new TypeError(''), { stack: undefined }),
  ),
  fc.constantFrom(new Failure('ItemNotFound', 'the item does not exist'), new KubeError('GET', '/api', 500, 'Refused')),
  fc.constantFrom(secret, undefined, null).map((thrown) => ({ thrown: thrown === secret ? SecretValue.fromText(secret) : thrown })),
);

it('lines of the log are one for each thing that happened, and tell no value', { timeout: 3_600_000 }, async () => {
  const fields = fc.array(fc.tuple(oddText, fc.oneof(oddText, oddValue)), { maxLength: 4 }).map((entries) => Object.fromEntries(entries));
  await fuzz(
    'lines of the log',
    fc.tuple(fields, oddText, foreignError, fc.constantFrom('json', 'text')),
    ([given, message, error, format]) => {
      const lines: string[] = [];
      const log = createLog('debug', { format, destination: { write: (line) => void lines.push(line) } });
      log.info({ ...given, failure: error, value: SecretValue.fromText(secret) }, message);
      log.error(error as object, message);
      log.warn(message);
      expect(lines).toHaveLength(3);
      // A line ends once, at its end; in text no sign commands a terminal.
      expect(lines.filter((line) => line.indexOf('\n') !== line.length - 1)).toEqual([]);
      expect(format === 'text' ? lines.filter((line) => /[\p{Cc}\u2028-\u202e]/u.test(line.slice(0, -1))) : []).toEqual([]);
      for (const line of format === 'json' ? lines : []) JSON.parse(line);
      refuseCanaries({ 'the log': lines.join('') });
    },
  );
});
