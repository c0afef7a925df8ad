import { describe, expect, it } from 'vitest';
import { matchesGlob, vaultReach, type VaultPolicy } from '../../../src/domain/vault-policy.ts';

const id = 'a'.repeat(26);
const otherId = 'b'.repeat(26);
const policy: VaultPolicy = [
  { namespaces: ['shop', 'shop-*'], vaults: ['Prod', id] },
  { namespaces: ['*-admin'], vaults: ['Ops'] },
  { namespaces: ['platform'], vaults: ['*'] },
];

describe('a namespace', () => {
  it('may read everything without a policy', () => {
    expect(vaultReach(undefined, 'shop').extent).toBe('all');
  });

  it('may read nothing when no rule names it, or there is no rule', () => {
    expect([vaultReach(policy, 'default').extent, vaultReach([], 'shop').extent]).toEqual(['none', 'none']);
    expect(vaultReach(policy, 'default').includes({ id, name: 'Prod' })).toBe(false);
  });

  it('may read the vaults of its rules, by id or by name in any case', () => {
    const reach = vaultReach(policy, 'shop');
    expect(reach.includes({ id: otherId, name: 'pROD' })).toBe(true);
    expect(reach.includes({ id, name: 'anything' })).toBe(true);
    expect(reach.includes({ id: otherId, name: 'Ops' })).toBe(false);
  });

  it('has the vaults of all rules that name it', () => {
    const reach = vaultReach(policy, 'shop-admin');
    expect(['Prod', 'Ops'].map((name) => reach.includes({ id: otherId, name }))).toEqual([true, true]);
  });

  it('may read every vault by a star', () => {
    expect(vaultReach(policy, 'platform').extent).toBe('all');
  });

  it('is not given a vault that somebody named like an id it may read', () => {
    expect(vaultReach(policy, 'shop').includes({ id: otherId, name: id })).toBe(false);
  });

  it('is told which words are in its own rules, whether there is such a vault or not', () => {
    const reach = vaultReach(policy, 'shop');
    expect(['prod', id, 'Ops', otherId, '', '*'].map((word) => reach.names(word))).toEqual([true, true, false, false, false, false]);
  });
});

describe('a pattern', () => {
  it.each([
    ['shop', 'shop', true],
    ['shop', 'shops', false],
    ['shop', 'a-shop', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['team-*', 'team-', true],
    ['team-*', 'team', false],
    ['*-prod', 'a-prod-prod', true],
    ['a*b*c', 'abxbc', true],
    ['a*b*c', 'abxb', false],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['**', 'anything', true],
  ])('%j takes %j: %s', (pattern, text, expected) => {
    expect(matchesGlob(pattern, text)).toBe(expected);
  });

  it('is matched in no time, whatever it is', () => {
    const start = performance.now();
    expect(matchesGlob('*a'.repeat(30), `${'a'.repeat(20_000)}b`)).toBe(false);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});
