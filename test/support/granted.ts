import type { Permission } from '../../src/doctor/permissions.ts';
import type { Rule } from './roles.ts';

/** A Role or ClusterRole, as far as it says what is allowed. */
interface Role {
  readonly metadata: { readonly namespace?: string };
  readonly rules?: readonly Rule[];
}

/** What roles allow: a sorted line for each verb, such as `team-a: list secrets.`, with the name of the only object that is meant. */
export function granted(roles: readonly Role[]): readonly string[] {
  return roles
    .flatMap(({ metadata: { namespace }, rules = [] }) =>
      rules.flatMap(({ apiGroups, resources, resourceNames: [name] = [], verbs }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) => verbs.map((verb) => line(namespace, verb, { group, resource, name }))),
        ),
      ),
    )
    .toSorted();
}

/** What permissions ask for in a namespace, or everywhere, in the same form. */
export function needed(namespace: string | undefined, permissions: readonly Permission[]): readonly string[] {
  return permissions.flatMap(({ group, resource, verbs, name }) =>
    verbs.map((verb) => line(namespace, verb, { group, resource, name: verb === 'create' ? undefined : name })),
  );
}

interface Target {
  readonly group: string;
  readonly resource: string;
  readonly name: string | undefined;
}

function line(namespace = 'everywhere', verb: string, { group, resource, name }: Target): string {
  return `${namespace}: ${verb} ${resource}.${group}${name === undefined ? '' : ` ${name}`}`;
}
