import { expect, it } from 'vitest';
import { tokenId } from '../../../src/connect/token-id.ts';

const part = (claims: unknown): string => Buffer.from(JSON.stringify(claims)).toString('base64url');
const jwt = (claims: unknown): string => `${part({ alg: 'ES256' })}.${part(claims)}.c2lnbmF0dXJl`;

it('the id of a token is the claim jti of a JWT', () => {
  expect(tokenId(jwt({ sub: 'somebody', jti: 'gw27dhrkgoqmxnr3xeov3sqmay' }))).toBe('gw27dhrkgoqmxnr3xeov3sqmay');
});

it.each([
  ['a word', 'canary'],
  ['a JWT without the claim', jwt({ sub: 'somebody' })],
  ['a claim that is no text', jwt({ jti: 7 })],
  ['a claim that could be anything', jwt({ jti: 'with "quotes"\n' })],
  ['a claim without end', jwt({ jti: 'x'.repeat(1_000) })],
  ['claims that are no JSON', `${part({})}.canary.canary`],
  ['more parts than a JWT has', `${jwt({ jti: 'id' })}.more`],
  ['nothing', ''],
])('a token is opaque that is %s', (_, token) => {
  expect(tokenId(token)).toBe('opaque');
});
