import { constants } from 'node:os';
import { checkCredentials } from './check-credentials.ts';
import { commandOf, type Config, ConfigError, helpText, kubeconfigFlag, readConfig, takeEnvironment, wantsPrinted } from './config.ts';
import { runCrd } from './crd.ts';
import { mistakesReport, runDoctor } from './doctor.ts';
import { credentialsFrom, type LoadCredentials } from './kube/credentials.ts';
import { createLog, describeError } from './observability/log.ts';
import { runOperator } from './operator.ts';
import { runPlan } from './plan.ts';
import { systemClock } from './runtime/clock.ts';
import { forbidMemoryDumps } from './runtime/memory-dumps.ts';
import { version } from './version.ts';

/** How long what is under way at a signal, or an error, may take to end, in milliseconds: the whole is to take less than ten seconds. */
const shutdownTime = 9_000;

const terminal = process.stdout.isTTY;
// Until the configuration says how.
let log = createLog('info', { format: terminal ? 'text' : 'json' });

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  // Left to itself, Node prints the whole error, and other people's messages may quote their input.
  process.on(event, fail);
}
// Node opens its inspector at this signal where it was started without --disable-sigusr1, and nobody listens.
process.on('SIGUSR1', () => {});

const args = process.argv.slice(2);
const dumps = forbidMemoryDumps([...process.execArgv, process.env['NODE_OPTIONS'] ?? '']);
// Whatever this process starts, such as a plugin of the kubeconfig, inherits no token.
const environment = takeEnvironment(process.env);

const printed = wantsPrinted(args);
if (printed !== undefined) await print(printed === 'help' ? helpText(version) : `keyturn ${version}\n`, 0);

// These two need nothing of the operator's configuration.
const [word, ...others] = args;
if (word === 'crd') await end((line) => runCrd({ args: others, print: line }));
if (word === 'check-credentials') await end((line) => checkCredentials(others, line));

const isDoctor = commandOf(args) === 'doctor';
const credentials = credentialsFrom(kubeconfigFlag(args));
const config = await configure(credentials);
log = createLog(config.logLevel, { format: config.logFormat });

if (isDoctor) await examine();
if (config.plan) await printPlan();

for (const warning of config.warnings) log.warn(warning);

try {
  const onFailed = (error: unknown): void => void systemClock.after(shutdownTime, () => fail(error));
  await runOperator({ config, credentials, log, onFailed }, stopAtSignals());
  process.exit(0);
} catch (error) {
  fail(error);
}

/** Aborted by the first SIGTERM or SIGINT; the second ends the process at once, and so does the end of the time to stop. */
function stopAtSignals(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(128 + constants.signals[name]);
      log.info({ signal: name }, 'stopping');
      stop.abort();
      systemClock.after(shutdownTime, () => {
        // What becomes of it is guarded, and found out by whoever starts next.
        log.warn('stopped before everything under way had ended');
        process.exit(0);
      });
    });
  }
  return stop.signal;
}

/** Prints what is well and what is not, and exits. */
async function examine(): Promise<never> {
  exitAtSignals();
  try {
    const exitCode = await runDoctor({ config, credentials, print: (line) => process.stdout.write(`${line}\n`) });
    return await print('', exitCode);
  } catch (error) {
    fail(error);
  }
}

/** Nothing is under way that would have to be ended. */
function exitAtSignals(): void {
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1));
}

/** Runs a command that prints lines, and exits with its code; what is wrong goes to standard error, which ends a pod's message of its end. */
async function end(command: (print: (line: string) => void) => number | Promise<number>): Promise<never> {
  exitAtSignals();
  const lines: string[] = [];
  const exitCode = await command((line) => lines.push(`${line}\n`));
  if (exitCode === 0) return await print(lines.join(''), exitCode);
  process.stderr.write(lines.join(''));
  process.exit(exitCode);
}

/** Prints what the operator would do, and exits. */
async function printPlan(): Promise<never> {
  exitAtSignals();
  try {
    const { output, errors, exitCode } = await runPlan({ config, credentials });
    process.stderr.write(errors);
    return await print(output, exitCode);
  } catch (error) {
    fail(error);
  }
}

async function print(text: string, exitCode: number): Promise<never> {
  await new Promise((resolve) => process.stdout.write(text, resolve));
  process.exit(exitCode);
}

function fail(error: unknown): never {
  try {
    log.fatal(describeError(error), 'stopped by an error');
  } finally {
    process.exit(1);
  }
}

/** The configuration; when anything is wrong with it or with the kubeconfig, all of that on stderr, or as what doctor found, and exit code 2. */
async function configure(load: LoadCredentials): Promise<Config> {
  try {
    return readConfig(environment, args, { problems: [...credentialProblems(load), ...dumps], terminal });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (isDoctor) return await print(mistakesReport(error.problems), 2);
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
      'there is no cluster to talk to: set KUBECONFIG or --kubeconfig to a kubeconfig that can be read and has a current context, or run in a pod with a service account',
    ];
  }
}
