import { expect, it } from 'vitest';
import { tokenClaims } from '../../../src/connect/token-claims.ts';

const part = (claims: unknown): string => Buffer.from(JSON.stringify(claims)).toString('base64url');
const jwt = (claims: unknown): string => `${part({ alg: 'ES256' })}.${part(claims)}.c2lnbmF0dXJl`;

it('the claims of a token are its id, its end, its features and how many vaults it is for', () => {
  const claims = { jti: 'id', exp: 1_800_000_000, '1password.com/fts': ['vaultaccess'], '1password.com/vts': [{ u: 'a', a: 48 }, {}] };
  expect(tokenClaims(jwt(claims))).toEqual({ id: 'id', expiry: 1_800_000_000_000, features: ['vaultaccess'], vaults: 2 });
});

it.each([
  ['says none of it', jwt({})],
  ['says it in another form', jwt({ jti: {}, exp: 'soon', '1password.com/fts': 'all', '1password.com/vts': 7 })],
  ['is no JWT', 'canary'],
  ['has claims that are null', jwt(null)],
])('a token has no claims when it %s', (_, token) => {
  expect(tokenClaims(token)).toEqual({ id: 'opaque', expiry: undefined, features: undefined, vaults: undefined });
});

it('a feature that could be anything is left out', () => {
  expect(tokenClaims(jwt({ '1password.com/fts': ['plain', 'with "quotes"', 7] })).features).toEqual(['plain']);
});
