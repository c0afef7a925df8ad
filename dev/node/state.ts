import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { nodeFolder, places, runtimeFolder } from './places.ts';
import { readSysctls, type Sysctls } from './sysctls.ts';
import { absentFolders } from './shared-folders.ts';

/** What has to be known to undo what a node did to the machine, after the process that started it was killed too. */
export interface NodeState {
  readonly owner: ProcessIdentity;
  /** The folder of the checkout that it belongs to. */
  readonly folder: string;
  /** As they were. */
  readonly sysctls: Sysctls;
  /** Folders of the machine that were not there. */
  readonly absent: readonly string[];
}

/** A process, told from a later one of the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since the machine started. */
  readonly startTime: string;
}

/** Remembers the machine as it is now, as ours to change. */
export async function writeState(): Promise<NodeState> {
  const startTime = await startTimeOf(process.pid);
  if (startTime === undefined) throw new Error('/proc does not tell when this process started; a node needs Linux');
  const owner = { pid: process.pid, startTime };
  const state: NodeState = { owner, folder: nodeFolder, sysctls: await readSysctls(), absent: await absentFolders() };
  await mkdir(runtimeFolder, { recursive: true, mode: 0o700 });
  // Never half of it, whenever the process is killed.
  await writeFile(`${places.stateFile}.new`, JSON.stringify(state), { mode: 0o600 });
  await rename(`${places.stateFile}.new`, places.stateFile);
  return state;
}

/** What a node left, or one that runs now; undefined when nothing was changed. */
export async function readState(): Promise<NodeState | undefined> {
  const text = await readFile(places.stateFile, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as NodeState);
}

/** Whether the process that started the node still runs. */
export async function isOwned({ owner }: NodeState): Promise<boolean> {
  return (await startTimeOf(owner.pid)) === owner.startTime;
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : startTimeIn(text);
}

/** Field 22 of /proc/PID/stat. The name of the program, field 2, may hold spaces and parentheses. */
export function startTimeIn(stat: string): string | undefined {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
