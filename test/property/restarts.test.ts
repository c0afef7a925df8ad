import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConsumedSecret, planAdoption, type KnownRevisions, planRestart, type RestartPlan } from '../../src/domain/restart-plan.ts';
import { consumedRevision, latestRevision, parseRevisions, revise, type Revisions, revisionOf } from '../../src/domain/revisions.ts';

const now = Date.UTC(2026, 0, 1);
const key = fc.constantFrom('a', 'b', '*', '__proto__', 'constructor');
const time = fc.integer({ min: 0, max: 2 * now });
const record: fc.Arbitrary<Revisions> = fc.array(fc.tuple(key, time)).map((entries) => Object.fromEntries(entries));

describe('revisions', () => {
  it('only grow, whatever the clock does, and survive their annotation', () => {
    const change = fc.record({ keys: fc.oneof(fc.constant('all' as const), fc.uniqueArray(key)), at: time });
    fc.assert(
      fc.property(record, fc.array(change, { maxLength: 10 }), (start, changes) => {
        let revisions = start;
        for (const { keys, at } of changes) {
          const next = parseRevisions(JSON.stringify(revise(revisions, keys, at)));
          expect(keys.length === 0 ? latestRevision(next) + 1 : latestRevision(next)).toBeGreaterThan(latestRevision(revisions));
          const moved = keys === 'all' ? ['*'] : keys;
          for (const name of moved) expect(revisionOf(next, name)).toBe(latestRevision(next));
          revisions = next;
        }
      }),
    );
  });

  it('are read from any annotation without an error, as numbers', () => {
    const annotation = fc.oneof(
      fc.string(),
      fc.json(),
      fc.dictionary(fc.string(), fc.oneof(fc.double(), fc.string())).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(annotation, (text) => {
        expect(Object.values(parseRevisions(text)).every((revision) => Number.isSafeInteger(revision))).toBe(true);
      }),
    );
  });
});

const entryOf = ({ adopted, rolled }: KnownRevisions, of: string) => Math.max(revisionOf(adopted, of) ?? -1, revisionOf(rolled, of) ?? -1);

/** What the workload says once the plan was carried out; a roll is a birth as well. */
function apply(plan: RestartPlan, before: KnownRevisions): KnownRevisions {
  if (plan.action === 'adopt') return { ...before, adopted: plan.stated };
  return plan.action === 'roll' ? { ...before, rolled: plan.known } : before;
}

/** A Secret of which all is consumed, and one key changed. */
function consuming(name: string, revision: number): ConsumedSecret & { readonly revision: number } {
  const keys = { whole: true, required: [], optional: [] };
  return { name, revision, consumed: consumedRevision({ password: revision }, keys), restarts: true };
}

describe('a restart plan', () => {
  const moment = fc.oneof(fc.constant(0), fc.integer({ min: now - 300_000, max: now + 300_000 }));
  const name = fc.constantFrom('a', 'b', 'c', 'constructor');
  const entries: fc.Arbitrary<Revisions> = fc.array(fc.tuple(name, moment), { maxLength: 4 }).map((list) => Object.fromEntries(list));
  const secret = fc.record({ name, revision: moment }).map((drawn) => consuming(drawn.name, drawn.revision));
  const secrets = fc.uniqueArray(secret, { selector: (drawn) => drawn.name, maxLength: 4 });
  const known: fc.Arbitrary<KnownRevisions> = fc.record({ adopted: entries, rolled: entries });
  it('is carried out once: nothing is left to do, but to forget what was opted out of', () => {
    fc.assert(
      fc.property(secrets, known, moment, (consumed, before, birth) => {
        const first = planRestart(consumed, before, { birth });
        const after = apply(first, before);
        const age = first.action === 'roll' ? {} : { birth };
        const second = planRestart(consumed, after, age);
        expect(['none', 'adopt']).toContain(second.action);
        const forgets = Object.keys(before.adopted).some((adopted) => consumed.every((one) => one.name !== adopted));
        expect(second.action === 'none' || forgets).toBe(true);
        expect(planRestart(consumed, apply(second, after), age)).toEqual({ action: 'none' });
      }),
      { numRuns: 500 },
    );
  });

  it('rolls only for a revision that is newer than the entry, and never forgets one', () => {
    fc.assert(
      fc.property(secrets, known, moment, (consumed, before, birth) => {
        const plan = planRestart(consumed, before, { birth });
        const changed = plan.action === 'roll' ? plan.changed.map((part) => part.secret) : [];
        expect(plan.action !== 'roll' || changed.length > 0).toBe(true);
        for (const of of changed) expect(consumed.find((one) => one.name === of)?.revision).toBeGreaterThan(entryOf(before, of));
        for (const { name: of } of consumed) expect(entryOf(apply(plan, before), of)).toBeGreaterThanOrEqual(entryOf(before, of));
      }),
      { numRuns: 500 },
    );
  });

  it('rolls every workload with an entry for every later change, whatever it was planned for before', () => {
    fc.assert(
      fc.property(secrets, known, moment, fc.integer({ min: 1, max: 100_000 }), (consumed, before, birth, later) => {
        const ready = consumed.reduce(
          (known_, { name: of, revision }) => apply(planAdoption(of, { revision }, known_, birth), known_),
          before,
        );
        const top = Math.max(0, ...consumed.map(({ revision, name: of }) => Math.max(revision, entryOf(ready, of))));
        const rotated = consumed.map(({ name: of }) => consuming(of, top + later));
        const plan = planRestart(rotated, ready, { birth: Math.min(birth, top + later) });
        const changed = consumed.map((one) => ({ secret: one.name, keys: ['password'] }));
        expect(plan).toMatchObject(consumed.length === 0 ? {} : { action: 'roll', changed });
      }),
    );
  });
});
