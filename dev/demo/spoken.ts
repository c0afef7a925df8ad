import { rotatedKey } from './connect.ts';
import type { Rollout } from './rollout.ts';
import type { SpeakingPods } from './target.ts';

/** What a pod says it has. */
export interface Spoken {
  readonly variable: string;
  readonly file: string;
}

/** Listens to pods. */
export interface Listener {
  /** Undefined while the pod has not said all of it. */
  hear(pod: string): Promise<Spoken | undefined>;
}

/** As much of a Deployment as is changed. */
interface WireExample {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly WireContainer[] } } };
}

interface WireContainer {
  readonly volumeMounts?: readonly { readonly mountPath: string }[];
}

const labels = { variable: `variable ${rotatedKey}: `, file: `file ${rotatedKey}: ` } as const;

/** The same Deployment of another image, whose containers print the value of the rotated key, from the environment and from the volume. */
export function speaking(deployment: object, image: string): object {
  const { spec, ...rest } = deployment as WireExample;
  const { template } = spec;
  const containers = template.spec.containers.map((container) => ({ ...container, image, command: ['sh', '-c', script(container)] }));
  return { ...rest, spec: { ...spec, template: { ...template, spec: { ...template.spec, containers } } } };
}

/** A shell that is the first process of a container ends on a signal only if it says so. */
function script({ volumeMounts = [] }: WireContainer): string {
  const file = `${volumeMounts[0]?.mountPath ?? ''}/${rotatedKey}`;
  return [
    `echo "${labels.variable}$${rotatedKey}"`,
    `echo "${labels.file}$(cat ${file})"`,
    'trap exit TERM',
    'sleep 2147483647 &',
    'wait',
  ].join('\n');
}

/** What a log says; undefined while a line is missing. */
export function spokenIn(log: string): Spoken | undefined {
  const find = (label: string): string | undefined =>
    log
      .split('\n')
      .find((line) => line.startsWith(label))
      ?.slice(label.length);
  const variable = find(labels.variable);
  const file = find(labels.file);
  return variable === undefined || file === undefined ? undefined : { variable, file };
}

/** A pod says it once, at its start, so that its log has to be read no more when it has. */
export function createListener(pods: SpeakingPods): Listener {
  const heard = new Map<string, Spoken>();
  return {
    async hear(pod) {
      const known = heard.get(pod) ?? spokenIn(await pods.log(pod));
      if (known !== undefined) heard.set(pod, known);
      return known;
    },
  };
}

/** What each ready pod of a rollout says, by the pod's name. */
export async function hearAll(listener: Listener, { replicaSets }: Rollout): Promise<ReadonlyMap<string, Spoken | undefined>> {
  const ready = replicaSets.flatMap(({ pods }) => pods.filter(({ state }) => state === 'ready'));
  return new Map(await Promise.all(ready.map(async ({ name }) => [name, await listener.hear(name)] as const)));
}

/** Two lines for each pod. */
export function spokenTable(spoken: ReadonlyMap<string, Spoken | undefined>): readonly string[] {
  return [...spoken].flatMap(([pod, said]) => [
    `${pod}  ${said === undefined ? 'has not said it yet' : labels.variable + said.variable}`,
    ...(said === undefined ? [] : [`${' '.repeat(pod.length)}  ${labels.file}${said.file}`]),
  ]);
}
