import { join } from 'node:path';
import { request } from 'undici';
import { settingNames, settingOf } from '../../src/config/settings.ts';
import { freePorts } from '../control-plane/ports.ts';
import { startFlags } from '../tools/start-flags.ts';
import { startChild } from './child.ts';
import type { Connect } from './connect.ts';
import type { Session } from './session.ts';
import type { Target } from './target.ts';
import { until } from './until.ts';

const pollingSeconds = 2;
const startDeadlineMs = 30_000;

/** What the operator reads; whatever the reader's shell says of it is not meant for the demo. */
const operatorVariables = new Set([
  'MANAGE_CONNECT',
  'OP_SERVICE_ACCOUNT_TOKEN',
  ...settingNames.flatMap((name) => settingOf(name).variables ?? []),
]);

/** Where the operator's log is. */
export function operatorLog({ folder }: Session): string {
  return join(folder, 'operator.log');
}

/** Starts the operator as a process of its own and waits until it reconciles; it is stopped in the end. */
export async function startOperator(session: Session, target: Target, connect: Connect): Promise<void> {
  await session.steps.run('Start the operator', async (stage) => {
    const [port = 0] = await freePorts(1);
    const health = `127.0.0.1:${port}`;
    const child = await startChild({
      name: 'the operator',
      args: [...startFlags, 'src/main.ts', `--health-probe-bind-address=${health}`, '--metrics-bind-address=0'],
      environment: {
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !operatorVariables.has(name))),
        KUBECONFIG: target.kubeconfig,
        OP_CONNECT_HOST: connect.url,
        OP_CONNECT_TOKEN: connect.token,
        POLLING_INTERVAL: String(pollingSeconds),
        ...(target.namespaced && { WATCH_NAMESPACE: target.namespace }),
      },
      logFile: operatorLog(session),
      onDeath: session.fail,
    });
    session.cleanup.defer('operator', () => child.stop());
    await until('the operator to be ready', { deadlineMs: startDeadlineMs, signal: session.signal }, async () => {
      const { statusCode, body } = await request(`http://${health}/readyz`, { reset: true, signal: AbortSignal.timeout(5_000) });
      await body.dump();
      return statusCode === 200 ? { found: true } : { seen: `/readyz answers ${statusCode}` };
    });
    const where = target.namespaced ? `namespace ${target.namespace}` : 'all namespaces';
    stage.show(`process ${child.pid}, watches ${where}, asks Connect every ${pollingSeconds} s`);
  });
}
