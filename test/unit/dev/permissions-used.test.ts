import { describe, expect, it } from 'vitest';
import type { PermissionUse, Refusal } from '../../../dev/tools/api-audit.ts';
import { unexpectedRefusals, unusedPermissions } from '../../../dev/tools/permissions-used.ts';
import { leasePermission, watchPermissions } from '../../../src/doctor/permissions.ts';

const user = 'system:serviceaccount:keyturn:keyturn';
const everything: readonly PermissionUse[] = [...watchPermissions(false, true), ...watchPermissions(true, true), leasePermission].flatMap(
  ({ group, resource, verbs }) => verbs.map((verb) => ({ user, group, resource, verb, count: 1 })),
);
const refusal: Refusal = {
  user,
  verb: 'patch',
  uri: '/api/v1/namespaces/shop/events/a',
  decision: 'forbid',
  message: 'cannot patch',
  whileStarting: false,
  at: '2026-01-01T00:00:01Z',
};

describe('a permission', () => {
  it('that was used is no problem', () => {
    expect(unusedPermissions(everything)).toEqual([]);
  });

  it('that nobody used is named by its verb and resource', () => {
    const used = everything.filter(({ resource, verb }) => !(verb === 'update' && ['leases', 'secrets'].includes(resource)));
    expect(unusedPermissions(used)).toEqual(['update on secrets', 'update on leases of coordination.k8s.io']);
  });
});

describe('a refusal', () => {
  it('is told with the request', () => {
    expect(unexpectedRefusals([refusal])).toEqual([
      `RBAC refused ${user} at 2026-01-01T00:00:01Z: patch /api/v1/namespaces/shop/events/a: cannot patch`,
    ]);
  });

  it('by somebody after RBAC is told as one of admission', () => {
    expect(unexpectedRefusals([{ ...refusal, decision: 'allow' }])[0]).toMatch(/^admission refused /);
  });

  it('by an API server that has not read the roles yet is expected', () => {
    expect(unexpectedRefusals([{ ...refusal, whileStarting: true }])).toEqual([]);
  });

  it('of a creation in a namespace that is being deleted is expected, unless it is one of RBAC', () => {
    const creation = {
      ...refusal,
      verb: 'create',
      message: 'unable to create new content in namespace shop because it is being terminated',
    };
    expect(unexpectedRefusals([{ ...creation, decision: 'allow' }])).toEqual([]);
    expect(unexpectedRefusals([creation])).toHaveLength(1);
  });
});
