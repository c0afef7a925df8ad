import { setTimeout as pause } from 'node:timers/promises';
import { writeFile, rename } from 'node:fs/promises';
import type { ControlPlane } from '../../dev/control-plane/start.ts';
import type { ApiServerProxy, ProxyFault } from '../support/api-server-proxy.ts';
import type { ConnectProcess } from '../support/connect-process.ts';
import type { Interval } from './history.ts';
import type { Place, Replicas } from './replicas.ts';
import type { Disturbance, ReplicaChoice } from './schedule.ts';

/** Carries disturbances out, and notes when the API server or Connect did not answer as they should. */
export interface Disturber {
  /** Resolves when it is over. */
  disturb(disturbance: Disturbance): Promise<void>;
  /** When something did not answer; without length where watches were broken. */
  readonly outages: readonly Interval[];
  /** How often each kind has had an effect so far: processes ended, watches, requests and connections struck, takeovers while a leader was stopped. */
  readonly effects: ReadonlyMap<string, number>;
}

export interface DisturberOptions {
  readonly controlPlane: ControlPlane;
  readonly connect: ConnectProcess;
  /** Between each replica and the API server. */
  readonly proxies: Readonly<Record<Place, ApiServerProxy>>;
  readonly replicas: Replicas;
  /** The operator reads its token from there. */
  readonly tokenFile: string;
  readonly token: string;
  readonly log: (line: string) => void;
}

/** What hangs is given up by the operator after so long, in milliseconds. */
const hangingTime = 8_000;

export function createDisturber({ controlPlane, connect, proxies, replicas, tokenFile, token, log }: DisturberOptions): Disturber {
  const outages: { from: number; to: number }[] = [];
  const effects = new Map<string, number>();
  let presentToken = token;

  /** What happens meanwhile is an outage, and goes on being one for `after` milliseconds. */
  async function during<T>(run: () => Promise<T>, after = 0): Promise<T> {
    const outage = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    outages.push(outage);
    try {
      return await run();
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

  /** Comes between a replica and the API server: an outage where that one leads. */
  async function strike(replica: ReplicaChoice, run: (proxy: ApiServerProxy) => Promise<number>): Promise<number> {
    const place = replicas.placeOf(replica);
    const struck = (): Promise<number> => run(proxies[place]);
    return place === replicas.placeOf('leader') ? during(struck) : struck();
  }

  async function revoke(how: 'restore' | 'replace', ms: number): Promise<void> {
    const revoked = presentToken;
    await connect.revokeToken(revoked);
    await pause(ms);
    if (how === 'restore') return connect.restoreToken(revoked);
    presentToken = await connect.issueToken({ vaults: ['*'] });
    await writeToken(tokenFile, presentToken);
  }

  async function spoilConnect(fault: Parameters<ConnectProcess['faults']['order']>[0], ms: number): Promise<number> {
    const standing = await connect.faults.order(fault);
    await pause(ms);
    const struck = await standing.clear();
    log(`${fault.kind} has struck ${struck} times`);
    return struck;
  }

  /** @returns how often it had an effect */
  async function carryOut(disturbance: Disturbance): Promise<number> {
    switch (disturbance.what) {
      case 'kill': {
        const killed = replicas.kill(disturbance.replica, disturbance.down);
        log(`${killed ?? 'nobody'} is killed`);
        return killed === undefined ? 0 : 1;
      }
      case 'stop':
        return (await replicas.freezeLeader(disturbance.ms)) ? 1 : 0;
      case 'kill-api-server':
        return during(async () => {
          await controlPlane.stopApiServer();
          await pause(disturbance.down);
          await controlPlane.startApiServer();
          log('the API server is back');
          return 1;
        });
      case 'pause-etcd':
        return during(() => pauseEtcd(disturbance.ms).then(() => 1));
      case 'break-watches':
        return strike(disturbance.replica, async ({ faults }) => {
          const { hits } = faults.order({ kind: disturbance.how });
          log(`${hits} watches are broken`);
          return hits;
        });
      case 'refuse-connections':
        return strike('leader', (proxy) => refuse(proxy, { kind: 'refuse' }, disturbance.ms));
      case 'refuse-requests': {
        const { status, reason, retryAfter, ms } = disturbance;
        const fault: ProxyFault = {
          kind: 'status',
          status,
          ...(reason !== undefined && { reason }),
          ...(retryAfter !== undefined && { retryAfter }),
        };
        return strike('leader', (proxy) => refuse(proxy, fault, ms));
      }
      case 'connect-fault':
        return during(() => spoilConnect(disturbance.fault, disturbance.ms), disturbance.fault.kind === 'hang' ? hangingTime : 0);
      case 'revoke-token':
        return during(() => revoke(disturbance.how, disturbance.ms).then(() => 1));
    }
  }

  return {
    outages,
    effects,
    async disturb(disturbance) {
      const struck = await carryOut(disturbance);
      effects.set(disturbance.what, (effects.get(disturbance.what) ?? 0) + struck);
    },
  };
}

/** @returns how many requests or connections it has struck */
async function refuse({ faults }: ApiServerProxy, fault: ProxyFault, ms: number): Promise<number> {
  const standing = faults.order(fault);
  await pause(ms);
  standing.clear();
  return standing.hits;
}

/** In one step, as Kubernetes does with a mounted Secret. */
export async function writeToken(file: string, token: string): Promise<void> {
  await writeFile(`${file}.new`, token, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
