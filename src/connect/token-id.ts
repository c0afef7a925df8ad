/** What can stand in a log and an audit record as it is, and is no token itself. */
const plainId = /^[\w.-]{1,64}$/;

/** The name by which a token may be told of: the `jti` of a JWT, or `opaque`. Nothing else of it is in there. */
export function tokenId(token: string): string {
  const [, payload, signature, ...more] = token.split('.');
  if (payload === undefined || signature === undefined || more.length > 0) return 'opaque';
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const jti = typeof claims === 'object' && claims !== null && 'jti' in claims ? claims.jti : undefined;
    return typeof jti === 'string' && plainId.test(jti) ? jti : 'opaque';
  } catch {
    return 'opaque';
  }
}
