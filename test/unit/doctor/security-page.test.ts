import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { leasePermission, type Permission, reviewPermissions, watchPermissions } from '../../../src/doctor/permissions.ts';

const page = readFileSync(new URL('../../../docs/security.md', import.meta.url), 'utf8');

/** Of the table: `resource verb`. A row without a resource goes on with that of the row above. */
function explained(): ReadonlySet<string> {
  const [, section = ''] = /^## What each permission is for$(.*?)^No verb to delete/ms.exec(page) ?? [];
  const rows = section.split('\n').filter((line) => line.startsWith('| '));
  let resources: readonly string[] = [];
  return new Set(
    rows.slice(2).flatMap((row) => {
      const [, what = '', verbs = ''] = row.split('|');
      // Flags and variables stand in code as well.
      const named = what.matchAll(/`([a-z][a-z./]*)`/g).map((match) => match[1] ?? '');
      resources = what.trim() === '' ? resources : [...named];
      return verbs.split(',').flatMap((verb) => resources.map((resource) => `${resource} ${verb.trim()}`));
    }),
  );
}

function nameOf({ group, resource }: Permission): string {
  return resource === 'rollouts' ? `${resource}.${group}` : resource;
}

function needed(permissions: readonly Permission[]): ReadonlySet<string> {
  return new Set(permissions.flatMap((permission) => permission.verbs.map((verb) => `${nameOf(permission)} ${verb}`)));
}

it('the page on security explains each permission, and no other', () => {
  const all = [...watchPermissions(true, true), ...watchPermissions(false, true), leasePermission, ...reviewPermissions];
  expect(explained()).toEqual(needed(all));
});
