import { tokenClaims } from './token-claims.ts';

/** The name by which a token may be told of: the `jti` of a JWT, or `opaque`. Nothing else of it is in there. */
export function tokenId(token: string): string {
  return tokenClaims(token).id;
}
