import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Revisions } from '../../src/domain/revisions.ts';
import { ROOT } from '../tools/command.ts';
import { createCluster, type Cluster } from './cluster.ts';
import { type Connect, rotatedKey } from './connect.ts';
import { operatorLog } from './operator.ts';
import { describeRollout, type Rollout, rolloutTable } from './rollout.ts';
import type { Session } from './session.ts';
import { createListener, hearAll, type Listener, speaking, spokenTable } from './spoken.ts';
import { seconds, type Stage } from './steps.ts';
import type { Target } from './target.ts';
import { type Look, until } from './until.ts';

/** The names in examples/. */
export const names = { item: 'database', secret: 'database', deployment: 'web' } as const;

/** How many steps a tour has; two more where pods say what they see. */
export function tourSteps(podsSpeak: boolean): number {
  return podsSpeak ? 9 : 7;
}

const examples = ['examples/onepassworditem.yaml', 'examples/deployment.yaml'];
const deadlineMs = 30_000;

/** Shows the main job: a Secret appears, a value is rotated, the Secret follows, the Deployment rolls. */
export async function tour(session: Session, target: Target, connect: Connect): Promise<Cluster> {
  const { steps, signal } = session;
  const { podDeadlineMs, pods } = target;
  const cluster = createCluster(target.kube, target.namespace);

  await steps.run('Apply examples/', async (stage) => {
    const applied: string[] = [];
    const change = (object: object, kind: string): object => (pods && kind === 'Deployment' ? speaking(object, pods.image) : object);
    for (const file of examples) applied.push(await cluster.apply(resolve(ROOT, file), change));
    stage.show(applied.join(', '), ...(pods ? ['of another image than in the file: its containers print the value'] : []));
  });

  await steps.run('The Secret appears', (stage) => until('the Secret', { deadlineMs, signal }, () => lookForSecret(cluster, stage)));

  const before = await steps.run('The Deployment starts', (stage) =>
    until('its pods', { deadlineMs: podDeadlineMs, signal }, () => lookForRollout(cluster, stage, undefined)),
  );

  const listen = async (title: string, rollout: Rollout, value: string): Promise<void> => {
    if (pods === undefined) return;
    const listener = createListener(pods);
    await steps.run(title, (stage) =>
      until('the value in every pod', { deadlineMs, signal }, () => lookForValue(listener, stage, rollout, value)),
    );
  };
  await listen('The pods have the value', before, await connect.value());

  const newValue = `demo-${randomBytes(12).toString('hex')}`;
  const { oldValue, oldRevisions, rotatedAt } = await steps.run(`Rotate the ${rotatedKey} in Connect`, async (stage) => {
    const [value, secret] = await Promise.all([connect.value(), cluster.secret(names.secret)]);
    const version = await connect.rotate(newValue);
    const at = performance.now();
    stage.show(`PATCH ${connect.itemPath}`, `the item has version ${version} now`);
    return { oldValue: value, oldRevisions: secret?.revisions ?? {}, rotatedAt: at };
  });

  await steps.run('The Secret follows', (stage) =>
    until('the new value', { deadlineMs, signal }, async () => {
      const secret = await cluster.secret(names.secret);
      if (secret?.holds(rotatedKey, newValue) !== true) return { seen: 'the Secret has another value' };
      const changed = changedKeys(oldRevisions, secret.revisions);
      stage.show(
        `${seconds(performance.now() - rotatedAt)} after the rotation; new revision of: ${changed.join(', ')}`,
        `unchanged: ${secret.keys.filter((key) => !changed.includes(key)).join(', ')}`,
      );
      if (changed.join() !== rotatedKey) throw new Error(`new revisions of ${changed.join(', ') || 'no key'}, not of ${rotatedKey} alone`);
      return { found: true };
    }),
  );

  const after = await steps.run('The Deployment rolls', (stage) =>
    until('a completed rollout', { deadlineMs: podDeadlineMs, signal }, () => lookForRollout(cluster, stage, before)),
  );

  await listen('The new pods have the new value', after, newValue);

  await steps.run('No value outside the Secret', async (stage) => {
    const places = { "the operator's log": await readFile(operatorLog(session), 'utf8'), 'what it wrote': await cluster.writtenText() };
    const values = [oldValue, newValue].flatMap((value) => [value, Buffer.from(value).toString('base64')]);
    for (const [place, text] of Object.entries(places)) {
      if (values.some((value) => text.includes(value))) throw new Error(`${place} holds a ${rotatedKey}`);
    }
    stage.show(`neither ${rotatedKey} is in the operator's log, in a resource, an annotation or an event`);
  });
  return cluster;
}

async function lookForSecret(cluster: Cluster, stage: Stage): Promise<Look<true>> {
  const [secret, status] = await Promise.all([cluster.secret(names.secret), cluster.itemStatus(names.item)]);
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (secret !== undefined) stage.show(`Secret ${names.secret} with the keys ${secret.keys.join(', ')} (values are not shown)`);
  if (secret === undefined || ready?.status !== 'True') {
    return {
      seen: `${secret === undefined ? 'no Secret' : 'a Secret'}, OnePasswordItem ${ready?.reason ?? 'without a condition'} ${ready?.message ?? ''}`,
    };
  }
  return { found: true };
}

/** The completed rollout of the Deployment: the first one, or the one of a restart after `before`. */
async function lookForRollout(cluster: Cluster, stage: Stage, before: Rollout | undefined): Promise<Look<Rollout>> {
  const rollout = await cluster.rollout(names.deployment);
  if (rollout === undefined) return { seen: 'no Deployment' };
  stage.show(...rolloutTable(rollout, before));
  const isRestarted = before === undefined || rollout.lastRestarted !== before.lastRestarted;
  return rollout.complete && isRestarted ? { found: rollout } : { seen: describeRollout(rollout) };
}

/** What the pods say: all of them that they have `value`, in the environment and in the file. */
async function lookForValue(listener: Listener, stage: Stage, rollout: Rollout, value: string): Promise<Look<true>> {
  const spoken = await hearAll(listener, rollout);
  stage.show(...spokenTable(spoken));
  const others = [...spoken].filter(([, said]) => said?.variable !== value || said.file !== value).map(([pod]) => pod);
  if (spoken.size === 0 || others.length > 0) return { seen: others.length === 0 ? 'no pod' : `${others.join(', ')} without the value` };
  return { found: true };
}

/** Keys whose revision is another than before, sorted. */
function changedKeys(before: Revisions, after: Revisions): readonly string[] {
  return Object.keys(after)
    .filter((key) => before[key] !== after[key])
    .toSorted();
}
