import { readdir, readFile, readlink } from 'node:fs/promises';

/** A TCP socket as Linux tells of it. */
interface Socket {
  readonly inode: string;
  readonly local: number;
  readonly remote: number;
  readonly state: string;
}

/** States in which a socket is nobody's any more: TIME_WAIT is the kernel's. */
const over = new Set(['06', '07']);
/** The other side has closed, and nobody has noticed. */
const closeWait = '08';

/** Sockets of a process that the other side has closed. */
export async function abandonedSockets(pid: number): Promise<readonly string[]> {
  const folder = `/proc/${pid}/fd`;
  const links = await Promise.all((await readdir(folder)).map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  const own = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  return (await allSockets())
    .filter(({ inode, state }) => own.has(inode) && state === closeWait)
    .map(({ local, remote }) => `socket ${local} to ${remote} of ${pid}`);
}

/** Sockets to or at ports of which nothing should be left. */
export async function socketsAt(ports: ReadonlySet<number>): Promise<readonly string[]> {
  return (await allSockets())
    .filter(({ local, remote, state }) => !over.has(state) && (ports.has(local) || ports.has(remote)))
    .map(({ local, remote, state }) => `socket ${local} to ${remote}, state ${state}`);
}

/** proc(5), `/proc/net/tcp`: local and remote address in the second and third column, state, and the inode in the tenth. */
async function allSockets(): Promise<readonly Socket[]> {
  const lines = (await readFile('/proc/net/tcp', 'utf8')).trimEnd().split('\n').slice(1);
  return lines.map((line) => {
    const [, local = '', remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
    return { inode, local: portOf(local), remote: portOf(remote), state };
  });
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}
