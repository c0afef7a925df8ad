/** `node dev/tools/permissions-used.ts` checks that operators used all that they may do, and asked for nothing else, in the last integration tests. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { leasePermission, type Permission, watchPermissions } from '../../src/doctor/permissions.ts';
import type { ApiAuditSummary, Refusal } from './api-audit.ts';
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
];

/** What is wrong with the permissions of the operator, by what it asked; empty when nothing is. */
export function permissionProblems({ used, refused }: Pick<ApiAuditSummary, 'used' | 'refused'>): readonly string[] {
  const granted = [...watchPermissions(false, true), ...watchPermissions(true, true), leasePermission];
  return [...unused(granted, used), ...refused.filter((refusal) => !isExpected(refusal)).map(describe)];
}

function unused(granted: readonly Permission[], used: ApiAuditSummary['used']): readonly string[] {
  const known = new Set(used.map(({ group, resource, verb }) => nameOf(group, resource, verb)));
  const names = granted.flatMap(({ group, resource, verbs }) => verbs.map((verb) => nameOf(group, resource, verb)));
  return [...new Set(names)].filter((name) => !known.has(name)).map((name) => `granted and never used: ${name}`);
}

function nameOf(group: string, resource: string, verb: string): string {
  return `${verb} on ${resource}${group === '' ? '' : ` of ${group}`}`;
}

function isExpected(refusal: Refusal): boolean {
  return expected.some(({ includes }) => includes(refusal));
}

function describe({ user, verb, uri, decision, message, at }: Refusal): string {
  return `refused by ${decision === 'forbid' ? 'RBAC' : 'admission'}: ${verb} ${uri} of ${user} at ${at}: ${message}`;
}

/** Why the summary does not count; undefined when it does. */
async function whyInvalid({ began, partial }: ApiAuditSummary): Promise<string | undefined> {
  if (partial !== undefined) return partial;
  for (const folder of ['src', 'deploy']) {
    for (const entry of await readdir(resolve(ROOT, folder), { recursive: true, withFileTypes: true })) {
      const file = resolve(entry.parentPath, entry.name);
      if (entry.isFile() && (await stat(file)).mtimeMs > Date.parse(began)) return `${file.slice(ROOT.length + 1)} was changed since`;
    }
  }
  return undefined;
}

async function main(): Promise<void> {
  const text = await readFile(API_AUDIT_FILE, 'utf8').catch(() => undefined);
  const summary = text === undefined ? undefined : (JSON.parse(text) as ApiAuditSummary);
  const invalid = summary === undefined ? 'the integration tests left no summary of what operators asked' : await whyInvalid(summary);
  const problems = summary === undefined ? [] : permissionProblems(summary);
  if (invalid !== undefined) console.error(`${invalid}: run all integration tests`);
  for (const problem of problems) console.error(problem);
  if (invalid !== undefined || problems.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
