import { readFile } from 'node:fs/promises';

/** A TCP socket as Linux tells of it. */
interface Socket {
  readonly local: number;
  readonly remote: number;
  readonly state: string;
}

/** States in which a socket is nobody's any more: TIME_WAIT is the kernel's. */
const over = new Set(['06', '07']);

/** Sockets to or at ports of which nothing should be left. */
export async function socketsAt(ports: ReadonlySet<number>): Promise<readonly string[]> {
  return (await allSockets())
    .filter(({ local, remote, state }) => !over.has(state) && (ports.has(local) || ports.has(remote)))
    .map(({ local, remote, state }) => `socket ${local} to ${remote}, state ${state}`);
}

/** proc(5), `/proc/net/tcp`: local and remote address in the second and third column, then the state. */
async function allSockets(): Promise<readonly Socket[]> {
  const lines = (await readFile('/proc/net/tcp', 'utf8')).trimEnd().split('\n').slice(1);
  return lines.map((line) => {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/);
    return { local: portOf(local), remote: portOf(remote), state };
  });
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}
