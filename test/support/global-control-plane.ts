import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type ApiAuditSummary, summarizeApiAudit } from '../../dev/tools/api-audit.ts';
import { API_AUDIT_FILE } from '../../dev/tools/permissions-used.ts';
import { auditLogsOf, newRunDirectory, type OwnControlPlane, type SharedControlPlane, startWithAccounts } from './control-plane.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The control plane that all integration tests of a run share. */
    controlPlane: SharedControlPlane;
  }
}

interface Running {
  readonly controlPlane: OwnControlPlane;
  readonly auditDirectory: string;
  readonly began: Date;
  readonly project: TestProject;
}

let running: Running | undefined;

/** Starts the shared control plane before the first integration test. */
export async function setup(project: TestProject): Promise<void> {
  const began = new Date();
  await rm(API_AUDIT_FILE, { force: true });
  const auditDirectory = await newRunDirectory();
  const controlPlane = await startWithAccounts({ directory: await newRunDirectory(), log }, auditDirectory);
  running = { controlPlane, auditDirectory, began, project };
  const { url, kubeconfig, adminToken, ca, directory, features, binaries, accounts } = controlPlane;
  project.provide('controlPlane', { url, kubeconfig, adminToken, ca, directory, features, binaries, accounts, auditDirectory });
}

/** Ends it after the last one, and sums up what operators asked of the API servers. */
export async function teardown(): Promise<void> {
  if (running === undefined) return;
  const { controlPlane, auditDirectory, began, project } = running;
  await controlPlane.stop();
  const partial = await whyPartial(project);
  const summary: ApiAuditSummary = {
    began: began.toISOString(),
    ...(partial !== undefined && { partial }),
    ...(!controlPlane.features.pods && { limited: 'tests were skipped, for KUBEBUILDER_ASSETS brings no pods' }),
    ...(await summarizeApiAudit(await auditLogsOf(auditDirectory))),
  };
  await mkdir(join(API_AUDIT_FILE, '..'), { recursive: true });
  await writeFile(API_AUDIT_FILE, JSON.stringify(summary, undefined, 2));
  await rm(auditDirectory, { recursive: true, force: true });
}

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Undefined when all tests of all files were to run. */
async function whyPartial(project: TestProject): Promise<string | undefined> {
  const { testNamePattern } = project.vitest.config;
  if (testNamePattern !== undefined) return `only tests ran that match ${testNamePattern}`;
  const ran = new Set(project.vitest.state.getTestModules().map(({ moduleId }) => moduleId));
  const { testFiles } = await project.globTestFiles();
  const missing = testFiles.filter((file) => !ran.has(file)).length;
  return missing === 0 ? undefined : `${missing} of ${testFiles.length} files of integration tests did not run`;
}
