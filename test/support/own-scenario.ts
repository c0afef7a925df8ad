import { readFile } from 'node:fs/promises';
import type { Seed } from '../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { createNamespace, type TestNamespace } from './cluster.ts';
import { type OwnControlPlane, ownControlPlane } from './control-plane.ts';
import { startOperator, type TestOperator, type TestOperatorOptions } from './operator.ts';

/** A control plane and a Connect server that nothing else uses, for what concerns a whole cluster. */
export interface OwnScenario {
  readonly controlPlane: OwnControlPlane;
  readonly connect: ConnectServer;
  createNamespace(annotations?: object): Promise<TestNamespace>;
  /** Applies the definition of a resource and waits until the API server serves it. */
  installCrd(name: string, manifest: string): Promise<void>;
  /** Starts an operator for namespaces, or with none for all. */
  startOperator(namespaces: readonly TestNamespace[], options?: Partial<TestOperatorOptions>): Promise<TestOperator>;
  /** Stops whatever was started. */
  end(): Promise<void>;
}

/** Starts everything but an operator; the caller ends it. */
export async function startOwnScenario(seed: Seed): Promise<OwnScenario> {
  const controlPlane = await ownControlPlane();
  const connect = await startConnectServer({ seed });
  const token = connect.issueToken({ vaults: ['*'] });
  const operators: TestOperator[] = [];
  const namespaces: TestNamespace[] = [];
  const { kubeconfig: admin, accounts } = controlPlane;
  const kubectl = async (args: readonly string[], input?: string): Promise<void> => {
    const { code, stderr } = await controlPlane.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
  };
  const scenario: OwnScenario = {
    controlPlane,
    connect,
    async createNamespace(notes) {
      const namespace = await createNamespace(admin, notes);
      namespaces.push(namespace);
      return namespace;
    },
    async installCrd(name, manifest) {
      await kubectl(['apply', '--server-side', '-f', '-'], manifest);
      await kubectl(['wait', '--for=condition=Established', `crd/${name}`, '--timeout=20s']);
    },
    async startOperator(watched, options) {
      const names = watched.map(({ name }) => name);
      const { kubeconfig } = watched.length === 0 ? accounts.clusterWide : accounts.namespaced;
      const operator = await startOperator({ kubeconfig, connect: connect.url, token, namespaces: names, ...options });
      operators.push(operator);
      return operator;
    },
    async end() {
      await Promise.all(operators.map((operator) => operator.stop()));
      await connect.close();
      await Promise.all(namespaces.map(({ kube }) => kube.close()));
      await controlPlane.stop();
    },
  };
  try {
    const crd = await readFile(new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url), 'utf8');
    await scenario.installCrd('onepassworditems.onepassword.com', crd);
  } catch (error) {
    await scenario.end();
    throw error;
  }
  return scenario;
}
