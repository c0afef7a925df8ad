/** What /proc/self/mounts says is mounted in one of `folders`, innermost first. Two mounts at one place are two entries. */
export function mountsIn(mounts: string, folders: readonly string[]): readonly string[] {
  return mounts
    .split('\n')
    .map((line) => unescape(line.split(' ')[1] ?? ''))
    .filter((path) => folders.some((folder) => path === folder || path.startsWith(`${folder}/`)))
    .toReversed();
}

/** The kernel writes a space, a tab, a line break and a backslash as three octal digits. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}

/**
 * What makes `iptables-restore --noflush` remove kube-proxy's chains, and the rules of others that lead into them. It says nothing of
 * any other rule.
 *
 * @param saved the output of `iptables-save`
 * @returns undefined when there is nothing to remove
 */
export function removalOfKubeChains(saved: string): string | undefined {
  const tables = saved.split(/^(?=\*)/m).flatMap(removalInTable);
  return tables.length === 0 ? undefined : tables.join('');
}

function removalInTable(text: string): readonly string[] {
  const lines = text.split('\n');
  const [table = ''] = lines;
  const chains = lines.flatMap((line) => /^:(KUBE-\S+) /.exec(line)?.[1] ?? []);
  if (!table.startsWith('*') || chains.length === 0) return [];
  const jumps = lines.filter((line) => /^-A (?!KUBE-)/.test(line) && /(?:-j|-g) KUBE-/.test(line));
  const commands = [
    // Declared anew a chain is empty: then no chain refers to another one, and each can be deleted.
    ...chains.map((chain) => `:${chain} - [0:0]`),
    ...jumps.map((line) => line.replace('-A', '-D')),
    ...chains.map((chain) => `-X ${chain}`),
  ];
  return [[table, ...commands, 'COMMIT', ''].join('\n')];
}

/** A process of this machine. */
export interface ProcessView {
  readonly pid: number;
  readonly commandLine: readonly string[];
}

const programs = /^(?:containerd|containerd-shim-runc-v2|(?:control-plane|node)-[\w.-]+)$/;

/** Of all processes those of a node: its programs, called with a path in one of its folders. */
export function processesOfNode(processes: readonly ProcessView[], folders: readonly string[]): readonly number[] {
  return processes
    .filter(({ commandLine: [program = '', ...args] }) => {
      const name = program.slice(program.lastIndexOf('/') + 1);
      return programs.test(name) && args.some((arg) => folders.some((folder) => arg.includes(`${folder}/`)));
    })
    .map(({ pid }) => pid);
}
