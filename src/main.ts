import { ConfigError, readConfig } from './config.ts';
import { credentialsFrom, type LoadCredentials } from './kube/credentials.ts';
import { createLog, describeError } from './observability/log.ts';
import { runOperator } from './operator.ts';

/** How long what is under way at a signal may take to end, in milliseconds. */
const shutdownTime = 10_000;

function configure(): { config: ReturnType<typeof readConfig>; credentials: LoadCredentials } {
  try {
    const config = readConfig(process.env, process.argv.slice(2));
    const credentials = credentialsFrom();
    credentials();
    return { config, credentials };
  } catch (error) {
    const text = error instanceof ConfigError ? error.message : `the kubeconfig cannot be used; check KUBECONFIG and the current context\n`;
    process.stderr.write(`keyturn: ${text}`);
    process.exit(2);
  }
}

const { config, credentials } = configure();
const log = createLog(config.logLevel);
for (const warning of config.warnings) log.warn(warning);

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.once(name, () => {
    log.info({ signal: name }, 'stopping');
    stop.abort();
    setTimeout(() => process.exit(1), shutdownTime).unref();
  });
}

try {
  await runOperator({ config, credentials, log }, stop.signal);
  process.exit(0);
} catch (error) {
  log.fatal(describeError(error), 'stopped by an error');
  process.exit(1);
}
