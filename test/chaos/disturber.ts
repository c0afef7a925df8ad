import { setTimeout as pause } from 'node:timers/promises';
import { writeFile, rename } from 'node:fs/promises';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import type { ApiServerProxy, ProxyFault } from '../support/api-server-proxy.ts';
import type { ConnectProcess } from '../support/connect-process.ts';
import type { Interval } from './history.ts';
import type { Replicas } from './replicas.ts';
import type { Disturbance } from './schedule.ts';

/** Carries disturbances out, and notes when the API server or Connect did not answer as they should. */
export interface Disturber {
  /** Resolves when it is over. */
  disturb(disturbance: Disturbance): Promise<void>;
  readonly outages: readonly Interval[];
  /** How many requests faults of Connect have struck. */
  readonly hits: number;
}

export interface DisturberOptions {
  readonly controlPlane: ControlPlane;
  readonly connect: ConnectProcess;
  readonly proxy: ApiServerProxy;
  readonly replicas: Replicas;
  /** The operator reads its token from there. */
  readonly tokenFile: string;
  readonly token: string;
  readonly log: (line: string) => void;
}

/** What hangs is given up by the operator after so long, in milliseconds. */
const hangingTime = 8_000;

export function createDisturber({ controlPlane, connect, proxy, replicas, tokenFile, token, log }: DisturberOptions): Disturber {
  const outages: { from: number; to: number }[] = [];
  let presentToken = token;
  let hits = 0;

  /** What happens meanwhile is an outage, and goes on being one for `after` milliseconds. */
  async function during(run: () => Promise<void>, after = 0): Promise<void> {
    const outage = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    outages.push(outage);
    try {
      await run();
    } finally {
      outage.to = Date.now() + after;
    }
  }

  async function pauseEtcd(ms: number): Promise<void> {
    const etcd = controlPlane.processes().find(({ role }) => role === 'etcd');
    if (etcd === undefined) throw new Error('etcd does not run');
    process.kill(etcd.pid, 'SIGSTOP');
    try {
      await pause(ms);
    } finally {
      process.kill(etcd.pid, 'SIGCONT');
    }
  }

  async function refuse(fault: ProxyFault, ms: number): Promise<void> {
    const standing = proxy.faults.order(fault);
    await pause(ms);
    standing.clear();
  }

  async function revoke(how: 'restore' | 'replace', ms: number): Promise<void> {
    const revoked = presentToken;
    await connect.revokeToken(revoked);
    await pause(ms);
    if (how === 'restore') return connect.restoreToken(revoked);
    presentToken = await connect.issueToken({ vaults: ['*'] });
    await writeToken(tokenFile, presentToken);
  }

  async function spoilConnect(fault: Parameters<ConnectProcess['faults']['order']>[0], ms: number): Promise<void> {
    const standing = await connect.faults.order(fault);
    await pause(ms);
    const struck = await standing.clear();
    hits += struck;
    log(`${fault.kind} has struck ${struck} times`);
  }

  return {
    outages,
    get hits() {
      return hits;
    },
    async disturb(disturbance) {
      switch (disturbance.what) {
        case 'kill':
          log(`${replicas.kill(disturbance.replica, disturbance.down)} is killed`);
          return;
        case 'stop':
          return replicas.freeze(disturbance.replica, disturbance.ms);
        case 'kill-api-server':
          return during(async () => {
            await controlPlane.stopApiServer();
            await pause(disturbance.down);
            await controlPlane.startApiServer();
            log('the API server is back');
          });
        case 'pause-etcd':
          return during(() => pauseEtcd(disturbance.ms));
        case 'break-watches':
          log(`${proxy.faults.order({ kind: disturbance.how }).hits} watches are broken`);
          return;
        case 'refuse-connections':
          return during(() => refuse({ kind: 'refuse' }, disturbance.ms));
        case 'refuse-requests': {
          const { status, reason, retryAfter, ms } = disturbance;
          const fault: ProxyFault = {
            kind: 'status',
            status,
            ...(reason !== undefined && { reason }),
            ...(retryAfter !== undefined && { retryAfter }),
          };
          return during(() => refuse(fault, ms));
        }
        case 'connect-fault':
          return during(() => spoilConnect(disturbance.fault, disturbance.ms), disturbance.fault.kind === 'hang' ? hangingTime : 0);
        case 'revoke-token':
          return during(() => revoke(disturbance.how, disturbance.ms));
      }
    },
  };
}

/** In one step, as Kubernetes does with a mounted Secret. */
export async function writeToken(file: string, token: string): Promise<void> {
  await writeFile(`${file}.new`, token, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
