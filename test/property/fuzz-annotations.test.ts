import fc from 'fast-check';
import { expect, it } from 'vitest';
import { annotations } from '../../src/api/names.ts';
import { Failure } from '../../src/api/reasons.ts';
import { claimOf as deploymentClaim } from '../../src/controllers/deployment-reconciler.ts';
import { restartRecord, statedRevisions } from '../../src/controllers/entries.ts';
import { claimOf as itemClaim } from '../../src/controllers/item-reconciler.ts';
import { optIn } from '../../src/domain/auto-restart.ts';
import { withReady } from '../../src/domain/conditions.ts';
import { parseItemPath } from '../../src/domain/item-path.ts';
import { recordedSource } from '../../src/domain/recorded-source.ts';
import { planAdoption, planRestart } from '../../src/domain/restart-plan.ts';
import { consumedRevision, latestRevision, recordedRevisions, revisedAt } from '../../src/domain/revisions.ts';
import {
  isAsRecorded,
  type ItemContent,
  planSecret,
  type SecretClaim,
  type SecretPlan,
  type SecretState,
} from '../../src/domain/secret-plan.ts';
import { type SecretData, SecretValue } from '../../src/domain/secret-value.ts';
import { reduceNamespace, reduceOnePasswordItem, reduceSecret } from '../../src/kube/objects.ts';
import type { WireObject } from '../../src/kube/resource.ts';
import { reduceWorkload, type Workload } from '../../src/kube/workload.ts';
import { parseDuration } from '../../src/runtime/duration.ts';
import { canary } from '../support/canary.ts';
import { fuzz, refuseCanaries } from '../support/fuzz.ts';
import { damaged, oddText, oddValue } from '../support/odd-json.ts';

const now = Date.UTC(2026, 0, 1);
const ids = { vault: 'v'.repeat(26), item: 'i'.repeat(26) } as const;
const keys = ['password', 'user', '__proto__', 'constructor', '*'];
const revision = fc.oneof(fc.integer({ min: -now, max: now }), fc.constantFrom(2 ** 53 - 1, 2 ** 53, -(2 ** 53 - 1), 1.5, 8.64e15));
const record = fc.array(fc.tuple(fc.constantFrom(...keys), revision), { maxLength: 4 }).map((entries) => Object.fromEntries(entries));
const path = fc.oneof(
  fc.constantFrom(`vaults/${ids.vault}/items/${ids.item}`, 'vaults/Prod/items/db', 'vaults//items/', 'vaults/a/items/b/items/c'),
  oddText,
);
const secretRecord = damaged(
  fc.record({
    item: fc.record({ path, vaultId: fc.constant(ids.vault), id: fc.constant(ids.item), version: fc.nat(3) }),
    secret: fc.record({ name: fc.constantFrom('db', 'other'), resourceVersion: fc.constantFrom('1', '2'), revisions: record }),
  }),
);
const inJson = (value: fc.Arbitrary<unknown>) => value.map((one) => JSON.stringify(one));
const anyText = fc.oneof(oddText, inJson(oddValue));

/** For each annotation that we read: what it may well hold, and what somebody may have written there. */
const notes = fc.record(
  {
    [annotations.itemPath]: path,
    [annotations.itemName]: fc.oneof(fc.constant('db'), oddText),
    [annotations.itemVersion]: fc.oneof(fc.nat(3).map(String), anyText),
    [annotations.autoRestart]: fc.oneof(fc.constantFrom('true', 'F', '1'), anyText),
    [annotations.lastRestarted]: anyText,
    [annotations.sync]: anyText,
    [annotations.adopt]: fc.oneof(fc.constant('true'), anyText),
    [annotations.revisions]: fc.oneof(inJson(damaged(record)), anyText),
    [annotations.revisedAt]: fc.oneof(inJson(damaged(record)), anyText),
    [annotations.copied]: fc.oneof(
      inJson(damaged(fc.record({ labels: fc.array(oddText, { maxLength: 2 }), annotations: fc.array(oddText, { maxLength: 2 }) }))),
      anyText,
    ),
    [annotations.secret]: fc.oneof(inJson(secretRecord), anyText),
    [annotations.knownRevisions]: fc.oneof(inJson(damaged(record)), anyText),
    [annotations.restartedRevisions]: fc.oneof(inJson(damaged(record)), anyText),
    [annotations.restart]: fc.oneof(fc.constant('skip'), anyText),
    [annotations.minRestartInterval]: fc.oneof(fc.constantFrom('1h30m', '1.5s', '999999999h'.repeat(10)), anyText),
    [annotations.resume]: anyText,
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Readonly<Record<string, string>>>;

/** An object of the API with nothing but metadata, or what `more` gives it. */
const meta = (own: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>> = {}): WireObject => ({
  metadata: { namespace: 'shop', name: 'db', uid: 'uid', resourceVersion: '2', generation: 1, labels, annotations: own },
});

const value = fc.constantFrom('', 'a', 'b').map((text) => SecretValue.fromText(canary(text)));
const data: fc.Arbitrary<SecretData> = fc
  .array(fc.tuple(fc.constantFrom('password', 'user', '__proto__', 'constructor'), value), { maxLength: 3 })
  .map((entries) => new Map(entries));

const drawn = fc.record({
  resource: notes,
  secret: notes,
  workload: notes,
  template: notes,
  namespace: notes,
  labels: fc.dictionary(fc.constantFrom('app', 'team', '__proto__', 'app.kubernetes.io/instance'), oddText, { maxKeys: 3 }),
  status: fc.oneof(secretRecord, oddValue),
  type: fc.option(oddText, { nil: undefined }),
  held: data,
  coming: data,
  version: fc.nat(3),
  frozen: fc.boolean(),
  immutable: fc.boolean(),
  owned: fc.boolean(),
  copies: fc.boolean(),
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

it('annotations of any content are read without an error of ours or a value that gets out', { timeout: 3_600_000 }, async () => {
  await fuzz('annotations', drawn, (one) => {
    const resource = reduceOnePasswordItem({
      ...meta(one.resource, one.labels),
      spec: { itemPath: one.resource[annotations.itemPath] },
      status: one.status,
      ...(one.type !== undefined && { type: one.type }),
    } as WireObject);
    const workload = reduceWorkload('Deployment')({
      ...meta(one.workload),
      spec: { template: { metadata: { annotations: one.template }, spec: {} } },
    } as WireObject);
    const interval = parseDuration(workload.annotations[annotations.minRestartInterval] ?? '') ?? 0;
    expect(interval).toSatisfy((duration: number) => Number.isFinite(duration) && duration >= 0);
    expect(recordedSource(one.secret).itemVersion ?? 0).toSatisfy(Number.isSafeInteger);
    orFailure(() => parseItemPath(one.resource[annotations.itemPath]));
    const { autoRestart } = reduceNamespace(meta(one.namespace));
    const said = [resource.annotations[annotations.autoRestart], workload.annotations[annotations.autoRestart], autoRestart];
    const decisive = said.find((text) => text !== undefined) ?? '';
    expect(optIn(said, false).restarts).toBe(['1', 't', 'true'].includes(decisive.toLowerCase()));
    withReady(resource.status.conditions ?? [], { ready: true, reason: 'Synced', message: 'x' }, 1, now);
    restarts(one, workload);
    const claims = [itemClaim(resource, resource.status, one.copies), orFailure(() => deploymentClaim(workload))];
    for (const claim of claims) if (claim !== undefined) repairs(claim, one);
  });
});

/** What `act` gives, or undefined when it fails with a failure of ours, whose message holds no value. */
function orFailure<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    refuseCanaries({ 'the message of a failure': error.message });
    return undefined;
  }
}

/** Restarts are planned of whatever is stated, and what a plan states can be read back. */
function restarts(one: Drawn, workload: Workload): void {
  const secret = reduceSecret(meta(one.secret));
  const known = statedRevisions(workload);
  const whole = { whole: true, required: ['password'], optional: ['user'] };
  const consumed = consumedRevision(recordedRevisions(secret), whole);
  const revised = { revision: consumed.revision, revisedAt: revisedAt(secret, consumed.revision) };
  for (const birth of [undefined, 0, now, Number.NaN]) {
    const plan = planRestart([{ name: 'db', consumed, ...revised, restarts: true }], known, { birth });
    const stated = plan.action === 'roll' ? plan.known : {};
    expect(JSON.parse(JSON.stringify(stated))).toEqual(stated);
    planAdoption('db', revised, known, birth);
  }
  restartRecord(known.adopted, new Date(now).toISOString());
}

/** A Secret whose metadata are of any content is as it should be after a write, or two where a record says half of what it should. */
function repairs(claim: SecretClaim, one: Drawn): void {
  const item = { vaultId: ids.vault, id: ids.item, version: one.version, data: one.coming, frozen: one.frozen };
  const existing: SecretState = {
    ...reduceSecret(meta(one.secret, one.labels)),
    ownerReferences: one.owned ? [claim.owner] : [],
    type: claim.type || 'Opaque',
    data: one.held,
    immutable: one.immutable,
  };
  for (const before of [undefined, existing]) {
    let state = before;
    let writes = 0;
    for (let plan = planned(claim, item, state, 0); plan?.action === 'write'; plan = planned(claim, item, state, writes)) {
      writes += 1;
      state = { ...existing, ...plan.content };
      expect(writes).toBeLessThanOrEqual(2);
      checkWritten(state);
      isAsRecorded(claim, state, item, one.frozen);
    }
  }
}

function planned(claim: SecretClaim, item: ItemContent, state: SecretState | undefined, later: number): SecretPlan | undefined {
  return orFailure(() => planSecret(claim, item, state, now + later));
}

/** What was written can be read, and tells no value. */
function checkWritten({ labels, annotations: written, ownerReferences }: SecretState): void {
  refuseCanaries({ 'the metadata of a Secret': JSON.stringify([labels, written, ownerReferences]) });
  expect(Object.values(written).every((text) => typeof text === 'string')).toBe(true);
  const revisions = recordedRevisions({ annotations: written });
  expect(JSON.stringify(revisions)).toBe(written[annotations.revisions] ?? '{}');
  expect(latestRevision(revisions)).toSatisfy(Number.isSafeInteger);
}
