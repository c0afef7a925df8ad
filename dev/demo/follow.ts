import type { Cluster, SecretView } from './cluster.ts';
import { rolloutTable } from './rollout.ts';
import type { Screen } from './screen.ts';
import { createListener, hearAll, type Listener, spokenTable } from './spoken.ts';
import type { Target } from './target.ts';
import { names } from './tour.ts';
import { pause } from './until.ts';

const intervalMs = 300;

/** Shows the Secret and the Deployment as they are, and what pods say, again whenever they change. @throws the signal's reason, and never returns */
export async function follow(cluster: Cluster, { pods }: Target, screen: Screen, signal: AbortSignal): Promise<never> {
  const listener = pods && createListener(pods);
  for (;;) {
    const lines = await look(cluster, listener).catch((error: unknown) => [error instanceof Error ? error.message : 'an error']);
    signal.throwIfAborted();
    screen.live(['', screen.paint('bold', 'Now'), ...lines.map((line) => `  ${line}`), '', screen.paint('dim', 'Ctrl-C ends the demo')]);
    await pause(signal, intervalMs);
    signal.throwIfAborted();
  }
}

async function look(cluster: Cluster, listener: Listener | undefined): Promise<readonly string[]> {
  const [secret, rollout] = await Promise.all([cluster.secret(names.secret), cluster.rollout(names.deployment)]);
  if (rollout === undefined) return [...describeSecret(secret), `Deployment ${names.deployment}: not there`];
  // A pod that ends takes its log along.
  const spoken = listener === undefined ? [] : spokenTable(await hearAll(listener, rollout).catch(() => new Map<string, undefined>()));
  return [...describeSecret(secret), ...rolloutTable(rollout), ...spoken];
}

function describeSecret(secret: SecretView | undefined): readonly string[] {
  if (secret === undefined) return [`Secret ${names.secret}: not there`];
  const { keys, revisions } = secret;
  const changes = Object.entries(revisions).map(([key, time]) => `${key === '*' ? 'all' : key} ${new Date(time).toLocaleTimeString()}`);
  return [`Secret ${names.secret}: ${keys.join(', ')}`, `  changed: ${changes.length === 0 ? 'never' : changes.join(', ')}`];
}
