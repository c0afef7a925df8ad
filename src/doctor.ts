import type { Config } from './config.ts';
import { createConnectClient } from './connect/client.ts';
import { createConnectProbe } from './connect/health.ts';
import { createConnectToken } from './connect/token.ts';
import { runChecks } from './doctor/check.ts';
import { clusterChecks } from './doctor/cluster.ts';
import { configurationChecks } from './doctor/configuration.ts';
import { connectChecks } from './doctor/connect.ts';
import { type Finding, formatFinding, summarize } from './domain/finding.ts';
import { createKubeClient } from './kube/client.ts';
import type { LoadCredentials } from './kube/credentials.ts';
import { type Clock, systemClock } from './runtime/clock.ts';
import { version } from './version.ts';

export interface DoctorOptions {
  readonly config: Config;
  readonly credentials: LoadCredentials;
  readonly clock?: Clock;
  /** Takes the report, line by line as it comes to be. */
  readonly print: (line: string) => void;
}

/** For each check, in milliseconds: above what a connection and an answer may take. */
const checkTime = 20_000;

/**
 * Looks at everything that the operator depends on, and says of each thing whether it is well, or how to cure it. Nothing is written to the cluster
 * or to Connect, and no item is asked for. @returns exit code: 1 when anything failed
 */
export async function runDoctor({ config, credentials, clock = systemClock, print }: DoctorOptions): Promise<0 | 1> {
  const userAgent = `keyturn/${version}`;
  const kube = createKubeClient({ load: credentials, clock, userAgent });
  const { connectHost: host, connectCa: ca, connectProxy: proxy } = config;
  const token = createConnectToken({ token: config.connectToken, file: config.connectTokenFile });
  const client = createConnectClient({ host, token, ca, proxy, userAgent, clock });
  const probe = createConnectProbe({ host, ca, proxy, userAgent, clock });
  try {
    const findings = await runChecks(
      [
        ...configurationChecks(config),
        ...connectChecks({ config, token: token.current, client, probe, clock }),
        ...clusterChecks({ config, kube, clock, server: credentials().server }),
      ],
      { clock, limit: checkTime, onFinding: (finding) => print(formatFinding(finding)) },
    );
    print(summarize(findings));
    return findings.some(({ status }) => status === 'fail') ? 1 : 0;
  } finally {
    await Promise.all([kube.close(), client.close(), probe.close()]);
  }
}

/** The report when there is no configuration to go by. */
export function mistakesReport(problems: readonly string[]): string {
  const findings = problems.map((text): Finding => ({ status: 'fail', name: 'configuration', text }));
  return [...findings.map(formatFinding), summarize(findings), ''].join('\n');
}
