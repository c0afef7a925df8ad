import { execFile, type ExecFileException } from 'node:child_process';
import { commandOf, type Binaries } from './binaries.ts';
import { childEnvironment } from './environment.ts';

/** What a run of kubectl printed. */
export interface KubectlResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

const DEADLINE_MS = 120_000;

/**
 * Runs kubectl against a control plane's API.
 *
 * @param directory the control plane's, where kubectl keeps its cache
 * @throws Error when there is no kubectl, or when it does not end within two minutes
 */
export function runKubectl(
  binaries: Binaries,
  directory: string,
  kubeconfig: string,
  args: readonly string[],
  stdin?: string,
): Promise<KubectlResult> {
  const command = commandOf(binaries, 'kubectl');
  if (command === undefined) return Promise.reject(new Error('KUBEBUILDER_ASSETS holds no kubectl; put one there, or unset the variable'));
  return new Promise((done, fail) => {
    const child = execFile(
      command.file,
      [...command.args, `--kubeconfig=${kubeconfig}`, ...args],
      { cwd: directory, env: childEnvironment(directory), timeout: DEADLINE_MS, maxBuffer: 64 * 1024 * 1024 },
      (error: ExecFileException | null, stdout, stderr) => {
        if (error === null) done({ stdout, stderr, code: 0 });
        else if (typeof error.code === 'number') done({ stdout, stderr, code: error.code });
        else
          fail(
            new Error(error.killed === true ? `kubectl did not end within ${DEADLINE_MS / 1000} s` : 'kubectl did not run', {
              cause: error,
            }),
          );
      },
    );
    // kubectl may end without reading its input; its exit code then tells why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin ?? '');
  });
}
