/** `node dev/tools/permissions-used.ts` checks that operators used all that they may do, and were refused nothing, in the last integration tests. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { leasePermission, watchPermissions } from '../../src/doctor/permissions.ts';
import type { ApiAuditSummary, PermissionUse, Refusal } from './api-audit.ts';
import { ROOT } from './command.ts';

/** Takes the summary of what operators asked of API servers, at the end of the integration tests. */
export const API_AUDIT_FILE = resolve(ROOT, '.cache/api-audit.json');

/** A refusal that is no mistake. */
interface ExpectedRefusal {
  readonly why: string;
  readonly includes: (refusal: Refusal) => boolean;
}

const expected: readonly ExpectedRefusal[] = [
  { why: 'an API server that was just started serves before it has read the roles', includes: ({ whileStarting }) => whileStarting },
  {
    // Of a Secret the API server does not say why.
    why: 'a namespace that is being deleted takes nothing new: admission says so, whatever is granted',
    includes: ({ decision, verb, message }) =>
      decision === 'allow' && verb === 'create' && (message === '' || message.includes('is being terminated')),
  },
];

/** What decides how operators behave, and what they may do: a change of it needs another run. */
const sources = ['src', 'deploy'];

/** What is granted and was never used, for instance `get on leases of coordination.k8s.io`. */
export function unusedPermissions(used: readonly PermissionUse[]): readonly string[] {
  const granted = [...watchPermissions(false, true), ...watchPermissions(true, true), leasePermission];
  const known = new Set(used.map(({ group, resource, verb }) => nameOf(group, resource, verb)));
  const names = granted.flatMap(({ group, resource, verbs }) => verbs.map((verb) => nameOf(group, resource, verb)));
  return [...new Set(names)].filter((name) => !known.has(name));
}

function nameOf(group: string, resource: string, verb: string): string {
  return `${verb} on ${resource}${group === '' ? '' : ` of ${group}`}`;
}

/** A line for each refusal that is not expected: what was asked, of whom, and who refused it. */
export function unexpectedRefusals(refused: readonly Refusal[]): readonly string[] {
  return refused
    .filter((refusal) => !expected.some(({ includes }) => includes(refusal)))
    .map(
      ({ user, verb, uri, decision, message, at }) =>
        `${decision === 'forbid' ? 'RBAC' : 'admission'} refused ${user} at ${at}: ${verb} ${uri}: ${message}`,
    );
}

/** Why the summary does not count; undefined when it does. */
async function whyInvalid({ began, partial }: ApiAuditSummary): Promise<string | undefined> {
  if (partial !== undefined) return partial;
  for (const folder of sources) {
    for (const entry of await readdir(resolve(ROOT, folder), { recursive: true, withFileTypes: true })) {
      const file = resolve(entry.parentPath, entry.name);
      if (entry.isFile() && (await stat(file)).mtimeMs > Date.parse(began)) return `${relative(ROOT, file)} was changed since`;
    }
  }
  return undefined;
}

async function readSummary(): Promise<ApiAuditSummary | undefined> {
  const text = await readFile(API_AUDIT_FILE, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as ApiAuditSummary);
}

/** A line for each problem; none when all is well. */
async function problems(): Promise<readonly string[]> {
  const summary = await readSummary();
  const invalid = summary === undefined ? 'no run of the integration tests came to its end' : await whyInvalid(summary);
  const cure = invalid === undefined ? [] : [`${invalid}: run all integration tests`];
  if (summary === undefined) return cure;
  const refusals = unexpectedRefusals(summary.refused);
  const unused = unusedPermissions(summary.used).map((permission) => `granted and never used: ${permission}`);
  if (summary.limited === undefined) return [...cure, ...refusals, ...unused];
  console.log(`${summary.limited}: whether all that is granted is used was not checked`);
  return [...cure, ...refusals];
}

async function main(): Promise<void> {
  const found = await problems();
  for (const problem of found) console.error(problem);
  if (found.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
