import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../dev/control-plane/ports.ts';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { annotations } from '../../src/api/names.ts';
import { createCertificateAuthority } from './certificates.ts';
import { createNamespace, type TestNamespace, untilReadiness, untilRolledOut } from './cluster.ts';
import { sharedControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';
import { startOperator, type TestOperator } from './operator.ts';
import { installCrd } from './scenario.ts';

/** An operator whose metrics can be scraped, with a namespace and a Connect server, over TLS, that nothing else uses. */
export interface PlayedScenario {
  readonly connect: ConnectServer;
  readonly namespace: TestNamespace;
  /** `127.0.0.1:PORT` */
  readonly metricsAddress: string;
  /** When Connect's certificate expires, in milliseconds since the epoch. */
  readonly certificateExpiry: number;
  /** The text of a scrape. */
  scrape(): Promise<string>;
  /** The value of a metric, by its name and labels as they are written; undefined when it has none. */
  readonly value: (sample: string) => Promise<number | undefined>;
  end(): Promise<void>;
}

const fields = [{ label: 'password', value: 'first' }];
const titles = ['rotated', 'edited', 'annotated'];

export async function startPlayedScenario(flags: readonly string[] = []): Promise<PlayedScenario> {
  const { kubeconfig: admin, accounts } = sharedControlPlane();
  const { kubeconfig } = accounts.namespaced;
  await installCrd();
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  const authority = createCertificateAuthority();
  const ca = join(folder, 'ca.pem');
  await writeFile(ca, authority.cert);
  const certificateExpiry = Math.floor(Date.now() / 1000) * 1000 + 86_400_000;
  const connect = await startConnectServer({
    seed: { vaults: [{ name: 'Prod', items: titles.map((title) => ({ title, fields })) }] },
    tls: authority.issue('127.0.0.1', { until: new Date(certificateExpiry) }),
  });
  const namespace = await createNamespace(admin);
  const [port = 0] = await freePorts(1);
  const metricsAddress = `127.0.0.1:${port}`;
  const operator: TestOperator = await startOperator({
    kubeconfig,
    connect: connect.url,
    token: connect.issueToken({ vaults: ['*'] }),
    namespaces: [namespace.name],
    environment: { SSL_CERT_FILE: ca },
    flags: [`--metrics-bind-address=${metricsAddress}`, ...flags],
    times: { outageGrace: 0 },
  });
  const scrape = async (): Promise<string> => (await fetch(`http://${metricsAddress}/metrics`)).text();
  return {
    connect,
    namespace,
    metricsAddress,
    certificateExpiry,
    scrape,
    async value(sample) {
      const line = (await scrape()).split('\n').find((text) => text.startsWith(`${sample} `));
      return line === undefined ? undefined : Number(line.slice(sample.length + 1));
    },
    async end() {
      await operator.stop();
      await connect.close();
      await namespace.kube.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Resources and an annotated Deployment that are synced, one that names no item, a rotation with a restart, a Secret edited by hand, an outage. */
export async function play({ connect, namespace, ...scenario }: PlayedScenario): Promise<void> {
  const optedIn = { [annotations.autoRestart]: 'true' };
  await namespace.createItem('rotated', 'vaults/Prod/items/rotated', { annotations: optedIn });
  await namespace.createItem('edited', 'vaults/Prod/items/edited');
  await namespace.createItem('missing', 'vaults/Prod/items/missing');
  for (const [name, readiness] of [
    ['rotated', 'True'],
    ['edited', 'True'],
    ['missing', 'ItemNotFound'],
  ] as const) {
    await untilReadiness(namespace, name, readiness);
  }
  await namespace.createDeployment('annotated', 'own', {
    [annotations.itemPath]: 'vaults/Prod/items/annotated',
    [annotations.itemName]: 'own',
  });
  await namespace.createDeployment('rotated', 'rotated');
  await untilRolledOut(namespace, 'annotated');
  await untilRolledOut(namespace, 'rotated');

  connect.store.setField('Prod', 'rotated', 'password', 'second');
  await eventually('the restart to be completed', async () =>
    (await scenario.value('keyturn_restarts_total{kind="Deployment",result="completed"}')) === 1 ? true : undefined,
  );
  await namespace.patchSecret('edited', { stringData: { password: 'edited' } });
  await eventually('the edited Secret to be repaired', async () =>
    (await scenario.value('keyturn_drift_repaired_total')) === 1 ? true : undefined,
  );

  connect.faults.order({ kind: 'status', status: 401 });
  await eventually('the outage to be seen', async () => ((await scenario.value('keyturn_connect_up')) === 0 ? true : undefined));
  connect.faults.clear();
  await eventually('Connect to be asked again', async () => ((await scenario.value('keyturn_connect_up')) === 1 ? true : undefined));
  await eventually('the resources to be in sync again', async () =>
    (await scenario.value('keyturn_resources{kind="OnePasswordItem",ready="True",reason="Synced"}')) === 2 ? true : undefined,
  );
}
