/** `make demo`: the main job, to watch; with this repository alone, or in a cluster of the reader's. */
import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ChildDeath, logTail } from './child.ts';
import { createCleanup } from './cleanup.ts';
import { startConnect } from './connect.ts';
import { FlagError, type Flags, parseFlags, usage } from './flags.ts';
import { follow } from './follow.ts';
import { instructions } from './instructions.ts';
import { Interrupted } from './interrupted.ts';
import { startLocalCluster } from './local-cluster.ts';
import { nodePart, startNodeCluster } from './node-cluster.ts';
import { operatorLog, startOperator } from './operator.ts';
import { Declined, useOwnCluster } from './own-cluster.ts';
import { makeRunFolder } from './run-folder.ts';
import { createScreen } from './screen.ts';
import type { Session } from './session.ts';
import { createSteps, seconds, summary } from './steps.ts';
import type { Target } from './target.ts';
import { tour, tourSteps } from './tour.ts';

const exitCodes = { passed: 0, failed: 1, declined: 1, unusable: 2, interrupted: 130 } as const;
type Outcome = keyof typeof exitCodes;

async function main(flags: Flags): Promise<Outcome> {
  const total = tourSteps(flags.node) + (flags.kubeconfig === undefined ? 4 : 5);
  const screen = createScreen(process.stdout, process.env);
  const stop = new AbortController();
  const folder = await makeRunFolder();
  const session: Session = {
    screen,
    steps: createSteps(screen, total),
    cleanup: createCleanup(),
    folder,
    signal: stop.signal,
    fail: (error) => stop.abort(error),
  };
  onSignals(session);

  const outcome = await show(session, flags);
  const began = performance.now();
  const problems = await cleanUp(session);
  await rm(folder, { recursive: true, force: true });
  if (outcome === 'declined' || outcome === 'unusable') return outcome;
  for (const problem of problems) screen.print(screen.paint('red', problem));
  screen.print('', `Cleaned up in ${seconds(performance.now() - began)}${problems.length === 0 ? '' : ', not all of it'}`);
  if (flags.once) screen.print('', ...summary(session.steps.results(), total));
  return problems.length === 0 ? outcome : 'failed';
}

/** Runs the demo; says what went wrong, if something did. */
async function show(session: Session, flags: Flags): Promise<Outcome> {
  const { screen, signal } = session;
  let toured = false;
  try {
    const target = await reachCluster(session, flags);
    const connect = await startConnect(session);
    await startOperator(session, target, connect);
    const cluster = await tour(session, target, connect);
    if (flags.once) return 'passed';
    toured = true;
    screen.print(...instructions(target, connect, operatorLog(session), screen.paint));
    return await follow(cluster, target, screen, signal);
  } catch (error) {
    screen.live([]);
    // A process that died makes other things fail as well; that it died is what matters.
    return explain(session, signal.aborted ? signal.reason : error, toured);
  }
}

function reachCluster(session: Session, { kubeconfig, node, yes }: Flags): Promise<Target> {
  if (kubeconfig !== undefined) return useOwnCluster(session, kubeconfig, yes);
  return node ? startNodeCluster(session) : startLocalCluster(session);
}

async function explain(session: Session, error: unknown, toured: boolean): Promise<Outcome> {
  const { screen, folder } = session;
  if (error instanceof Interrupted) return toured ? 'passed' : 'interrupted';
  const message = error instanceof Error ? error.message : 'an error';
  screen.print('', screen.paint('red', message));
  if (error instanceof FlagError) return 'unusable';
  if (error instanceof Declined) return 'declined';
  const logs = error instanceof ChildDeath ? [error.logFile] : [operatorLog(session), join(folder, 'connect.log')];
  for (const log of logs) {
    const lines = await logTail(log);
    if (lines.join('') !== '') screen.print('', `${basename(log)} ends with:`, ...lines.map((line) => `  ${line}`));
  }
  return 'failed';
}

/** Undoes everything. @returns what went wrong, a line each */
async function cleanUp({ cleanup, screen }: Session): Promise<readonly string[]> {
  const problems = await cleanup.run((part) => screen.live([`Cleaning up: ${part} …`]));
  screen.live([]);
  return problems;
}

/** The first signal ends the demo in order, the second at once. */
function onSignals({ screen, cleanup, folder, fail }: Session): void {
  let asked = false;
  const listener = (signal: NodeJS.Signals): void => {
    if (asked) {
      screen.live([]);
      const left = cleanup.pending().filter((part) => /^(namespace|CRD)/.test(part));
      if (left.length > 0) screen.print('', `Left in the cluster: ${left.join(', ')}`);
      if (cleanup.pending().includes(nodePart))
        screen.print('', 'Left on this machine: the node. To remove it: npm run node-cluster -- --clean');
      // Registered last, so that it runs when all processes have been killed.
      process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
      process.exit(exitCodes.interrupted);
    }
    asked = true;
    screen.print('', 'Ending; again to end at once');
    fail(new Interrupted(signal));
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, listener);
  // A terminal that was closed takes no more text; that is no reason to skip the cleaning up.
  process.stdout.on('error', () => undefined);
}

function readFlags(): Flags {
  try {
    return parseFlags(process.argv.slice(2), process.env);
  } catch (error) {
    console.error(error instanceof FlagError ? `${error.message}\n\n${usage}` : error);
    process.exit(exitCodes.unusable);
  }
}

const flags = readFlags();
if (flags.help) {
  console.log(usage);
} else {
  // Processes and client libraries take it from the environment, with all that a list of files means to them.
  if (flags.kubeconfig !== undefined) process.env['KUBECONFIG'] = flags.kubeconfig;
  process.exitCode = exitCodes[await main(flags)];
}
