import { type Config, readConfig } from '../../src/config.ts';
import { credentialsFrom } from '../../src/kube/credentials.ts';
import { createLog, type Log } from '../../src/observability/log.ts';
import type { AuditSink } from '../../src/observability/audit.ts';
import { runOperator, type OperatorOptions } from '../../src/operator.ts';
import { discardedAudit } from './audit.ts';

export interface TestOperator {
  stop(): Promise<void>;
}

export interface TestOperatorOptions {
  readonly kubeconfig: string;
  readonly connect: string;
  readonly token: string;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Settings as a config file would give them. */
  readonly config?: Partial<Config>;
  readonly times?: OperatorOptions['times'];
  /** Takes the audit records, unless a flag names a file for them. */
  readonly auditSink?: AuditSink;
  /** Errors on standard output unless it says otherwise. */
  readonly log?: Log;
}

const testFlags = ['--health-probe-bind-address=0', '--metrics-bind-address=0', '--zap-log-level=error', '--restart-debounce=300ms'];

/** The operator in this process, as `main.ts` would run it; resolves once it reconciles. */
export async function startOperator(options: TestOperatorOptions): Promise<TestOperator> {
  const read = readConfig(
    {
      OP_CONNECT_HOST: options.connect,
      OP_CONNECT_TOKEN: options.token,
      WATCH_NAMESPACE: options.namespaces.join(','),
      POLLING_INTERVAL: '1',
      ...options.environment,
    },
    [...testFlags, ...(options.flags ?? [])],
  );
  const config = { ...read, ...options.config };
  const stop = new AbortController();
  const { promise: ready, resolve: onReady } = Promise.withResolvers<void>();
  const times = { settleTime: 0, ...options.times };
  const ended = runOperator(
    {
      config,
      credentials: credentialsFrom(options.kubeconfig),
      log: options.log ?? createLog('error'),
      onReady,
      times,
      ...(config.audit.path === undefined && { auditSink: options.auditSink ?? discardedAudit }),
    },
    stop.signal,
  );
  await Promise.race([ready, ended]);
  return {
    async stop() {
      stop.abort();
      await ended;
    },
  };
}
