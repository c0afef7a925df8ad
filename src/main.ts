import { type Config, ConfigError, readConfig } from './config.ts';
import { credentialsFrom, type LoadCredentials } from './kube/credentials.ts';
import { createLog, describeError } from './observability/log.ts';
import { runOperator } from './operator.ts';
import { runPlan } from './plan.ts';
import { systemClock } from './runtime/clock.ts';

/** How long what is under way at a signal may take to end, in milliseconds. */
const shutdownTime = 10_000;

const credentials = credentialsFrom();
const config = configure(credentials);
const log = createLog(config.logLevel);

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  // Left to itself, Node prints the whole error, and other people's messages may quote their input.
  process.on(event, fail);
}

if (config.plan) await printPlan();

for (const warning of config.warnings) log.warn(warning);

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.once(name, () => {
    log.info({ signal: name }, 'stopping');
    stop.abort();
    systemClock.after(shutdownTime, () => process.exit(1));
  });
}

try {
  await runOperator({ config, credentials, log }, stop.signal);
  process.exit(0);
} catch (error) {
  fail(error);
}

/** Prints what the operator would do, and exits. */
async function printPlan(): Promise<never> {
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1));
  try {
    const { output, errors, exitCode } = await runPlan({ config, credentials });
    process.stderr.write(errors);
    await new Promise((resolve) => process.stdout.write(output, resolve));
    process.exit(exitCode);
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): never {
  log.fatal(describeError(error), 'stopped by an error');
  process.exit(1);
}

/** The configuration; when anything is wrong with it or with the kubeconfig, all of that on stderr and exit code 2. */
function configure(load: LoadCredentials): Config {
  try {
    return readConfig(process.env, process.argv.slice(2), credentialProblems(load));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`keyturn: ${error.message}`);
    process.exit(2);
  }
}

function credentialProblems(load: LoadCredentials): string[] {
  try {
    load();
    return [];
  } catch {
    return [
      'there is no cluster to talk to: set KUBECONFIG to a kubeconfig that can be read and has a current context, or run in a pod with a service account',
    ];
  }
}
