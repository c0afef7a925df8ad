import { describe, expect, it } from 'vitest';
import type { SecretRecord } from '../../../src/api/onepassword-item.ts';
import { Failure } from '../../../src/api/reasons.ts';
import {
  isAsRecorded,
  type ItemContent,
  maxSecretSize,
  type ObservedSecret,
  planSecret,
  type SecretClaim,
  type SecretPlan,
  type SecretState,
} from '../../../src/domain/secret-plan.ts';
import { type SecretData, SecretValue } from '../../../src/domain/secret-value.ts';

const now = Date.UTC(2026, 0, 1);
const managed = { 'keyturn.dev/managed': 'true' };
const itemPath = 'operator.1password.io/item-path';
const itemVersion = 'operator.1password.io/item-version';
const revisions = 'keyturn.dev/revisions';
const copied = 'keyturn.dev/copied';
const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'now' };
const stranger = { apiVersion: 'example.com/v1', kind: 'Other', name: 'db', uid: 'other' };

const dataOf = (values: Readonly<Record<string, string>>): SecretData =>
  new Map(Object.entries(values).map(([key, value]) => [key, SecretValue.fromText(value)]));

/** An item of the vault `v`: version 2 of `i`, unless it says otherwise. */
function item(values: Readonly<Record<string, string>>, more: Partial<ItemContent> = {}): ItemContent {
  return { vaultId: 'v', id: 'i', version: 2, frozen: false, data: dataOf(values), ...more };
}

/** What was written down after version 1, or what `written` and `applied` change in it. */
function record(written: Partial<SecretRecord['secret']> = {}, applied: Partial<SecretRecord['item']> = {}): SecretRecord {
  return {
    item: { path: 'vaults/Prod/items/db', vaultId: 'v', id: 'i', version: 1, ...applied },
    secret: { name: 'db', resourceVersion: '10', dataWriters: 'keyturn 1', ...written },
  };
}

function claim(more: Partial<SecretClaim> = {}): SecretClaim {
  return {
    namespace: 'ns',
    name: 'db',
    owner,
    generation: 1,
    type: undefined,
    itemPath: 'vaults/Prod/items/db',
    copied: { labels: {}, annotations: {} },
    record: record(),
    ...more,
  };
}

/** A Secret as we left it after version 1, or what `more` changes in it. */
function secret(values: Readonly<Record<string, string>>, more: Partial<SecretState> = {}): SecretState {
  return {
    type: 'Opaque',
    data: dataOf(values),
    labels: managed,
    annotations: { [itemPath]: 'vaults/v/items/i', [itemVersion]: '1' },
    ownerReferences: [owner],
    resourceVersion: '10',
    dataWriters: 'keyturn 1',
    writtenByUs: true,
    writtenAt: undefined,
    immutable: false,
    ...more,
  };
}

const noted = (version: number, revised?: object): Readonly<Record<string, string>> => ({
  [itemPath]: 'vaults/v/items/i',
  [itemVersion]: String(version),
  ...(revised && { [revisions]: JSON.stringify(revised) }),
});

/** What a plan that has to be one to write writes. */
function writeOf(plan: SecretPlan): Extract<SecretPlan, { action: 'write' }> {
  if (plan.action !== 'write') throw new Error('nothing is written');
  return plan;
}

function revisionsIn(plan: SecretPlan): unknown {
  const annotation = writeOf(plan).content.annotations[revisions];
  return annotation === undefined ? undefined : JSON.parse(annotation);
}

/** The reason of the failure that `attempt` ends in. */
function refusal(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error instanceof Failure ? error.reason : undefined;
  }
}

describe('a Secret that is not there', () => {
  it('is made of the item, ours, of the type that is asked for', () => {
    const data = item({ password: 'one' });
    const asked = claim({ type: 'example.com/x', record: {}, copied: { labels: { team: 'a' }, annotations: {} } });
    const { content, changed, rotates } = writeOf(planSecret(asked, data, undefined, now));
    expect(content).toEqual({
      type: 'example.com/x',
      data: data.data,
      labels: { ...managed, team: 'a' },
      annotations: { ...noted(2), [copied]: '{"labels":["team"],"annotations":[]}' },
      ownerReferences: [owner],
    });
    expect([changed, rotates]).toEqual([[], false]);
  });

  it.each([undefined, ''])('is Opaque when no type is asked for: %j', (type) => {
    expect(writeOf(planSecret(claim({ type }), item({ a: '1' }), undefined, now)).content.type).toBe('Opaque');
  });

  it('is made of a frozen item too', () => {
    expect(writeOf(planSecret(claim(), item({ a: '1' }, { frozen: true }), undefined, now)).content.data.size).toBe(1);
  });

  it.each<{ readonly name: string; readonly record: Partial<SecretRecord>; readonly expected: object | undefined }>([
    { name: 'none, when nothing was written before', record: {}, expected: undefined },
    { name: 'those of before, for the same version', record: record({ revisions: { a: 5 } }, { version: 2 }), expected: { a: 5 } },
    { name: 'a new one for all, when the version moved', record: record({ revisions: { a: 5 } }), expected: { '*': now } },
    {
      name: 'a new one for all, when the version moved, and those of keys that are gone',
      record: record({ revisions: { a: -5, '*': 4, gone: -5, removed: 6 } }),
      expected: { '*': now, gone: -now, removed: -now },
    },
    { name: 'a new one for all, for another item', record: record({}, { id: 'other', version: 2 }), expected: { '*': now } },
    { name: 'a new one for all, for another path', record: record({}, { path: 'vaults/x/items/y', version: 2 }), expected: { '*': now } },
    { name: 'none, when the record is of another Secret', record: record({ name: 'other', revisions: { a: 5 } }), expected: undefined },
    {
      name: 'later ones than before, whatever the clock says',
      record: record({ revisions: { a: now + 7 } }),
      expected: { '*': now + 8 },
    },
  ])('has revisions: $name', ({ record: known, expected }) => {
    expect(revisionsIn(planSecret(claim({ record: known }), item({ a: '1' }), undefined, now))).toEqual(expected);
  });
});

describe('a Secret that is there', () => {
  it('is not written when it is equal to the item, and says so', () => {
    expect(planSecret(claim(), item({ a: '1' }, { version: 1 }), secret({ a: '1' }), now)).toEqual({ action: 'none' });
  });

  it('gets the values of the item and no others, and keeps its type', () => {
    const next = item({ changed: 'new', added: 'x', same: '1' });
    const before = secret({ changed: 'old', removed: 'y', same: '1' }, { type: 'Opaque' });
    const { content, changed } = writeOf(planSecret(claim(), next, before, now));
    expect(content.data).toBe(next.data);
    expect([changed.toSorted(), content.type]).toEqual([['added', 'changed', 'removed'], 'Opaque']);
  });

  it('is written for its metadata alone without a rotation', () => {
    const { changed, rotates } = writeOf(planSecret(claim(), item({ a: '1' }), secret({ a: '1' }), now));
    expect([changed, rotates]).toEqual([[], false]);
  });

  it('keeps labels, annotations and owners of others', () => {
    const before = secret(
      { a: '1' },
      { labels: { mine: 'x' }, annotations: { mine: 'y', ...noted(1) }, ownerReferences: [stranger, owner] },
    );
    const { content } = writeOf(planSecret(claim(), item({ a: '1' }), before, now));
    expect(content).toMatchObject({ labels: { mine: 'x' }, annotations: { mine: 'y' }, ownerReferences: [stranger, owner] });
  });

  it('loses the reference to a dead owner of our name', () => {
    const before = secret({ a: '1' }, { ownerReferences: [{ ...owner, uid: 'dead' }] });
    expect(writeOf(planSecret(claim(), item({ a: '1' }), before, now)).content.ownerReferences).toEqual([owner]);
  });

  it('loses what was copied and is gone from the resource', () => {
    const before = secret(
      { a: '1' },
      { labels: { team: 'a', mine: 'x', ...managed }, annotations: { ...noted(1), [copied]: '{"labels":["team"]}' } },
    );
    const { content } = writeOf(planSecret(claim(), item({ a: '1' }), before, now));
    expect(content.labels).toEqual({ mine: 'x', ...managed });
  });
});

describe('revisions', () => {
  it('move for what changed, and only for that', () => {
    const before = secret({ a: '1', b: '1' }, { annotations: noted(1, { a: 5, b: 6 }) });
    const plan = planSecret(claim(), item({ a: '2', b: '1' }), before, now);
    expect([revisionsIn(plan), writeOf(plan).rotates]).toEqual([{ a: now, b: 6 }, true]);
  });

  it('are those of the record, when the Secret lost its own or has older ones', () => {
    const before = secret({ a: '1', b: '1' }, { annotations: noted(1, { a: 4, b: 7 }) });
    const plan = planSecret(claim({ record: record({ revisions: { a: 5, b: 6 } }) }), item({ a: '1', b: '1' }), before, now);
    expect(revisionsIn(plan)).toEqual({ a: 5, b: 7 });
  });

  it('that the record has are no revisions when no time could be so late, and none that comes after is made of them', () => {
    const before = secret({ a: '1' }, { annotations: noted(1) });
    const late = claim({ record: record({ revisions: { a: Number.MAX_SAFE_INTEGER } }) });
    expect(revisionsIn(planSecret(late, item({ a: '2' }), before, now))).toEqual({ a: now });
    expect(revisionsIn(planSecret(late, item({ a: '2' }), undefined, now))).toEqual({ '*': now });
  });

  it.each(['nonsense', '[]', '{"a":"x"}'])('that cannot be read are repaired, and nobody is restarted: %s', (annotation) => {
    const before = secret({ a: '1' }, { annotations: { ...noted(1), [revisions]: annotation } });
    const plan = planSecret(claim(), item({ a: '1' }, { version: 1 }), before, now);
    expect([revisionsIn(plan), writeOf(plan).rotates]).toEqual([undefined, false]);
  });

  it('do not move for a repair: the Secret says that it has this version of the item', () => {
    const plan = planSecret(claim({ record: {} }), item({ a: '1' }, { version: 1 }), secret({ a: 'edited' }), now);
    expect([revisionsIn(plan), writeOf(plan).changed, writeOf(plan).rotates]).toEqual([undefined, ['a'], false]);
  });

  it('do not move for a repair: the record says that the Secret had this version, though its annotations are gone', () => {
    const plan = planSecret(claim(), item({ a: '1' }, { version: 1 }), secret({ a: 'edited' }, { annotations: {} }), now);
    expect(revisionsIn(plan)).toBeUndefined();
  });

  const edited: Partial<SecretState> = { resourceVersion: '11', dataWriters: 'editor 2', writtenByUs: false };
  it.each<{ readonly name: string; readonly state: Partial<SecretState>; readonly record?: Partial<SecretRecord>; readonly all: boolean }>([
    { name: 'move for all keys when somebody wrote values and the version moved', state: edited, all: true },
    { name: 'move for all keys when nobody can tell who wrote values', state: { ...edited, dataWriters: undefined }, all: true },
    { name: 'move for what changed when nothing was written since', state: { ...edited, resourceVersion: '10' }, all: false },
    { name: 'move for what changed when nobody else has written a value', state: { ...edited, writtenByUs: true }, all: false },
    { name: 'move for what changed when others wrote their values before us', state: { ...edited, dataWriters: 'keyturn 1' }, all: false },
    { name: 'move for what changed when nothing is written down', state: edited, record: {}, all: false },
  ])('$name', ({ state, record: known = record(), all }) => {
    const plan = planSecret(claim({ record: known }), item({ a: '2', b: '1' }), secret({ a: '1', b: '1' }, state), now);
    expect(revisionsIn(plan)).toEqual(all ? { '*': now } : { a: now });
  });

  it('move for what differs in a Secret that somebody else made, when it is adopted', () => {
    const foreign = {
      annotations: { 'keyturn.dev/adopt': 'true' },
      labels: {},
      ownerReferences: [],
      dataWriters: 'editor 2',
      writtenByUs: false,
    };
    const plan = planSecret(claim({ record: {} }), item({ a: '2', b: '1', c: '1' }), secret({ a: '1', b: '1' }, foreign), now);
    expect([revisionsIn(plan), writeOf(plan).rotates]).toEqual([{ a: now, c: now }, true]);
  });
});

describe('the times at which revisions were written', () => {
  const revisedAt = 'keyturn.dev/revised-at';
  const timesIn = (plan: SecretPlan): unknown => JSON.parse(writeOf(plan).content.annotations[revisedAt] ?? 'null');
  const writtenAt = now - 5_000;

  it('are noted by a write that moves none, and by one that moves others', () => {
    const before = secret({ a: '1', b: '1' }, { annotations: noted(1, { a: 5, b: 6 }), writtenAt });
    const touched = planSecret(claim(), item({ a: '1', b: '1' }), before, now);
    const rotated = planSecret(claim(), item({ a: '2', b: '1' }), before, now);
    expect([touched, rotated].map(timesIn)).toEqual([{ 6: writtenAt }, { 6: writtenAt }]);
  });

  it('are not noted of a revision that the write makes itself', () => {
    const plan = planSecret(claim(), item({ a: '2' }), secret({ a: '1' }, { writtenAt }), now);
    expect([revisionsIn(plan), timesIn(plan)]).toEqual([{ a: now }, null]);
  });

  it('are those of the revisions when a Secret comes back with its record, or gets it back', () => {
    const lost = claim({ record: record({ revisions: { a: 5 } }, { version: 2 }) });
    const [away, bare] = [undefined, secret({ a: '1' }, { writtenAt })].map((before) => planSecret(lost, item({ a: '1' }), before, now));
    expect([away, bare].map((plan) => timesIn(plan as SecretPlan))).toEqual([{ 5: 5 }, { 5: 5 }]);
  });

  it('call for no write by themselves', () => {
    const before = secret({ a: '1' }, { annotations: noted(1, { a: 5 }), writtenAt });
    expect(planSecret(claim(), item({ a: '1' }, { version: 1 }), before, now)).toEqual({ action: 'none' });
  });
});

describe('revisions of a Secret that somebody wrote values to', () => {
  const edited: Partial<SecretState> = { resourceVersion: '11', dataWriters: 'editor 2', writtenByUs: false };

  it('say which keys are gone, in this version or earlier, and not those that are back', () => {
    const annotations = noted(1, { earlier: -5, back: -5, kept: 5 });
    const before = secret({ now: '1', kept: '1' }, { ...edited, annotations });
    const plan = planSecret(claim(), item({ kept: '2', back: '1' }), before, now);
    expect(revisionsIn(plan)).toEqual({ '*': now, now: -now, earlier: -now });
  });
});

it('revisions that get too large collapse, and say which keys are gone, in this version or earlier', () => {
  const many = Object.fromEntries(Array.from({ length: 260 }, (_, index) => [`${index}`.padStart(253, 'k'), '1']));
  const before = secret({ now: '1' }, { annotations: noted(1, { earlier: -5, back: -5 }) });
  const plan = planSecret(claim(), item({ ...many, back: '1' }), before, now);
  expect(revisionsIn(plan)).toEqual({ '*': now, now: -now, earlier: -now });
});

describe('the Secret of a frozen item', () => {
  it('keeps values and revisions, and gets the version noted', () => {
    const before = secret({ a: 'kept' }, { annotations: noted(1, { a: 5 }) });
    const plan = planSecret(claim(), item({ a: 'new' }, { frozen: true }), before, now);
    expect(writeOf(plan)).toMatchObject({ content: { data: before.data, annotations: noted(2, { a: 5 }) }, changed: [], rotates: false });
  });

  it('is left alone once the version is noted, whatever was edited', () => {
    const before = secret({ a: 'edited' }, { annotations: noted(2), resourceVersion: '11', writtenByUs: false });
    expect(planSecret(claim(), item({ a: 'new' }, { frozen: true }), before, now)).toEqual({ action: 'none' });
  });

  it('needs no content of the item, and may be immutable', () => {
    const plan = planSecret(claim(), item({}, { frozen: true }), secret({ a: 'kept' }, { immutable: true }), now);
    expect(writeOf(plan).content.annotations[itemVersion]).toBe('2');
  });
});

describe('a Secret is refused', () => {
  const equal = item({ a: '1' });

  it.each(['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])('for a type on which Kubernetes acts: %s', (type) => {
    expect(refusal(() => planSecret(claim({ type }), equal, undefined, now))).toBe('SecretTypeNotAllowed');
  });

  it('for another type than it has', () => {
    expect(refusal(() => planSecret(claim({ type: 'example.com/x' }), equal, secret({ a: '1' }), now))).toBe('SecretTypeImmutable');
  });

  it.each<[string, Partial<SecretState>]>([
    ['of somebody else', { ownerReferences: [stranger] }],
    ['of nobody, without a mark', { ownerReferences: [], annotations: {} }],
    ['of nobody, with another item', { ownerReferences: [], annotations: { ...noted(1), [itemPath]: 'vaults/v/items/other' } }],
  ])('when it is that %s', (_, state) => {
    expect(refusal(() => planSecret(claim(), equal, secret({ a: '1' }, state), now))).toBe('SecretNotOwned');
  });

  it('for new values when it is immutable', () => {
    expect(refusal(() => planSecret(claim(), item({ a: '2' }), secret({ a: '1' }, { immutable: true }), now))).toBe('SecretImmutable');
  });

  it('not for new metadata when it is immutable', () => {
    expect(planSecret(claim(), equal, secret({ a: '1' }, { immutable: true }), now).action).toBe('write');
  });

  it.each([undefined, secret({ a: '1' })])('for an item without a value (%#)', (before) => {
    expect(refusal(() => planSecret(claim(), item({}), before, now))).toBe('ItemEmpty');
  });

  it.each([undefined, secret({ a: '1' })])('for an item larger than 1 MiB (%#)', (before) => {
    const large = item({ a: 'x'.repeat(maxSecretSize / 2), b: 'x'.repeat(maxSecretSize / 2 + 1) });
    expect(refusal(() => planSecret(claim(), large, before, now))).toBe('SecretTooLarge');
  });

  it('not for an item whose values just fit, whatever its keys', () => {
    expect(planSecret(claim(), item({ a: 'x'.repeat(maxSecretSize) }), undefined, now).action).toBe('write');
  });
});

describe('a Secret is as recorded', () => {
  const version = { vaultId: 'v', id: 'i', version: 1 };
  const holds = ({
    claim: asked = {},
    frozen = false,
    ...state
  }: Partial<ObservedSecret> & { claim?: Partial<SecretClaim>; frozen?: boolean } = {}): boolean =>
    isAsRecorded(claim(asked), secret({}, state), version, frozen);

  it.each<[string, Parameters<typeof holds>[0]]>([
    ['when nothing happened to it', {}],
    ['when nobody wrote a value since, though something was written', { resourceVersion: '99' }],
    ['when nothing was written since, though nobody can tell who wrote values', { dataWriters: undefined }],
    ['when it is frozen, whoever wrote values', { resourceVersion: '99', dataWriters: 'editor 2', frozen: true }],
    ['when others have labels on it', { labels: { ...managed, mine: 'x' } }],
    ['when others have annotations on it', { annotations: { ...noted(1), mine: 'y' } }],
    ['when others own it too', { ownerReferences: [stranger, owner] }],
    [
      'when it carries what is copied',
      {
        labels: { ...managed, team: 'a' },
        annotations: { ...noted(1), [copied]: '{"labels":["team"],"annotations":[]}' },
        claim: { copied: { labels: { team: 'a' }, annotations: {} } },
      },
    ],
    [
      'when it has later revisions than are written down',
      { annotations: noted(1, { a: 6 }), claim: { record: record({ revisions: { a: 5 } }) } },
    ],
  ])('%s', (_, state) => {
    expect(holds(state)).toBe(true);
  });

  it.each<[string, Parameters<typeof holds>[0]]>([
    ['nothing was written down', { claim: { record: {} } }],
    ['the record is of a Secret of another name', { claim: { record: record({ name: 'other' }) } }],
    ['others wrote values', { resourceVersion: '99', dataWriters: 'editor 2' }],
    ['something was written and nobody can tell what', { resourceVersion: '99', dataWriters: undefined }],
    [
      'something was written and nobody could tell before who wrote values',
      { resourceVersion: '99', dataWriters: undefined, claim: { record: { ...record(), secret: { name: 'db', resourceVersion: '10' } } } },
    ],
    ['our label is gone', { labels: {} }],
    ['our label has another value', { labels: { 'keyturn.dev/managed': 'false' } }],
    ['it names another item', { annotations: { ...noted(1), [itemPath]: 'vaults/v/items/other' } }],
    ['it names another version', { annotations: noted(2) }],
    ['it is frozen and names another version', { annotations: noted(2), frozen: true }],
    ['its revisions are gone', { claim: { record: record({ revisions: { a: 5 } }) } }],
    ['its revisions are older', { annotations: noted(1, { a: 4 }), claim: { record: record({ revisions: { a: 5 } }) } }],
    ['its revisions cannot be read', { annotations: { ...noted(1), [revisions]: 'nonsense' } }],
    ['our reference is gone', { ownerReferences: [] }],
    ['our reference is gone and another is there', { ownerReferences: [stranger] }],
    ['a dead owner of our name owns it', { ownerReferences: [{ ...owner, uid: 'dead' }] }],
    ['a label is to be copied', { claim: { copied: { labels: { team: 'a' }, annotations: {} } } }],
    [
      'a copied label is to go',
      { labels: { ...managed, team: 'a' }, annotations: { ...noted(1), [copied]: '{"labels":["team"],"annotations":[]}' } },
    ],
  ])('not when %s', (_, state) => {
    expect(holds(state)).toBe(false);
  });
});
