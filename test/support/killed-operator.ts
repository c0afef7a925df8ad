import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The operator as a process of its own, started from its sources as `npm start` does. */
export interface KillableOperator {
  /** Resolves when it reconciles; never, if it is killed before. */
  readonly reconciles: Promise<void>;
  /** SIGKILL: it ends in the middle of whatever it does. Resolves when it has. */
  kill(): Promise<void>;
  /** What it has written so far. */
  output(): string;
}

export interface KillableOperatorOptions {
  readonly kubeconfig: string;
  readonly connect: string;
  readonly token: string;
  readonly namespaces: readonly string[];
  readonly flags?: readonly string[];
  /** A Go duration; 200 ms unless it says otherwise. */
  readonly debounce?: string;
}

const testFlags = ['--health-probe-bind-address=0', '--metrics-bind-address=0'];

/** Spawns an operator that asks Connect every second; the caller kills it. */
export function spawnOperator(options: KillableOperatorOptions): KillableOperator {
  const { kubeconfig, connect, token, namespaces, flags = [], debounce = '200ms' } = options;
  const child = spawn(process.execPath, ['--disable-sigusr1', 'src/main.ts', ...testFlags, `--restart-debounce=${debounce}`, ...flags], {
    cwd: new URL('../..', import.meta.url),
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: kubeconfig,
      OP_CONNECT_HOST: connect,
      OP_CONNECT_TOKEN: token,
      WATCH_NAMESPACE: namespaces.join(','),
      POLLING_INTERVAL: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { promise: reconciles, resolve } = Promise.withResolvers<void>();
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('"msg":"reconciling"')) resolve();
    });
  }
  const ended = once(child, 'close');
  return {
    reconciles,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    output: () => output,
  };
}
