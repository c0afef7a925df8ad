import { describe, expect, it } from 'vitest';
import { secretOwnership, type SecretIdentity } from '../../../src/domain/ownership.ts';

const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'db', uid: 'now' };
const path = 'vaults/v/items/i';
const itemPath = 'operator.1password.io/item-path';
const itemVersion = 'operator.1password.io/item-version';
const adopt = 'keyturn.dev/adopt';

interface Case extends Partial<SecretIdentity> {
  readonly name: string;
}

const asksFor = ({ ownerReferences = [], annotations = {} }: Case) => secretOwnership({ ownerReferences, annotations }, owner, path);

describe('a Secret is ours', () => {
  it.each<Case>([
    { name: 'when it carries our uid', ownerReferences: [owner] },
    { name: 'when it carries our uid beside others', ownerReferences: [{ ...owner, kind: 'Other', uid: 'x' }, owner] },
    { name: 'when it carries our uid under the name from before', ownerReferences: [{ ...owner, name: 'old' }] },
    { name: 'when a dead owner of our kind and name left it', ownerReferences: [{ ...owner, uid: 'dead' }] },
    { name: 'when that owner was of another version', ownerReferences: [{ ...owner, uid: 'dead', apiVersion: 'onepassword.com/v2' }] },
    { name: 'when nobody owns it and it holds the same item', annotations: { [itemPath]: path, [itemVersion]: '3' } },
    { name: 'when nobody owns it and it is marked for adoption', annotations: { [adopt]: 'true' } },
  ])('$name', (secret) => {
    expect(asksFor(secret)).toEqual({ ours: true });
  });
});

describe('a Secret is not ours', () => {
  it.each<Case>([
    { name: 'when nobody owns it and nothing says so' },
    { name: 'when another resource of our kind owns it', ownerReferences: [{ ...owner, name: 'other', uid: 'x' }] },
    { name: 'when an object of another kind has our name', ownerReferences: [{ ...owner, kind: 'Deployment', uid: 'x' }] },
    {
      name: 'when an object of another group has our kind and name',
      ownerReferences: [{ ...owner, apiVersion: 'example.com/v1', uid: 'x' }],
    },
    { name: 'when an object of no group has our kind and name', ownerReferences: [{ ...owner, apiVersion: 'v1', uid: 'x' }] },
    { name: 'when it holds another item', annotations: { [itemPath]: 'vaults/v/items/other', [itemVersion]: '3' } },
    { name: 'when it names our item but no version', annotations: { [itemPath]: path } },
    { name: 'when it has a version but no item', annotations: { [itemVersion]: '3' } },
    { name: 'when the mark for adoption is not "true"', annotations: { [adopt]: 'True' } },
    {
      name: 'when somebody owns it, marks or not',
      ownerReferences: [{ ...owner, kind: 'Certificate', name: 'tls', uid: 'x' }],
      annotations: { [adopt]: 'true', [itemPath]: path, [itemVersion]: '3' },
    },
  ])('$name', (secret) => {
    expect(asksFor(secret).ours).toBe(false);
  });

  it('and the answer says whose it is', () => {
    const ownerReferences = [{ ...owner, kind: 'Certificate', name: 'tls', uid: 'x' }];
    expect(asksFor({ name: '', ownerReferences })).toEqual({ ours: false, holder: 'Certificate tls' });
  });
});
