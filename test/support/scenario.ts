import { readFile, writeFile } from 'node:fs/promises';
import type { Seed } from '../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { createNamespace, type TestNamespace } from './cluster.ts';
import { kubectl, sharedControlPlane } from './control-plane.ts';
import { startOperator, type TestOperator, type TestOperatorOptions } from './operator.ts';

/** A namespace, a Connect server and an operator that nothing else uses. */
export interface Scenario {
  readonly connect: ConnectServer;
  readonly token: string;
  readonly namespace: TestNamespace;
  /** Stops the operator and starts another one. */
  restartOperator(options?: Partial<TestOperatorOptions>): Promise<void>;
  stopOperator(): Promise<void>;
  end(): Promise<void>;
}

export interface ScenarioOptions extends Partial<TestOperatorOptions> {
  readonly seed: Seed;
  /** The token is written there, and the operator has it from there. */
  readonly tokenFile?: string;
}

/** Starts everything on the shared control plane; the caller ends it. */
export async function startScenario({ seed, tokenFile, ...options }: ScenarioOptions): Promise<Scenario> {
  const { kubeconfig: admin, accounts } = sharedControlPlane();
  const { kubeconfig } = accounts.namespaced;
  await installCrd();
  const connect = await startConnectServer({ seed });
  const token = connect.issueToken({ vaults: ['*'] });
  if (tokenFile !== undefined) await writeFile(tokenFile, token);
  const config = { ...options.config, ...(tokenFile !== undefined && { connectTokenFile: tokenFile }) };
  const namespace = await createNamespace(admin);
  const start = (more: Partial<TestOperatorOptions> = {}): Promise<TestOperator> =>
    startOperator({ kubeconfig, connect: connect.url, token, namespaces: [namespace.name], ...options, config, ...more });
  let operator = await start();
  return {
    connect,
    token,
    namespace,
    async restartOperator(more) {
      await operator.stop();
      operator = await start(more);
    },
    stopOperator: () => operator.stop(),
    async end() {
      await operator.stop();
      await connect.close();
      await namespace.kube.close();
    },
  };
}

/** Applies the CRD of this repository and waits until the API server serves it. */
export async function installCrd(): Promise<void> {
  const crd = await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8');
  for (const [args, input] of [
    [['apply', '--server-side', '-f', '-'], crd],
    [['wait', '--for=condition=Established', 'crd/onepassworditems.onepassword.com', '--timeout=20s'], ''],
  ] as const) {
    const { code, stderr } = await kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
  }
}
