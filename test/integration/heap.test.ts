import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Seed } from '../../dev/connect-server/seed.ts';
import { type ConnectServer, startConnectServer } from '../../dev/connect-server/server.ts';
import { canary, canaryForms, findCanaries } from '../support/canary.ts';
import { createNamespace, readiness, type TestNamespace } from '../support/cluster.ts';
import { sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { complement, type HeapFindings, type Needles } from '../support/heap-scan.ts';
import { type KeptForm, type OperatorProcess, startOperatorProcess } from '../support/operator-process.ts';
import { installCrd } from '../support/scenario.ts';

const count = 1_000;
const rotated = 100;
const vault = 'Prod';

type ItemSeed = NonNullable<Seed['vaults'][number]['items']>[number];

/** A canary that base64 shifts by none, one or two bytes. */
function shifted(index: number, name: string): string {
  return '-'.repeat(index % 3) + canary(name);
}

/** Values of every kind: the first field is a plain canary; many items have a file, some a long value. */
function itemSeed(index: number): ItemSeed {
  const own = (name: string): string => shifted(index, `${name}${index}`);
  const fields: NonNullable<ItemSeed['fields']> = [
    { label: 'password', value: canary(`password${index}`), type: 'CONCEALED' },
    { label: 'shifted', value: own('shifted') },
    { label: 'wide', value: `пароль ${own('wide')} ☃` },
    { label: '', value: own('unnamed') },
    { label: 'code', value: `otpauth://totp/shop?secret=${canary('')}`, type: 'OTP' },
    ...(index % 10 === 0 ? [{ label: 'long', value: long(own('long')) }] : []),
  ];
  const binary = Buffer.concat([Buffer.from([0xff, 0x00]), Buffer.from(own('binary'))]).toString('base64');
  const files = [
    { name: 'text.txt', content: own('text') },
    { name: 'binary', base64: binary },
  ];
  return {
    title: `title-${index}`,
    urls: [{ label: 'url', href: `https://${own('url')}.test` }],
    fields,
    files: index % 8 === 0 ? files : [],
  };
}

/** More than 8 KiB of it: beyond what Node's pool takes. */
function long(value: string): string {
  return `${value} `.repeat(400);
}

let connect: ConnectServer;
let token: string;
let namespace: TestNamespace;
let operator: OperatorProcess;

beforeAll(async () => {
  await installCrd();
  connect = await startConnectServer({
    seed: { vaults: [{ name: vault, items: Array.from({ length: count }, (_, index) => itemSeed(index)) }] },
  });
  token = connect.issueToken({ vaults: ['*'] });
  const { kubeconfig: admin, accounts } = sharedControlPlane();
  const { kubeconfig } = accounts.namespaced;
  namespace = await createNamespace(admin);
  await namespace.createDeployment('shop', 'item-0', { 'operator.1password.io/auto-restart': 'true' });
  operator = await startOperatorProcess({ kubeconfig, connect: connect.url, token, namespaces: [namespace.name] });
  await Promise.all(
    Array.from({ length: count }, (_, index) => namespace.createItem(`item-${index}`, `vaults/${vault}/items/title-${index}`)),
  );
  await untilSynced();
  await rotate('second', (index) => shifted(index + 1, `second${index}`));
  await rotate('third', (index) => long(shifted(index + 2, `third${index}`)));
  await untilIdle();
});

afterAll(async () => {
  await operator?.stop();
  await connect?.close();
  await namespace?.kube.close();
});

/** Changes the first items, by two fields each, and waits until their Secrets have it. */
async function rotate(label: string, value: (index: number) => string): Promise<void> {
  for (let index = 0; index < rotated; index += 1) {
    connect.store.setField(vault, `title-${index}`, label, value(index));
    connect.store.setField(vault, `title-${index}`, 'password', canary(`${label}${index}`));
  }
  await untilSynced();
}

/** Waits until every resource says that its Secret holds the version that Connect has. */
async function untilSynced(): Promise<void> {
  const versions = new Map(connect.store.activeItems(connect.store.vault(vault).id).map(({ id, version }) => [id, version]));
  await eventually(
    'all resources to be ready, in the version of their item',
    async () => {
      const items = await namespace.items();
      const synced = items.filter(
        (item) => readiness(item) === 'True' && versions.get(item.status?.item?.id ?? '') === item.status?.item?.version,
      );
      return synced.length === count ? true : undefined;
    },
    60_000,
  );
}

/** Waits for two polls in a row between which nothing else was asked. */
async function untilIdle(): Promise<void> {
  await eventually('two quiet polls', () => {
    const last = connect.requests.all.slice(-3);
    return last.length === 3 && last.every(({ route, status }) => route === 'GET /v1/vaults' && status === 200) ? true : undefined;
  });
}

describe('an operator that has synced a thousand items and rotated a hundred, when it is idle', () => {
  it('holds no value in a string or a buffer', async () => {
    const { canaries } = await operator.scan({ canaries: complement(canaryForms) });
    expect(canaries).toEqual({ strings: {}, buffers: {} });
  });

  it('has told none to its log, its metrics, an event, a status or the metadata of a Secret', async () => {
    const metrics = await operator.metrics();
    expect(operator.output()).toContain('"msg":"Secret updated"');
    expect(metrics).toMatch(/^keyturn_connect_requests_total/m);
    expect(await findCanaries(namespace, { log: operator.output(), metrics })).toEqual([]);
  });
});

describe('the search of its memory', () => {
  const forms: readonly (readonly [form: KeptForm, where: 'strings' | 'buffers', holder: RegExp])[] = [
    ['string', 'strings', / string$/],
    ['rope', 'strings', / concatenated string$/],
    ['Uint8Array', 'buffers', /^Uint8Array of 29 bytes$/],
    ['Buffer', 'buffers', /^Buffer of /],
    ['WebAssembly.Memory', 'buffers', /^WebAssembly.Memory of 65536 bytes$/],
    ['SharedArrayBuffer', 'buffers', /^SharedArrayBuffer of 1024 bytes$/],
  ];
  let found: Readonly<Record<string, HeapFindings>>;

  beforeAll(async () => {
    const questions: Record<string, Needles> = { titles: complement([Buffer.from('title-')]) };
    for (const [i, [form]] of forms.entries()) {
      // Each form keeps the value of an item of its own.
      const { id } = connect.store.item(vault, `title-${500 + i}`);
      await operator.keep(form, { url: `${connect.url}/v1/vaults/${connect.store.vault(vault).id}/items/${id}`, token });
      questions[form] = complement([Buffer.from(canary(`password${500 + i}`))]);
    }
    found = await operator.scan(questions);
  });

  it('finds what the operator does keep: the titles of all items', () => {
    const strings = Object.values(found['titles']?.strings ?? {}).reduce((sum, each) => sum + each, 0);
    expect(strings).toBeGreaterThanOrEqual(count);
  });

  it.each(forms)('finds one value that is kept as a %s, and says how it is held', (form, where, holder) => {
    expect(Object.keys(found[form]?.[where] ?? {})).toContainEqual(expect.stringMatching(holder));
  });
});

describe('the search of what it told', () => {
  let other: TestNamespace;
  const value = canary('planted');
  const encoded = Buffer.from(`x${value}`).toString('base64');

  beforeAll(async () => {
    other = await createNamespace(sharedControlPlane().kubeconfig);
  });

  afterAll(() => other?.kube.close());

  it('finds a value in a text', async () => {
    expect(await findCanaries(other, { log: `{"msg":"${value}"}` })).toContainEqual({ place: 'log', count: 1 });
  });

  it('finds a value in an event', async () => {
    const path = `/api/v1/namespaces/${other.name}/events`;
    const involvedObject = { kind: 'Secret', namespace: other.name, name: 'db' };
    await other.kube.request({ method: 'POST', path, body: { metadata: { name: 'told' }, involvedObject, message: encoded } });
    expect(await findCanaries(other)).toContainEqual({ place: 'events/told', count: 1 });
  });

  it('finds a value in a status', async () => {
    await other.createItem('told', 'vaults/Prod/items/none');
    const path = `/apis/onepassword.com/v1/namespaces/${other.name}/onepassworditems/told/status`;
    const condition = { type: 'Ready', status: 'False', reason: 'Told', message: value, lastTransitionTime: '2026-01-01T00:00:00Z' };
    await other.kube.request({ method: 'PATCH', path, body: { status: { conditions: [condition] } } });
    expect(await findCanaries(other)).toContainEqual({ place: 'onepassworditems/told', count: 1 });
  });

  it('finds a value in the metadata of a Secret, and lets its data be', async () => {
    await other.createSecret('silent', { password: value });
    await other.createSecret('told', { password: value }, { annotations: { 'example.test/applied': `{"password":"${encoded}"}` } });
    const places = (await findCanaries(other)).map(({ place }) => place);
    expect(places.filter((place) => place.startsWith('secrets/'))).toEqual(['secrets/told']);
  });
});
