import { join } from 'node:path';
import { commandOf, type Binaries, type Role } from './binaries.ts';
import { startChild, type Child } from './child.ts';
import { childEnvironment } from './environment.ts';
import { waitFor } from './wait.ts';

/** The processes of one control plane. */
export interface Processes {
  start(role: Role, flags: readonly string[]): Promise<void>;
  stop(role: Role, signal: NodeJS.Signals): Promise<void>;
  stopAll(): Promise<void>;
  running(): readonly { readonly role: Role; readonly pid: number }[];
  assertRunning(role: Role): Promise<void>;
  /** As `waitFor`, but ends at once when one of `roles` has died; a missed deadline shows the log of the first. */
  waitFor(what: string, roles: readonly Role[], attempt: () => Promise<true | undefined>): Promise<void>;
}

const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 5_000;

/** Starts and ends the processes of the control plane in `directory`. */
export function superviseProcesses(binaries: Binaries, directory: string, log: (line: string) => void): Processes {
  const children = new Map<Role, Child>();
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

  return {
    start: async (role, flags) => {
      const command = commandOf(binaries, role);
      if (command === undefined) throw new Error(`these binaries have no ${role}`);
      const followsInput = binaries.kind === 'built';
      const child = await startChild({
        role,
        command,
        args: flags,
        env: { ...childEnvironment(directory), ...(followsInput && { CONTROL_PLANE_EXIT_WITH_PARENT: '1' }) },
        directory,
        logFile: join(directory, 'logs', `${role}.log`),
        followsInput,
      });
      children.set(role, child);
      child.onceExited((how) => {
        if (children.get(role) === child) log(`${role} ended: ${how}`);
      });
    },
    stop,
    stopAll: async () => {
      const clients = ['pods', 'scheduler', 'controller-manager'] as const;
      await Promise.all(clients.map((role) => stop(role, 'SIGTERM')));
      await stop('apiserver', 'SIGTERM');
      await stop('etcd', 'SIGTERM');
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
