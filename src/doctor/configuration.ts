import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config.ts';
import { fail, type Finding, ok } from '../domain/finding.ts';
import type { Check } from './check.ts';

/** In bytes: less is as good as a full disk. */
const leastSpace = 1024 * 1024;

/** What was set, and what that calls for on this machine. */
export function configurationChecks(config: Config): readonly Check[] {
  return [
    { name: 'configuration', run: async () => [settingsFinding(config), ...config.warnings.map(warningFinding)] },
    { name: 'audit log', run: async () => [await auditFinding(config.audit.path)] },
  ];
}

function settingsFinding({ configFile, watchNamespaces }: Config): Finding {
  const sources = `flags, environment${configFile === undefined ? '' : `, ${configFile}`}`;
  const watched = watchNamespaces.length === 0 ? 'all namespaces' : `namespaces ${watchNamespaces.join(', ')}`;
  return ok('configuration', `taken from ${sources}; ${watched} to watch`);
}

/** A warning says what to do by itself. */
function warningFinding(warning: string): Finding {
  return { status: 'warn', name: 'configuration', text: warning };
}

/** Whether records can be written, found out without writing one. */
async function auditFinding(path: string | undefined): Promise<Finding> {
  const name = 'audit log';
  if (path === undefined) return ok(name, 'to standard output');
  try {
    const place = (await isThere(path)) ? path : await nearestFolder(dirname(path));
    const found = await stat(place);
    if (place === path && found.isDirectory()) return fail(name, `${path} is a folder`, 'name a file in it with --audit-log-path');
    if (place !== path && !found.isDirectory())
      return fail(name, `${place} is no folder`, 'name another file with --audit-log-path, or remove it');
    await access(place, found.isDirectory() ? constants.W_OK | constants.X_OK : constants.R_OK | constants.W_OK);
    const { bavail, bsize } = await statfs(place);
    if ((found.isFile() || found.isDirectory()) && bavail * bsize < leastSpace)
      return fail(name, `the disk of ${path} is full`, 'make room on it, or name another file with --audit-log-path');
    return ok(name, `${path} can be written`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return fail(name, `${path} cannot be written (${code})`, 'mend its owner, permissions or mount, or name another with --audit-log-path');
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** The folder in which those that are missing would be made. */
async function nearestFolder(path: string): Promise<string> {
  return (await isThere(path)) || dirname(path) === path ? path : await nearestFolder(dirname(path));
}
