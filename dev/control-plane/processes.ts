import { join } from 'node:path';
import type { Command } from './binaries.ts';
import { startChild, type Child } from './child.ts';
import { childEnvironment } from './environment.ts';
import { waitFor } from './wait.ts';

/** What runs in the folder of a cluster. */
export interface ProcessOptions<Role extends string> {
  readonly directory: string;
  /** The program of a role; undefined where there is none. */
  readonly commandOf: (role: Role) => Command | undefined;
  /** Whether that program ends by itself when its standard input closes. */
  readonly followsInput: (role: Role) => boolean;
  /** Groups of roles, in the order in which they are ended. */
  readonly stopOrder: readonly (readonly Role[])[];
  readonly log: (line: string) => void;
}

/** The processes of one cluster. */
export interface Processes<Role extends string> {
  start(role: Role, flags: readonly string[]): Promise<void>;
  /** Kills it, if it runs, and starts it with the flags it was last started with. */
  restart(role: Role): Promise<void>;
  stop(role: Role, signal: NodeJS.Signals): Promise<void>;
  stopAll(): Promise<void>;
  running(): readonly { readonly role: Role; readonly pid: number }[];
  assertRunning(role: Role): Promise<void>;
  /** As `waitFor`, but ends at once when one of `roles` has died; a missed deadline shows the log of the first. */
  waitFor(what: string, roles: readonly Role[], attempt: () => Promise<true | undefined>): Promise<void>;
}

const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 5_000;

/** Starts and ends processes. */
export function superviseProcesses<Role extends string>(options: ProcessOptions<Role>): Processes<Role> {
  const { directory, commandOf, followsInput, stopOrder, log } = options;
  const children = new Map<Role, Child<Role>>();
  const flagsOf = new Map<Role, readonly string[]>();
  const killAll = (): void => {
    for (const child of children.values()) child.kill();
  };
  process.once('exit', killAll);

  const stop = async (role: Role, signal: NodeJS.Signals): Promise<void> => {
    const child = children.get(role);
    if (child === undefined) return;
    children.delete(role);
    await child.stop(signal, STOP_DEADLINE_MS);
  };

  const assertRunning = async (role: Role): Promise<void> => {
    const child = children.get(role);
    const ended = child?.ended();
    if (child !== undefined && ended !== undefined) throw new Error(`${role} ended early: ${ended}\n${await child.logTail()}`);
  };

  const start = async (role: Role, flags: readonly string[]): Promise<void> => {
    const command = commandOf(role);
    if (command === undefined) throw new Error(`these binaries have no ${role}`);
    flagsOf.set(role, flags);
    const follows = followsInput(role);
    const child = await startChild({
      role,
      command,
      args: flags,
      env: { ...childEnvironment(directory), ...(follows && { CONTROL_PLANE_EXIT_WITH_PARENT: '1' }) },
      directory,
      logFile: join(directory, 'logs', `${role}.log`),
      followsInput: follows,
    });
    children.set(role, child);
    child.onceExited((how) => {
      if (children.get(role) === child) log(`${role} ended: ${how}`);
    });
  };

  return {
    start,
    restart: async (role) => {
      await stop(role, 'SIGKILL');
      await start(role, flagsOf.get(role) ?? []);
    },
    stop,
    stopAll: async () => {
      for (const roles of stopOrder) await Promise.all(roles.map((role) => stop(role, 'SIGTERM')));
      process.off('exit', killAll);
    },
    running: () => [...children.values()].filter((child) => child.ended() === undefined).map(({ role, pid }) => ({ role, pid })),
    assertRunning,
    waitFor: async (what, roles, attempt) => {
      const abortIf = async (): Promise<void> => {
        for (const role of roles) await assertRunning(role);
      };
      try {
        await waitFor(what, attempt, { deadlineMs: READY_DEADLINE_MS, abortIf });
      } catch (error) {
        await abortIf();
        const [role] = roles;
        const tail = role === undefined ? undefined : await children.get(role)?.logTail();
        throw new Error(`${(error as Error).message}; ${role ?? ''} logged last:\n${tail ?? ''}`, { cause: error });
      }
    },
  };
}
