import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Failure } from '../../src/api/reasons.ts';
import { createItemSource, type ItemSource } from '../../src/controllers/item-source.ts';
import { createVaultAccess } from '../../src/controllers/vault-access.ts';
import { type ConnectClient, createConnectClient } from '../../src/connect/client.ts';
import { createConnectToken } from '../../src/connect/token.ts';
import { tokenClaims } from '../../src/connect/token-claims.ts';
import { createVaultIndex, type VaultIndex } from '../../src/connect/vault-index.ts';
import { credentialsProblem } from '../../src/domain/connect-credentials.ts';
import { planSecret, type SecretClaim } from '../../src/domain/secret-plan.ts';
import { createAudit } from '../../src/observability/audit.ts';
import { auditRecords, countedIds } from '../support/audit.ts';
import { canary } from '../support/canary.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { fuzz, isReplay, refuseCanaries } from '../support/fuzz.ts';
import { damaged, inPieces, oddText, oddValue, wireBytes } from '../support/odd-json.ts';

const ids = { vault: 'v'.repeat(26), item: 'i'.repeat(26), file: 'f'.repeat(26) };
const secret = canary('VALUE');
const token = `${canary('HEAD')}.${Buffer.from('{"jti":"token-1"}').toString('base64url')}.${canary('SIGNATURE')}`;
/** What must not get out may stand anywhere but in names, which messages tell. */
const anything = fc.oneof(
  { weight: 3, arbitrary: oddValue },
  { weight: 1, arbitrary: fc.constantFrom(secret, [secret], { [secret]: secret }) },
);
const timestamp = fc.constantFrom(
  '2026-01-01T00:00:00Z',
  '2026-02-28T23:59:59.999+14:00',
  '0000-01-01T00:00:00Z',
  '2024-02-29T00:00:00-23:59',
);

const vaults = fc.array(
  fc.record({
    id: fc.constantFrom(ids.vault, ids.vault, 'w'.repeat(26)),
    name: fc.oneof(fc.constant('Prod'), oddText),
    contentVersion: fc.oneof(fc.nat(3), fc.constant(Number.MAX_SAFE_INTEGER)),
    createdAt: timestamp,
  }),
  { maxLength: 2 },
);
const summary = {
  id: fc.constant(ids.item),
  title: fc.oneof(fc.constant('db'), oddText),
  vault: fc.constant({ id: ids.vault }),
  category: fc.constant('LOGIN'),
  version: fc.nat(3),
  tags: fc.constantFrom([], null, ['operator.1password.io:ignore-secret']),
  createdAt: timestamp,
  updatedAt: timestamp,
  state: fc.constantFrom(undefined, undefined, undefined, 'OTHER', 'ARCHIVED'),
};
const items = fc.array(fc.record(summary), { maxLength: 2 });
const item = fc.record({
  ...summary,
  urls: fc.array(fc.record({ label: oddText, primary: fc.boolean(), href: fc.constant(secret) }), { maxLength: 2 }),
  fields: fc.array(
    fc.record({
      id: oddText,
      label: oddText,
      type: fc.constantFrom('STRING', 'OTP', 'CONCEALED'),
      value: fc.constantFrom(secret, '', null),
    }),
    { maxLength: 3 },
  ),
  files: fc.array(fc.record({ id: fc.constant(ids.file), name: oddText, size: fc.nat(30) }), { maxLength: 2 }),
});

/** How one answer goes over the wire. */
interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly ends: readonly number[];
  /** The connection breaks before the end. */
  readonly broken: boolean;
  /** Instead of an answer in HTTP these bytes. */
  readonly raw: Uint8Array | undefined;
}

const headers = fc.constantFrom<Readonly<Record<string, string>>>(
  {},
  { 'retry-after': '99999999999999999999' },
  { 'retry-after': '-1' },
  { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' },
  { 'content-encoding': 'gzip' },
  { 'content-type': 'text/html' },
  { location: `http://127.0.0.1/${secret}` },
);
const answerOf = (body: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Answer> =>
  fc.record({
    status: fc.oneof(
      { weight: 12, arbitrary: fc.constant(200) },
      { weight: 1, arbitrary: fc.constantFrom(201, 204, 302, 400, 401, 403, 404, 429, 500, 599) },
    ),
    headers: fc.oneof({ weight: 6, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: headers }),
    body,
    ends: fc.array(fc.nat(5_000), { maxLength: 3 }),
    broken: fc.oneof({ weight: 15, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    raw: fc.oneof({ weight: 25, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: rawBytes }),
  });
const rawBytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc
    .constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'HTTP/9.9 200\r\n\r\n',
      `HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n${secret}`,
      `${secret}\r\n\r\n`,
    )
    .map((text) => Buffer.from(text)),
);
/** Right in most cases: of what comes after a spoiled answer nothing is read. */
const mostlyRight = (document: fc.Arbitrary<unknown>): fc.Arbitrary<Answer> =>
  fc.oneof(
    {
      weight: 2,
      arbitrary: document.map((right) => ({
        status: 200,
        headers: {},
        body: Buffer.from(JSON.stringify(right)),
        ends: [],
        broken: false,
        raw: undefined,
      })),
    },
    { weight: 1, arbitrary: answerOf(wireBytes(damaged(document, anything))) },
  );
const drawn = fc.record({
  vaults: mostlyRight(vaults),
  items: mostlyRight(items),
  item: mostlyRight(item),
  file: answerOf(fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.constant(Buffer.from(secret)))),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;
/** What Connect answers at one time after another: listings stay from before. */
const history = fc.array(drawn, { minLength: 1, maxLength: 3 });

let server: Server;
let url: string;
let current: Drawn;

beforeAll(async () => {
  server = createServer((request, response) => {
    const parts = (request.url ?? '').split('/');
    const answer =
      parts.length === 3 ? current.vaults : parts.length === 5 ? current.items : parts.length === 6 ? current.item : current.file;
    send(response, answer);
  });
  server.on('clientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function send(response: ServerResponse, { status, headers: given, body, ends, broken, raw }: Answer): void {
  if (raw !== undefined) {
    response.socket?.end(raw);
    return;
  }
  response.writeHead(status, given);
  const pieces = inPieces(body, ends);
  if (status !== 204) for (const piece of broken ? pieces.slice(0, -1) : pieces) response.write(piece);
  if (broken) response.socket?.end();
  else response.end();
}

/** The parts of the operator that know what Connect holds, joined as it joins them. */
interface Asking {
  readonly clock: FakeClock;
  readonly index: VaultIndex;
  readonly source: ItemSource;
  /** What was recorded. */
  readonly audited: () => string;
}

function createAsking(client: ConnectClient, clock: FakeClock): Asking {
  const index = createVaultIndex({ client, clock, onChange: () => {} });
  let lines = '';
  const audit = createAudit({
    sink: { write: (more) => void (lines += more), close: async () => {} },
    clock,
    newId: countedIds(),
    cluster: '',
    pod: 'pod',
    version: '1',
    connection: url,
    tokenId: () => 'token-1',
    required: true,
  });
  const access = createVaultAccess({ index, policy: () => undefined });
  const source = createItemSource({ connect: client, index, access, settings: { allowEmptyValues: true }, audit });
  return { clock, index, source, audited: () => lines };
}

const claim: SecretClaim = {
  namespace: 'shop',
  name: 'db',
  owner: { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'uid' },
  generation: 1,
  type: undefined,
  itemPath: 'vaults/Prod/items/db',
  copied: { labels: {}, annotations: {} },
  record: {},
};
/** The same by ids, which leads past the listings. */
const pinned: SecretClaim = { ...claim, itemPath: `vaults/${ids.vault}/items/${ids.item}` };

const never = new AbortController().signal;

/** Does what a poll and a reconcile do; failures of ours are what should come of odd answers. @returns false for such a failure */
async function reconcile({ index, source, clock }: Asking, which: SecretClaim): Promise<boolean> {
  await orFailure(index.refresh(never));
  const location = await orFailure(source.locate(which, never));
  const fetched = location && (await orFailure(source.fetch(which, location, never)));
  const plan = fetched && (await orFailure(Promise.resolve().then(() => planSecret(which, fetched, undefined, clock.now()))));
  refuseCanaries({ 'the plan of a Secret': JSON.stringify(plan) ?? '' });
  return plan !== undefined;
}

/** What `promise` gives, or undefined when it fails with a failure of ours, whose message holds no value. */
async function orFailure<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    refuseCanaries({ 'the message of a failure': error.message });
    return undefined;
  }
}

it("Connect's answers of any content come to an item or to a failure that tells nothing", { timeout: 3_600_000 }, async () => {
  const clock = createFakeClock();
  // One for all: what an answer leaves behind in it is seen to grow.
  const client = createConnectClient({ host: url, token: createConnectToken({ token }), userAgent: 'fuzz', clock });
  let asked = 0;
  let planned = 0;
  const check = async (answers: readonly Drawn[]): Promise<void> => {
    const asking = createAsking(client, clock);
    for (const one of answers) {
      current = one;
      for (const which of [claim, pinned]) {
        asked += 1;
        if (await reconcile(asking, which)) planned += 1;
        // Whatever gate was shut lets a probe through by then.
        clock.advance(61_000);
      }
    }
    const audit = asking.audited();
    refuseCanaries({ 'the audit': audit, 'an outage': client.outage()?.failure.message ?? '' });
    auditRecords(audit);
  };
  try {
    await fuzz("Connect's answers", history, check);
    // Answers of which nothing comes prove little.
    if (isReplay) return;
    expect(planned).toBeGreaterThan(asked / 20);
  } finally {
    await client.close();
  }
});

/** Claims, or what credentials hold, in base64. */
const base64 = (alphabet: 'base64' | 'base64url') =>
  wireBytes(
    damaged(
      fc.record({ jti: oddText, exp: fc.double(), '1password.com/fts': oddValue, verifier: oddValue, encCredentials: oddValue }),
      anything,
    ),
  ).map((bytes) => Buffer.from(bytes).toString(alphabet));

it('tokens and credentials of any content are told apart without an error', { timeout: 3_600_000 }, async () => {
  const tokens = fc.oneof(
    oddText,
    fc.tuple(oddText, base64('base64url'), oddText).map((parts) => parts.join('.')),
  );
  await fuzz('tokens and credentials', fc.tuple(tokens, fc.oneof(oddText, base64('base64'))), ([one, credentials]) => {
    const claims = tokenClaims(one);
    expect(claims.id).toMatch(/^[\w.-]{1,64}$/);
    refuseCanaries({ 'what is wrong with credentials': credentialsProblem(credentials) ?? '' });
  });
});
